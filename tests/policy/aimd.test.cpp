// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>

#include <penstock/policy/aimd.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Each sample is a window of its own.
constexpr LimitRange at_once{.samples = 1, .window = 0s};

double after(const Aimd::Options& options, double limit, LimitSample sample) {
  return Aimd{options}.step({.limit = limit}, Time{1h}, sample).limit;
}

TEST(aimd_rule, adds_its_increase_where_the_limit_was_pressed) {
  EXPECT_EQ(after({at_once}, 20, {1ms, 10, Outcome::success}), 21);
  EXPECT_EQ(after({at_once}, 20, {1ms, 9, Outcome::success}), 20);
  EXPECT_EQ(after({.range = at_once, .increase = 0.5}, 20, {1ms, 10, Outcome::success}), 20.5);
  EXPECT_EQ(after({at_once}, 1000, {1ms, 1000, Outcome::success}), 1000);
}

TEST(aimd_rule, takes_its_share_off_at_a_drop_and_when_calls_take_too_long) {
  EXPECT_EQ(after({at_once}, 20, {1ms, 1, Outcome::timeout}), 18);
  EXPECT_EQ(after({.range = at_once, .decrease = 0.5}, 20, {1ms, 1, Outcome::timeout}), 10);
  const Aimd::Options impatient{.range = at_once, .too_long = 10ms};
  EXPECT_EQ(after(impatient, 20, {10ms, 10, Outcome::success}), 21);
  EXPECT_EQ(after(impatient, 20, {10ms + 1ns, 10, Outcome::success}), 18);
}

TEST(aimd_rule, decides_nothing_before_its_window_is_complete) {
  const LimitState state = Aimd{}.step({.limit = 20}, Time{1h}, {1ms, 20, Outcome::success});
  EXPECT_EQ(state.limit, 20);
  EXPECT_EQ(state.successes, 1U);
  EXPECT_EQ(Aimd{}.initial().limit, 20);
}

TEST(aimd_rule, wants_a_positive_increase_and_a_share) {
  EXPECT_NO_THROW((Aimd{{.increase = 0.001, .decrease = 0.001}}));
  EXPECT_NO_THROW((Aimd{{.decrease = 0.999}}));
  for (const Aimd::Options& options : {Aimd::Options{.increase = 0},
                                       Aimd::Options{.decrease = 0},
                                       Aimd::Options{.decrease = 1},
                                       Aimd::Options{.range = {.floor = 0}}})
    EXPECT_THROW(Aimd{options}, std::invalid_argument);
}

}  // namespace
}  // namespace penstock
