// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

namespace penstock {

using Duration = std::chrono::nanoseconds;

/// An instant of the monotonic clock. Wall time appears only where a protocol shows it.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;
static_assert(std::chrono::steady_clock::is_steady);

inline constexpr Time never = Time::max();

/// `when + delay`, clamped to [Time::min(), never]: a delay of Duration::max() means "never".
[[nodiscard]] constexpr Time saturating_add(Time when, Duration delay) noexcept {
  const auto ticks = when.time_since_epoch().count();
  if (delay.count() > 0 && ticks > Duration::max().count() - delay.count()) return never;
  if (delay.count() < 0 && ticks < Duration::min().count() - delay.count()) return Time::min();
  return when + delay;
}

/// `later - earlier`, never negative and never overflowing.
[[nodiscard]] constexpr Duration elapsed_between(Time earlier, Time later) noexcept {
  if (later <= earlier) return Duration::zero();
  const auto from = earlier.time_since_epoch().count();
  const auto to = later.time_since_epoch().count();
  if (from < 0 && to > Duration::max().count() + from) return Duration::max();
  return Duration{to - from};
}

}  // namespace penstock
