// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include <penstock/core/error.hpp>

namespace penstock {

/// A set of error kinds, in one word: which of them a policy acts on. Finer than `OutcomeSet`,
/// which sees all our own refusals as one `neutral`.
class ErrorSet {
 public:
  constexpr ErrorSet() noexcept = default;
  constexpr ErrorSet(std::initializer_list<ErrorKind> kinds) noexcept {
    for (const ErrorKind kind : kinds) bits_ |= bit(kind);
  }
  [[nodiscard]] constexpr bool contains(ErrorKind kind) const noexcept {
    return (bits_ & bit(kind)) != 0;
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
  [[nodiscard]] constexpr bool overlaps(ErrorSet other) const noexcept {
    return (bits_ & other.bits_) != 0;
  }
  friend constexpr bool operator==(ErrorSet, ErrorSet) noexcept = default;

 private:
  static constexpr std::uint32_t bit(ErrorKind kind) noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(kind);
  }
  std::uint32_t bits_ = 0;
};

/// The other side, or the way to it, is in trouble that is not the caller's doing: a failure of
/// it, or a refusal by something that guards it.
inline constexpr ErrorSet outages{ErrorKind::transient,
                                  ErrorKind::unavailable,
                                  ErrorKind::rate_limited,
                                  ErrorKind::timeout,
                                  ErrorKind::quota,
                                  ErrorKind::exception,
                                  ErrorKind::circuit_open,
                                  ErrorKind::limited,
                                  ErrorKind::overloaded,
                                  ErrorKind::budget_exhausted};

/// "transient|timeout", in the order of `ErrorKind`; "outages" for exactly those; "nothing".
[[nodiscard]] inline std::string to_string(ErrorSet set) {
  if (set == outages) return "outages";
  std::string text;
  for (unsigned index = 0; index <= static_cast<unsigned>(ErrorKind::closed); ++index) {
    const auto kind = static_cast<ErrorKind>(index);
    if (!set.contains(kind)) continue;
    if (!text.empty()) text += '|';
    text += to_string(kind);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace penstock
