// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>

#include <penstock/exec/fiber.hpp>

namespace penstock::exec {
namespace {

// What a fiber does is told by a function without captures.
struct Pair {
  Fiber here;
  Fiber* there = nullptr;
  int value = 0;
  std::string caught{};

  void enter() noexcept { there->switch_from(here); }
  void leave() noexcept { here.switch_from(*there); }
};

TEST(fiber, goes_on_where_it_left_with_what_it_had) {
  Pair pair;
  OwnFiber counts{[](void* argument) noexcept {
                    auto& self = *static_cast<Pair*>(argument);
                    for (int local = 1;; local *= 2) {
                      self.value = local;
                      self.leave();
                    }
                  },
                  &pair};
  pair.there = &counts;
  for (const int expected : {1, 2, 4, 8}) {
    pair.enter();
    EXPECT_EQ(pair.value, expected);
  }
}

// Floating point needs the alignment that the calling convention promises.
TEST(fiber, begins_on_an_aligned_stack_however_the_memory_ends) {
  for (std::size_t shorter = 0; shorter < 32; ++shorter) {
    Pair pair;
    const FiberStack stack;
    Fiber aligned;
    aligned.prepare(
        stack.base(),
        FiberStack::bytes - shorter,
        [](void* argument) noexcept {
          auto& self = *static_cast<Pair*>(argument);
          alignas(16) std::array<std::byte, 16> local{};
          self.value = reinterpret_cast<std::uintptr_t>(local.data()) % 16 == 0 ? 1 : 2;
          self.leave();
        },
        &pair);
    pair.there = &aligned;
    pair.enter();
    EXPECT_EQ(pair.value, 1) << shorter;
  }
}

TEST(fiber, keeps_the_exceptions_it_is_handling_to_itself) {
  Pair pair;
  OwnFiber throws{[](void* argument) noexcept {
                    auto& self = *static_cast<Pair*>(argument);
                    for (;;) {
                      try {
                        throw std::runtime_error{"there"};
                      } catch (...) {
                        self.leave();
                        try {
                          throw;
                        } catch (const std::exception& mine) {
                          self.caught = mine.what();
                        }
                      }
                      self.leave();
                    }
                  },
                  &pair};
  pair.there = &throws;
  try {
    throw 7;
  } catch (int) {
    pair.enter();
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    try {
      throw 8;
    } catch (int mine) {
      pair.enter();
      EXPECT_EQ(mine, 8);
    }
    EXPECT_EQ(pair.caught, "there");
    EXPECT_THROW(throw, int);
  }
}

TEST(fiber, that_is_prepared_again_begins_anew) {
  Pair pair;
  const FiberStack stack;
  Fiber again;
  pair.there = &again;
  for (int round = 1; round <= 3; ++round) {
    again.prepare(
        stack.base(),
        FiberStack::bytes,
        [](void* argument) noexcept {
          auto& self = *static_cast<Pair*>(argument);
          ++self.value;
          self.leave();
        },
        &pair);
    pair.enter();
    EXPECT_EQ(pair.value, round);
  }
}

}  // namespace
}  // namespace penstock::exec
