// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// The classes of latency that are counted together: eight to each doubling, so that a class is
/// at most an eighth wide. Below 1.024 us all is one class, and so is all above 68 minutes.
struct LatencyClasses {
  static constexpr std::size_t count = 256;

  [[nodiscard]] static constexpr std::size_t of(Duration latency) noexcept {
    if (latency.count() < 1024) return 0;
    const auto ticks = static_cast<std::uint64_t>(latency.count());
    const auto doubling = static_cast<unsigned>(std::bit_width(ticks)) - 1;
    const std::size_t eighth = (ticks >> (doubling - 3)) & 7U;
    return std::min((doubling - 10) * std::size_t{8} + eighth + 1, count - 1);
  }
  /// The longest latency of a class.
  [[nodiscard]] static constexpr Duration longest(std::size_t index) noexcept {
    if (index == 0) return Duration{1023};
    const std::size_t doubling = (index - 1) / 8 + 10;
    const std::size_t eighth = (index - 1) % 8;
    return Duration{static_cast<std::int64_t>((9 + eighth) << (doubling - 3)) - 1};
  }
};

/// The class in which the `quantile` of all counted samples lies; `count` when there are none.
/// Each count is read once: others may change it meanwhile.
template <class Count>
[[nodiscard]] constexpr std::size_t quantile_class(double quantile, Count count_of) noexcept {
  std::array<std::uint32_t, LatencyClasses::count> counts{};
  std::uint64_t total = 0;
  for (std::size_t index = 0; index < counts.size(); ++index) {
    counts[index] = count_of(index);
    total += counts[index];
  }
  if (total == 0) return LatencyClasses::count;
  auto rank = static_cast<std::uint64_t>(quantile * static_cast<double>(total));
  if (static_cast<double>(rank) < quantile * static_cast<double>(total)) ++rank;
  std::uint64_t passed = 0;
  std::size_t index = 0;
  while ((passed += counts[index]) < rank) ++index;
  return index;
}

/// Estimates a quantile of the latest latencies, as they come: at most an eighth above the true
/// one. *Safe from any thread.*
///
/// A sample costs two relaxed additions; every 32nd part of the window one of them also walks
/// the 256 classes. There is no estimate before `min_samples`. It remembers between half a window
/// and a whole one, so that it follows a change.
class LatencyQuantile {
 public:
  struct Options {
    double quantile = 0.95;           ///< above 0, below 1
    std::uint32_t min_samples = 100;  ///< before the first estimate
    std::uint32_t window = 1000;      ///< samples that are remembered at most
  };

  LatencyQuantile() : LatencyQuantile(Options{}) {}
  explicit LatencyQuantile(Options settings)
      : options_(settings),
        half_(std::max(settings.window / 2, 1U)),
        refresh_(std::max(settings.window / 32, 1U)) {
    if (!(settings.quantile > 0 && settings.quantile < 1)) {
      throw std::invalid_argument(
          "penstock: LatencyQuantile needs a quantile between 0 and 1; write .quantile = 0.95");
    }
    if (settings.min_samples == 0 || settings.window < settings.min_samples) {
      throw std::invalid_argument(
          "penstock: LatencyQuantile needs samples before it estimates and a window that holds "
          "them; write .min_samples = 100, .window = 1000");
    }
  }

  void record(Duration latency) noexcept {
    const std::uint32_t turn = turn_.load(std::memory_order_relaxed);
    counts_[turn][LatencyClasses::of(latency)].fetch_add(1, std::memory_order_relaxed);
    const std::uint64_t number = recorded_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (number >= options_.min_samples &&
        (number == options_.min_samples || number % refresh_ == 0))
      estimate();
    if (number % half_ == 0) {
      for (sync::atomic<std::uint32_t>& count : counts_[1 - turn])
        count.store(0, std::memory_order_relaxed);
      turn_.store(1 - turn, std::memory_order_relaxed);
    }
  }

  /// The estimate; nothing before there were `min_samples`.
  [[nodiscard]] std::optional<Duration> value_approx() const noexcept {
    const std::int64_t ticks = estimate_.load(std::memory_order_relaxed);
    if (ticks < 0) return std::nullopt;
    return Duration{ticks};
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }

 private:
  void estimate() noexcept {
    const std::size_t index = quantile_class(options_.quantile, [this](std::size_t at) {
      return counts_[0][at].load(std::memory_order_relaxed) +
             counts_[1][at].load(std::memory_order_relaxed);
    });
    if (index != LatencyClasses::count)
      estimate_.store(LatencyClasses::longest(index).count(), std::memory_order_relaxed);
  }

  const Options options_;
  const std::uint32_t half_;
  const std::uint32_t refresh_;
  // All relaxed: each word stands for itself. `recorded_` only grows and gives each sample a
  // number of its own, so that one thread each turns the windows over or refreshes the estimate.
  // A thread that is held up meanwhile may leave a sample in the wrong window or lose one:
  // the estimate is statistical, and no count is ever torn.
  sync::atomic<std::uint64_t> recorded_{0};
  sync::atomic<std::uint32_t> turn_{0};      // 0 or 1: the window that is being filled
  sync::atomic<std::int64_t> estimate_{-1};  // nanoseconds; negative: none yet
  std::array<std::array<sync::atomic<std::uint32_t>, LatencyClasses::count>, 2> counts_{};
};

}  // namespace penstock
