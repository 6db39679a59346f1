// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/mix.hpp>
#include <penstock/core/sync.hpp>

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
    return mix_bits(word);
  }

 private:
  std::uint64_t state_;
};

/// 64 random bits from a generator of this thread, seeded by its address and the clock, so that
/// threads and restarts differ. No lock. *Safe from any thread.*
[[nodiscard]] inline std::uint64_t random_bits() noexcept {
  static thread_local Random random = [] {
    static thread_local const char here = 0;
    const auto address = reinterpret_cast<std::uintptr_t>(&here);
    const auto ticks = static_cast<std::uint64_t>(sync::now().time_since_epoch().count());
    return Random{Random::mix(address) ^ ticks};
  }();
  return random();
}

}  // namespace penstock
