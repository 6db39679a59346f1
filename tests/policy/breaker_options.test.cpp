// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <stdexcept>

#include <penstock/policy/breaker_options.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::BreakerMode;
using penstock::Duration;
using penstock::Jitter;
using penstock::LapsedProbe;
using penstock::TripWhen;
using Options = penstock::CircuitBreakerOptions;

// Which calls are judged slow.
static_assert(!Options{}.judges_slowness() && Options{}.trip_rule().slow_rate == 0);
static_assert(Options{.slow_after = 2s}.judges_slowness());
static_assert(Options{.slow_after = 2s}.trip_rule().slow_rate == 0.5);
static_assert(!Options{.slow_after = 2s, .slow_rate = 0}.judges_slowness());

// How long it stays open.
static_assert(Options{}.open_time(1, 0) == 30s && Options{}.open_time(9, 0) == 30s);
constexpr Options growing{.open_for = 10s, .open_growth = 2, .open_at_most = 35s};
static_assert(growing.open_time(1, 0) == 10s && growing.open_time(2, 0) == 20s);
static_assert(growing.open_time(3, 0) == 35s && growing.open_time(4, 0) == 35s);
static_assert(Options{.open_for = 1h}.open_time(1, 0) == 1h);
static_assert(Options{.open_jitter = Jitter::full}.open_time(1, 0) == 0s);

static_assert(Options{}.keep_transitions == 0 && Options{}.window_calls == 0);

bool works(const Options& options) {
  try {
    return &validated(options) == &options;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

TEST(breaker_options, need_a_rule) {
  EXPECT_TRUE(works({}));
  EXPECT_TRUE(works({.failure_rate = 1}));
  EXPECT_FALSE(works({.failure_rate = 0}));
  EXPECT_TRUE(works({.failure_rate = 0, .consecutive_failures = 1}));
  EXPECT_TRUE(works({.failure_rate = 0, .slow_after = 1s}));
  EXPECT_FALSE(works({.failure_rate = 0, .slow_after = 1s, .slow_rate = 0}));
  EXPECT_FALSE(works({.failure_rate = -0.1, .consecutive_failures = 3}));
  EXPECT_FALSE(works({.failure_rate = 1.1}));
  EXPECT_FALSE(works({.failure_rate = std::nan("")}));
}

TEST(breaker_options, judge_slowness_by_a_positive_time_and_a_share) {
  EXPECT_TRUE(works({.slow_after = 1ns, .slow_rate = 1}));
  EXPECT_TRUE(works({.slow_after = 1s, .slow_rate = 0}));
  EXPECT_FALSE(works({.slow_after = 0s}));
  EXPECT_FALSE(works({.slow_after = 1s, .slow_rate = 1.1}));
  EXPECT_FALSE(works({.slow_after = 1s, .slow_rate = -0.1}));
}

TEST(breaker_options, judge_no_fewer_calls_than_the_minimum_and_no_more_than_a_window_holds) {
  EXPECT_TRUE(works({.minimum_calls = 1}));
  EXPECT_TRUE(works({.minimum_calls = 32'767}));
  EXPECT_FALSE(works({.minimum_calls = 0}));
  EXPECT_FALSE(works({.minimum_calls = 32'768}));
  EXPECT_TRUE(works({.minimum_calls = 10, .window_calls = 10}));
  EXPECT_FALSE(works({.minimum_calls = 10, .window_calls = 9}));
  EXPECT_FALSE(works({.minimum_calls = 10, .window_calls = 1}));
  EXPECT_TRUE(works({.window_calls = 100'000}));
  EXPECT_FALSE(works({.window_calls = 100'001}));
}

TEST(breaker_options, probe_with_1_to_1000_calls_of_which_a_share_must_succeed) {
  EXPECT_TRUE(works({.probes = 1}));
  EXPECT_TRUE(works({.probes = 1000}));
  EXPECT_FALSE(works({.probes = 0}));
  EXPECT_FALSE(works({.probes = 1001}));
  EXPECT_TRUE(works({.probe_success_rate = 0.01}));
  EXPECT_FALSE(works({.probe_success_rate = 0}));
  EXPECT_FALSE(works({.probe_success_rate = 1.1}));
}

TEST(breaker_options, need_times_that_pass) {
  EXPECT_TRUE(works({.window = 1ns, .open_for = 1ns, .open_at_most = 1ns, .probe_timeout = 1ms}));
  EXPECT_FALSE(works({.window = 0s}));
  EXPECT_FALSE(works({.open_for = 0s}));
  EXPECT_FALSE(works({.probe_timeout = 1ms - 1ns}));
  EXPECT_FALSE(works({.open_at_most = 0s}));
  EXPECT_FALSE(works({.open_growth = 0.5}));
}

TEST(breaker_options, ramp_from_a_share_below_all) {
  EXPECT_TRUE(works({.ramp = 1ns, .ramp_from = 0}));
  EXPECT_TRUE(works({.ramp_from = 0.999}));
  EXPECT_FALSE(works({.ramp = -1ns}));
  EXPECT_FALSE(works({.ramp_from = 1}));
  EXPECT_FALSE(works({.ramp_from = -0.1}));
}

TEST(breaker_options, describe_every_setting) {
  EXPECT_EQ(describe(Options{.failure_rate = 0.5,
                             .minimum_calls = 10,
                             .window_calls = 100,
                             .slow_after = 2s,
                             .slow_rate = 0.8,
                             .consecutive_failures = 5,
                             .open_growth = 2,
                             .open_jitter = Jitter::equal,
                             .probes = 4,
                             .probe_success_rate = 0.75,
                             .lapsed_probe = LapsedProbe::failure,
                             .ramp = 30s,
                             .mode = BreakerMode::dry_run}),
            "circuit_breaker(50% or 80% slower than 2s of at least 10 of the last 100 calls or 5 "
            "failures in a row, open 30s growing x2 to 10min with equal jitter, 4 probes of 1min, "
            "75% of them to close, a lapsed one has failed, ramp 30s from 10%, dry run)");
  EXPECT_EQ(describe(Options{.failure_rate = 0, .consecutive_failures = 1}),
            "circuit_breaker(1 failures in a row, open 30s, 3 probes of 1min)");
  EXPECT_EQ(describe(Options{.consecutive_failures = 5, .trip_when = TripWhen::all_rules}),
            "circuit_breaker(50% of at least 10 calls in 10s and 5 failures in a row, open 30s, 3 "
            "probes of 1min)");
  EXPECT_EQ(describe(Options{.failure_rate = 0, .window_calls = 1, .slow_after = 2s}),
            "circuit_breaker(50% slower than 2s of at least 10 of the last 1 calls, open 30s, 3 "
            "probes of 1min)");
  EXPECT_EQ(describe(Options{.open_for = 1h, .open_growth = 2}),
            "circuit_breaker(50% of at least 10 calls in 10s, open 1h growing x2 to 1h, 3 probes "
            "of 1min)");
}

}  // namespace
