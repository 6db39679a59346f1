// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/mix.hpp>

namespace penstock {

/// SplitMix64 (Steele, Lea, Flood 2014): 64 uniform bits per step, good enough for jitter and
/// sampling, never for secrets. *Not synchronized.*
class Random {
 public:
  constexpr explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  [[nodiscard]] constexpr std::uint64_t operator()() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    return mix_bits(state_);
  }

 private:
  std::uint64_t state_;
};

}  // namespace penstock
