// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include <penstock/policy/rate_meter.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{1'000'000s};

// `per_second` events a second, evenly, from `from` on for `time`.
void feed(RateMeter& meter, Time from, Duration time, int per_second) {
  const Duration step = Duration{1s} / per_second;
  for (Time now = from; now < from + time; now += step) meter.record(now);
}

TEST(rate_meter, knows_nothing_before_the_first_event) {
  EXPECT_EQ(RateMeter{}.per_second_approx(start), 0);
}

TEST(rate_meter, measures_a_steady_rate_from_the_start_and_later) {
  for (const int rate : {20, 100, 1000, 5000}) {
    RateMeter meter{10s};
    feed(meter, start, 3s, rate);
    EXPECT_NEAR(meter.per_second_approx(start + 3s), rate, rate * 0.02);
    feed(meter, start + 3s, 40s, rate);
    EXPECT_NEAR(meter.per_second_approx(start + 43s), rate, rate * 0.02);
  }
}

TEST(rate_meter, does_not_take_one_early_event_for_a_burst) {
  RateMeter meter{10s};
  meter.record(start);
  EXPECT_LE(meter.per_second_approx(start), 1);
}

TEST(rate_meter, follows_a_change_within_a_window) {
  RateMeter meter{10s};
  feed(meter, start, 20s, 1000);
  feed(meter, start + 20s, 11s, 50);
  EXPECT_NEAR(meter.per_second_approx(start + 31s), 50, 2);
}

TEST(rate_meter, forgets_when_nothing_comes) {
  RateMeter meter{10s};
  feed(meter, start, 20s, 100);
  EXPECT_NEAR(meter.per_second_approx(start + 25s), 50, 6);
  EXPECT_EQ(meter.per_second_approx(start + 40s), 0);
  EXPECT_EQ(meter.per_second_approx(start + 1000h), 0);
}

TEST(rate_meter, counts_many_at_once) {
  RateMeter meter{10s};
  for (int second = 0; second < 10; ++second) meter.record(start + second * 1s, 3'000'000'000U);
  EXPECT_NEAR(meter.per_second_approx(start + 10s), 3e9, 1e8);
}

TEST(rate_meter, drops_what_comes_a_window_late) {
  RateMeter meter{10s};
  feed(meter, start + 60s, 5s, 100);
  const double before = meter.per_second_approx(start + 65s);
  for (Time late = start; late < start + 55s; late += 1s) meter.record(late, 1'000'000);
  EXPECT_EQ(meter.per_second_approx(start + 65s), before);
}

TEST(rate_meter, works_before_the_epoch_of_its_clock) {
  RateMeter meter{10s};
  const Time early{-5s};
  feed(meter, early, 10s, 100);
  EXPECT_NEAR(meter.per_second_approx(early + 10s), 100, 2);
}

TEST(rate_meter, measures_over_ten_seconds_unless_told_otherwise) {
  RateMeter meter;
  meter.record(start, 10);
  EXPECT_EQ(meter.per_second_approx(start), 10);
}

TEST(rate_meter, a_slice_is_a_nanosecond_at_least) {
  RateMeter meter{1ns};
  meter.record(start);
  EXPECT_EQ(meter.per_second_approx(start), 1e9);
}

TEST(rate_meter, refuses_a_window_of_no_time) {
  EXPECT_THROW(RateMeter{0s}, std::invalid_argument);
}

}  // namespace
}  // namespace penstock
