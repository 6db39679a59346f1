// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/policy/window_limiter.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{100h};

TEST(fixed_window, grants_its_limit_in_each_window) {
  FixedWindowLimiter limiter{{.limit = 3, .window = 1min}};
  EXPECT_TRUE(limiter.try_take(start + 10s, 2).granted);
  EXPECT_TRUE(limiter.try_take(start + 50s).granted);
  const auto refused = limiter.try_take(start + 59s);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 1min);
  EXPECT_FALSE(limiter.try_take(start + 1min - 1ns).granted);
  EXPECT_TRUE(limiter.try_take(start + 1min, 3).granted);
  EXPECT_FALSE(limiter.try_take(start + 1min).granted);
  EXPECT_TRUE(limiter.try_take(start + 10h, 3).granted);
}

TEST(fixed_window, refuses_for_ever_what_no_window_holds) {
  FixedWindowLimiter limiter{{.limit = 3}};
  EXPECT_FALSE(limiter.try_take(start, 4).granted);
  EXPECT_EQ(limiter.try_take(start, 4).ready, never);
  EXPECT_TRUE(limiter.try_take(start, 0).granted);
  EXPECT_TRUE(limiter.try_take(start, 3).granted);
}

TEST(fixed_window, follows_the_grid_of_its_anchor_on_either_side) {
  for (const Time now : {start - 90s, start - 30s, start + 30s}) {
    FixedWindowLimiter limiter{{.limit = 1, .window = 1min, .anchor = start}};
    EXPECT_TRUE(limiter.try_take(now).granted);
    EXPECT_EQ(limiter.try_take(now).ready, now + 30s);
    EXPECT_TRUE(limiter.try_take(now + 30s).granted);
  }
}

TEST(fixed_window, the_largest_limit_holds_in_the_window_before_its_anchor) {
  constexpr std::uint32_t most = (1U << 28) - 2;
  FixedWindowLimiter limiter{{.limit = most, .anchor = start}};
  EXPECT_TRUE(limiter.try_take(start - 1ns, most).granted);
  EXPECT_FALSE(limiter.try_take(start - 1ns).granted);
}

TEST(fixed_window, the_last_window_of_all_time_has_no_next) {
  FixedWindowLimiter limiter{{.limit = 1, .window = 1min}};
  const Time last = Time{Duration::max() / 1min * Duration{1min}};
  EXPECT_TRUE(limiter.try_take(last - 1ns).granted);
  EXPECT_EQ(limiter.try_take(last - 1ns).ready, last);
  EXPECT_TRUE(limiter.try_take(last).granted);
  EXPECT_EQ(limiter.try_take(last).ready, never);
}

TEST(fixed_window, a_clock_that_jumps_back_grants_nothing_twice) {
  FixedWindowLimiter limiter{{.limit = 2, .window = 1min}};
  ASSERT_TRUE(limiter.try_take(start + 10min, 2).granted);
  const auto refused = limiter.try_take(start);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 11min);
  EXPECT_TRUE(limiter.try_take(start + 11min).granted);
  EXPECT_TRUE(limiter.try_take(start).granted);  // in the latest window, as all others
  EXPECT_FALSE(limiter.try_take(start + 11min).granted);
}

TEST(fixed_window, no_window_of_the_grid_is_ever_over_its_limit) {
  Random random{99};
  for (int run = 0; run < 200; ++run) {
    const auto limit = static_cast<std::uint32_t>(random() % 20 + 1);
    const Duration window = 1ms * static_cast<std::int64_t>(random() % 1000 + 1);
    const Time anchor{Duration{static_cast<std::int64_t>(random() % 2'000'000'000)}};
    FixedWindowLimiter limiter{{.limit = limit, .window = window, .anchor = anchor}};
    std::map<std::int64_t, std::uint32_t> granted;
    Time now = random() % 3 == 0 ? never - 100 * window : Time{};
    Time latest = Time::min();
    for (int event = 0; event < 300; ++event) {
      const auto step =
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(window.count()));
      now = saturating_add(now, Duration{random() % 4 == 0 ? -step : step});
      const auto cost = static_cast<std::uint32_t>(random() % 3 + 1);
      if (!limiter.try_take(now, cost).granted) continue;
      latest = std::max(latest, now);
      // A late clock counts in the latest window.
      const auto ticks = latest.time_since_epoch().count() - anchor.time_since_epoch().count();
      const auto number = ticks / window.count() - (ticks % window.count() < 0 ? 1 : 0);
      granted[number] += cost;
    }
    for (const auto& [number, amount] : granted) ASSERT_LE(amount, limit) << number;
  }
}

// trap 25: at an edge the fixed window lets twice its limit pass at once, the sliding one never.
TEST(sliding_window_limiter, lets_no_double_burst_through_at_an_edge) {
  FixedWindowLimiter fixed{{.limit = 10, .window = 1min}};
  SlidingWindowLimiter sliding{{.limit = 10, .window = 1min}};
  int by_fixed = 0;
  int by_sliding = 0;
  for (int call = 0; call < 40; ++call) {
    const Time now = start + 1min + 100ms * (call - 20);
    by_fixed += fixed.try_take(now).granted ? 1 : 0;
    by_sliding += sliding.try_take(now).granted ? 1 : 0;
  }
  EXPECT_EQ(by_fixed, 20);
  EXPECT_EQ(by_sliding, 10);
}

TEST(sliding_window_limiter, a_place_comes_back_when_its_grant_leaves_the_window) {
  SlidingWindowLimiter limiter{{.limit = 2, .window = 10s}};
  ASSERT_TRUE(limiter.try_take(start).granted);
  ASSERT_TRUE(limiter.try_take(start + 3s).granted);
  EXPECT_EQ(limiter.try_take(start + 4s).ready, start + 10s);
  EXPECT_FALSE(limiter.try_take(start + 10s - 1ns).granted);
  EXPECT_TRUE(limiter.try_take(start + 10s).granted);
  EXPECT_EQ(limiter.try_take(start + 10s).ready, start + 13s);
  EXPECT_TRUE(limiter.try_take(start + 13s).granted);
}

TEST(sliding_window_limiter, the_ends_of_time_are_safe) {
  for (const Time now : {Time::min(), Time::min() + 1ns, Time{}, never - 1ns, never}) {
    SlidingWindowLimiter limiter{{.limit = 2, .window = 1min}};
    EXPECT_TRUE(limiter.try_take(now).granted);
    EXPECT_TRUE(limiter.try_take(now).granted);
    EXPECT_FALSE(limiter.try_take(now).granted);
  }
}

TEST(sliding_window_limiter, a_grant_of_the_first_instants_leaves_the_window_in_time) {
  SlidingWindowLimiter limiter{{.limit = 1, .window = 1min}};
  const Time first = Time::min() + 1ns;
  EXPECT_TRUE(limiter.try_take(first).granted);
  EXPECT_EQ(limiter.try_take(first).ready, first + 1min);
  EXPECT_TRUE(limiter.try_take(first + 1min).granted);
}

TEST(sliding_window_limiter, no_window_wherever_it_begins_is_over_its_limit) {
  Random random{5};
  for (int run = 0; run < 200; ++run) {
    const auto limit = static_cast<std::uint32_t>(random() % 12 + 1);
    const Duration window{static_cast<std::int64_t>(random() % 1'000'000 + 1)};
    SlidingWindowLimiter limiter{{.limit = limit, .window = window}};
    std::vector<Time> granted;
    Time now = random() % 3 == 0 ? never - 100 * window : Time{};
    for (int event = 0; event < 500; ++event) {
      const Duration step{static_cast<std::int64_t>(random() % 1000) * window.count() / 3000};
      now = saturating_add(now, random() % 5 == 0 ? -step : step);
      const auto take = limiter.try_take(now);
      if (take.granted) {
        granted.push_back(now);
      } else {
        ASSERT_TRUE(take.ready > now || take.ready == never);
      }
    }
    ASSERT_GE(granted.size(), limit);
    std::sort(granted.begin(), granted.end());
    for (std::size_t last = limit; last < granted.size(); ++last)
      ASSERT_GE(elapsed_between(granted[last - limit], granted[last]), window);
  }
}

TEST(window_limiters, say_what_to_write_instead_and_describe_themselves) {
  EXPECT_THROW((FixedWindowLimiter{{.limit = 0}}), std::invalid_argument);
  EXPECT_THROW((FixedWindowLimiter{{.limit = 1U << 28}}), std::invalid_argument);
  EXPECT_THROW((FixedWindowLimiter{{.limit = 1, .window = 1us}}), std::invalid_argument);
  EXPECT_THROW((SlidingWindowLimiter{{.limit = 0}}), std::invalid_argument);
  EXPECT_THROW((SlidingWindowLimiter{{.limit = 1'000'001}}), std::invalid_argument);
  EXPECT_THROW((SlidingWindowLimiter{{.limit = 1, .window = 0s}}), std::invalid_argument);
  EXPECT_EQ((FixedWindowLimiter{{.limit = 5}}.describe()), "fixed_window(5/1min)");
  EXPECT_EQ((SlidingWindowLimiter{{.limit = 5}}.describe()), "sliding_window(5/1min)");
}

TEST(window_limiters, accept_the_ends_of_their_ranges) {
  EXPECT_NO_THROW((FixedWindowLimiter{{.limit = 1, .window = 1ms}}));
  EXPECT_NO_THROW((FixedWindowLimiter{{.limit = (1U << 28) - 2}}));
  EXPECT_THROW((FixedWindowLimiter{{.limit = (1U << 28) - 1}}), std::invalid_argument);
  EXPECT_NO_THROW((SlidingWindowLimiter{{.limit = 1, .window = 1ns}}));
  EXPECT_NO_THROW((SlidingWindowLimiter{{.limit = 1'000'000}}));
}

TEST(sliding_window_limiter, grants_its_whole_limit_in_one_window_after_another) {
  for (const std::uint32_t limit : {1U, 2U, 4U, 7U, 64U}) {
    SlidingWindowLimiter limiter{{.limit = limit, .window = 10s}};
    for (int window = 0; window < 5; ++window) {
      const Time now = Time{1h} + window * 10s;
      for (std::uint32_t call = 0; call < limit; ++call)
        ASSERT_TRUE(limiter.try_take(now).granted) << limit << " in window " << window;
      ASSERT_FALSE(limiter.try_take(now).granted);
    }
  }
}

}  // namespace
}  // namespace penstock
