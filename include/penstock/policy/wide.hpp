// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace penstock {

__extension__ typedef unsigned __int128 uint128;

/// floor(a * b / c), exact, or the largest number there is if it is larger. c is not 0.
[[nodiscard]] constexpr std::uint64_t multiply_divide_down(std::uint64_t a,
                                                           std::uint64_t b,
                                                           std::uint64_t c) noexcept {
  const uint128 quotient = uint128{a} * b / c;
  return quotient >> 64 != 0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(quotient);
}

/// ceil(a * b / c), exact, or the largest number there is if it is larger. c is not 0.
[[nodiscard]] constexpr std::uint64_t multiply_divide_up(std::uint64_t a,
                                                         std::uint64_t b,
                                                         std::uint64_t c) noexcept {
  const uint128 product = uint128{a} * b;
  const uint128 quotient = product == 0 ? 0 : (product - 1) / c + 1;
  return quotient >> 64 != 0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(quotient);
}

/// Maps 64 uniform bits to a whole number in [0, most]. The bias is below most / 2^64
/// (Lemire 2019, "Fast random integer generation in an interval", without its rejection step).
[[nodiscard]] constexpr std::uint64_t scale_random(std::uint64_t random,
                                                   std::uint64_t most) noexcept {
  return static_cast<std::uint64_t>((uint128{random} * (uint128{most} + 1)) >> 64);
}

}  // namespace penstock
