// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>
#include <penstock/policy/wide.hpp>

namespace penstock {

/// How a wait d, already within its cap, is spread so that callers that failed together do not
/// come back together. Every draw stays within the cap, and at the cap it still spreads.
enum class Jitter : std::uint8_t {
  none,    ///< d
  full,    ///< [0, d]: fewest calls in total (Brooker, "Exponential backoff and jitter", AWS 2015)
  equal,   ///< [d/2, d]: never at once
  spread,  ///< [3d/4, 5d/4], cut at the cap: keeps the mean
};

[[nodiscard]] constexpr std::string_view to_string(Jitter jitter) noexcept {
  switch (jitter) {
    case Jitter::none:
      return "no jitter";
    case Jitter::full:
      return "full jitter";
    case Jitter::equal:
      return "equal jitter";
    case Jitter::spread:
      return "spread jitter";
  }
  return "unknown";
}

/// How long to wait before the n-th retry. A plain value; every function is total: a negative
/// time counts as none, a factor below 1 (or no number) as 1, and nothing overflows.
struct Backoff {
  enum class Kind : std::uint8_t { none, fixed, linear, exponential, decorrelated };

  Kind kind = Kind::none;
  Duration base{};
  Duration cap = Duration::max();
  double factor = 2;  ///< exponential only

  [[nodiscard]] static constexpr Backoff none() noexcept { return {}; }
  /// first, first, first, …
  [[nodiscard]] static constexpr Backoff fixed(Duration first) noexcept {
    return {Kind::fixed, first};
  }
  /// first, 2 first, 3 first, …
  [[nodiscard]] static constexpr Backoff linear(Duration first,
                                                Duration most = Duration::max()) noexcept {
    return {Kind::linear, first, most};
  }
  /// first, first * growth, first * growth^2, …
  [[nodiscard]] static constexpr Backoff exponential(Duration first,
                                                     Duration most = Duration::max(),
                                                     double growth = 2) noexcept {
    return {Kind::exponential, first, most, growth};
  }
  /// Uniform in [first, 3 * the wait before] (same source as `Jitter::full`). It is its own
  /// jitter; a `Jitter` beside it is not used.
  [[nodiscard]] static constexpr Backoff decorrelated(Duration first,
                                                      Duration most = Duration::max()) noexcept {
    return {Kind::decorrelated, first, most};
  }

  struct Interval {
    Duration least;
    Duration most;
    friend constexpr bool operator==(Interval, Interval) noexcept = default;
  };

  /// From where to where `wait` draws. `retry` is 1 for the first; `previous` is the wait
  /// before this one, zero if there was none.
  [[nodiscard]] constexpr Interval interval(std::uint32_t retry,
                                            Duration previous,
                                            Jitter jitter) const noexcept {
    const Duration limit = std::max(cap, Duration::zero());
    if (kind == Kind::decorrelated) {
      const Duration least = std::clamp(base, Duration::zero(), limit);
      const Duration before = std::max(previous, least);
      return {least, before > limit / 3 ? limit : std::max(before * 3, least)};
    }
    const Duration wanted = nominal(retry);
    switch (jitter) {
      case Jitter::none:
        break;
      case Jitter::full:
        return {Duration::zero(), wanted};
      case Jitter::equal:
        return {wanted / 2, wanted};
      case Jitter::spread:
        return {wanted - wanted / 4, wanted + std::min(wanted / 4, limit - wanted)};
    }
    return {wanted, wanted};
  }

  /// The wait itself: uniform in `interval`, both ends included, by 64 uniform bits.
  [[nodiscard]] constexpr Duration wait(std::uint32_t retry,
                                        Duration previous,
                                        std::uint64_t random,
                                        Jitter jitter = Jitter::full) const noexcept {
    const Interval range = interval(retry, previous, jitter);
    const auto width = static_cast<std::uint64_t>((range.most - range.least).count());
    return range.least + Duration{static_cast<std::int64_t>(scale_random(random, width))};
  }

  [[nodiscard]] std::string describe() const {
    const std::string ending = cap == Duration::max() ? ")" : ", cap " + to_text(cap) + ")";
    switch (kind) {
      case Kind::none:
        break;
      case Kind::fixed:
        return "fixed(" + to_text(base) + ending;
      case Kind::linear:
        return "linear(" + to_text(base) + ending;
      case Kind::exponential:
        return "exponential(" + to_text(base) + ", x" + to_text(factor) + ending;
      case Kind::decorrelated:
        return "decorrelated(" + to_text(base) + ending;
    }
    return "none";
  }

 private:
  // The wait without jitter, within the cap.
  [[nodiscard]] constexpr Duration nominal(std::uint32_t retry) const noexcept {
    const Duration limit = std::max(cap, Duration::zero());
    const Duration first = std::clamp(base, Duration::zero(), limit);
    const std::int64_t count = std::max<std::int64_t>(retry, 1);
    switch (kind) {
      case Kind::none:
        return Duration::zero();
      case Kind::fixed:
        return first;
      case Kind::linear:
        return first > limit / count ? limit : first * count;
      case Kind::exponential:
        break;
      case Kind::decorrelated:
        return first;
    }
    // By squaring; a power above 2^64 is as good as any larger one, so nothing reaches infinity
    // and the cast below stays in range (an out-of-range cast would be undefined).
    constexpr double huge = 18446744073709551616.0;
    double growth = 1;
    double power = factor > 1 ? std::min(factor, huge) : 1;
    for (std::int64_t left = count - 1; left != 0; left >>= 1) {
      if ((left & 1) != 0) growth = std::min(growth * power, huge);
      power = std::min(power * power, huge);
    }
    const double wanted = static_cast<double>(first.count()) * growth;
    if (wanted >= static_cast<double>(limit.count())) return limit;
    return Duration{static_cast<std::int64_t>(wanted)};
  }
};

}  // namespace penstock
