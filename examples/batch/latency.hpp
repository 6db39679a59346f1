// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <penstock/core/time.hpp>

namespace batch {

using penstock::Duration;

/// Latencies of any number of calls in constant memory (15 KiB). *Not synchronized.*
///
/// Buckets grow with the value, 32 to each power of two, so a quantile is at most 1/32 (3.1 %)
/// above the true one; the largest value is kept exactly. The layout is that of log-linear
/// histograms (Tene, HdrHistogram). `record` costs a bit scan and an addition.
class LatencyHistogram {
 public:
  void record(Duration latency) noexcept {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
    ++buckets_[bucket_of(value)];
    ++count_;
    largest_ = std::max(largest_, value);
  }

  void merge(const LatencyHistogram& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    largest_ = std::max(largest_, other.largest_);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

  /// The smallest latency that at least `fraction` (0..1) of the calls did not exceed, rounded
  /// up to its bucket's end. Zero where nothing was recorded.
  [[nodiscard]] Duration quantile(double fraction) const noexcept {
    if (count_ == 0) return Duration::zero();
    const double position = std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_));
    const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(position), 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank) return Duration{static_cast<std::int64_t>(std::min(end_of(i), largest_))};
    }
    return Duration{static_cast<std::int64_t>(largest_)};
  }

 private:
  static constexpr int sub_bits = 5;
  static constexpr std::uint64_t sub_buckets = std::uint64_t{1} << sub_bits;

  // Below 32 each value has its own bucket; above, the leading six bits choose it.
  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - sub_bits - 1);
    return static_cast<std::size_t>(shift) * sub_buckets + (value >> shift);
  }
  /// The largest value of the bucket.
  static constexpr std::uint64_t end_of(std::size_t bucket) noexcept {
    if (bucket < 2 * sub_buckets) return bucket;
    const std::uint64_t shift = bucket / sub_buckets - 1;
    return ((bucket - shift * sub_buckets + 1) << shift) - 1;
  }

  static constexpr std::size_t bucket_count = (64 - sub_bits) * sub_buckets;  // up to INT64_MAX
  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t largest_ = 0;
};

}  // namespace batch
