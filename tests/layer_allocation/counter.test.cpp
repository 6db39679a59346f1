// SPDX-License-Identifier: MIT
// Replaces the global operator new of this program by one that counts. In a file of its own, where
// no compiler can pair the one with the other.
#include "layer_allocation/counter.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

thread_local std::uint64_t made = 0;

void* counted(std::size_t size) noexcept {
  ++made;
  return std::malloc(size == 0 ? 1 : size);
}

}  // namespace

void* operator new(std::size_t size) {
  if (void* const memory = counted(size)) return memory;
  throw std::bad_alloc{};
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

std::uint64_t penstock::testing::allocations() noexcept {
  return made;
}
