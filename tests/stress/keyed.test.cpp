// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <utility>

#include <penstock/policy/circuit_breaker.hpp>
#include <penstock/policy/token_bucket.hpp>
#include <penstock/store/keyed.hpp>

#include "support/in_parallel.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::CircuitBreaker;
using penstock::Keyed;
using penstock::Outcome;
using penstock::Time;
using penstock::TokenBucket;
using penstock::testing::in_parallel;

constexpr Time start{1h};

// trap 12, with everyone at once: each thread fails at a key of its own, in between it and the
// others bring strangers in.
TEST(keyed_under_contention, failures_are_remembered_whatever_else_comes) {
  Keyed<CircuitBreaker> breakers{{.capacity = 64, .shards = 2}, {.minimum_calls = 500}};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int failure = 0; failure < 500; ++failure) {
      {
        const auto pin = breakers.pin(index, start);
        ASSERT_TRUE(pin);
        auto permit = pin->admit(start);
        ASSERT_TRUE(permit);
        permit->settle(Outcome::unavailable, start);
      }
      for (int stranger = 0; stranger < 20; ++stranger) {
        const auto pin = breakers.pin(1000 + random() % 5000, start);
        if (!pin) continue;
        if (auto permit = pin->admit(start)) permit->settle(Outcome::success, start);
      }
    }
    const auto pin = breakers.pin(index, start);
    ASSERT_TRUE(pin);
    EXPECT_EQ(pin->state(start), penstock::CircuitState::open);
  });
  EXPECT_LE(breakers.size_approx(), 64U);
}

TEST(keyed_under_contention, a_key_never_has_two_policies_at_once) {
  Keyed<TokenBucket> buckets{{.capacity = 4}, {.rate = 1000, .per = 1h}};
  std::atomic<int> granted{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int round = 0; round < 2000; ++round) {
      if (const auto pin = buckets.pin(0, start)) {
        if (pin->try_take(start).granted) ++granted;
      }
      const auto other = buckets.pin(1 + random() % 20, start);
      EXPECT_TRUE(!other || other->available_approx(start) > 0);
    }
  });
  EXPECT_EQ(granted.load(), 1000);
}

TEST(keyed_under_contention, what_is_pinned_stays_while_others_are_forgotten) {
  Keyed<TokenBucket> buckets{{.capacity = 8}, {.rate = 1}};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int round = 0; round < 5000; ++round) {
      const std::uint64_t key = random() % 30;
      const auto first = buckets.pin(key, start);
      const auto second = buckets.pin(key, start);
      if (!first) continue;
      ASSERT_TRUE(second);
      ASSERT_EQ(&*first, &*second);
    }
  });
  EXPECT_LE(buckets.size_approx(), 8U);
}

}  // namespace
