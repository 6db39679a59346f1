// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

enum class Sample : std::uint8_t { success, failure };

struct SampleCounts {
  std::uint32_t total = 0;
  std::uint32_t failures = 0;
  friend constexpr bool operator==(SampleCounts, SampleCounts) noexcept = default;
};

/// One slice of a `SlidingWindow`: what was counted, and of which turn of the ring, in one word.
struct WindowSlice {
  std::uint32_t era = 0;    ///< modulo 2^10
  std::uint32_t cycle = 0;  ///< turns of the ring since the epoch, modulo 2^22
  std::uint32_t total = 0;  ///< below 2^16
  std::uint32_t failures = 0;

  static constexpr std::uint32_t era_mask = (1U << 10) - 1;
  static constexpr std::uint32_t cycle_mask = (1U << 22) - 1;
  static constexpr std::uint32_t most = (1U << 16) - 1;
  // How far ahead a slice may be of a sample that comes late. Any other difference is the past.
  static constexpr std::uint32_t lead = 15;

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::uint64_t{era} << 54 | std::uint64_t{cycle} << 32 | std::uint64_t{total} << 16 |
           failures;
  }
  [[nodiscard]] static constexpr WindowSlice unpack(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 54),
            static_cast<std::uint32_t>(word >> 32) & cycle_mask,
            static_cast<std::uint32_t>(word >> 16) & most,
            static_cast<std::uint32_t>(word) & most};
  }

  /// This slice after a sample of `sample_era` and `sample_cycle`: counted, begun anew for it, or
  /// untouched because the sample is older than what the slice holds. A full slice is halved
  /// first, which keeps its proportion.
  [[nodiscard]] constexpr WindowSlice with(std::uint32_t sample_era,
                                           std::uint32_t sample_cycle,
                                           Sample sample) const noexcept {
    const std::uint32_t eras_ahead = (era - sample_era) & era_mask;
    const std::uint32_t cycles_ahead = (cycle - sample_cycle) & cycle_mask;
    WindowSlice next{sample_era & era_mask, sample_cycle & cycle_mask};
    if (eras_ahead == 0 && cycles_ahead == 0) {
      next.total = total == most ? total / 2 : total;
      next.failures = total == most ? failures / 2 : failures;
    } else if (total != 0 && (eras_ahead == 0 ? cycles_ahead <= lead : eras_ahead <= lead)) {
      return *this;
    }
    ++next.total;
    if (sample == Sample::failure) ++next.failures;
    return next;
  }

  friend constexpr bool operator==(const WindowSlice&, const WindowSlice&) noexcept = default;
};

/// Counts successes and failures of the last `window`, in ten slices of a tenth each, rounded
/// up to whole nanoseconds: it covers nine to ten of them. *Safe from any thread.*
///
/// A sample is one compare-exchange. Each slice carries its era and its turn of the ring, so
/// slices roll over, and an owner that starts a new era forgets all older samples, without a
/// lock and without clearing. No sample is counted twice; one is lost only when it comes a whole
/// window late, or an era late, or when such a late thread begins a slice more than 15 turns old.
/// After 2^22 turns without a call (485 days for 10 s) one stale slice may count again.
class SlidingWindow {
 public:
  static constexpr std::size_t slices = 10;

  explicit SlidingWindow(Duration window)
      : slice_((window.count() / std::int64_t{slices}) +
               (window.count() % std::int64_t{slices} != 0 ? 1 : 0)) {
    if (window <= Duration::zero()) {
      throw std::invalid_argument(
          "penstock: SlidingWindow needs a positive length; write SlidingWindow{10s}");
    }
  }

  void record(Time now, std::uint32_t era, Sample sample) noexcept {
    const Position at = position(now);
    sync::atomic<std::uint64_t>& word = ring_[at.index];
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t next = WindowSlice::unpack(seen).with(era, at.cycle, sample).pack();
      if (next == seen || word.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return;
    }
  }

  /// What the window of `now` holds of `era`. Slices are read one after another: samples that
  /// are recorded meanwhile may be missed, those of this thread never are.
  [[nodiscard]] SampleCounts counts_approx(Time now, std::uint32_t era) const noexcept {
    const Position at = position(now);
    SampleCounts sum;
    for (std::size_t index = 0; index < slices; ++index) {
      const auto slice = WindowSlice::unpack(ring_[index].load(std::memory_order_relaxed));
      const std::uint32_t behind = (at.cycle - slice.cycle) & WindowSlice::cycle_mask;
      const bool inside = behind == 0 || (behind == 1 && index > at.index);
      if (slice.era != (era & WindowSlice::era_mask) || !inside) continue;
      sum.total += slice.total;
      sum.failures += slice.failures;
    }
    return sum;
  }

 private:
  struct Position {
    std::size_t index;
    std::uint32_t cycle;
  };
  [[nodiscard]] Position position(Time now) const noexcept {
    const std::int64_t number = floor_divide(now.time_since_epoch().count(), slice_);
    const std::int64_t cycle = floor_divide(number, std::int64_t{slices});
    return {static_cast<std::size_t>(number - cycle * std::int64_t{slices}),
            static_cast<std::uint32_t>(cycle) & WindowSlice::cycle_mask};
  }
  static constexpr std::int64_t floor_divide(std::int64_t value, std::int64_t by) noexcept {
    return value / by - (value % by < 0 ? 1 : 0);
  }

  const std::int64_t slice_;  // nanoseconds
  // WindowSlice::pack(), changed by `record` alone. Relaxed: a slice guards no other memory, and
  // its own modification order loses no count.
  std::array<sync::atomic<std::uint64_t>, slices> ring_{};
};

}  // namespace penstock
