// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <penstock/policy/retry_budget.hpp>

namespace {

using penstock::RetryBudget;

template <class Work>
void in_parallel(Work work) {
  std::vector<std::thread> running;
  for (std::uint64_t index = 0; index < 4; ++index) running.emplace_back(work, index);
  for (std::thread& thread : running) thread.join();
}

TEST(retry_budget_under_contention, every_token_is_spent_once) {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 5000, .max_tokens = 5000}};
  std::atomic<int> spent{0};
  in_parallel([&](std::uint64_t) {
    for (int round = 0; round < 20'000; ++round) {
      if (budget.try_spend()) ++spent;
    }
  });
  EXPECT_EQ(spent.load(), 5000);
  EXPECT_EQ(budget.available_approx(), 0);
}

TEST(retry_budget_under_contention, deposits_and_spends_balance_to_the_thousandth) {
  RetryBudget budget{{.ratio = 0.125, .floor_tokens = 100, .max_tokens = 1e6}};
  std::atomic<std::int64_t> spent{0};
  std::atomic<std::int64_t> paid{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int round = 0; round < 20'000; ++round) {
      switch (random() % 4) {
        case 0:
          budget.on_success();
          ++paid;
          break;
        case 1:
          if (budget.try_spend()) {
            budget.refund();
          }
          break;
        default:
          if (budget.try_spend()) ++spent;
      }
      ASSERT_GE(budget.available_approx(), 0);
    }
  });
  EXPECT_EQ(budget.available_approx(),
            100 + 0.125 * static_cast<double>(paid.load()) - static_cast<double>(spent.load()));
}

TEST(retry_budget_under_contention, concurrent_credit_is_not_lost_below_the_most) {
  RetryBudget budget{{.ratio = 1, .floor_tokens = 0, .max_tokens = 10}};
  std::atomic<int> spent{0};
  in_parallel([&](std::uint64_t) {
    for (int round = 0; round < 20'000; ++round) {
      budget.on_success();
      if (budget.try_spend()) ++spent;
      ASSERT_LE(budget.available_approx(), 10);
    }
  });
  // Each thread pays in before it spends and four together never fill ten: no credit is cut.
  EXPECT_EQ(spent.load(), 4 * 20'000);
  EXPECT_EQ(budget.available_approx(), 0);
}

}  // namespace
