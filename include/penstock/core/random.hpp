// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

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
    word = (word ^ (word >> 30U)) * 0xBF58476D1CE4E5B9U;
    word = (word ^ (word >> 27U)) * 0x94D049BB133111EBU;
    return word ^ (word >> 31U);
  }

 private:
  std::uint64_t state_;
};

/// The generator of one thread, seeded by its address and the clock, so that threads and restarts
/// differ. *One thread at a time.*
class ThreadRandom : public Random {
 public:
  ThreadRandom() noexcept
      : Random(mix(reinterpret_cast<std::uintptr_t>(this)) ^
               static_cast<std::uint64_t>(sync::now().time_since_epoch().count())) {}
};

/// 64 random bits from the calling thread's generator. No lock. *Safe from any thread.*
[[nodiscard]] inline std::uint64_t random_bits() noexcept {
  return sync::per_thread<ThreadRandom>()();
}

}  // namespace penstock
