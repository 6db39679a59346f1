// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include <penstock/policy/latency_quantile.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

static_assert(LatencyClasses::of(-1ns) == 0 && LatencyClasses::of(1023ns) == 0);
static_assert(LatencyClasses::of(1024ns) == 1 && LatencyClasses::longest(1) == 1151ns);
static_assert(LatencyClasses::of(1151ns) == 1 && LatencyClasses::of(1152ns) == 2);
static_assert(LatencyClasses::of(2047ns) == 8 && LatencyClasses::of(2048ns) == 9);
static_assert(LatencyClasses::of(Duration::max()) == LatencyClasses::count - 1);
static_assert(LatencyClasses::longest(0) == 1023ns);
static_assert(LatencyClasses::longest(LatencyClasses::count - 1) > 68min &&
              LatencyClasses::longest(LatencyClasses::count - 1) < 69min);

TEST(latency_classes, are_contiguous_and_at_most_an_eighth_wide) {
  for (std::size_t index = 1; index < LatencyClasses::count; ++index) {
    const Duration shortest = LatencyClasses::longest(index - 1) + 1ns;
    const Duration longest = LatencyClasses::longest(index);
    EXPECT_EQ(LatencyClasses::of(shortest), index);
    EXPECT_EQ(LatencyClasses::of(longest), index);
    EXPECT_LE((longest - shortest) * 8, shortest);
  }
}

TEST(latency_quantile, is_the_smallest_class_that_enough_samples_reach) {
  std::array<std::uint32_t, LatencyClasses::count> counts{};
  const auto count_of = [&](std::size_t index) { return counts[index]; };
  EXPECT_EQ(quantile_class(0.5, count_of), LatencyClasses::count);
  counts[3] = 95;
  counts[200] = 5;
  EXPECT_EQ(quantile_class(0.95, count_of), 3U);
  EXPECT_EQ(quantile_class(0.951, count_of), 200U);
  EXPECT_EQ(quantile_class(0.01, count_of), 3U);
  counts[0] = 900;
  EXPECT_EQ(quantile_class(0.9, count_of), 0U);
  EXPECT_EQ(quantile_class(0.901, count_of), 3U);
}

TEST(latency_quantile, counts_that_another_thread_clears_meanwhile_are_read_once) {
  int readings = 0;
  const auto emptied_after_one_look = [&](std::size_t index) -> std::uint32_t {
    EXPECT_LT(index, LatencyClasses::count);
    if (index >= LatencyClasses::count) return 100;  // or it would never end
    if (++readings > static_cast<int>(LatencyClasses::count)) return 0;
    return index == 7 ? 100 : 0;
  };
  EXPECT_EQ(quantile_class(0.95, emptied_after_one_look), 7U);
}

// trap 39
TEST(latency_quantile, has_no_estimate_before_there_are_enough_samples) {
  LatencyQuantile quantile{{.quantile = 0.9, .min_samples = 20, .window = 100}};
  for (int sample = 1; sample < 20; ++sample) {
    quantile.record(10ms);
    EXPECT_FALSE(quantile.value_approx()) << sample;
  }
  quantile.record(10ms);
  ASSERT_TRUE(quantile.value_approx());
}

TEST(latency_quantile, is_at_most_an_eighth_above_the_true_one) {
  std::mt19937_64 random{7};
  std::lognormal_distribution<double> latency{16, 1};  // around 9 ms
  LatencyQuantile quantile{{.quantile = 0.95, .min_samples = 100, .window = 20'000}};
  std::vector<Duration> all;
  for (int sample = 0; sample < 10'000; ++sample) {
    all.push_back(Duration{static_cast<std::int64_t>(latency(random))});
    quantile.record(all.back());
  }
  std::sort(all.begin(), all.end());
  // The latest refresh may be a 32nd part of the window old.
  EXPECT_GE(*quantile.value_approx(), all[9'400]);
  EXPECT_LE(*quantile.value_approx(), all[9'600] * 9 / 8);
}

TEST(latency_quantile, follows_a_change_within_its_window) {
  LatencyQuantile quantile{{.quantile = 0.95, .min_samples = 10, .window = 100}};
  for (int sample = 0; sample < 1000; ++sample) quantile.record(1ms);
  EXPECT_LE(*quantile.value_approx(), 1125us);
  for (int sample = 0; sample < 100; ++sample) quantile.record(1s);
  EXPECT_GE(*quantile.value_approx(), 1s);
  for (int sample = 0; sample < 200; ++sample) quantile.record(1ms);
  EXPECT_LE(*quantile.value_approx(), 1125us);
}

TEST(latency_quantile, a_hundred_of_a_thousand_samples_are_enough_unless_told_otherwise) {
  LatencyQuantile quantile;
  for (int sample = 0; sample < 99; ++sample) quantile.record(1ms);
  EXPECT_FALSE(quantile.value_approx());
  quantile.record(1ms);
  EXPECT_TRUE(quantile.value_approx());
  EXPECT_EQ(quantile.options().window, 1000U);
}

TEST(latency_quantile, remembers_half_a_window_at_least) {
  LatencyQuantile quantile{{.quantile = 0.95, .min_samples = 10, .window = 64}};
  for (int sample = 0; sample < 32; ++sample) quantile.record(1s);
  for (int sample = 0; sample < 32; ++sample) quantile.record(1ms);
  EXPECT_GE(*quantile.value_approx(), 1s);
  for (int sample = 0; sample < 2; ++sample) quantile.record(1ms);
  EXPECT_LE(*quantile.value_approx(), 1125us);
}

TEST(latency_quantile, is_refreshed_with_every_32nd_part_of_its_window) {
  for (const std::uint32_t every : {1U, 2U}) {
    LatencyQuantile quantile{{.quantile = 0.99, .min_samples = 10, .window = 32 * every}};
    for (int sample = 0; sample < 10; ++sample) quantile.record(1ms);
    quantile.record(1s);
    EXPECT_EQ(*quantile.value_approx() >= 1s, every == 1);
    quantile.record(1ms);
    EXPECT_GE(*quantile.value_approx(), 1s);
  }
}

TEST(latency_quantile, the_shortest_window_follows_the_last_samples) {
  LatencyQuantile quantile{{.quantile = 0.95, .min_samples = 1, .window = 1}};
  quantile.record(1s);
  EXPECT_GE(*quantile.value_approx(), 1s);
  for (int sample = 0; sample < 2; ++sample) quantile.record(1ms);
  EXPECT_LE(*quantile.value_approx(), 1125us);
}

TEST(latency_quantile, refuses_settings_that_mean_nothing) {
  EXPECT_THROW((LatencyQuantile{{.quantile = 0}}), std::invalid_argument);
  EXPECT_THROW((LatencyQuantile{{.quantile = 1}}), std::invalid_argument);
  EXPECT_THROW((LatencyQuantile{{.min_samples = 0}}), std::invalid_argument);
  EXPECT_THROW((LatencyQuantile{{.min_samples = 101, .window = 100}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
