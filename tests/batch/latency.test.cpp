// SPDX-License-Identifier: MIT
#include <batch/latency.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

namespace batch {
namespace {

using namespace std::chrono_literals;

TEST(batch_latency, nothing_recorded_reads_as_zero) {
  EXPECT_EQ(LatencyHistogram{}.quantile(0.5), 0ns);
}

TEST(batch_latency, one_value_is_every_quantile_exactly) {
  LatencyHistogram histogram;
  histogram.record(812'345'678ns);
  for (const double fraction : {0.0, 0.5, 0.99, 1.0, 7.0, -1.0})
    EXPECT_EQ(histogram.quantile(fraction), 812'345'678ns);
}

TEST(batch_latency, small_values_are_exact) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 50; ++i) histogram.record(Duration{i});
  EXPECT_EQ(histogram.quantile(0.5), 25ns);
  EXPECT_EQ(histogram.quantile(0.98), 49ns);
  EXPECT_EQ(histogram.quantile(1.0), 50ns);
}

TEST(batch_latency, a_quantile_is_never_below_the_true_one_and_at_most_a_32nd_above) {
  std::mt19937_64 random{7};
  std::lognormal_distribution<double> seconds{0.4, 1.2};
  LatencyHistogram histogram;
  std::vector<std::int64_t> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(static_cast<std::int64_t>(seconds(random) * 1e9));
    histogram.record(Duration{all.back()});
  }
  std::ranges::sort(all);
  for (const std::size_t permille : {1UL, 100UL, 500UL, 900UL, 990UL, 999UL, 1000UL}) {
    const std::int64_t exact = all[permille * all.size() / 1000 - 1];
    const auto got = histogram.quantile(static_cast<double>(permille) / 1000.0).count();
    EXPECT_GE(got, exact) << permille;
    EXPECT_LE(got, exact + exact / 32) << permille;
  }
}

TEST(batch_latency, extremes_are_kept) {
  LatencyHistogram histogram;
  histogram.record(Duration::max());
  histogram.record(-5ns);
  EXPECT_EQ(histogram.quantile(0.5), 0ns);
  EXPECT_EQ(histogram.quantile(1.0), Duration::max());
}

TEST(batch_latency, merging_is_as_if_one_had_recorded_all) {
  LatencyHistogram one;
  LatencyHistogram other;
  LatencyHistogram both;
  for (int i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? one : other).record(Duration{i * 1'000});
    both.record(Duration{i * 1'000});
  }
  one.merge(other);
  EXPECT_EQ(one.count(), 1000U);
  for (const double fraction : {0.1, 0.5, 0.9, 1.0})
    EXPECT_EQ(one.quantile(fraction), both.quantile(fraction));
}

}  // namespace
}  // namespace batch
