// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/outcome.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/backoff.hpp>
#include <penstock/policy/circuit.hpp>
#include <penstock/policy/count_window.hpp>
#include <penstock/policy/half_open.hpp>
#include <penstock/policy/text.hpp>
#include <penstock/policy/transition_log.hpp>
#include <penstock/policy/trip_rule.hpp>

namespace penstock {

/// `dry_run`: the breaker moves as it would, and refuses nothing.
enum class BreakerMode : std::uint8_t { enforce, dry_run };

/// What a `CircuitBreaker` does. The defaults need no change for calls over a network.
struct CircuitBreakerOptions {
  // When it opens.
  double failure_rate = 0.5;         ///< of the window: above 0, at most 1; 0 beside another rule
  std::uint32_t minimum_calls = 10;  ///< in the window, below which no rate is judged; 1 to 32767
  Duration window = std::chrono::seconds{10};
  std::uint32_t window_calls = 0;          ///< not 0: the window is the last so many calls instead
  Duration slow_after = Duration::max();   ///< a call of this length is slow; `max()`: none is
  double slow_rate = 0.5;                  ///< slow calls of the window that open it
  std::uint32_t consecutive_failures = 0;  ///< so many in a row open it; 0: no such rule
  TripWhen trip_when = TripWhen::any_rule;

  // How long it stays open: open_for, times open_growth for each time it has opened without
  // having closed, within open_at_most, spread by the jitter.
  Duration open_for = std::chrono::seconds{30};
  double open_growth = 1;                            ///< 1 at least
  Duration open_at_most = std::chrono::minutes{10};  ///< never cuts `open_for` itself
  Jitter open_jitter = Jitter::none;

  // Half open.
  std::uint32_t probes = 3;       ///< 1 to 1000
  double probe_success_rate = 1;  ///< of the probes that must succeed: above 0, at most 1
  Duration probe_timeout = std::chrono::seconds{60};  ///< 1 ms at least
  LapsedProbe lapsed_probe = LapsedProbe::neutral;

  // Closed again.
  Duration ramp = Duration::zero();  ///< how long the share of calls let through grows; 0: at once
  double ramp_from = 0.1;            ///< the share it grows from: 0 to below 1

  OutcomeSet failures = {
      Outcome::transient, Outcome::unavailable, Outcome::timeout, Outcome::exception};
  /// Answers: the target is there, whatever it thinks of the request. What is in neither set
  /// is neutral.
  OutcomeSet successes = {Outcome::success,
                          Outcome::rate_limited,
                          Outcome::permanent,
                          Outcome::not_found,
                          Outcome::too_large,
                          Outcome::credential,
                          Outcome::quota};

  BreakerMode mode = BreakerMode::enforce;
  /// Transitions kept until `deliver`; 0: none, at most 1024.
  std::uint32_t keep_transitions = 0;
  /// Threads that count at the same time without meeting: 1 to 64, rounded up to a power of two.
  /// 128 bytes each, twice that with a slow-call rule.
  std::uint32_t stripes = StripedRing::default_stripes;

  [[nodiscard]] constexpr bool judges_slowness() const noexcept {
    return slow_after != Duration::max() && slow_rate > 0;
  }
  [[nodiscard]] constexpr TripRule trip_rule() const noexcept {
    return {failure_rate,
            judges_slowness() ? slow_rate : 0,
            minimum_calls,
            consecutive_failures,
            trip_when};
  }
  [[nodiscard]] constexpr HalfOpenRule half_open_rule() const noexcept {
    return {probes, probe_success_rate};
  }
  [[nodiscard]] constexpr Ramp ramp_rule() const noexcept { return {ramp, ramp_from}; }
  /// How long the `times`-th opening in a row lasts, by 64 uniform bits.
  [[nodiscard]] constexpr Duration open_time(std::uint32_t times,
                                             std::uint64_t random) const noexcept {
    return Backoff::exponential(open_for, std::max(open_for, open_at_most), open_growth)
        .wait(times, {}, random, open_jitter);
  }
};

/// The options, if they can work; throws `std::invalid_argument` that says what to write.
inline const CircuitBreakerOptions& validated(const CircuitBreakerOptions& settings) {
  const auto refuse_unless = [](bool holds, const char* otherwise) {
    if (!holds) throw std::invalid_argument(otherwise);
  };
  refuse_unless(
      settings.trip_rule().any() && settings.failure_rate >= 0 && settings.failure_rate <= 1,
      "penstock: CircuitBreaker needs a failure rate above 0 and at most 1, or another "
      "rule beside a rate of 0; write CircuitBreaker{{.failure_rate = 0.5}}");
  refuse_unless(
      settings.slow_rate >= 0 && settings.slow_rate <= 1 && settings.slow_after > Duration::zero(),
      "penstock: CircuitBreaker takes a positive time for slow calls and a rate from 0 "
      "to 1 of them; write {.slow_after = 2s, .slow_rate = 0.5}");
  refuse_unless(settings.minimum_calls != 0 && settings.minimum_calls <= WindowSlice::most / 2,
                "penstock: CircuitBreaker judges at least 1 and at most 32767 calls; write "
                ".minimum_calls = 10");
  refuse_unless(settings.window_calls == 0 || (settings.window_calls >= settings.minimum_calls &&
                                               settings.window_calls <= CountWindow::most),
                "penstock: CircuitBreaker would never judge a window of fewer calls than its "
                "minimum; write {.minimum_calls = 10, .window_calls = 100}, 100000 at most");
  refuse_unless(
      settings.probes != 0 && settings.probes <= 1000,
      "penstock: CircuitBreaker needs 1 to 1000 probes to close again; write .probes = 3");
  refuse_unless(settings.probe_success_rate > 0 && settings.probe_success_rate <= 1,
                "penstock: CircuitBreaker closes when a share above 0 and at most 1 of its probes "
                "has succeeded; write .probe_success_rate = 1");
  refuse_unless(settings.window > Duration::zero() && settings.open_for > Duration::zero() &&
                    settings.probe_timeout >= std::chrono::milliseconds{1},
                "penstock: CircuitBreaker needs positive times and at least 1 ms for a probe; "
                "write {.window = 10s, .open_for = 30s, .probe_timeout = 60s}");
  refuse_unless(settings.open_growth >= 1 && settings.open_at_most > Duration::zero(),
                "penstock: CircuitBreaker stays open no shorter each time; write {.open_growth = "
                "2, .open_at_most = 10min}");
  refuse_unless(
      settings.ramp >= Duration::zero() && settings.ramp_from >= 0 && settings.ramp_from < 1,
      "penstock: CircuitBreaker lets a share from 0 to below 1 through when its ramp "
      "begins; write {.ramp = 30s, .ramp_from = 0.1}, or leave .ramp out for none");
  return settings;
}

[[nodiscard]] inline std::string describe(const CircuitBreakerOptions& settings) {
  const char* const joint = settings.trip_when == TripWhen::any_rule ? " or " : " and ";
  std::string text = "circuit_breaker(";
  const auto add_rule = [&text, joint, begin = text.size()](const std::string& rule) {
    if (text.size() != begin) text += joint;
    text += rule;
  };
  if (settings.failure_rate > 0) add_rule(to_text(settings.failure_rate * 100) + "%");
  if (settings.judges_slowness()) {
    add_rule(to_text(settings.slow_rate * 100) + "% slower than " + to_text(settings.slow_after));
  }
  if (settings.failure_rate > 0 || settings.judges_slowness()) {
    text += " of at least " + std::to_string(settings.minimum_calls);
    text += settings.window_calls == 0
                ? " calls in " + to_text(settings.window)
                : " of the last " + std::to_string(settings.window_calls) + " calls";
  }
  if (settings.consecutive_failures != 0) {
    add_rule(std::to_string(settings.consecutive_failures) + " failures in a row");
  }
  text += ", open " + to_text(settings.open_for);
  if (settings.open_growth > 1) {
    text += " growing x" + to_text(settings.open_growth) + " to " +
            to_text(std::max(settings.open_for, settings.open_at_most));
  }
  if (settings.open_jitter != Jitter::none)
    text.append(" with ").append(to_string(settings.open_jitter));
  text += ", " + std::to_string(settings.probes) + " probes of " + to_text(settings.probe_timeout);
  if (settings.probe_success_rate < 1) {
    text += ", " + to_text(settings.probe_success_rate * 100) + "% of them to close";
  }
  if (settings.lapsed_probe == LapsedProbe::failure) text += ", a lapsed one has failed";
  if (settings.ramp != Duration::zero()) {
    text += ", ramp " + to_text(settings.ramp) + " from " + to_text(settings.ramp_from * 100) + "%";
  }
  if (settings.mode == BreakerMode::dry_run) text += ", dry run";
  return text + ")";
}

}  // namespace penstock
