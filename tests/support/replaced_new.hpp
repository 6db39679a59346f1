// SPDX-License-Identifier: MIT
#pragma once

// Replaces the global `operator new` by one that counts, and fails when it is told to. For exactly
// one source of a program.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "allocations.hpp"

namespace {

namespace counters = penstock::testing;

void* give(std::size_t size, std::size_t alignment) noexcept {
  ++counters::allocations_here;
  counters::bytes_asked_here += size;
  counters::allocations_everywhere.fetch_add(1, std::memory_order_relaxed);
  if (counters::fails_in != 0 && --counters::fails_in == 0) {
    counters::has_failed = true;
    if (counters::as_it_fails != nullptr) counters::as_it_fails();
    return nullptr;
  }
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size == 0 ? 1 : size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory != nullptr) counters::live_blocks.fetch_add(1, std::memory_order_relaxed);
  return memory;
}
void* give_or_throw(std::size_t size, std::size_t alignment) {
  if (void* const memory = give(size, alignment)) return memory;
  throw std::bad_alloc{};
}
void take(void* memory) noexcept {
  if (memory != nullptr) counters::live_blocks.fetch_sub(1, std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

// The array forms of the standard library call these. Out of line, all of them: g++ 12
// warns where it has inlined one half of a pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  return give_or_throw(size, 1);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return give_or_throw(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return give(size, 1);
}
[[gnu::noinline]] void* operator new(std::size_t size,
                                     std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  return give(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  take(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  take(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  take(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  take(memory);
}
