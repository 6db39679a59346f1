// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace penstock::testing::explorer {

inline constexpr unsigned max_threads = 8;

/// How far each thread is known to have come (Mattern 1989, Fidge 1988): what a thread has learnt
/// happened before what it does next.
struct VectorClock {
  std::array<std::uint32_t, max_threads> at{};

  void join(const VectorClock& other) noexcept {
    for (unsigned thread = 0; thread < max_threads; ++thread)
      at[thread] = std::max(at[thread], other.at[thread]);
  }
  [[nodiscard]] bool knows(unsigned thread, std::uint32_t instant) const noexcept {
    return instant <= at[thread];
  }
};

/// Memory for the engine's own books, never from the arena that it watches.
template <class T>
struct SystemAllocator {
  using value_type = T;
  SystemAllocator() noexcept = default;
  template <class Other>
  SystemAllocator(const SystemAllocator<Other>&) noexcept {}
  [[nodiscard]] T* allocate(std::size_t count) {
    if (void* const memory = std::malloc(count * sizeof(T))) return static_cast<T*>(memory);
    throw std::bad_alloc{};
  }
  void deallocate(T* memory, std::size_t) noexcept { std::free(memory); }
  friend bool operator==(SystemAllocator, SystemAllocator) noexcept { return true; }
};
template <class T>
using SystemVector = std::vector<T, SystemAllocator<T>>;

/// One round of SplitMix64: chains what happened into one word.
[[nodiscard]] constexpr std::uint64_t chain(std::uint64_t past, std::uint64_t event) noexcept {
  std::uint64_t word = past ^ (event + 0x9E3779B97F4A7C15U + (past << 6U) + (past >> 2U));
  word = (word ^ (word >> 30U)) * 0xBF58476D1CE4E5B9U;
  word = (word ^ (word >> 27U)) * 0x94D049BB133111EBU;
  return word ^ (word >> 31U);
}

}  // namespace penstock::testing::explorer
