// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <penstock/core/time.hpp>

namespace penstock {

/// "10", "0.25", "1000000": at most ten significant digits, no trailing zeros.
[[nodiscard]] inline std::string to_text(double number) {
  std::array<char, 32> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.10g", number);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

/// "250ms", "90s", "24h": the coarsest unit that shows the value exactly; "forever" for
/// `Duration::max()`.
[[nodiscard]] inline std::string to_text(Duration duration) {
  struct Unit {
    std::int64_t nanoseconds;
    std::string_view name;
  };
  constexpr std::array<Unit, 6> units{{{3'600'000'000'000, "h"},
                                       {60'000'000'000, "min"},
                                       {1'000'000'000, "s"},
                                       {1'000'000, "ms"},
                                       {1'000, "us"},
                                       {1, "ns"}}};
  if (duration == Duration::max()) return "forever";
  if (duration == Duration::zero()) return "0s";
  for (const Unit& unit : units) {
    if (duration.count() % unit.nanoseconds == 0) {
      return std::to_string(duration.count() / unit.nanoseconds).append(unit.name);
    }
  }
  return {};
}

}  // namespace penstock
