// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/policy/throttle.hpp>
#include <penstock/policy/window_limiter.hpp>

#include "support/in_parallel.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::in_parallel;
using testing::parallel_threads;

TEST(window_limiters_under_contention, a_window_of_the_grid_is_never_over_its_limit) {
  FixedWindowLimiter limiter{{.limit = 1000, .window = 1min}};
  for (int window = 0; window < 20; ++window) {
    std::atomic<int> granted{0};
    in_parallel([&](std::uint64_t) {
      for (int call = 0; call < 500; ++call)
        if (limiter.try_take(Time{1h} + window * 1min).granted) ++granted;
    });
    EXPECT_EQ(granted.load(), 1000);
  }
}

TEST(window_limiters_under_contention, no_sliding_window_is_over_its_limit) {
  constexpr std::uint32_t limit = 50;
  constexpr Duration window = 10us;
  SlidingWindowLimiter limiter{{.limit = limit, .window = window}};
  std::atomic<std::int64_t> clock{0};
  std::vector<std::vector<Time>> granted(parallel_threads);
  in_parallel([&](std::uint64_t index) {
    Random random{index};
    for (int call = 0; call < 50'000; ++call) {
      // One clock for all, read late by some.
      const Time now{Duration{clock.fetch_add(static_cast<std::int64_t>(random() % 200))}};
      if (limiter.try_take(now).granted) granted[index].push_back(now);
    }
  });
  std::vector<Time> all;
  for (const auto& some : granted) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  ASSERT_GT(all.size(), 1000U);
  for (std::size_t last = limit; last < all.size(); ++last)
    ASSERT_GE(all[last] - all[last - limit], window);
}

TEST(throttle_under_contention, loses_no_request_and_no_accept) {
  Throttle throttle{{.k = 1, .most = 1}};
  constexpr int calls = 20'000;
  in_parallel([&](std::uint64_t index) {
    for (int call = 0; call < calls; ++call) {
      auto permit = throttle.admit(Time{1h}, ~std::uint64_t{0});
      ASSERT_TRUE(permit);
      // A quarter each: cancelled, accepted, accepted, turned away.
      const Outcome outcome = (call + static_cast<int>(index)) % 4 == 0   ? Outcome::neutral
                              : (call + static_cast<int>(index)) % 4 == 3 ? Outcome::unavailable
                                                                          : Outcome::success;
      permit->settle(outcome, Time{1h});
    }
  });
  const double requests = parallel_threads * calls * 0.75;
  const double accepts = parallel_threads * calls * 0.5;
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(Time{1h}), (requests - accepts) / (requests + 1));
}

}  // namespace
}  // namespace penstock
