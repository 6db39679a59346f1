// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/stripe.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

enum class Sample : std::uint8_t { success, failure };

struct SampleCounts {
  std::uint32_t total = 0;
  std::uint32_t failures = 0;
  friend constexpr bool operator==(SampleCounts, SampleCounts) noexcept = default;
};

/// Where a ring of ten slices stands: the slice, and how often it has turned since the epoch.
struct RingPosition {
  static constexpr std::uint32_t slices = 10;

  std::uint32_t index = 0;  ///< below `slices`
  std::uint32_t cycle = 0;

  /// The position of the slice with this number, counted from the epoch.
  [[nodiscard]] static constexpr RingPosition of(std::int64_t number) noexcept {
    const std::int64_t cycle = floor_divide(number, slices);
    return {static_cast<std::uint32_t>(number - cycle * slices), static_cast<std::uint32_t>(cycle)};
  }
  [[nodiscard]] static constexpr std::int64_t floor_divide(std::int64_t value,
                                                           std::int64_t by) noexcept {
    return value / by - (value % by < 0 ? 1 : 0);
  }
};

/// One slice of a window: what was counted, and of which turn of the ring, in one word.
struct WindowSlice {
  std::uint32_t era = 0;    ///< modulo 2^10
  std::uint32_t cycle = 0;  ///< turns of the ring since the epoch, modulo 2^22
  std::uint32_t total = 0;  ///< below 2^16
  std::uint32_t failures = 0;

  static constexpr std::uint32_t era_mask = (1U << 10) - 1;
  static constexpr unsigned cycle_bits = 22;
  static constexpr std::uint32_t cycle_mask = (1U << cycle_bits) - 1;
  static constexpr std::uint32_t most = (1U << 16) - 1;
  // How far ahead, in turns and in eras, a slice may be of a sample that comes late. Any other
  // difference is the past.
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
  /// untouched because the sample is older than what the slice holds. A slice of an earlier turn is
  /// always begun anew: what it holds has left the window, and its era may have wrapped since. A
  /// full slice is halved first, which keeps its proportion.
  [[nodiscard]] constexpr WindowSlice with(std::uint32_t sample_era,
                                           std::uint32_t sample_cycle,
                                           Sample sample) const noexcept {
    const std::uint32_t eras_ahead = (era - sample_era) & era_mask;
    const std::uint32_t cycles_ahead = (cycle - sample_cycle) & cycle_mask;
    WindowSlice next{sample_era & era_mask, sample_cycle & cycle_mask};
    if (eras_ahead == 0 && cycles_ahead == 0) {
      next.total = total == most ? total / 2 : total;
      next.failures = total == most ? failures / 2 : failures;
    } else if (total != 0 && cycles_ahead <= lead && eras_ahead <= lead) {
      return *this;
    }
    ++next.total;
    if (sample == Sample::failure) ++next.failures;
    return next;
  }

  /// Whether the slice in this word is of that era and cycle and not full: `with` then only adds
  /// `one_more`.
  [[nodiscard]] static constexpr bool is_open(std::uint64_t word,
                                              std::uint32_t of_era,
                                              std::uint32_t of_cycle) noexcept {
    const std::uint64_t tag = WindowSlice{of_era & era_mask, of_cycle & cycle_mask}.pack();
    return word >> 32 == tag >> 32 && (word >> 16 & most) != most;
  }
  [[nodiscard]] static constexpr std::uint64_t one_more(Sample sample) noexcept {
    return sample == Sample::failure ? (1U << 16) + 1U : 1U << 16;
  }

  /// Whether this slice, the `index`-th of its ring, is one of the `span` that end at `at`. The
  /// one after `at` counts too: it is of a thread that is a moment ahead.
  [[nodiscard]] constexpr bool inside(std::uint32_t index,
                                      RingPosition at,
                                      std::uint32_t span) const noexcept {
    // The difference modulo 2^22, with its sign.
    constexpr unsigned spare = 32 - cycle_bits;
    const std::int64_t turns = static_cast<std::int32_t>((at.cycle - cycle) << spare) >> spare;
    const std::int64_t slices_behind = turns * RingPosition::slices + at.index - index;
    return slices_behind >= -1 && slices_behind < std::int64_t{span};
  }

  friend constexpr bool operator==(const WindowSlice&, const WindowSlice&) noexcept = default;
};

/// Ten slices of counts in each of several stripes. A sample is one compare-exchange in the
/// stripe of its thread, on a cache line that no other thread writes while there are at least as
/// many stripes as threads; a reading sums all stripes. *Safe from any thread.*
///
/// Each slice carries its era and its turn of the ring, so slices roll over, and an owner that
/// starts a new era forgets all older samples, without a lock and without clearing. No sample is
/// counted twice; one is lost only when it comes a whole turn late, or an era late, or when
/// such a late thread begins a slice more than 15 turns old, or where a slice has seen 1009 eras go
/// by within its turn. After exactly 2^22 turns without a call in it (485 days for a window of
/// 10 s) a stale slice may count again.
class StripedRing {
 public:
  static constexpr std::uint32_t default_stripes = 8;

  /// `stripes` is rounded up to a power of two; 1 to 64. 128 bytes each.
  explicit StripedRing(std::uint32_t stripes)
      : stripes_(checked(stripes)),
        last_(static_cast<std::uint32_t>(stripes_.size()) - 1) {}

  /// What the slice of this thread's stripe holds after the sample; 0: it was lost.
  std::uint32_t record(RingPosition at, std::uint32_t era, Sample sample) noexcept {
    sync::atomic<std::uint64_t>& word = stripes_[stripe_hint() & last_].slices[at.index];
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
      // Most samples find their slice begun and with room.
      const bool counts = WindowSlice::is_open(seen, era, at.cycle);
      const std::uint64_t next = counts
                                     ? seen + WindowSlice::one_more(sample)
                                     : WindowSlice::unpack(seen).with(era, at.cycle, sample).pack();
      if (next == seen || word.compare_exchange_weak(seen, next, std::memory_order_relaxed)) {
        return next == seen ? 0 : WindowSlice::unpack(next).total;
      }
    }
  }

  /// What the `span` slices that end at `at` hold of `era`. They are read one after another:
  /// samples that are recorded meanwhile may be missed, those of this thread never are.
  [[nodiscard]] SampleCounts counts_approx(RingPosition at,
                                           std::uint32_t era,
                                           std::uint32_t span) const noexcept {
    SampleCounts sum;
    for (const Stripe& stripe : stripes_) {
      for (std::uint32_t index = 0; index < RingPosition::slices; ++index) {
        add(sum, stripe, index, at, era, span);
      }
    }
    return sum;
  }
  /// What the slice at `at` holds of `era`, in all stripes.
  [[nodiscard]] std::uint32_t slice_total_approx(RingPosition at,
                                                 std::uint32_t era) const noexcept {
    SampleCounts sum;
    for (const Stripe& stripe : stripes_) add(sum, stripe, at.index, at, era, 1);
    return sum.total;
  }
  [[nodiscard]] std::uint32_t stripes() const noexcept { return last_ + 1; }

 private:
  // WindowSlice::pack(), changed by `record` alone. Relaxed: a slice guards no other memory, and
  // its own modification order loses no count.
  struct alignas(64) Stripe {
    std::array<sync::atomic<std::uint64_t>, RingPosition::slices> slices{};
  };

  static std::uint32_t checked(std::uint32_t stripes) {
    if (stripes == 0 || stripes > StripeNumber::most) {
      throw std::invalid_argument(
          "penstock: a window is kept in 1 to 64 stripes, one for each thread that calls often; "
          "write .stripes = 8");
    }
    return std::bit_ceil(stripes);
  }
  static void add(SampleCounts& sum,
                  const Stripe& stripe,
                  std::uint32_t index,
                  RingPosition at,
                  std::uint32_t era,
                  std::uint32_t span) noexcept {
    const auto slice = WindowSlice::unpack(stripe.slices[index].load(std::memory_order_relaxed));
    if (slice.era != (era & WindowSlice::era_mask) || !slice.inside(index, at, span)) return;
    sum.total += slice.total;
    sum.failures += slice.failures;
  }

  std::vector<Stripe> stripes_;
  const std::uint32_t last_;  // a power of two less one
};

/// Counts successes and failures of the last `window`, in ten slices of a tenth each, rounded
/// up to whole nanoseconds: it covers nine to ten of them. *Safe from any thread.* (`StripedRing`)
class SlidingWindow {
 public:
  explicit SlidingWindow(Duration window, std::uint32_t stripes = StripedRing::default_stripes)
      : slice_(window.count() / std::int64_t{RingPosition::slices} +
               (window.count() % std::int64_t{RingPosition::slices} != 0 ? 1 : 0)),
        ring_(stripes) {
    if (window <= Duration::zero()) {
      throw std::invalid_argument(
          "penstock: SlidingWindow needs a positive length; write SlidingWindow{10s}");
    }
  }

  void record(Time now, std::uint32_t era, Sample sample) noexcept {
    ring_.record(position(now), era, sample);
  }
  /// What the window of `now` holds of `era`.
  [[nodiscard]] SampleCounts counts_approx(Time now, std::uint32_t era) const noexcept {
    return ring_.counts_approx(position(now), era, RingPosition::slices);
  }

 private:
  [[nodiscard]] RingPosition position(Time now) const noexcept {
    return RingPosition::of(RingPosition::floor_divide(now.time_since_epoch().count(), slice_));
  }

  const std::int64_t slice_;  // nanoseconds
  StripedRing ring_;
};

}  // namespace penstock
