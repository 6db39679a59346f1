// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/core/atomic.hpp>
#include <penstock/core/error.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// A slice of a `Throttle`'s window in one word: what was asked for and what was accepted in it,
/// and of which turn of the ring it is.
struct ThrottleSlice {
  std::uint32_t turn = 0;      ///< modulo 2^24
  std::uint32_t requests = 0;  ///< below 2^20
  std::uint32_t accepts = 0;   ///< below 2^20

  static constexpr std::uint32_t turn_mask = (1U << 24) - 1;
  static constexpr std::uint32_t most = (1U << 20) - 1;
  // How far ahead a slice may be of someone who is late. Any other difference is the past.
  static constexpr std::uint32_t lead = 15;

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::uint64_t{turn} << 40 | std::uint64_t{requests} << 20 | accepts;
  }
  [[nodiscard]] static constexpr ThrottleSlice unpack(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 40),
            static_cast<std::uint32_t>(word >> 20) & most,
            static_cast<std::uint32_t>(word) & most};
  }
  /// This slice for `now_turn`: begun anew where it is of an older turn. Of a newer one it stays,
  /// and whoever comes so late counts in it.
  [[nodiscard]] constexpr ThrottleSlice at(std::uint32_t now_turn) const noexcept {
    const std::uint32_t ahead = (turn - now_turn) & turn_mask;
    const bool empty = requests == 0 && accepts == 0;
    return ahead <= lead && !empty ? *this : ThrottleSlice{now_turn & turn_mask, 0, 0};
  }
  /// Changed counts. Full ones are halved together, which keeps their proportion.
  [[nodiscard]] constexpr ThrottleSlice with(int more_requests, int more_accepts) const noexcept {
    ThrottleSlice next = *this;
    if (next.requests == most || next.accepts == most) {
      next.requests /= 2;
      next.accepts /= 2;
    }
    next.requests = changed(next.requests, more_requests);
    next.accepts = changed(next.accepts, more_accepts);
    return next;
  }
  friend constexpr bool operator==(const ThrottleSlice&, const ThrottleSlice&) noexcept = default;

 private:
  static constexpr std::uint32_t changed(std::uint32_t count, int by) noexcept {
    return static_cast<std::uint32_t>(std::max(static_cast<int>(count) + by, 0));
  }
};

/// Client-side adaptive throttling ("Handling Overload", Site Reliability Engineering, chapter 21):
/// refuses here, at random, what the other side would most likely refuse there, with probability
/// (requests - k * accepts) / (requests + 1) over the last `window`, never below 0. *Safe from
/// any thread.*
///
/// Every call is a request from the moment it is made, also one that is refused here; so calls
/// under way and calls refused count, and the probability neither lags behind nor falls for
/// having worked. The window must be longer than nearly all calls, or their accepts come too
/// late to count with their requests.
///
/// A call costs ten loads and two compare-exchanges; nothing is allocated. After 2^24 turns of the
/// window without a call (64 years for 2 min) one stale slice may count again.
class Throttle {
 public:
  struct Options {
    double k = 2;                               ///< requests let through per accept: 1 to 1000
    Duration window = std::chrono::minutes{2};  ///< 1 ms at least
    double most = 0.95;  ///< the highest probability, so that some ask: 0 to 1
    /// An answer of a server that is not overloaded, whatever it thinks of the request. `neutral`
    /// is no request at all.
    OutcomeSet accepts = {Outcome::success,
                          Outcome::permanent,
                          Outcome::not_found,
                          Outcome::too_large,
                          Outcome::credential,
                          Outcome::quota};
  };

  /// The right to make one call. *One thread at a time.* The throttle must outlive it. Destroyed
  /// before `settle` it was no request.
  class [[nodiscard]] Permit {
   public:
    Permit(Permit&& other) noexcept
        : throttle_(std::exchange(other.throttle_, nullptr)),
          asked_(other.asked_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(throttle_, other.throttle_);
      std::swap(asked_, other.asked_);
      return *this;
    }
    ~Permit() { settle(Outcome::neutral, asked_); }

    [[nodiscard]] Time ready(Time now) const noexcept { return now; }
    /// Reports how the call ended, once.
    void settle(Outcome outcome, Time now) noexcept {
      if (Throttle* const throttle = std::exchange(throttle_, nullptr))
        throttle->settle(asked_, outcome, now);
    }

   private:
    friend Throttle;
    Permit(Throttle& throttle, Time asked) noexcept : throttle_(&throttle), asked_(asked) {}
    Throttle* throttle_;  // null: settled
    Time asked_;
  };

  Throttle() : Throttle(Options{}) {}
  explicit Throttle(const Options& settings)
      : options_(validated(settings)),
        slice_(settings.window.count() / slices) {}

  /// Counts a request and lets it go on, or refuses it with `overloaded`; `random`: 64 uniform
  /// bits.
  [[nodiscard]] Result<Permit> admit(Time now, std::uint64_t random) noexcept {
    const double refused = refusal_probability(now);
    count(now, 1, 0);
    // 53 bits make every double in [0, 1) equally likely.
    if (static_cast<double>(random >> 11) * 0x1p-53 < refused) return ErrorKind::overloaded;
    return Permit{*this, now};
  }

  /// Of the next call; old as soon as it is returned.
  [[nodiscard]] double refusal_probability(Time now) const noexcept {
    const Position at = position(now);
    double requests = 0;
    double accepts = 0;
    for (std::size_t index = 0; index < slices; ++index) {
      const auto slice = ThrottleSlice::unpack(ring_[index].load(std::memory_order_relaxed));
      const std::uint32_t behind = (at.turn - slice.turn) & ThrottleSlice::turn_mask;
      // Of this turn or a newer one, this thread being late; or of the last and not yet overtaken.
      const bool inside = behind == 0 || behind > ThrottleSlice::turn_mask - ThrottleSlice::lead ||
                          (behind == 1 && index > at.index);
      if (!inside) continue;
      requests += slice.requests;
      accepts += slice.accepts;
    }
    const double share = (requests - options_.k * accepts) / (requests + 1);
    return std::clamp(share, 0.0, options_.most);
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "throttle(" + to_text(options_.k) + " requests per accept in " +
           to_text(options_.window) + ")";
  }

 private:
  static constexpr std::int64_t slices = 10;
  struct Position {
    std::size_t index;
    std::uint32_t turn;
  };

  static const Options& validated(const Options& settings) {
    if (!(settings.k >= 1 && settings.k <= 1000)) {
      throw std::invalid_argument(
          "penstock: Throttle lets 1 to 1000 requests through per accept; write Throttle{{.k = "
          "2}}");
    }
    if (settings.window < std::chrono::milliseconds{1} ||
        !(settings.most >= 0 && settings.most <= 1)) {
      throw std::invalid_argument(
          "penstock: Throttle needs a window of 1 ms at least and a highest probability of 0 to 1; "
          "write {.window = 2min, .most = 0.95}");
    }
    return settings;
  }

  [[nodiscard]] Position position(Time now) const noexcept {
    const std::int64_t ticks = now.time_since_epoch().count();
    const std::int64_t number = ticks / slice_ - (ticks % slice_ < 0 ? 1 : 0);
    const std::int64_t turn = number / slices - (number % slices < 0 ? 1 : 0);
    return {static_cast<std::size_t>(number - turn * slices),
            static_cast<std::uint32_t>(turn) & ThrottleSlice::turn_mask};
  }

  void count(Time now, int requests, int accepts) noexcept {
    const Position at = position(now);
    sync::atomic<std::uint64_t>& word = ring_[at.index];
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
      const auto slice = ThrottleSlice::unpack(seen);
      // What is taken back has left the window with its slice.
      if (requests < 0 && slice.turn != at.turn) return;
      const std::uint64_t next = slice.at(at.turn).with(requests, accepts).pack();
      if (word.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return;
    }
  }

  void settle(Time asked, Outcome outcome, Time now) noexcept {
    if (outcome == Outcome::neutral) {
      count(asked, -1, 0);
    } else if (options_.accepts.contains(outcome)) {
      count(now, 0, 1);
    }
  }

  const Options options_;
  const std::int64_t slice_;  // nanoseconds
  // ThrottleSlice::pack(), changed by `count` alone. Relaxed: a slice guards no other memory, and
  // its own modification order loses no count.
  std::array<sync::atomic<std::uint64_t>, slices> ring_{};
};

}  // namespace penstock
