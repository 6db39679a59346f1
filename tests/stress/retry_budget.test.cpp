// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>

#include <penstock/policy/retry_budget.hpp>

#include "support/in_parallel.hpp"

namespace {

using penstock::RetryBudget;
using penstock::testing::in_parallel;

// trap 17
TEST(retry_budget_under_contention, every_token_is_spent_once) {
  constexpr int tokens = 1'000'000;
  RetryBudget budget{{.ratio = 0, .floor_tokens = tokens, .max_tokens = tokens}};
  std::atomic<int> spent{0};
  in_parallel([&](std::uint64_t) {
    int mine = 0;
    while (budget.try_spend()) ++mine;
    spent += mine;
  });
  EXPECT_EQ(spent.load(), tokens);
  EXPECT_EQ(budget.available_approx(), 0);
}

// trap 17
TEST(retry_budget_under_contention, deposits_and_spends_balance_to_the_thousandth) {
  RetryBudget budget{{.ratio = 0.125, .floor_tokens = 100, .max_tokens = 1e6}};
  std::atomic<std::int64_t> spent{0};
  std::atomic<std::int64_t> paid{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int round = 0; round < 200'000; ++round) {
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

// trap 17: long enough for threads to be interrupted between any two steps.
TEST(retry_budget_under_contention, what_is_spent_and_given_back_is_there_again) {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 3, .max_tokens = 4}};
  std::atomic<int> most_out{0};
  std::atomic<int> out{0};
  in_parallel([&](std::uint64_t) {
    for (int round = 0; round < 1'000'000; ++round) {
      if (!budget.try_spend()) continue;
      const int now_out = ++out;
      if (now_out > most_out.load(std::memory_order_relaxed)) most_out = now_out;
      --out;
      budget.refund();
    }
  });
  EXPECT_LE(most_out.load(), 3);
  EXPECT_EQ(budget.available_approx(), 3);
}

// trap 17
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

// trap 17: every thread crosses the slices of a window at once with the others.
TEST(retry_budget_under_contention, what_comes_back_with_time_comes_back_once) {
  RetryBudget budget{
      {.ratio = 0, .floor_tokens = 16, .max_tokens = 16, .window = std::chrono::seconds{16}}};
  std::atomic<int> spent{0};
  constexpr int slices = 100'000;
  std::atomic<int> slice{0};
  in_parallel([&](std::uint64_t) {
    for (int at = 0; at < slices; at = slice.load()) {
      if (budget.try_spend(penstock::Time{std::chrono::seconds{at}})) ++spent;
      slice.compare_exchange_strong(at, at + 1);
    }
  });
  EXPECT_LE(spent.load(), 16 + slices);
  EXPECT_GE(spent.load(), slices / 2);
}

}  // namespace
