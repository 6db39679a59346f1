// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include <penstock/core/time.hpp>
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
    const Duration cost = tokens == 1 ? price_of_one_ : price_up(tokens);
    const Time from = std::max(state.empty_at, saturating_add(now, -capacity_));
    if (elapsed_between(from, never) < cost) return {state, {false, never}};
    const Time paid = from + cost;
    if (paid > saturating_add(now, std::max(max_wait, Duration::zero()))) {
      return {state, {false, paid}};
    }
    return {{paid}, {true, std::max(now, paid)}};
  }

  /// Takes `tokens` whether they are there or not, more than the burst too: a debt that later
  /// takes wait for.
  [[nodiscard]] constexpr State charge(State state, Time now, double tokens) const noexcept {
    if (!(tokens > 0)) return state;
    const Time from = std::max(state.empty_at, saturating_add(now, -capacity_));
    return {saturating_add(from, price_up(tokens))};
  }

  /// Leaves at most `tokens` at `now`; what comes later comes at the rate.
  [[nodiscard]] constexpr State cap(State state, Time now, double tokens) const noexcept {
    const Duration held = tokens > 0 ? price_down(tokens) : Duration::zero();
    return {std::max(state.empty_at, saturating_add(now, -held))};
  }

  /// Gives tokens back. Rounded down, so parts given back never add up to more than was taken.
  [[nodiscard]] constexpr State refund(State state, double tokens) const noexcept {
    if (!(tokens > 0)) return state;
    return {saturating_add(state.empty_at, -price_down(tokens))};
  }

  /// Gives back tokens that were granted for `ready`, all but those that others have reserved
  /// behind them: these keep their turns, and what passes by until then is not there twice (as
  /// `Reservation.Cancel` of Go's x/time/rate).
  [[nodiscard]] constexpr State give_up(State state, Time ready, double tokens) const noexcept {
    if (!(tokens > 0)) return state;
    const Duration behind = elapsed_between(ready, state.empty_at);
    return {
        saturating_add(state.empty_at, std::min(behind - price_down(tokens), Duration::zero()))};
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
    constexpr double most = 1e12;
    // std::llround is not constexpr before C++23
    const double above = std::min(tokens, most) * 1e6 + 0.5;
    return std::max(static_cast<std::uint64_t>(above), std::uint64_t{1});
  }
  constexpr Duration price_up(double tokens) const noexcept {
    return ticks(multiply_divide_up(
        millionths(tokens), static_cast<std::uint64_t>(capacity_.count()), millionths(burst_)));
  }
  constexpr Duration price_down(double tokens) const noexcept {
    return ticks(multiply_divide_down(
        millionths(tokens), static_cast<std::uint64_t>(capacity_.count()), millionths(burst_)));
  }
  static constexpr Duration ticks(std::uint64_t count) noexcept {
    constexpr auto most = static_cast<std::uint64_t>(Duration::max().count());
    return Duration{static_cast<std::int64_t>(std::min(count, most))};
  }

  double burst_;
  Duration capacity_{};
  Duration price_of_one_{};  // spares the common take a 128-bit division
};

}  // namespace penstock
