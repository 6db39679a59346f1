// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>
#include <penstock/policy/wide.hpp>

namespace penstock {

/// A rate that climbs evenly from a share of itself to the whole, told as a clock that runs
/// slowly at first: what refills by this clock refills at that rate. *Safe from any thread.*
/// (Immutable.)
///
/// The slowed clock never runs faster than time itself, so a bucket that follows it grants no
/// more than one that does not. Exact to the nanosecond.
class SlowStart {
 public:
  struct Options {
    Duration ramp{};  ///< how long the rate climbs, at most 24 h; 0: no slow start
    Duration idle = std::chrono::minutes{1};  ///< it starts anew after being full for so long
    double share = 0.1;                       ///< of the rate to start with: 0.01 to 1
  };

  explicit SlowStart(Options settings) : options_(settings) {
    if (settings.ramp < Duration::zero() || settings.ramp > std::chrono::hours{24} ||
        settings.idle < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: a slow start climbs for 0 to 24 h and follows an idle time that is not "
          "negative; write .slow_start = {.ramp = 30s, .idle = 1min}");
    }
    if (!(settings.share >= 0.01 && settings.share <= 1)) {
      throw std::invalid_argument(
          "penstock: a slow start begins with a share of 0.01 to 1 of the rate; write .slow_start "
          "= {.ramp = 30s, .share = 0.1}");
    }
    // Rounded up, so that the clock is never ahead.
    lag_thousandths_ = std::uint64_t{1000} - static_cast<std::uint64_t>(settings.share * 1000);
  }

  [[nodiscard]] bool enabled() const noexcept { return options_.ramp > Duration::zero(); }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// The slowed clock at `now`, for a rate that began to climb at `began`.
  [[nodiscard]] Time slowed(Time began, Time now) const noexcept {
    return saturating_add(now, -lag(elapsed_between(began, now)));
  }
  /// The first instant at which the slowed clock shows `shown` or more.
  [[nodiscard]] Time instant(Time began, Time shown) const noexcept {
    // lag() never falls and never exceeds its end, so the instant lies between these two.
    Time early = shown;
    Time late = saturating_add(shown, lag(options_.ramp));
    while (early < late) {
      const Time middle = early + (late - early) / 2;
      if (slowed(began, middle) >= shown) {
        late = middle;
      } else {
        early = middle + Duration{1};
      }
    }
    return late;
  }

  [[nodiscard]] std::string describe() const {
    return "from " + to_text(options_.share * 100) + "% within " + to_text(options_.ramp) +
           " after " + to_text(options_.idle) + " idle";
  }

 private:
  // How far the slowed clock is behind, `since` its rate began to climb: the integral of what is
  // missing of the rate, (1 - share) * (since - since^2 / (2 * ramp)). Rounded up.
  [[nodiscard]] Duration lag(Duration since) const noexcept {
    const auto ramp = static_cast<std::uint64_t>(options_.ramp.count());
    const auto passed = std::min(static_cast<std::uint64_t>(since.count()), ramp);
    if (passed == 0) return Duration::zero();
    // At most (24 h)^2 * 1000 ns^2, far below 2^128.
    const uint128 missing = (uint128{2} * ramp - passed) * passed * lag_thousandths_;
    const uint128 whole = uint128{2} * ramp * 1000;
    return Duration{static_cast<std::int64_t>((missing + whole - 1) / whole)};
  }

  Options options_;
  std::uint64_t lag_thousandths_{};  // what is missing of the rate at the start
};

}  // namespace penstock
