// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <penstock/policy/retry_budget.hpp>

#include "support/draw.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::BudgetBalance;
using penstock::Duration;
using penstock::RetryBudget;
using penstock::Time;

constexpr Time start{100h};

constexpr std::uint32_t most = (1U << 30) - 1;

constexpr BudgetBalance balance(std::uint32_t thousandths, std::uint64_t slice) {
  return {thousandths, slice};
}
static_assert(BudgetBalance::unpack(balance(most, BudgetBalance::slice_mask).pack()) ==
              balance(most, BudgetBalance::slice_mask));
static_assert(BudgetBalance{} == balance(0, 0));
static_assert(BudgetBalance::unpack(balance(1, 2).pack()) == balance(1, 2));
static_assert(BudgetBalance::unpack(balance(0, BudgetBalance::slice_mask + 8).pack()).slice == 7);

// Below the floor a sixteenth of it comes back with each slice, and no more than all of it.
static_assert(balance(0, 5).aged(6, 1600) == balance(100, 6));
static_assert(balance(0, 5).aged(5, 1600) == balance(0, 5));
static_assert(balance(1590, 5).aged(6, 1600) == balance(1600, 6));
static_assert(balance(0, 5).aged(20, 1600) == balance(1500, 20));
static_assert(balance(0, 5).aged(21, 1600) == balance(1600, 21));
static_assert(balance(0, 5).aged(22, 1600) == balance(1600, 22));
static_assert(balance(0, 5).aged(5'000'000'005, 1600) == balance(1600, 5'000'000'005));
// Above it a sixteenth of the excess fades, rounded up, until nothing is left of it.
static_assert(balance(1600 + 1600, 5).aged(6, 1600) == balance(1600 + 1500, 6));
static_assert(balance(1600 + 1600, 5).aged(7, 1600) == balance(1600 + 1406, 7));
static_assert(balance(1600 + 1, 5).aged(6, 1600) == balance(1600, 6));
static_assert(balance(most, 5).aged(5 + 400, 0) == balance(0, 405));
static_assert(balance(most, 5).aged(5 + 5'000'000'000, 0) == balance(0, 5'000'000'005));
static_assert(balance(0, 5).aged(5 + 15'000'000'000, most) == balance(most, 15'000'000'005));
static_assert(balance(most, 5).aged(5 + 100, 0).thousandths > 1'500'000);
// Time goes on over the end of the numbers; a late thread changes nothing.
static_assert(balance(0, BudgetBalance::slice_mask).aged(0, 1600) == balance(100, 0));
static_assert(balance(7, 5).aged(4, 1600) == balance(7, 5));
static_assert(balance(7, 5).aged(BudgetBalance::slice_mask, 1600) == balance(7, 5));
static_assert(balance(7, BudgetBalance::late).aged(0, 1600) == balance(7, BudgetBalance::late));
static_assert(balance(7, BudgetBalance::late + 1).aged(0, 1600) == balance(1600, 0));

int spend_all(RetryBudget& budget) {
  int spent = 0;
  while (budget.try_spend()) ++spent;
  return spent;
}

TEST(retry_budget, a_new_budget_allows_its_floor) {
  RetryBudget budget;
  EXPECT_EQ(spend_all(budget), 10);
  EXPECT_FALSE(budget.try_spend());
}

TEST(retry_budget, ten_successes_pay_for_one_retry) {
  RetryBudget budget{{.ratio = 0.1, .floor_tokens = 0}};
  for (int success = 0; success < 9; ++success) budget.on_success();
  EXPECT_FALSE(budget.try_spend());
  budget.on_success();
  EXPECT_TRUE(budget.try_spend());
  EXPECT_FALSE(budget.try_spend());
}

// trap 18
TEST(retry_budget, a_ratio_that_is_no_unit_fraction_is_not_truncated) {
  RetryBudget budget{{.ratio = 0.75, .floor_tokens = 0, .max_tokens = 1000}};
  for (int success = 0; success < 100; ++success) budget.on_success();
  EXPECT_EQ(spend_all(budget), 75);
}

TEST(retry_budget, never_holds_more_than_its_most) {
  RetryBudget budget{{.ratio = 7, .floor_tokens = 0, .max_tokens = 10}};
  for (int success = 0; success < 100; ++success) budget.on_success();
  EXPECT_EQ(budget.available_approx(), 10);
  budget.refund();
  EXPECT_EQ(spend_all(budget), 10);
}

TEST(retry_budget, a_refused_spend_costs_nothing) {
  RetryBudget budget{{.ratio = 0.5, .floor_tokens = 0.5}};
  EXPECT_FALSE(budget.try_spend());
  EXPECT_EQ(budget.available_approx(), 0.5);
  budget.on_success();
  EXPECT_TRUE(budget.try_spend());
}

TEST(retry_budget, a_token_that_was_not_used_can_be_given_back) {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 1}};
  EXPECT_TRUE(budget.try_spend());
  EXPECT_FALSE(budget.try_spend());
  budget.refund();
  EXPECT_TRUE(budget.try_spend());
}

TEST(retry_budget, without_deposits_successes_pay_nothing) {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 0}};
  for (int success = 0; success < 100; ++success) budget.on_success();
  EXPECT_FALSE(budget.try_spend());
}

TEST(retry_budget, without_a_window_no_time_passes) {
  RetryBudget budget{{.ratio = 1, .floor_tokens = 2, .max_tokens = 10}};
  for (int success = 0; success < 3; ++success) budget.on_success(start);
  EXPECT_EQ(budget.available_approx(start + 1000h), 5);
  while (budget.try_spend(start)) {
  }
  EXPECT_FALSE(budget.try_spend(start + 1000h));
  EXPECT_EQ(budget.available_approx(start + 1000h), 0);
  EXPECT_FALSE(budget.try_spend(penstock::never));
}

TEST(retry_budget, with_a_window_its_floor_comes_back_by_itself) {
  RetryBudget budget{{.floor_tokens = 16, .window = 10s}};
  while (budget.try_spend(start)) {
  }
  EXPECT_EQ(budget.available_approx(start), 0);
  EXPECT_FALSE(budget.try_spend(start + 624ms));
  EXPECT_TRUE(budget.try_spend(start + 625ms));
  EXPECT_FALSE(budget.try_spend(start + 625ms));
  EXPECT_EQ(budget.available_approx(start + 625ms + 5s), 8);
  EXPECT_EQ(budget.available_approx(start + 625ms + 10s), 16);
  EXPECT_EQ(budget.available_approx(start + 1h), 16);
}

TEST(retry_budget, with_a_window_unused_credit_fades) {
  RetryBudget budget{{.ratio = 1, .floor_tokens = 10, .max_tokens = 110, .window = 10s}};
  for (int success = 0; success < 200; ++success) budget.on_success(start);
  EXPECT_EQ(budget.available_approx(start), 110);
  EXPECT_NEAR(budget.available_approx(start + 10s), 10 + 100 / 2.8, 1);
  EXPECT_EQ(budget.available_approx(start + 1h), 10);
}

TEST(retry_budget, who_brings_no_time_acts_at_the_latest_that_was_brought) {
  RetryBudget budget{{.ratio = 1, .floor_tokens = 16, .window = 10s}};
  while (budget.try_spend(start)) {
  }
  EXPECT_FALSE(budget.try_spend());
  budget.on_success(start + 5s);
  EXPECT_EQ(budget.available_approx(), 9);
  budget.on_success();
  budget.refund();
  EXPECT_EQ(budget.available_approx(), 11);
  EXPECT_TRUE(budget.try_spend());
  EXPECT_EQ(budget.available_approx(), 10);
}

TEST(retry_budget, times_before_the_epoch_are_times) {
  RetryBudget budget{{.floor_tokens = 16, .window = 16s}};
  const Time early{-2'000'000s};
  while (budget.try_spend(early - 1ns)) {
  }
  EXPECT_EQ(budget.available_approx(early - 1ns), 0);
  EXPECT_EQ(budget.available_approx(early - 1s), 0);
  EXPECT_EQ(budget.available_approx(early), 1);
  EXPECT_EQ(budget.available_approx(early + 1s - 1ns), 1);
  EXPECT_EQ(budget.available_approx(early + 1s), 2);
}

TEST(retry_budget, passes_in_any_time_no_more_than_it_says) {
  penstock::testing::for_all(300, [](penstock::testing::Draw& draw) {
    const RetryBudget::Options options{.ratio = draw.unit() * 2,
                                       .floor_tokens = static_cast<double>(draw.whole(0, 20)),
                                       .max_tokens = static_cast<double>(draw.whole(20, 40)),
                                       .window = 1s + draw.duration(1min)};
    RetryBudget budget{options};
    struct Event {
      std::int64_t slice;
      int spent;
      int succeeded;
    };
    std::vector<Event> events;
    Time now = start;
    const Duration slice = options.window / 16;
    for (int step = 0; step < 200; ++step) {
      now += draw.duration(draw.one_in(10) ? options.window * 2 : slice);
      // Some threads come late.
      const Time seen = draw.one_in(5) ? now - draw.duration(options.window) : now;
      Event event{now.time_since_epoch() / slice, 0, 0};
      if (draw.one_in(2)) {
        event.spent = static_cast<int>(budget.try_spend(seen));
      } else {
        budget.on_success(seen);
        event.succeeded = 1;
      }
      events.push_back(event);
    }
    for (std::size_t first = 0; first < events.size(); ++first) {
      double spent = 0;
      double paid_in = 0;
      for (std::size_t last = first; last < events.size(); ++last) {
        spent += events[last].spent;
        paid_in += options.ratio * events[last].succeeded + 0.001;
        const auto slices = static_cast<double>(events[last].slice - events[first].slice + 1);
        ASSERT_LE(spent, options.max_tokens + paid_in + options.floor_tokens * slices / 16);
      }
    }
  });
}

TEST(retry_budget, says_what_to_write_instead) {
  EXPECT_THROW((RetryBudget{{.window = 1s - 1ns}}), std::invalid_argument);
  EXPECT_NO_THROW((RetryBudget{{.window = 1s}}));
  EXPECT_THROW((RetryBudget{{.max_tokens = 1e6 + 1}}), std::invalid_argument);
  EXPECT_NO_THROW((RetryBudget{{.max_tokens = 1e6}}));
  EXPECT_NO_THROW((RetryBudget{{.ratio = 0.001, .floor_tokens = 1, .max_tokens = 1}}));
  EXPECT_THROW((RetryBudget{{.ratio = 0.0001}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.ratio = -0.1}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.ratio = std::nan("")}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.floor_tokens = 11, .max_tokens = 10}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.floor_tokens = 0, .max_tokens = 0.5}}), std::invalid_argument);
}

TEST(retry_budget, describes_itself) {
  EXPECT_EQ(RetryBudget{}.describe(), "retry_budget(0.1 per success, starts with 10, at most 100)");
  EXPECT_EQ((RetryBudget{{.window = 10s}}).describe(),
            "retry_budget(0.1 per success, starts with 10, at most 100, window 10s)");
}

}  // namespace
