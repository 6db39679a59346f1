// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include <penstock/policy/retry_budget.hpp>

namespace {

using penstock::RetryBudget;

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

TEST(retry_budget, says_what_to_write_instead) {
  EXPECT_THROW((RetryBudget{{.ratio = 0.0001}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.ratio = -0.1}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.ratio = std::nan("")}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.floor_tokens = 11, .max_tokens = 10}}), std::invalid_argument);
  EXPECT_THROW((RetryBudget{{.floor_tokens = 0, .max_tokens = 0.5}}), std::invalid_argument);
}

TEST(retry_budget, describes_itself) {
  EXPECT_EQ(RetryBudget{}.describe(), "retry_budget(0.1 per success, starts with 10, at most 100)");
}

}  // namespace
