// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace penstock {

/// SplitMix64 (Steele, Lea, Flood 2014): 64 uniform bits per step, good enough for jitter and
/// sampling, never for secrets. *Not synchronized.*
class Random {
 public:
  constexpr explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  [[nodiscard]] constexpr std::uint64_t operator()() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    return mix(state_);
  }
  [[nodiscard]] static constexpr std::uint64_t mix(std::uint64_t word) noexcept {
    word = (word ^ (word >> 30U)) * 0xBF58476D1CE4E5B9U;
    word = (word ^ (word >> 27U)) * 0x94D049BB133111EBU;
    return word ^ (word >> 31U);
  }

 private:
  std::uint64_t state_;
};

}  // namespace penstock
