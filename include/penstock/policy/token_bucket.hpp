// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>
#include <penstock/policy/wide.hpp>

namespace penstock {

/// The generic cell rate algorithm (ITU-T I.371, ATM Forum TM 4.0) as a pure step over one
/// instant. *Safe from any thread.* (Immutable.)
///
/// Amounts are kept in millionths of a token, rounded to the nearest but never to nothing. In
/// these amounts the bound is exact: what is granted with `ready` inside any window of length w
/// is at most burst + rate * w, whatever `now` the callers pass. Every take is rounded up to a
/// whole nanosecond, so the rate is never exceeded and is missed by less than 1 ns per take.
class Gcra {
 public:
  struct State {
    /// When the bucket holds exactly nothing: in the past by what it holds, in the future by
    /// what was borrowed. It is the theoretical arrival time less the burst; kept so, a full
    /// bucket needs no arithmetic near `never`.
    Time empty_at = Time::min();
  };
  struct Take {
    bool granted;
    Time ready;  ///< granted: when to go on; refused: when the same take would go on at once
  };
  struct Answer {
    State state;
    Take take;
  };

  constexpr Gcra(double rate, Duration per, double burst) : burst_(burst) {
    constexpr double least = 1e-6;
    constexpr double most = 1e12;
    if (!(rate >= least && rate <= most && per > Duration::zero())) {
      throw std::invalid_argument(
          "penstock: TokenBucket needs a positive rate (1e-6 to 1e12) per positive time; write "
          "TokenBucket{{.rate = 10, .per = 1s}}");
    }
    if (!(burst >= least && burst <= most)) {
      throw std::invalid_argument(
          "penstock: TokenBucket needs a burst of 1e-6 to 1e12 tokens; write TokenBucket{{.rate = "
          "10, .per = 1s, .burst = 20}}, or leave .burst out for one as large as the rate");
    }
    const auto period = static_cast<std::uint64_t>(per.count());
    const uint128 filling = (uint128{millionths(burst)} * period - 1) / millionths(rate) + 1;
    if (filling > std::uint64_t{1} << 62) {
      throw std::invalid_argument(
          "penstock: TokenBucket takes longer than 146 years to fill; write a higher .rate, a "
          "shorter .per or a smaller .burst");
    }
    // The time per token is defined by this one rounding. Taking the whole burst then costs
    // exactly the whole capacity, however the division went.
    capacity_ = Duration{static_cast<std::int64_t>(filling)};
    price_of_one_ = price_up(std::min(1.0, burst_));
  }

  /// Takes `tokens` if they are there within `max_wait`, else changes nothing. More than the
  /// burst is refused for ever, nothing or less is granted for nothing. Within one burst of
  /// `Time::min()` a bucket holds less than it should; it never overflows.
  [[nodiscard]] constexpr Answer take(State state,
                                      Time now,
                                      Duration max_wait,
                                      double tokens) const noexcept {
    if (!(tokens <= burst_)) return {state, {false, never}};
    if (tokens <= 0) return {state, {true, now}};
    const Duration price = tokens == 1 ? price_of_one_ : price_up(tokens);
    const Time from = std::max(state.empty_at, saturating_add(now, -capacity_));
    if (elapsed_between(from, never) < price) return {state, {false, never}};
    const Time paid = from + price;
    if (paid > saturating_add(now, std::max(max_wait, Duration::zero()))) {
      return {state, {false, paid}};
    }
    return {{paid}, {true, std::max(now, paid)}};
  }

  /// Gives tokens back. Rounded down, so parts given back never add up to more than was taken.
  [[nodiscard]] constexpr State refund(State state, double tokens) const noexcept {
    if (!(tokens > 0)) return state;
    return {saturating_add(state.empty_at, -price_down(std::min(tokens, burst_)))};
  }

  /// Tokens there at `now`: 0 to the burst.
  [[nodiscard]] constexpr double available(State state, Time now) const noexcept {
    const Duration saved = std::min(elapsed_between(state.empty_at, now), capacity_);
    return burst_ * (static_cast<double>(saved.count()) / static_cast<double>(capacity_.count()));
  }

  /// How long an empty bucket takes to fill.
  [[nodiscard]] constexpr Duration capacity() const noexcept { return capacity_; }

 private:
  static constexpr std::uint64_t millionths(double tokens) noexcept {
    const double above = tokens * 1e6 + 0.5;  // std::llround is not constexpr before C++23
    return std::max(static_cast<std::uint64_t>(above), std::uint64_t{1});
  }
  constexpr Duration price_up(double tokens) const noexcept {
    return Duration{static_cast<std::int64_t>(multiply_divide_up(
        millionths(tokens), static_cast<std::uint64_t>(capacity_.count()), millionths(burst_)))};
  }
  constexpr Duration price_down(double tokens) const noexcept {
    return Duration{static_cast<std::int64_t>(multiply_divide_down(
        millionths(tokens), static_cast<std::uint64_t>(capacity_.count()), millionths(burst_)))};
  }

  double burst_;
  Duration capacity_{};
  Duration price_of_one_{};  // spares the common take a 128-bit division
};

/// A rate limiter in one atomic word (`Gcra`). Starts full. *Safe from any thread.*
///
/// A take is one load and one compare-exchange, without allocation. A `now` that is stale or
/// jumps back only makes it grant less.
class TokenBucket {
 public:
  struct Options {
    double rate;  ///< tokens that come in `per`
    Duration per = std::chrono::seconds{1};
    double burst = 0;  ///< tokens it holds; 0: the same as `rate`, at least 1
  };
  /// granted: may go on at `ready` (== now: at once). Refused: at `ready` the same take would
  /// go on at once if nobody else came; `never` if it cannot ever.
  using Take = Gcra::Take;

  explicit TokenBucket(Options settings)
      : options_{settings.rate,
                 settings.per,
                 settings.burst == 0 ? std::max(settings.rate, 1.0) : settings.burst},
        gcra_(options_.rate, options_.per, options_.burst) {}

  /// At once or not at all.
  [[nodiscard]] Take try_take(Time now, double cost = 1) noexcept {
    return reserve(now, Duration::zero(), cost);
  }

  /// Borrows from the future, up to `max_wait`: the caller waits until `ready`, then goes on.
  /// Who gives up before `ready` calls `refund`; later reservations keep their `ready`.
  [[nodiscard]] Take reserve(Time now, Duration max_wait, double cost = 1) noexcept {
    Ticks seen = empty_at_.load(std::memory_order_relaxed);
    for (;;) {
      const Gcra::Answer answer = gcra_.take(state_of(seen), now, max_wait, cost);
      const Ticks next = answer.state.empty_at.time_since_epoch().count();
      if (next == seen || empty_at_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) {
        return {answer.take.granted, answer.take.ready};
      }
    }
  }

  /// Gives back what was granted but not used. The bucket is never above full when next read.
  void refund(double cost = 1) noexcept {
    Ticks seen = empty_at_.load(std::memory_order_relaxed);
    while (!empty_at_.compare_exchange_weak(
        seen,
        gcra_.refund(state_of(seen), cost).empty_at.time_since_epoch().count(),
        std::memory_order_relaxed)) {
    }
  }

  /// Tokens there at `now`, 0 while others have borrowed; old as soon as it is returned.
  [[nodiscard]] double available_approx(Time now) const noexcept {
    return gcra_.available(state_of(empty_at_.load(std::memory_order_relaxed)), now);
  }

  /// As given, with the burst that a 0 stood for.
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "token_bucket(" + to_text(options_.rate) + "/" + to_text(options_.per) + ", burst " +
           to_text(options_.burst) + ")";
  }

 private:
  using Ticks = Duration::rep;
  static Gcra::State state_of(Ticks ticks) noexcept { return {Time{Duration{ticks}}}; }

  const Options options_;
  const Gcra gcra_;
  // Gcra::State::empty_at in nanoseconds: any value. A take moves it up, a refund down, both by
  // compare-exchange. Relaxed: the word is the whole state and guards no other memory; its own
  // modification order makes the takes one after another.
  sync::atomic<Ticks> empty_at_{Time::min().time_since_epoch().count()};
};

}  // namespace penstock
