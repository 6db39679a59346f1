// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include <penstock/policy/limit_window.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1h};
constexpr LimitRange ten_in_a_second{.samples = 10, .window = 1s};

TEST(limit_state, is_pressed_from_half_of_its_limit_on) {
  EXPECT_TRUE((LimitState{.limit = 20, .most_in_flight = 10}.pressed()));
  EXPECT_FALSE((LimitState{.limit = 20, .most_in_flight = 9}.pressed()));
  EXPECT_EQ((LimitState{.limit = 20.9}.places()), 20U);
  EXPECT_EQ((LimitState{.total_rtt = 30, .successes = 4}.mean_rtt()), 7.5);
  EXPECT_EQ((LimitState{.total_rtt = 30}.mean_rtt()), 0);
}

TEST(limit_window, is_complete_with_its_samples_and_its_time) {
  LimitState state;
  for (int sample = 0; sample < 9; ++sample)
    EXPECT_FALSE(collect(state, ten_in_a_second, now, {1ms, 1, Outcome::success}));
  LimitState early = state;
  EXPECT_FALSE(collect(early, ten_in_a_second, now + 1s - 1ns, {1ms, 1, Outcome::success}));
  EXPECT_TRUE(collect(state, ten_in_a_second, now + 1s, {1ms, 1, Outcome::success}));
  EXPECT_EQ(state.opened, now);
  EXPECT_EQ(state.successes, 10U);
  EXPECT_EQ(state.mean_rtt(), 1e6);
  LimitState few;
  EXPECT_FALSE(collect(few, ten_in_a_second, now, {1ms, 1, Outcome::success}));
  EXPECT_FALSE(collect(few, ten_in_a_second, now + 1h, {1ms, 1, Outcome::success}));
}

TEST(limit_window, is_complete_at_once_with_a_drop) {
  for (const Outcome outcome : {Outcome::timeout, Outcome::rate_limited, Outcome::unavailable}) {
    LimitState state;
    EXPECT_TRUE(collect(state, ten_in_a_second, now, {1ms, 7, outcome}));
    EXPECT_EQ(state.drops, 1U);
    EXPECT_EQ(state.successes, 0U);
    EXPECT_EQ(state.opened, now);
    EXPECT_EQ(state.most_in_flight, 7U);
    EXPECT_EQ(state.mean_rtt(), 0);
  }
}

TEST(limit_window, opens_with_its_first_call_whatever_comes_after) {
  LimitState state{.opened = now, .successes = 1, .drops = 1};
  static_cast<void>(collect(state, ten_in_a_second, now + 1ms, {1ms, 1, Outcome::success}));
  EXPECT_EQ(state.opened, now);
}

TEST(limit_window, takes_no_notice_of_other_failures) {
  for (const Outcome outcome : {Outcome::neutral, Outcome::permanent, Outcome::exception}) {
    LimitState state;
    EXPECT_FALSE(collect(state, {.samples = 1, .window = 0s}, now, {1ms, 7, outcome}));
    EXPECT_EQ(state.most_in_flight, 0U);
    EXPECT_EQ(state.successes + state.drops, 0U);
  }
}

TEST(limit_window, takes_no_notice_of_calls_begun_under_an_earlier_limit) {
  LimitState state{.changed = now};
  EXPECT_FALSE(collect(state, ten_in_a_second, now + 1ms, {1ms + 1ns, 1, Outcome::timeout}));
  EXPECT_EQ(state.drops, 0U);
  EXPECT_TRUE(collect(state, ten_in_a_second, now + 1ms, {1ms, 1, Outcome::timeout}));
}

TEST(limit_window, holds_the_most_in_flight_and_no_time_below_a_nanosecond) {
  LimitState state;
  for (const std::uint32_t in_flight : {3U, 9U, 5U})
    EXPECT_FALSE(collect(state, ten_in_a_second, now, {0s, in_flight, Outcome::success}));
  EXPECT_EQ(state.most_in_flight, 9U);
  EXPECT_EQ(state.mean_rtt(), 1);
}

TEST(limit_window, begins_anew_with_the_limit_decided_on) {
  const LimitRange range{.floor = 5, .initial = 20, .ceiling = 40};
  const LimitState before{
      .limit = 20.5, .baseline = 7, .changed = now, .total_rtt = 1, .successes = 1, .drops = 1};
  const LimitState same = decided(before, range, now + 1s, 20.9);
  EXPECT_EQ(same.limit, 20.9);
  EXPECT_EQ(same.baseline, 7);
  EXPECT_EQ(same.changed, now);
  EXPECT_EQ(same.successes + same.drops, 0U);
  EXPECT_EQ(decided(before, range, now + 1s, 21).changed, now + 1s);
  EXPECT_EQ(decided(before, range, now + 1s, 4).limit, 5);
  EXPECT_EQ(decided(before, range, now + 1s, 41).limit, 40);
}

// A window whose ten successes took `mean` nanoseconds, an hour ago until now.
LimitState window_of(double mean, double baseline, std::uint32_t in_flight = 4) {
  return {.baseline = baseline,
          .opened = now - 1h,
          .total_rtt = 10 * mean,
          .successes = 10,
          .most_in_flight = in_flight};
}

TEST(baseline, is_the_first_mean_and_falls_to_any_lower_one) {
  EXPECT_EQ(baseline_after(window_of(500, 0), {}, now), 500);
  EXPECT_EQ(baseline_after(window_of(400, 500, 100), {}, now), 400);
  EXPECT_EQ(baseline_after(window_of(500, 500), {}, now), 500);
  EXPECT_EQ(baseline_after(LimitState{.baseline = 500}, {}, now), 500);
  EXPECT_EQ(baseline_after(window_of(500, 0), {.max_healthy = 300ns}, now), 300);
}

TEST(baseline, doubles_at_most_in_the_time_to_relearn) {
  EXPECT_NEAR(baseline_after(window_of(5000, 500), {.relearn = 1h}, now), 1000, 1);
  EXPECT_NEAR(baseline_after(window_of(5000, 500), {.relearn = 2h}, now), 707.1, 1);
  EXPECT_NEAR(baseline_after(window_of(5000, 500), {.relearn = 30min}, now), 2000, 2);
  EXPECT_EQ(baseline_after(window_of(600, 500), {.relearn = 1h}, now), 600);
  EXPECT_EQ(baseline_after(window_of(5000, 500), {.max_healthy = 700ns}, now), 700);
}

TEST(baseline, rises_only_by_few_calls_in_flight_and_without_a_drop) {
  EXPECT_EQ(baseline_after(window_of(5000, 500, 5), {.probe_concurrency = 4}, now), 500);
  LimitState dropped = window_of(5000, 500);
  dropped.drops = 1;
  EXPECT_EQ(baseline_after(dropped, {}, now), 500);
}

TEST(probing, brings_a_hindered_limit_near_the_probe_concurrency_down_to_it) {
  const LimitState hindered = window_of(751, 500);
  EXPECT_EQ(probing(hindered, {.probe_concurrency = 4}, 8), 4);
  EXPECT_EQ(probing(hindered, {.probe_concurrency = 4}, 4.5), 4);
  EXPECT_EQ(probing(hindered, {.probe_concurrency = 4}, 8.1), 8.1);
  EXPECT_EQ(probing(hindered, {.probe_concurrency = 4}, 3), 3);
  EXPECT_EQ(probing(window_of(750, 500), {.probe_concurrency = 4}, 8), 8);
}

TEST(limit_range, is_in_order_and_decides_on_something) {
  EXPECT_NO_THROW(static_cast<void>(
      validated(LimitRange{.floor = 1, .initial = 1, .ceiling = 1, .window = 0s})));
  EXPECT_NO_THROW(static_cast<void>(validated(LimitRange{.ceiling = 1'000'000, .samples = 1})));
  for (const LimitRange& range : {LimitRange{.floor = 0},
                                  LimitRange{.floor = 21, .initial = 20},
                                  LimitRange{.initial = 1001, .ceiling = 1000},
                                  LimitRange{.ceiling = 1'000'001},
                                  LimitRange{.samples = 0},
                                  LimitRange{.window = -1ns}})
    EXPECT_THROW(static_cast<void>(validated(range)), std::invalid_argument);
  EXPECT_EQ(to_text(LimitRange{}), "1 to 1000");
}

TEST(baseline_options, are_of_positive_times_and_a_call_at_least) {
  EXPECT_NO_THROW(static_cast<void>(
      validated(BaselineOptions{.probe_concurrency = 1, .relearn = 1ns, .max_healthy = 1ns})));
  for (const BaselineOptions& options : {BaselineOptions{.probe_concurrency = 0},
                                         BaselineOptions{.relearn = 0s},
                                         BaselineOptions{.max_healthy = 0s}})
    EXPECT_THROW(static_cast<void>(validated(options)), std::invalid_argument);
}

TEST(limit_range, says_by_default_what_it_documents) {
  const LimitRange range;
  EXPECT_EQ(range.floor, 1U);
  EXPECT_EQ(range.initial, 20U);
  EXPECT_EQ(range.samples, 10U);
  EXPECT_EQ(range.window, 100ms);
  EXPECT_EQ(LimitState{}.limit, 1);
  EXPECT_EQ(LimitState{}.baseline, 0);
  const BaselineOptions options;
  EXPECT_EQ(options.probe_concurrency, 4U);
  EXPECT_EQ(options.relearn, 1h);
  EXPECT_EQ(options.max_healthy, Duration::max());
}

}  // namespace
}  // namespace penstock
