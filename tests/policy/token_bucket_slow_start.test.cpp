// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/policy/token_bucket.hpp>

#include "support/window_bound.hpp"

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

// As without a slow start: what passes by until `ready` is not there twice.
TEST(token_bucket_slow_start, a_reservation_given_up_leaves_those_behind_it_their_turns) {
  TokenBucket bucket{{.rate = 1, .burst = 1, .slow_start = {.ramp = 100s, .share = 0.1}}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  const auto given_up = bucket.reserve(start, 10min);
  const auto behind = bucket.reserve(start, 10min);
  ASSERT_TRUE(given_up.granted && behind.granted);
  bucket.give_up(given_up.ready);
  const auto next = bucket.reserve(start, 10min);
  ASSERT_TRUE(next.granted);
  EXPECT_GE(next.ready, behind.ready + 1s) << "two of a burst of one";
}

TEST(token_bucket_slow_start, the_last_reservation_given_up_is_there_again) {
  TokenBucket bucket{{.rate = 1, .burst = 1, .slow_start = {.ramp = 100s, .share = 0.1}}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  const auto given_up = bucket.reserve(start, 10min);
  bucket.give_up(given_up.ready);
  EXPECT_EQ(bucket.reserve(start, 10min).ready, given_up.ready);
}

TEST(token_bucket_slow_start, holds_its_bound_for_every_window_whatever_is_given_up) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random{seed};
    const double burst = 1 + static_cast<double>(random() % 4);
    TokenBucket bucket{
        {.rate = 2, .burst = burst, .slow_start = {.ramp = 20s, .idle = 3s, .share = 0.1}}};
    std::vector<testing::Grant> grants;
    Time now = start;
    for (int step = 0; step < 200; ++step) {
      now += Duration{static_cast<std::int64_t>(random() % (random() % 20 == 0 ? 20'000 : 500))} *
             1'000'000;
      const auto take = bucket.reserve(now, 1min);
      if (!take.granted) continue;
      if (random() % 3 == 0 && take.ready > now) {
        const auto other = bucket.reserve(now, 1min);
        if (other.granted) grants.push_back({other.ready, 1});
        bucket.give_up(take.ready);
      } else {
        grants.push_back({take.ready, 1});
      }
    }
    testing::expect_bounded(grants, 2, 1s, burst);
  }
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
