// SPDX-License-Identifier: MIT
// Replaces the global `operator new` of this program by one that fails when it is told to.
#include "allocation/sweep.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <new>

namespace {

namespace allocation = penstock::allocation;

void* give(std::size_t size, std::size_t alignment) noexcept {
  if (allocation::fails_in != 0 && --allocation::fails_in == 0) {
    allocation::has_failed = true;
    return nullptr;
  }
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size == 0 ? 1 : size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory != nullptr) ++allocation::live_blocks;
  return memory;
}
void* give_or_throw(std::size_t size, std::size_t alignment) {
  if (void* const memory = give(size, alignment)) return memory;
  throw std::bad_alloc{};
}
void take(void* memory) noexcept {
  if (memory != nullptr) --allocation::live_blocks;
  std::free(memory);
}

}  // namespace

// The array forms of the standard library call these.
void* operator new(std::size_t size) {
  return give_or_throw(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return give_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return give(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return give(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  take(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  take(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  take(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  take(memory);
}

namespace penstock {
namespace {

TEST(sweep, counts_the_allocations_of_a_scenario) {
  const auto sweep = allocation::fail_each("two blocks", [](allocation::Ending& ending) {
    const auto first = std::make_unique<int>(1);
    const auto second = std::make_unique<int>(*first);
    ending.value();
  });
  EXPECT_EQ(sweep.points, 2U);
  EXPECT_EQ(sweep.survivors, 0U);
}

}  // namespace
}  // namespace penstock
