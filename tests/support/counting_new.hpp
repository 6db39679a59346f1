// SPDX-License-Identifier: MIT
#pragma once

// Replaces the global `operator new` by one that counts. For exactly one source of a program.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "allocations.hpp"

namespace {

void* counted(std::size_t size, std::size_t alignment) noexcept {
  ++penstock::testing::allocations_here;
  penstock::testing::bytes_asked_here += size;
  penstock::testing::allocations_everywhere.fetch_add(1, std::memory_order_relaxed);
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
void* counted_or_throw(std::size_t size, std::size_t alignment) {
  if (void* const memory = counted(size, alignment)) return memory;
  throw std::bad_alloc{};
}

}  // namespace

// The array forms of the standard library call these. Out of line, all of them: g++ 12
// warns where it has inlined one half of a pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  return counted_or_throw(size, 1);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size, 1);
}
[[gnu::noinline]] void* operator new(std::size_t size,
                                     std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
