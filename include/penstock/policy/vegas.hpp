// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include <penstock/core/time.hpp>
#include <penstock/policy/limit_window.hpp>
#include <penstock/policy/real.hpp>

namespace penstock {

/// Keeps a short queue at the other side, as TCP Vegas does (Brakmo, O'Malley, Peterson 1994; the
/// logarithmic thresholds are those of Netflix' concurrency-limits). The queue is what of the
/// limit the calls' time beyond the baseline accounts for. *Safe from any thread.* (Immutable.)
class Vegas {
 public:
  struct Options {
    LimitRange range{};
    BaselineOptions baseline{};
  };

  Vegas() : Vegas(Options{}) {}
  explicit Vegas(const Options& settings) : options_(settings) {
    static_cast<void>(validated(settings.range));
    static_cast<void>(validated(settings.baseline));
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
  [[nodiscard]] std::string describe() const { return "vegas " + to_text(options_.range); }

 private:
  static double next_limit(const LimitState& state) noexcept {
    if (state.drops != 0) return state.limit * 0.9;
    const double queue = state.limit * (1 - std::min(1.0, state.baseline / state.mean_rtt()));
    const double unit = std::max(1.0, decimal_logarithm(state.limit));
    if (queue > 6 * unit) return state.limit - unit;
    if (queue >= 3 * unit || !state.pressed()) return state.limit;
    return state.limit + (queue <= unit ? 6 * unit : unit);
  }

  Options options_;
};
static_assert(LimitRule<Vegas>);

}  // namespace penstock
