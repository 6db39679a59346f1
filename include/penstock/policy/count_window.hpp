// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>

#include <penstock/core/atomic.hpp>
#include <penstock/policy/sliding_window.hpp>

namespace penstock {

/// Counts successes and failures of the last calls: a `SlidingWindow` whose time is counted in
/// calls. *Safe from any thread.*
///
/// Slices of a tenth of the calls, rounded up; the window covers its size at most and one slice
/// less at least, which up to ten calls is exact, the present slice included. That holds for
/// calls one after another; where threads share it, a slice may hold up to twice its calls before
/// the next begins, because a thread looks at the other stripes only now and then. With fewer
/// than ten calls for each stripe it looks at every call, and threads meet there: where many
/// threads call often, the time window is the faster one.
class CountWindow {
 public:
  static constexpr std::uint32_t most = 100'000;

  /// 1 to 100 000 calls.
  explicit CountWindow(std::uint32_t calls, std::uint32_t stripes = StripedRing::default_stripes)
      : slice_(checked(calls) / RingPosition::slices + (calls % RingPosition::slices != 0 ? 1 : 0)),
        span_((calls + slice_ - 1) / slice_),
        ring_(stripes),
        look_every_(std::max(1U, slice_ / ring_.stripes())) {}

  void record(std::uint32_t era, Sample sample) noexcept {
    std::int64_t turn = turn_.load(std::memory_order_relaxed);
    const RingPosition at = RingPosition::of(turn);
    const std::uint32_t own = ring_.record(at, era, sample);
    // Lost: the slice may be of an era that only looks later, and no time would end it.
    if (own != 0) {
      if (own % look_every_ != 0 && own < slice_) return;
      if (ring_.slice_total_approx(at, era) < slice_) return;
    }
    turn_.compare_exchange_strong(turn, turn + 1, std::memory_order_relaxed);
  }
  /// What the window holds of `era`.
  [[nodiscard]] SampleCounts counts_approx(std::uint32_t era) const noexcept {
    const std::int64_t turn = turn_.load(std::memory_order_relaxed);
    // A slice without a call is not begun yet: the window still ends with the one before it.
    const bool begun = ring_.slice_total_approx(RingPosition::of(turn), era) != 0;
    return ring_.counts_approx(RingPosition::of(begun ? turn : turn - 1), era, span_);
  }

 private:
  static std::uint32_t checked(std::uint32_t calls) {
    if (calls == 0 || calls > most) {
      throw std::invalid_argument(
          "penstock: CountWindow holds 1 to 100000 calls; write CountWindow{100}");
    }
    return calls;
  }

  const std::uint32_t slice_;  // calls
  const std::uint32_t span_;   // slices that are read
  StripedRing ring_;
  const std::uint32_t look_every_;  // calls in one stripe
  // The number of the slice in progress; moved up by one by whoever sees it full, or finds that it
  // takes no sample. Relaxed: a thread that is behind counts in an older slice, as if it had come
  // earlier.
  sync::atomic<std::int64_t> turn_{0};
};

}  // namespace penstock
