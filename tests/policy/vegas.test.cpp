// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>

#include <penstock/policy/vegas.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Each sample is a window of its own.
constexpr LimitRange at_once{.samples = 1, .window = 0s};

// The limit after a success that took `rtt`, where 12 ms are unhindered; no limit here is near
// the probe concurrency.
double after(double limit, Duration rtt, std::uint32_t in_flight) {
  const Vegas vegas{{.range = at_once, .baseline = {.probe_concurrency = 1}}};
  return vegas
      .step({.limit = limit, .baseline = 12e6}, Time{1h}, {rtt, in_flight, Outcome::success})
      .limit;
}

TEST(vegas_rule, grows_fast_without_a_queue_and_slowly_with_a_short_one) {
  EXPECT_EQ(after(8, 12ms, 4), 14);
  EXPECT_EQ(after(8, 11ms, 4), 14);
  EXPECT_EQ(after(4, 16ms, 4), 10);         // a queue of one
  EXPECT_EQ(after(4, 16ms + 100us, 4), 5);  // a little more
  EXPECT_EQ(after(8, 16ms, 4), 9);          // of two
}

TEST(vegas_rule, stays_with_a_queue_of_three_to_six_and_shrinks_above) {
  EXPECT_EQ(after(8, 19200us, 4), 8);
  EXPECT_EQ(after(8, 19100us, 4), 9);
  EXPECT_EQ(after(8, 48ms, 4), 8);
  EXPECT_EQ(after(8, 49ms, 4), 7);
}

TEST(vegas_rule, measures_a_queue_by_the_logarithm_of_the_limit) {
  EXPECT_NEAR(after(100, 12ms, 50), 112, 0.01);
  EXPECT_NEAR(after(100, 12500us, 50), 102, 0.01);  // of 4, below 6
  EXPECT_NEAR(after(100, 13043us, 50), 100, 0.01);  // of 8
  EXPECT_NEAR(after(100, 16ms, 50), 98, 0.01);      // of 25, above 12
}

TEST(vegas_rule, does_not_grow_unpressed) {
  EXPECT_EQ(after(8, 12ms, 3), 8);
}

TEST(vegas_rule, takes_a_tenth_off_at_a_drop) {
  const Vegas vegas{{.range = at_once}};
  EXPECT_EQ(vegas.step({.limit = 20, .baseline = 12e6}, Time{1h}, {1ms, 1, Outcome::timeout}).limit,
            18);
}

TEST(vegas_rule, learns_its_baseline_and_probes_when_hindered_near_the_probe_concurrency) {
  const Vegas vegas{{.range = at_once, .baseline = {.probe_concurrency = 4}}};
  EXPECT_EQ(vegas.step({.limit = 20}, Time{1h}, {9ms, 1, Outcome::success}).baseline, 9e6);
  EXPECT_EQ(vegas.step({.limit = 8, .baseline = 12e6}, Time{1h}, {24ms, 8, Outcome::success}).limit,
            4);
}

TEST(vegas_rule, decides_nothing_before_its_window_is_complete) {
  const LimitState state = Vegas{}.step({.limit = 20}, Time{1h}, {1ms, 20, Outcome::success});
  EXPECT_EQ(state.limit, 20);
  EXPECT_EQ(state.baseline, 0);
  EXPECT_EQ(Vegas{}.initial().limit, 20);
}

TEST(vegas_rule, wants_valid_ranges) {
  EXPECT_THROW((Vegas{{.range = {.floor = 0}}}), std::invalid_argument);
  EXPECT_THROW((Vegas{{.baseline = {.probe_concurrency = 0}}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
