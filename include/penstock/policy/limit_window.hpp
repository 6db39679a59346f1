// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/outcome.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/real.hpp>

namespace penstock {

/// One finished call, as an adaptive concurrency limit sees it.
struct LimitSample {
  Duration rtt;             ///< from its permit to its end
  std::uint32_t in_flight;  ///< at its start, itself included
  Outcome outcome;
};

/// What every adaptive limit is told.
struct LimitRange {
  std::uint32_t floor = 1;  ///< never fewer in flight, however bad the times: 1 to `initial`
  std::uint32_t initial = 20;
  std::uint32_t ceiling = 1000;  ///< `initial` to 1 000 000
  /// A decision is made after so many calls and so much time, or at once after a drop.
  std::uint32_t samples = 10;                        ///< 1 at least
  Duration window = std::chrono::milliseconds{100};  ///< not negative
  /// Signs of overload: each lowers the limit. Any other failure says nothing of the time a
  /// call takes, for it may come fast, and counts for nothing; neither does `neutral`.
  OutcomeSet drops = {Outcome::timeout, Outcome::rate_limited, Outcome::unavailable};
};

/// How the time of an unhindered call is learned.
///
/// It falls to any lower mean. It rises only by what is measured with few calls in flight, and
/// slowly: so a long incident, or the queue that the limit itself has built, does not become the
/// new normal. A good limit is never cut to measure: only one that slow calls have brought down
/// to twice the probe concurrency goes down to it, and from there learns a lasting change.
struct BaselineOptions {
  /// Few: 1 at least. Where the floor is higher, only calm times can raise the baseline.
  std::uint32_t probe_concurrency = 4;
  /// In which the baseline at most doubles; `Duration::max()`: it never rises.
  Duration relearn = std::chrono::hours{1};
  Duration max_healthy = Duration::max();  ///< no baseline above this, whatever is measured
};

/// The state of an adaptive limit: the limit and what was seen since it was last changed. *Not
/// synchronized.*
struct LimitState {
  double limit = 1;
  double baseline = 0;        ///< nanoseconds of an unhindered call; 0: not known yet
  Time changed{Time::min()};  ///< calls begun before belong to an earlier limit
  Time opened{};              ///< when the first call of the window ended
  double total_rtt = 0;       ///< of the successes, in nanoseconds
  std::uint32_t successes = 0;
  std::uint32_t drops = 0;
  std::uint32_t most_in_flight = 0;

  /// How many calls may be in flight.
  [[nodiscard]] std::uint32_t places() const noexcept { return static_cast<std::uint32_t>(limit); }
  /// Mean time of the window's successes; 0 when there is none.
  [[nodiscard]] double mean_rtt() const noexcept {
    return successes == 0 ? 0 : total_rtt / successes;
  }
  /// The window used enough of the limit to say that more would be used too.
  [[nodiscard]] bool pressed() const noexcept { return 2.0 * most_in_flight >= limit; }
};

/// Decides on a limit from samples: a pure step over `LimitState`.
template <class R>
concept LimitRule = requires(const R& rule, LimitState state, Time now, LimitSample sample) {
  { rule.initial() }
  noexcept->std::same_as<LimitState>;
  { rule.step(state, now, sample) }
  noexcept->std::same_as<LimitState>;
  { rule.range() }
  noexcept->std::same_as<const LimitRange&>;
  { rule.describe() } -> std::same_as<std::string>;
};

/// Adds a sample to the window; true when it is complete and a decision is due.
[[nodiscard]] inline bool collect(LimitState& state,
                                  const LimitRange& range,
                                  Time now,
                                  const LimitSample& sample) noexcept {
  const bool succeeded = sample.outcome == Outcome::success;
  const bool dropped = range.drops.contains(sample.outcome);
  // Whoever began under an earlier limit reports what has been answered already.
  if ((!succeeded && !dropped) || saturating_add(now, -sample.rtt) < state.changed) return false;
  if (state.successes + state.drops == 0) state.opened = now;
  if (succeeded) {
    state.total_rtt += static_cast<double>(std::max(sample.rtt, Duration{1}).count());
    ++state.successes;
  } else {
    ++state.drops;
  }
  state.most_in_flight = std::max(state.most_in_flight, sample.in_flight);
  return dropped ||
         (state.successes >= range.samples && elapsed_between(state.opened, now) >= range.window);
}

/// Starts the next window with the limit decided on, kept inside the range.
[[nodiscard]] inline LimitState decided(const LimitState& state,
                                        const LimitRange& range,
                                        Time now,
                                        double limit) noexcept {
  LimitState next{.limit = std::clamp(
                      limit, static_cast<double>(range.floor), static_cast<double>(range.ceiling)),
                  .baseline = state.baseline,
                  .changed = state.changed};
  if (next.places() != state.places()) next.changed = now;
  return next;
}

/// The baseline after a complete window.
[[nodiscard]] inline double baseline_after(const LimitState& state,
                                           const BaselineOptions& options,
                                           Time now) noexcept {
  const double mean = state.mean_rtt();
  const auto healthy = static_cast<double>(options.max_healthy.count());
  if (mean == 0) return state.baseline;
  if (state.baseline == 0 || mean < state.baseline) return std::min(mean, healthy);
  if (state.most_in_flight > options.probe_concurrency || state.drops != 0) return state.baseline;
  const double passed = static_cast<double>(elapsed_between(state.opened, now).count()) /
                        static_cast<double>(options.relearn.count());
  return std::min({mean, state.baseline * power_of_two(passed), healthy});
}

/// `limit`, or the probe concurrency where calls are half as long again as unhindered ones and
/// the limit is near it.
[[nodiscard]] inline double probing(const LimitState& state,
                                    const BaselineOptions& options,
                                    double limit) noexcept {
  const double probe = options.probe_concurrency;
  const bool hindered = state.mean_rtt() > 1.5 * state.baseline;
  return hindered && limit > probe && limit <= 2 * probe ? probe : limit;
}

[[nodiscard]] inline const LimitRange& validated(const LimitRange& range) {
  if (range.floor == 0 || range.floor > range.initial || range.initial > range.ceiling ||
      range.ceiling > 1'000'000) {
    throw std::invalid_argument(
        "penstock: an adaptive limit needs 1 <= floor <= initial <= ceiling <= 1000000; write "
        ".range = {.floor = 1, .initial = 20, .ceiling = 1000}");
  }
  if (range.samples == 0 || range.window < Duration::zero()) {
    throw std::invalid_argument(
        "penstock: an adaptive limit decides on at least one sample; write .range = {.samples = "
        "10, .window = 100ms}");
  }
  return range;
}
[[nodiscard]] inline const BaselineOptions& validated(const BaselineOptions& options) {
  if (options.probe_concurrency == 0 || options.relearn <= Duration::zero() ||
      options.max_healthy <= Duration::zero()) {
    throw std::invalid_argument(
        "penstock: a baseline is learned from at least one call and in positive times; write "
        ".baseline = {.probe_concurrency = 4, .relearn = 1h, .max_healthy = 2s}");
  }
  return options;
}
[[nodiscard]] inline std::string to_text(const LimitRange& range) {
  return std::to_string(range.floor) + " to " + std::to_string(range.ceiling);
}

}  // namespace penstock
