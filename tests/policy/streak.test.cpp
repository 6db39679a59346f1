// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <penstock/policy/streak.hpp>

namespace {

using penstock::Streak;

TEST(streak, counts_failures_until_a_success) {
  Streak streak;
  EXPECT_EQ(streak.length_approx(0), 0U);
  EXPECT_EQ(streak.on_failure(0), 1U);
  EXPECT_EQ(streak.on_failure(0), 2U);
  EXPECT_EQ(streak.length_approx(0), 2U);
  streak.on_success(0);
  EXPECT_EQ(streak.length_approx(0), 0U);
  EXPECT_EQ(streak.on_failure(0), 1U);
  streak.on_success(0);
  EXPECT_EQ(streak.on_failure(0), 1U);
}

TEST(streak, a_new_era_starts_at_nothing_and_an_old_one_changes_nothing) {
  Streak streak;
  EXPECT_EQ(streak.on_failure(7), 1U);
  EXPECT_EQ(streak.length_approx(8), 0U);
  streak.on_success(8);  // nothing to end
  EXPECT_EQ(streak.length_approx(7), 1U);
  EXPECT_EQ(streak.on_failure(8), 1U);
  EXPECT_EQ(streak.on_failure(7), 0U);
  streak.on_success(7);
  EXPECT_EQ(streak.on_failure(8), 2U);
}

TEST(streak, eras_wrap_and_only_the_nearest_ahead_is_newer) {
  Streak streak;
  EXPECT_EQ(streak.on_failure(8191), 1U);
  EXPECT_EQ(streak.on_failure(16'383), 1U);
  EXPECT_EQ(streak.on_failure(0), 1U);
  EXPECT_EQ(streak.on_failure(16'383), 0U);
  EXPECT_EQ(streak.on_failure(16'384 - 255), 0U);  // as late as a thread may be
  EXPECT_EQ(streak.on_failure(16'384 - 256), 1U);  // no thread is: time has passed
  EXPECT_EQ(streak.on_failure(16'384 - 256 - 1), 0U);
  EXPECT_EQ(streak.on_failure(16'384 - 256), 2U);
}

}  // namespace
