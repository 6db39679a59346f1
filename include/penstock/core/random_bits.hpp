// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/random.hpp>
#include <penstock/core/sync.hpp>

namespace penstock {

/// The generator of one thread, seeded by its address and the clock, so that threads and restarts
/// differ. *One thread at a time.*
class ThreadRandom : public Random {
 public:
  ThreadRandom() noexcept
      : Random(mix_bits(reinterpret_cast<std::uintptr_t>(this)) ^
               static_cast<std::uint64_t>(sync::now().time_since_epoch().count())) {}
};

/// 64 random bits from the calling thread's generator. No lock. *Safe from any thread.*
[[nodiscard]] inline std::uint64_t random_bits() noexcept {
  return sync::per_thread<ThreadRandom>()();
}

}  // namespace penstock
