// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <penstock/policy/token_bucket.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::Time;
using penstock::TokenBucket;

constexpr int threads = 4;
constexpr int rounds = 20'000;

// One virtual clock that every thread pushes on and reads late.
struct VirtualClock {
  std::atomic<std::int64_t> ticks{0};
  Time step(std::int64_t by) { return Time{Duration{ticks.fetch_add(by) + by}}; }
};

template <class Work>
void in_parallel(Work work) {
  std::vector<std::thread> running;
  for (int index = 0; index < threads; ++index) running.emplace_back(work, index);
  for (std::thread& thread : running) thread.join();
}

TEST(token_bucket_under_contention, never_grants_more_than_burst_and_rate) {
  TokenBucket bucket{{.rate = 1'000'000, .per = 1s, .burst = 50}};
  VirtualClock clock;
  std::atomic<std::int64_t> granted{0};
  in_parallel([&](int index) {
    std::mt19937_64 random{static_cast<std::uint64_t>(index)};
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
  in_parallel([&](int) {
    for (int round = 0; round < rounds; ++round) {
      if (bucket.try_take(Time{1h}).granted) ++granted;
    }
  });
  EXPECT_EQ(granted.load(), 5000);
}

TEST(token_bucket_under_contention, gives_every_reservation_a_turn_of_its_own) {
  TokenBucket bucket{{.rate = 1000, .per = 1s, .burst = 1}};
  std::vector<std::vector<Time>> turns(threads);
  in_parallel([&](int index) {
    for (int round = 0; round < 1000; ++round) {
      const auto take = bucket.reserve(Time{1h}, Duration::max());
      ASSERT_TRUE(take.granted);
      turns[static_cast<std::size_t>(index)].push_back(take.ready);
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
  in_parallel([&](int) {
    for (int round = 0; round < rounds; ++round) {
      if (bucket.try_take(Time{1h}, 7).granted) bucket.refund(7);
    }
  });
  EXPECT_EQ(bucket.available_approx(Time{1h}), 100);
}

}  // namespace
