// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <stdexcept>

#include <penstock/core/random.hpp>
#include <penstock/policy/slow_start.hpp>
#include <penstock/policy/token_bucket.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{100h};

TEST(slow_start, the_clock_begins_at_the_share_and_ends_at_full_speed) {
  const SlowStart slow{{.ramp = 10s, .share = 0.2}};
  EXPECT_EQ(slow.slowed(start, start), start);
  const auto speed_at = [&](Duration since) {
    return static_cast<double>(
               (slow.slowed(start, start + since + 1ms) - slow.slowed(start, start + since))
                   .count()) /
           1e6;
  };
  EXPECT_NEAR(speed_at(0s), 0.2, 1e-3);
  EXPECT_NEAR(speed_at(5s), 0.6, 1e-3);
  EXPECT_NEAR(speed_at(10s), 1.0, 1e-3);
  EXPECT_EQ(slow.slowed(start, start + 10s), start + 6s);
  EXPECT_EQ(slow.slowed(start, start + 110s), start + 106s);
}

TEST(slow_start, the_clock_is_behind_by_whole_nanoseconds_rounded_up) {
  const SlowStart slow{{.ramp = 10s}};
  EXPECT_EQ(slow.slowed(start, start + 1ns), start);
  const SlowStart hardly{{.ramp = 1ns, .share = 0.999}};
  EXPECT_EQ(hardly.slowed(start, start + 1ns), start);
  EXPECT_EQ(hardly.slowed(start, start + 3ns), start + 2ns);
}

TEST(slow_start, without_a_ramp_the_clock_is_time_itself) {
  const SlowStart none{{}};
  EXPECT_EQ(none.slowed(start, start + 1s), start + 1s);
  EXPECT_EQ(none.instant(start, start + 1s), start + 1s);
}

TEST(slow_start, the_ends_of_time_are_their_own_instants) {
  const SlowStart slow{{.ramp = 10s}};
  EXPECT_EQ(slow.instant(start, never), never);
  EXPECT_EQ(slow.instant(never, start), start);
  EXPECT_EQ(slow.instant(start, Time::min()), Time::min());
}

TEST(slow_start, describes_itself) {
  EXPECT_EQ((SlowStart{{.ramp = 10s, .share = 0.25}}.describe()),
            "from 25% within 10s after 1min idle");
}

TEST(slow_start, the_clock_never_runs_back_and_never_faster_than_time) {
  Random random{5};
  for (int run = 0; run < 2000; ++run) {
    const SlowStart slow{{.ramp = Duration{static_cast<std::int64_t>(random() % 50'000 + 1)},
                          .share = static_cast<double>(random() % 100 + 1) / 100}};
    const Time began{Duration{static_cast<std::int64_t>(random() % 1000)}};
    Time now = began - Duration{10};
    Time shown = slow.slowed(began, now);
    for (int tick = 0; tick < 50; ++tick) {
      const Duration step{static_cast<std::int64_t>(random() % 3000)};
      now += step;
      const Time next = slow.slowed(began, now);
      ASSERT_GE(next, shown);
      ASSERT_LE(next - shown, step);
      shown = next;
      // The inverse is the first instant that shows as much.
      const Time instant = slow.instant(began, shown);
      ASSERT_LE(instant, std::max(now, began));
      ASSERT_GE(slow.slowed(began, instant), shown);
      ASSERT_TRUE(instant <= began || slow.slowed(began, instant - 1ns) < shown);
    }
  }
}

TEST(slow_start, a_bucket_spares_a_cold_target_at_the_start) {
  TokenBucket bucket{{.rate = 100, .burst = 20, .slow_start = {.ramp = 10s, .share = 0.1}}};
  const auto granted_in = [&](Time from, Time until) {
    int granted = 0;
    for (Time now = from; now < until; now += 1ms) granted += bucket.try_take(now).granted ? 1 : 0;
    return granted;
  };
  EXPECT_NEAR(granted_in(start, start + 1s), 2 + 14.5, 2);
  EXPECT_NEAR(granted_in(start + 1s, start + 9s), 8 * 55, 4);
  // The whole rate, and the burst that was saved up in the last second.
  EXPECT_NEAR(granted_in(start + 10s, start + 11s), 100 + 20, 3);
  // A short pause starts nothing anew.
  EXPECT_TRUE(bucket.try_take(start + 30s, 20).granted);
}

TEST(slow_start, a_bucket_starts_anew_after_it_was_idle) {
  TokenBucket bucket{
      {.rate = 100, .burst = 20, .slow_start = {.ramp = 10s, .idle = 1min, .share = 0.1}}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  ASSERT_TRUE(bucket.try_take(start + 30s, 20).granted);
  // Full again at 30.2 s: idle for a minute at 90.2 s.
  EXPECT_EQ(bucket.available_approx(start + 90s), 20);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start + 91s), 2);
  const auto refused = bucket.try_take(start + 91s, 20);
  EXPECT_FALSE(refused.granted);
  // Asking started the climb: 18 tokens take much longer than the 180 ms of the whole rate.
  EXPECT_GT(refused.ready, start + 91s + 1s);
  EXPECT_FALSE(bucket.try_take(refused.ready - 1ns, 20).granted);
  EXPECT_TRUE(bucket.try_take(refused.ready, 20).granted);
}

TEST(slow_start, the_first_call_after_a_pause_goes_at_once) {
  TokenBucket bucket{{.rate = 1, .burst = 1, .slow_start = {.ramp = 10s}}};
  EXPECT_TRUE(bucket.try_take(start).granted);
  EXPECT_TRUE(bucket.try_take(start + 1h).granted);
}

TEST(slow_start, a_reservation_waits_by_the_climbing_rate) {
  TokenBucket bucket{{.rate = 10, .burst = 1, .slow_start = {.ramp = 10s, .share = 0.1}}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  const auto take = bucket.reserve(start, 1min);
  ASSERT_TRUE(take.granted);
  EXPECT_GT(take.ready, start + 500ms);
  EXPECT_LT(take.ready, start + 1s);
  EXPECT_FALSE(bucket.reserve(start, take.ready - start).granted);
}

TEST(slow_start, says_what_to_write_instead) {
  EXPECT_THROW((SlowStart{{.ramp = -1s}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 25h}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .idle = -1s}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .share = 0}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .share = 1.1}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .share = std::nan("")}}), std::invalid_argument);
  EXPECT_FALSE(SlowStart{{}}.enabled());
}

TEST(slow_start, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((SlowStart{{.ramp = 24h, .idle = 0s, .share = 0.01}}));
  EXPECT_NO_THROW((SlowStart{{.ramp = 1ns, .share = 1}}));
  EXPECT_TRUE((SlowStart{{.ramp = 1ns}}.enabled()));
}

}  // namespace
}  // namespace penstock
