// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>

#include <penstock/policy/token_bucket.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{100h};

TEST(token_bucket_slow_start, a_bucket_spares_a_cold_target_at_the_start) {
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

TEST(token_bucket_slow_start, a_bucket_starts_anew_after_it_was_idle) {
  TokenBucket bucket{
      {.rate = 100, .burst = 20, .slow_start = {.ramp = 10s, .idle = 1min, .share = 0.1}}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  ASSERT_TRUE(bucket.try_take(start + 30s, 20).granted);
  // Full again at 30.2 s: idle for a minute at 90.2 s.
  EXPECT_EQ(bucket.available_approx(start + 90s), 20);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start + 90'200ms - 1ns), 20);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start + 90'200ms), 2);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start + 91s), 2);
  const auto refused = bucket.try_take(start + 91s, 20);
  EXPECT_FALSE(refused.granted);
  // Asking started the climb: 18 tokens take much longer than the 180 ms of the whole rate.
  EXPECT_GT(refused.ready, start + 91s + 1s);
  EXPECT_FALSE(bucket.try_take(refused.ready - 1ns, 20).granted);
  EXPECT_TRUE(bucket.try_take(refused.ready, 20).granted);
}

TEST(token_bucket_slow_start, the_first_call_after_a_pause_goes_at_once) {
  TokenBucket bucket{{.rate = 1, .burst = 1, .slow_start = {.ramp = 10s}}};
  EXPECT_TRUE(bucket.try_take(start).granted);
  EXPECT_TRUE(bucket.try_take(start + 1h).granted);
}

TEST(token_bucket_slow_start, a_reservation_waits_by_the_climbing_rate) {
  TokenBucket bucket{{.rate = 10, .burst = 1, .slow_start = {.ramp = 10s, .share = 0.1}}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  const auto take = bucket.reserve(start, 1min);
  ASSERT_TRUE(take.granted);
  EXPECT_GT(take.ready, start + 500ms);
  EXPECT_LT(take.ready, start + 1s);
  EXPECT_FALSE(bucket.reserve(start, take.ready - start).granted);
  EXPECT_FALSE(bucket.reserve(start, -1h).granted);
}

TEST(token_bucket_slow_start, an_idle_time_of_one_minute_unless_told_otherwise) {
  TokenBucket bucket{{.rate = 100, .burst = 20, .slow_start = {.ramp = 10s}}};
  ASSERT_TRUE(bucket.try_take(start + 30s, 2).granted);
  ASSERT_TRUE(bucket.try_take(start + 60s, 20).granted);
  EXPECT_EQ(bucket.available_approx(start + 120s), 20);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start + 121s), 2);
}

TEST(token_bucket_slow_start, a_bucket_is_idle_when_it_is_full_or_would_start_anew) {
  TokenBucket bucket{
      {.rate = 100, .burst = 20, .slow_start = {.ramp = 10s, .idle = 1min, .share = 0.1}}};
  EXPECT_TRUE(bucket.idle(start));
  ASSERT_TRUE(bucket.try_take(start).granted);
  EXPECT_FALSE(bucket.idle(start));
  ASSERT_TRUE(bucket.try_take(start + 30s, 20).granted);
  EXPECT_FALSE(bucket.idle(start + 30'200ms - 1ns));
  EXPECT_TRUE(bucket.idle(start + 30'200ms));
  EXPECT_TRUE(bucket.idle(start + 24h));
  TokenBucket plain{{.rate = 1}};
  EXPECT_TRUE(plain.idle(start));
  ASSERT_TRUE(plain.try_take(start).granted);
  EXPECT_FALSE(plain.idle(start));
  TokenBucket empty{{.rate = 1, .initial = 0}};
  EXPECT_TRUE(empty.idle(start)) << "a new one would be as empty";
}

TEST(token_bucket_slow_start, without_one_a_bucket_never_starts_anew) {
  TokenBucket bucket{{.rate = 100, .burst = 20, .initial = 0}};
  EXPECT_FALSE(bucket.try_take(start).granted);
  EXPECT_EQ(bucket.available_approx(start + 24h), 20);
  EXPECT_TRUE(bucket.try_take(start + 24h, 20).granted);
}

}  // namespace
}  // namespace penstock
