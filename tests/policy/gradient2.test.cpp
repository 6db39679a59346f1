// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>

#include <penstock/policy/gradient2.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Each sample is a window of its own.
constexpr LimitRange at_once{.samples = 1, .window = 0s};

constexpr Gradient2::Options options{.range = at_once, .baseline = {.probe_concurrency = 1}};

// The limit of 16 after a success that took `rtt`, where 10 ms are unhindered.
double after(const Gradient2::Options& settings, Duration rtt, std::uint32_t in_flight) {
  const LimitState state{.limit = 16, .baseline = 10e6};
  return Gradient2{settings}.step(state, Time{1h}, {rtt, in_flight, Outcome::success}).limit;
}

TEST(gradient2_rule, grows_by_a_share_of_its_square_root_while_calls_are_as_fast_as_they_can) {
  EXPECT_NEAR(after(options, 10ms, 8), 16.8, 1e-6);
  EXPECT_NEAR(after(options, 15ms, 8), 16.8, 1e-6);
  EXPECT_NEAR(after(options, 20ms, 8), 16, 1e-6);
}

TEST(gradient2_rule, shrinks_with_the_gradient_but_by_half_at_most) {
  EXPECT_NEAR(after(options, 25ms, 8), 16 + 0.2 * (16 * 0.6 + 4 - 16), 1e-6);
  EXPECT_NEAR(after(options, 30ms, 8), 15.2, 1e-6);
  EXPECT_NEAR(after(options, 90ms, 8), 15.2, 1e-6);
}

TEST(gradient2_rule, does_not_grow_unpressed_but_shrinks) {
  EXPECT_NEAR(after(options, 10ms, 7), 16, 1e-6);
  EXPECT_NEAR(after(options, 30ms, 7), 15.2, 1e-6);
}

TEST(gradient2_rule, tolerates_and_smooths_as_told) {
  Gradient2::Options settings = options;
  settings.tolerance = 1;
  EXPECT_NEAR(after(settings, 20ms, 8), 16 + 0.2 * (8 + 4 - 16), 1e-6);
  settings.smoothing = 1;
  EXPECT_NEAR(after(settings, 20ms, 8), 12, 1e-6);
}

TEST(gradient2_rule, takes_a_tenth_off_at_a_drop) {
  const LimitState state{.limit = 20, .baseline = 10e6};
  EXPECT_EQ(Gradient2{options}.step(state, Time{1h}, {1ms, 1, Outcome::timeout}).limit, 18);
}

TEST(gradient2_rule, learns_its_baseline_and_probes_when_hindered_near_the_probe_concurrency) {
  const Gradient2 rule{{.range = at_once, .baseline = {.probe_concurrency = 4}}};
  EXPECT_EQ(rule.step({.limit = 20}, Time{1h}, {9ms, 1, Outcome::success}).baseline, 9e6);
  EXPECT_EQ(rule.step({.limit = 8, .baseline = 10e6}, Time{1h}, {30ms, 8, Outcome::success}).limit,
            4);
}

TEST(gradient2_rule, decides_nothing_before_its_window_is_complete) {
  const LimitState state = Gradient2{}.step({.limit = 20}, Time{1h}, {1ms, 20, Outcome::success});
  EXPECT_EQ(state.limit, 20);
  EXPECT_EQ(state.baseline, 0);
  EXPECT_EQ(Gradient2{}.initial().limit, 20);
}

TEST(gradient2_rule, wants_a_tolerance_and_a_share) {
  EXPECT_NO_THROW((Gradient2{{.tolerance = 1, .smoothing = 1}}));
  EXPECT_NO_THROW((Gradient2{{.smoothing = 0.001}}));
  for (const Gradient2::Options& settings : {Gradient2::Options{.tolerance = 0.99},
                                             Gradient2::Options{.smoothing = 0},
                                             Gradient2::Options{.smoothing = 1.01},
                                             Gradient2::Options{.range = {.floor = 0}},
                                             Gradient2::Options{.baseline = {.relearn = 0s}}})
    EXPECT_THROW(Gradient2{settings}, std::invalid_argument);
}

}  // namespace
}  // namespace penstock
