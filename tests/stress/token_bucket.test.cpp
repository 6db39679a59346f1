// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

#include <penstock/policy/limit_set.hpp>
#include <penstock/policy/token_bucket.hpp>

#include "support/in_parallel.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::LimitSet;
using penstock::Time;
using penstock::TokenBucket;
using penstock::testing::in_parallel;
using penstock::testing::parallel_threads;

constexpr int rounds = 20'000;

// One virtual clock that every thread pushes on and reads late.
struct VirtualClock {
  std::atomic<std::int64_t> ticks{0};
  Time step(std::int64_t by) { return Time{Duration{ticks.fetch_add(by) + by}}; }
};

TEST(token_bucket_under_contention, never_grants_more_than_burst_and_rate) {
  TokenBucket bucket{{.rate = 1'000'000, .per = 1s, .burst = 50}};
  VirtualClock clock;
  std::atomic<std::int64_t> granted{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    std::int64_t mine = 0;
    for (int round = 0; round < rounds; ++round) {
      const Time now = clock.step(static_cast<std::int64_t>(random() % 1000));
      const auto cost = static_cast<std::int64_t>(random() % 3 + 1);
      if (bucket.try_take(now, static_cast<double>(cost)).granted) mine += cost;
    }
    granted += mine;
  });
  // 1 token per 1000 ns; the run starts somewhere in the first step.
  EXPECT_LE(granted.load(), 50 + clock.ticks.load() / 1000);
  EXPECT_GT(granted.load(), clock.ticks.load() / 1000 / 2);
}

TEST(token_bucket_under_contention, grants_exactly_the_burst_while_time_stands_still) {
  TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 5000}};
  std::atomic<int> granted{0};
  in_parallel([&](std::uint64_t) {
    for (int round = 0; round < rounds; ++round) {
      if (bucket.try_take(Time{1h}).granted) ++granted;
    }
  });
  EXPECT_EQ(granted.load(), 5000);
}

TEST(token_bucket_under_contention, gives_every_reservation_a_turn_of_its_own) {
  TokenBucket bucket{{.rate = 1000, .per = 1s, .burst = 1}};
  std::vector<std::vector<Time>> turns(parallel_threads);
  in_parallel([&](std::uint64_t index) {
    for (int round = 0; round < 1000; ++round) {
      const auto take = bucket.reserve(Time{1h}, Duration::max());
      ASSERT_TRUE(take.granted);
      turns[index].push_back(take.ready);
    }
  });
  std::vector<Time> all;
  for (const auto& some : turns) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  for (std::size_t turn = 0; turn < all.size(); ++turn) {
    ASSERT_EQ(all[turn], Time{1h} + 1ms * static_cast<std::int64_t>(turn));
  }
}

TEST(token_bucket_under_contention, refunds_balance_takes) {
  TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 100}};
  in_parallel([&](std::uint64_t) {
    for (int round = 0; round < rounds; ++round) {
      if (bucket.try_take(Time{1h}, 7).granted) bucket.refund(7);
    }
  });
  EXPECT_EQ(bucket.available_approx(Time{1h}), 100);
}

TEST(token_bucket_under_contention, a_slow_start_never_grants_more_than_burst_and_rate) {
  for (int run = 0; run < 20; ++run) {
    TokenBucket bucket{{.rate = 1'000'000,
                        .per = 1s,
                        .burst = 50,
                        .slow_start = {.ramp = 1ms, .idle = 10us, .share = 0.2}}};
    VirtualClock clock;
    std::atomic<std::int64_t> granted{0};
    in_parallel([&](std::uint64_t index) {
      std::mt19937_64 random{index + 10 * static_cast<std::uint64_t>(run)};
      std::int64_t mine = 0;
      for (int round = 0; round < rounds / 10; ++round) {
        // Now and then a pause, long enough for the bucket to start anew.
        const auto step = static_cast<std::int64_t>(random() % 200 == 0 ? 100'000 : random() % 500);
        if (bucket.try_take(clock.step(step)).granted) ++mine;
      }
      granted += mine;
    });
    EXPECT_LE(granted.load(), 50 + clock.ticks.load() / 1000);
    EXPECT_GT(granted.load(), 0);
  }
}

// trap 26: with two words, one of them stale, the bucket would hold more than its burst.
TEST(token_bucket_under_contention, never_holds_more_than_its_burst) {
  TokenBucket bucket{{.rate = 1e9, .per = 1s, .burst = 10}};
  VirtualClock clock;
  std::atomic<bool> over{false};
  in_parallel([&](std::uint64_t) {
    for (int round = 0; round < rounds; ++round) {
      const Time now = clock.step(1000);  // refills it a hundred times over
      if (bucket.try_take(now, 3).granted) bucket.refund(3);
      if (bucket.available_approx(now) > 10) over = true;
    }
  });
  EXPECT_FALSE(over.load());
  const Time later = clock.step(1);
  EXPECT_TRUE(bucket.try_take(later, 10).granted);
  EXPECT_FALSE(bucket.try_take(later, 0.001).granted);
}

TEST(limit_set_under_contention, takes_all_or_none_and_leaves_nothing_behind) {
  LimitSet limits{{{.bucket = {.rate = 1000, .per = 1s}, .cost = penstock::Cost::request},
                   {.bucket = {.rate = 5000, .per = 1s}},
                   {.bucket = {.rate = 700, .per = 24h}, .cost = penstock::Cost::request}}};
  std::atomic<int> calls{0};
  std::atomic<std::int64_t> tokens{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int round = 0; round < rounds; ++round) {
      const auto weight = static_cast<std::int64_t>(random() % 20 + 1);
      if (!limits.try_take(Time{1h}, static_cast<double>(weight)).granted) continue;
      if (random() % 3 == 0) {
        limits.give_up(Time{1h}, static_cast<double>(weight));
        continue;
      }
      ++calls;
      tokens += weight;
    }
  });
  // Time stands still: what each bucket lacks is what the calls took, to the last token.
  EXPECT_LE(calls.load(), 700);
  EXPECT_LE(tokens.load(), 5000);
  EXPECT_TRUE(calls.load() == 700 || tokens.load() > 5000 - 20);
  EXPECT_NEAR(limits[0].available_approx(Time{1h}), 1000 - calls.load(), 1e-3);
  EXPECT_NEAR(
      limits[1].available_approx(Time{1h}), 5000 - static_cast<double>(tokens.load()), 1e-3);
  EXPECT_NEAR(limits[2].available_approx(Time{1h}), 700 - calls.load(), 1e-3);
}

}  // namespace
