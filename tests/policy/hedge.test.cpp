// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>

#include <penstock/policy/hedge.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(hedge_policy, hedges_after_a_fixed_delay_from_the_first_call_on) {
  EXPECT_EQ((HedgePolicy{{.delay = 50ms}}.delay()), Duration{50ms});
  EXPECT_EQ((HedgePolicy{{.max_hedges = 0, .delay = 50ms}}.delay()), std::nullopt);
}

// trap 39
TEST(hedge_policy, hedges_nothing_before_it_has_measured_enough) {
  HedgePolicy policy{{.quantile = 0.9, .min_samples = 10, .window = 100}};
  for (int call = 0; call < 9; ++call) policy.on_end(Outcome::success, 10ms);
  EXPECT_EQ(policy.delay(), std::nullopt);
  policy.on_end(Outcome::success, 10ms);
  ASSERT_TRUE(policy.delay());
  EXPECT_GE(*policy.delay(), 10ms);
}

TEST(hedge_policy, never_hedges_sooner_than_its_minimum) {
  HedgePolicy policy{{.min_samples = 1, .min_delay = 5ms}};
  policy.on_end(Outcome::success, 10us);
  EXPECT_EQ(policy.delay(), Duration{5ms});
}

// trap 38
TEST(hedge_policy, learns_from_successes_and_timeouts_alone) {
  for (const Outcome outcome : {Outcome::neutral,
                                Outcome::transient,
                                Outcome::unavailable,
                                Outcome::rate_limited,
                                Outcome::permanent,
                                Outcome::exception}) {
    HedgePolicy policy{{.min_samples = 1}};
    policy.on_end(outcome, 1ms);
    EXPECT_EQ(policy.delay(), std::nullopt) << to_string(outcome);
  }
  HedgePolicy policy{{.min_samples = 1}};
  policy.on_end(Outcome::timeout, 1s);
  EXPECT_GE(policy.delay(), Duration{1s});
}

// trap 38: without `on_overtaken` the slowest calls leave the measure, the delay shrinks with
// every window, and in the end every call is sent twice.
TEST(hedge_policy, hedges_as_many_calls_as_asked_for_however_long_it_runs) {
  HedgePolicy policy{{.quantile = 0.95, .min_samples = 100, .window = 2000}};
  std::mt19937_64 random{3};
  std::exponential_distribution<double> latency{1.0 / 20e6};  // 20 ms
  const auto draw = [&] { return Duration{static_cast<std::int64_t>(latency(random))}; };
  int hedged = 0;
  for (int call = 0; call < 60'000; ++call) {
    const Duration first = draw();
    const auto delay = policy.delay();
    if (!delay || first <= *delay) {
      policy.on_end(Outcome::success, first);
      continue;
    }
    if (call >= 40'000) ++hedged;
    const Duration second = draw();
    if (*delay + second < first) {
      policy.on_end(Outcome::success, second);
      policy.on_overtaken(*delay + second);
    } else {
      policy.on_end(Outcome::success, first);
    }
  }
  EXPECT_GT(hedged, 20'000 * 0.03);
  EXPECT_LT(hedged, 20'000 * 0.065);
}

TEST(hedge_policy, refuses_settings_that_mean_nothing) {
  EXPECT_THROW((HedgePolicy{{.max_hedges = 10}}), std::invalid_argument);
  EXPECT_THROW((HedgePolicy{{.delay = -1ms}}), std::invalid_argument);
  EXPECT_THROW((HedgePolicy{{.quantile = 1.5}}), std::invalid_argument);
}

TEST(hedge_policy, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((HedgePolicy{{.max_hedges = HedgePolicy::most_hedges}}));
  EXPECT_NO_THROW((HedgePolicy{{.delay = 0s, .min_delay = 0s}}));
  EXPECT_THROW((HedgePolicy{{.min_delay = -1ns}}), std::invalid_argument);
}

TEST(hedge_policy, describes_every_setting) {
  EXPECT_EQ((HedgePolicy{{.max_hedges = 2, .delay = 50ms}}.describe()), "hedge(2 after 50ms)");
  EXPECT_EQ(HedgePolicy{}.describe(),
            "hedge(1 after the 0.95 quantile of 1000, at least 100 samples and 1ms)");
}

}  // namespace
}  // namespace penstock
