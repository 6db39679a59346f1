// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include <penstock/core/time.hpp>
#include <penstock/policy/limit_window.hpp>
#include <penstock/policy/real.hpp>

namespace penstock {

/// Scales the limit by how much longer calls take than unhindered ones (the gradient of Netflix'
/// concurrency-limits and of Envoy), plus room for a queue that grows with its square root.
/// *Safe from any thread.* (Immutable.)
///
/// Where Gradient2 compares with a long-term average, which follows an incident, this one
/// compares with a baseline that does not (`BaselineOptions`).
class Gradient2 {
 public:
  struct Options {
    LimitRange range{};
    BaselineOptions baseline{};
    double tolerance = 1.5;  ///< times the baseline that are no sign of a queue: 1 at least
    double smoothing = 0.2;  ///< share of a new limit in the next: above 0, at most 1
  };

  Gradient2() : Gradient2(Options{}) {}
  explicit Gradient2(const Options& settings) : options_(settings) {
    static_cast<void>(validated(settings.range));
    static_cast<void>(validated(settings.baseline));
    if (!(settings.tolerance >= 1) || !(settings.smoothing > 0 && settings.smoothing <= 1)) {
      throw std::invalid_argument(
          "penstock: Gradient2 needs a tolerance of 1 at least and a smoothing above 0 and at most "
          "1; write Gradient2{{.tolerance = 1.5, .smoothing = 0.2}}");
    }
  }

  [[nodiscard]] LimitState initial() const noexcept {
    return {.limit = static_cast<double>(options_.range.initial)};
  }
  [[nodiscard]] LimitState step(LimitState state, Time now, LimitSample sample) const noexcept {
    if (!collect(state, options_.range, now, sample)) return state;
    state.baseline = baseline_after(state, options_.baseline, now);
    const double limit = probing(state, options_.baseline, next_limit(state));
    return decided(state, options_.range, now, limit);
  }
  [[nodiscard]] const LimitRange& range() const noexcept { return options_.range; }
  [[nodiscard]] std::string describe() const { return "gradient2 " + to_text(options_.range); }

 private:
  [[nodiscard]] double next_limit(const LimitState& state) const noexcept {
    if (state.drops != 0) return state.limit * 0.9;
    const double gradient =
        std::clamp(options_.tolerance * state.baseline / state.mean_rtt(), 0.5, 1.0);
    const double wanted = state.limit * gradient + square_root(state.limit);
    const double next = state.limit + (wanted - state.limit) * options_.smoothing;
    return next > state.limit && !state.pressed() ? state.limit : next;
  }

  Options options_;
};
static_assert(LimitRule<Gradient2>);

}  // namespace penstock
