// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

/// Events per second over the last `window`, in ten slices and the one that is being filled.
/// *Safe from any thread.*
///
/// `record` is one compare-exchange and allocates nothing. An event is counted once; one that is
/// recorded a whole window late is lost, and after 2^24 turns of the ring without an event (five
/// years for 10 s) a stale slice may count again. In its first slice the rate is that of a whole
/// slice, so one early event is no burst.
class RateMeter {
 public:
  /// Throws std::invalid_argument for a window of no time.
  explicit RateMeter(Duration window = std::chrono::seconds{10})
      : slice_(std::max<std::int64_t>(window.count() / counted, 1)) {
    if (window <= Duration::zero()) {
      throw std::invalid_argument(
          "penstock: RateMeter needs a positive window; write RateMeter{10s}");
    }
  }

  void record(Time now, std::uint32_t events = 1) noexcept {
    std::int64_t unset = not_yet;
    if (first_.load(std::memory_order_relaxed) == not_yet)
      first_.compare_exchange_strong(unset, ticks(now), std::memory_order_relaxed);
    const Place place = place_of(number_of(now));
    sync::atomic<std::uint64_t>& word = ring_[place.index];
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    std::uint64_t next{};
    do {
      // The difference of the turns modulo 2^24, with its sign.
      const std::uint64_t apart = (place.turn - (seen >> count_bits)) << count_bits;
      const std::int64_t behind = static_cast<std::int64_t>(apart) >> count_bits;
      const bool newer = behind < 0 && (seen & count_mask) != 0;
      if (newer) return;
      const std::uint64_t before = behind == 0 ? seen & count_mask : 0;
      next = place.turn << count_bits | std::min(before + events, count_mask);
    } while (!word.compare_exchange_weak(seen, next, std::memory_order_relaxed));
  }

  /// Events per second; slices are read one after another, so events recorded meanwhile may be
  /// missed.
  [[nodiscard]] double per_second_approx(Time now) const noexcept {
    const std::int64_t first = first_.load(std::memory_order_relaxed);
    if (first == not_yet) return 0;
    const std::int64_t current = number_of(now);
    std::uint64_t events = 0;
    for (std::int64_t number = current - counted; number <= current; ++number) {
      const Place place = place_of(number);
      const std::uint64_t word = ring_[place.index].load(std::memory_order_relaxed);
      if (word >> count_bits == place.turn) events += word & count_mask;
    }
    const std::int64_t window = ticks(now) - (current - counted) * slice_;
    const std::int64_t covered = std::clamp(ticks(now) - first, slice_, std::max(window, slice_));
    return static_cast<double>(events) * 1e9 / static_cast<double>(covered);
  }

 private:
  static constexpr std::int64_t counted = 10;  // whole slices
  static constexpr std::size_t slots = 11;
  static constexpr unsigned count_bits = 40;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  static constexpr std::uint64_t turn_mask = (std::uint64_t{1} << 24) - 1;
  static constexpr std::int64_t not_yet = INT64_MIN;

  struct Place {
    std::size_t index;
    std::uint64_t turn;
  };
  static constexpr std::int64_t floor_divide(std::int64_t value, std::int64_t by) noexcept {
    return value / by - (value % by < 0 ? 1 : 0);
  }
  static std::int64_t ticks(Time time) noexcept { return time.time_since_epoch().count(); }
  [[nodiscard]] std::int64_t number_of(Time time) const noexcept {
    return floor_divide(ticks(time), slice_);
  }
  static Place place_of(std::int64_t number) noexcept {
    const std::int64_t turn = floor_divide(number, std::int64_t{slots});
    return {static_cast<std::size_t>(number - turn * std::int64_t{slots}),
            static_cast<std::uint64_t>(turn) & turn_mask};
  }

  const std::int64_t slice_;  // nanoseconds
  // Set once, by the first event. Relaxed, as below: it guards no other memory.
  sync::atomic<std::int64_t> first_{not_yet};
  // Each 24 bits of the turn of the ring it counts for and 40 of events, changed by `record` alone.
  std::array<sync::atomic<std::uint64_t>, slots> ring_{};
};

}  // namespace penstock
