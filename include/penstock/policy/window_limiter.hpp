// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// What a window limiter says: granted; or refused, and `ready` is when the same take would be
/// granted if nobody else came, `never` if it cannot ever be.
struct WindowTake {
  bool granted;
  Time ready;
};

/// So much per window, the windows one after another: for a provider that counts so. *Safe from
/// any thread.* One atomic word, a take is one load and one compare-exchange.
///
/// Exact for each window of the grid. Across an edge twice the limit may pass in a moment; a
/// `TokenBucket` or a `SlidingWindowLimiter` never lets that happen. A `now` that is stale counts
/// in the latest window seen.
class FixedWindowLimiter {
 public:
  struct Options {
    std::uint32_t limit;                        ///< per window: 1 to 2^28 - 2
    Duration window = std::chrono::minutes{1};  ///< 1 ms at least
    Time anchor{};                              ///< the beginning of any one window
  };

  explicit FixedWindowLimiter(Options settings) : options_(settings) {
    if (settings.limit == 0 || settings.limit >= used_mask ||
        settings.window < std::chrono::milliseconds{1}) {
      throw std::invalid_argument(
          "penstock: FixedWindowLimiter needs a limit of 1 to 268435454 per window of 1 ms at "
          "least; write FixedWindowLimiter{{.limit = 500, .window = 1min}}");
    }
  }

  [[nodiscard]] WindowTake try_take(Time now, std::uint32_t cost = 1) noexcept {
    if (cost > options_.limit) return {false, never};
    const std::int64_t current = number_of(now);
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      // The latest window seen, in full: the present one plus how far it is ahead.
      const std::int64_t ahead = seen == untouched ? -1 : ahead_of(seen, current);
      const std::uint64_t used = ahead >= 0 ? seen & used_mask : 0;
      const std::int64_t window = current + std::max<std::int64_t>(ahead, 0);
      if (used + cost > options_.limit) return {false, start_of(window + 1)};
      const std::uint64_t next = (static_cast<std::uint64_t>(window) << used_bits) | (used + cost);
      if (word_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return {true, now};
    }
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "fixed_window(" + std::to_string(options_.limit) + "/" + to_text(options_.window) + ")";
  }

 private:
  static constexpr unsigned used_bits = 28;
  static constexpr std::uint64_t used_mask = (std::uint64_t{1} << used_bits) - 1;
  static constexpr std::uint64_t untouched = ~std::uint64_t{0};  // more used than any limit

  // Floor division, of ticks on either side of the anchor.
  [[nodiscard]] std::int64_t number_of(Time now) const noexcept {
    const std::int64_t window = options_.window.count();
    if (now >= options_.anchor) return elapsed_between(options_.anchor, now).count() / window;
    const std::int64_t before = elapsed_between(now, options_.anchor).count();
    return -(before / window) - (before % window != 0 ? 1 : 0);
  }
  [[nodiscard]] Time start_of(std::int64_t number) const noexcept {
    const std::int64_t window = options_.window.count();
    const std::int64_t most = Duration::max().count() / window;
    if (number > most) return never;
    return saturating_add(options_.anchor, Duration{std::max(number, -most) * window});
  }
  // Numbers are kept modulo 2^36.
  static std::int64_t ahead_of(std::uint64_t word, std::int64_t current) noexcept {
    const std::uint64_t apart = (word >> used_bits) - static_cast<std::uint64_t>(current);
    return static_cast<std::int64_t>(apart << used_bits) >> used_bits;
  }

  const Options options_;
  // 36 bits of the window's number and 28 of what it has granted, at most the limit; or
  // `untouched`. Changed by try_take alone. Relaxed: the word is the whole state and guards no
  // other memory. One that is 2^35 windows old (a year for 1 ms) would pass for a later one.
  sync::atomic<std::uint64_t> word_{untouched};
};

/// At most so many in any window of that length, wherever it begins: the sliding log, exact.
/// *Safe from any thread.* Eight bytes per permitted take, allocated when it is built; a take is
/// a few loads and two compare-exchanges, without a lock.
///
/// Each of its slots grants once per window. A `now` that is stale only makes it grant less.
class SlidingWindowLimiter {
 public:
  struct Options {
    std::uint32_t limit;                        ///< per window: 1 to 1 000 000
    Duration window = std::chrono::minutes{1};  ///< positive
  };

  explicit SlidingWindowLimiter(Options settings)
      : options_(validated(settings)),
        slots_(settings.limit) {
    for (auto& slot : slots_) slot.store(untouched, std::memory_order_relaxed);
  }

  [[nodiscard]] WindowTake try_take(Time now) noexcept {
    std::uint64_t turn = turn_.load(std::memory_order_relaxed);
    for (;;) {
      sync::atomic<Duration::rep>& slot = slots_[turn % slots_.size()];
      Duration::rep granted = slot.load(std::memory_order_relaxed);
      if (!free_at(granted, now)) {
        // A slot that is newer than the next has been taken by someone who has yet to move on.
        const auto& next = slots_[(turn + 1) % slots_.size()];
        if (granted <= next.load(std::memory_order_relaxed))
          return {false, saturating_add(Time{Duration{granted}}, options_.window)};
        move_on(turn);
        continue;
      }
      const Duration::rep instant = std::max(now.time_since_epoch().count(), untouched + 1);
      const bool won = slot.compare_exchange_strong(granted, instant, std::memory_order_relaxed);
      move_on(turn);
      if (won) return {true, now};
    }
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "sliding_window(" + std::to_string(options_.limit) + "/" + to_text(options_.window) +
           ")";
  }

 private:
  static constexpr Duration::rep untouched = Duration::min().count();

  static const Options& validated(const Options& settings) {
    if (settings.limit == 0 || settings.limit > 1'000'000 || settings.window <= Duration::zero()) {
      throw std::invalid_argument(
          "penstock: SlidingWindowLimiter needs a limit of 1 to 1000000 per positive window; write "
          "SlidingWindowLimiter{{.limit = 500, .window = 1min}}");
    }
    return settings;
  }

  [[nodiscard]] bool free_at(Duration::rep granted, Time now) const noexcept {
    return granted == untouched || elapsed_between(Time{Duration{granted}}, now) >= options_.window;
  }
  // To the turn after this one, or to the one that others have reached.
  void move_on(std::uint64_t& turn) noexcept {
    if (turn_.compare_exchange_strong(turn, turn + 1, std::memory_order_relaxed)) ++turn;
  }

  const Options options_;
  // The instant of each slot's last grant. A compare-exchange moves it on by one window at
  // least, which is the whole bound; relaxed, for it guards no other memory.
  std::vector<sync::atomic<Duration::rep>> slots_;
  // The slot whose turn it is: a hint that is moved on by one after each grant, by the one who
  // was granted or by the next to find it taken. A wrong one costs a grant, never the bound.
  sync::atomic<std::uint64_t> turn_{0};
};

}  // namespace penstock
