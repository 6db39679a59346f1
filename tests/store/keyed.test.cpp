// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/policy/circuit_breaker.hpp>
#include <penstock/policy/token_bucket.hpp>
#include <penstock/store/keyed.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::CircuitBreaker;
using penstock::Keyed;
using penstock::Outcome;
using penstock::Time;
using penstock::TokenBucket;

constexpr Time start{1h};

template <class Breakers>
void fail(Breakers& breakers, std::uint64_t key, Time now) {
  auto pin = breakers.pin(key, now);
  ASSERT_TRUE(pin);
  if (auto permit = pin->admit(now)) permit->settle(Outcome::unavailable, now);
}

TEST(keyed, gives_each_key_a_policy_of_its_own_and_always_the_same) {
  Keyed<CircuitBreaker> breakers{{.capacity = 100}};
  const auto first = breakers.pin(1, start);
  const auto second = breakers.pin(2, start);
  ASSERT_TRUE(first && second);
  EXPECT_NE(&*first, &*second);
  EXPECT_EQ(&*first, &*breakers.pin(1, start));
  EXPECT_EQ(breakers.size_approx(), 2U);
}

TEST(keyed, makes_every_policy_of_the_settings_it_was_given) {
  Keyed<TokenBucket> buckets{{.capacity = 10}, {.rate = 3, .per = 1h}};
  const auto pin = buckets.pin(9, start);
  for (int take = 0; take < 3; ++take) EXPECT_TRUE(pin->try_take(start).granted);
  EXPECT_FALSE(pin->try_take(start).granted);
}

TEST(keyed, never_keeps_more_than_its_capacity) {
  for (const std::size_t capacity : {1U, 2U, 31U, 64U, 100U, 1000U}) {
    Keyed<TokenBucket> buckets{{.capacity = capacity, .shards = 4}, {.rate = 3}};
    for (std::uint64_t key = 0; key < 5000; ++key) ASSERT_TRUE(buckets.pin(key, start));
    EXPECT_EQ(buckets.size_approx(), capacity);
  }
}

TEST(keyed, forgets_the_idle_policy_that_was_unused_longest) {
  Keyed<TokenBucket> buckets{{.capacity = 2}, {.rate = 1, .per = 1h, .burst = 2}};
  const TokenBucket* const one = &*buckets.pin(1, start);
  static_cast<void>(buckets.pin(2, start));
  static_cast<void>(buckets.pin(1, start));
  static_cast<void>(buckets.pin(3, start));  // instead of 2
  EXPECT_TRUE(buckets.pin(1, start)->try_take(start, 2).granted);
  EXPECT_EQ(one, &*buckets.pin(1, start));
  EXPECT_EQ(buckets.size_approx(), 2U);
  // 1 owes now, so it is 3 that goes, although 1 was used before it.
  static_cast<void>(buckets.pin(3, start));
  static_cast<void>(buckets.pin(2, start));
  EXPECT_FALSE(buckets.pin(1, start)->try_take(start).granted);
}

// trap 12: as many new keys as you like do not wash away what is known of a bad one.
TEST(keyed, a_breaker_that_counts_failures_is_never_forgotten) {
  Keyed<CircuitBreaker> breakers{{.capacity = 4}, {.minimum_calls = 10}};
  std::uint64_t other = 1000;
  for (int failure = 0; failure < 10; ++failure) {
    fail(breakers, 7, start);
    for (int stranger = 0; stranger < 100; ++stranger) {
      static_cast<void>(breakers.pin(other++, start));
    }
  }
  EXPECT_EQ(breakers.pin(7, start)->state(start), penstock::CircuitState::open);
  for (int stranger = 0; stranger < 100; ++stranger) {
    static_cast<void>(breakers.pin(other++, start + 10min));
  }
  EXPECT_EQ(breakers.pin(7, start + 10min)->state(start + 10min),
            penstock::CircuitState::half_open);
}

TEST(keyed, what_was_switched_by_hand_is_never_forgotten) {
  Keyed<CircuitBreaker> breakers{{.capacity = 2}};
  breakers.pin(1, start)->isolate();
  for (std::uint64_t key = 2; key < 100; ++key) EXPECT_TRUE(breakers.pin(key, start));
  EXPECT_EQ(breakers.pin(1, start)->state(start), penstock::CircuitState::open);
}

TEST(keyed, a_new_key_gets_nothing_while_all_others_are_busy) {
  Keyed<CircuitBreaker> breakers{{.capacity = 2}, {.window = 10s}};
  fail(breakers, 1, start);
  fail(breakers, 2, start);
  EXPECT_FALSE(breakers.pin(3, start));
  EXPECT_TRUE(breakers.pin(1, start));
  EXPECT_TRUE(breakers.pin(3, start + 11s));  // the failures have left the window
  EXPECT_EQ(breakers.size_approx(), 2U);
}

TEST(keyed, what_is_pinned_is_never_forgotten) {
  Keyed<TokenBucket> buckets{{.capacity = 1}, {.rate = 1}};
  auto pin = buckets.pin(1, start);
  EXPECT_FALSE(buckets.pin(2, start));
  auto moved = std::move(pin);
  EXPECT_FALSE(buckets.pin(2, start));
  auto again = buckets.pin(1, start);
  moved = {};
  EXPECT_FALSE(buckets.pin(2, start));
  again = {};
  EXPECT_TRUE(buckets.pin(2, start));
}

// A new one in its place would start as cold, so nothing is held against its key.
TEST(keyed, a_bucket_that_would_start_anew_is_forgotten) {
  Keyed<TokenBucket> buckets{{.capacity = 1},
                             {.rate = 10, .slow_start = {.ramp = 10s, .idle = 1min}}};
  EXPECT_TRUE(buckets.pin(1, start)->try_take(start).granted);
  EXPECT_FALSE(buckets.pin(2, start));
  ASSERT_TRUE(buckets.pin(2, start + 1h));
  EXPECT_TRUE(buckets.pin(3, start + 1h)) << "nobody has taken from 2";
}

TEST(keyed, a_bucket_that_starts_empty_and_was_not_asked_is_forgotten) {
  Keyed<TokenBucket> buckets{{.capacity = 1}, {.rate = 10, .initial = 0}};
  ASSERT_TRUE(buckets.pin(1, start));
  ASSERT_TRUE(buckets.pin(2, start));
  EXPECT_FALSE(buckets.pin(2, start)->try_take(start).granted);
  EXPECT_FALSE(buckets.pin(3, start)) << "2 fills by now, and a new one would begin to";
  EXPECT_TRUE(buckets.pin(3, start + 1s));
}

TEST(keyed, one_key_in_turn_with_many_is_found_again_in_every_order) {
  std::mt19937_64 random{1};
  Keyed<TokenBucket> buckets{{.capacity = 50, .shards = 3}, {.rate = 1, .per = 1h}};
  std::vector<std::uint64_t> owing;
  for (int round = 0; round < 3000; ++round) {
    const std::uint64_t key = random() % 200;
    auto pin = buckets.pin(key, start);
    if (pin && owing.size() < 20 && pin->try_take(start).granted) owing.push_back(key);
    for (const std::uint64_t known : owing) {
      auto kept = buckets.pin(known, start);
      ASSERT_TRUE(kept);
      ASSERT_FALSE(kept->try_take(start).granted);
    }
  }
  EXPECT_EQ(owing.size(), 20U);
}

TEST(keyed, refuses_settings_that_cannot_work) {
  EXPECT_THROW((Keyed<CircuitBreaker>{{.capacity = 0}}), std::invalid_argument);
  EXPECT_THROW((Keyed<CircuitBreaker>{{.shards = 0}}), std::invalid_argument);
  EXPECT_THROW((Keyed<CircuitBreaker>{{}, {.probes = 0}}), std::invalid_argument);
  EXPECT_EQ(Keyed<CircuitBreaker>{{}}.options().capacity, 1024U);
}

}  // namespace
