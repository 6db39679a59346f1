// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

#include <penstock/core/time.hpp>
#include <penstock/policy/limit_window.hpp>

namespace penstock {

/// Additive increase, multiplicative decrease (Chiu and Jain 1989, as TCP does): one more call
/// in flight per window that pressed the limit, a tenth fewer at each sign of overload. Knows no
/// latency but the one it is told is too long. *Safe from any thread.* (Immutable.)
class Aimd {
 public:
  struct Options {
    LimitRange range{};
    double increase = 1;                  ///< above 0
    double decrease = 0.9;                ///< factor, above 0 and below 1
    Duration too_long = Duration::max();  ///< a window's mean above this is overload
  };

  Aimd() : Aimd(Options{}) {}
  explicit Aimd(const Options& settings) : options_(settings) {
    static_cast<void>(validated(settings.range));
    if (!(settings.increase > 0) || !(settings.decrease > 0 && settings.decrease < 1)) {
      throw std::invalid_argument(
          "penstock: Aimd needs a positive increase and a decrease between 0 and 1; write "
          "Aimd{{.increase = 1, .decrease = 0.9}}");
    }
  }

  [[nodiscard]] LimitState initial() const noexcept {
    return {.limit = static_cast<double>(options_.range.initial)};
  }
  [[nodiscard]] LimitState step(LimitState state, Time now, LimitSample sample) const noexcept {
    if (!collect(state, options_.range, now, sample)) return state;
    const bool overload =
        state.drops != 0 || state.mean_rtt() > static_cast<double>(options_.too_long.count());
    double limit = state.limit;
    if (overload) {
      limit *= options_.decrease;
    } else if (state.pressed()) {
      limit += options_.increase;
    }
    return decided(state, options_.range, now, limit);
  }
  [[nodiscard]] const LimitRange& range() const noexcept { return options_.range; }
  [[nodiscard]] std::string describe() const { return "aimd " + to_text(options_.range); }

 private:
  Options options_;
};
static_assert(LimitRule<Aimd>);

}  // namespace penstock
