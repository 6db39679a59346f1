// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace penstock {

/// Spreads every bit of a word over all others: what SplitMix64 (Steele, Lea, Flood 2014) puts
/// out for this state. For hashes and for chance made of what is at hand.
[[nodiscard]] constexpr std::uint64_t mix_bits(std::uint64_t word) noexcept {
  word = (word ^ (word >> 30U)) * 0xBF58476D1CE4E5B9U;
  word = (word ^ (word >> 27U)) * 0x94D049BB133111EBU;
  return word ^ (word >> 31U);
}

}  // namespace penstock
