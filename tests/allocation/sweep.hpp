// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <thread>

#include "support/allocations.hpp"

namespace penstock::allocation {

using testing::fails_in;
using testing::has_failed;
using testing::live_blocks;

/// How one run of a scenario ended. It must end in one way, and once.
class Ending {
 public:
  void value() noexcept { ++values_; }
  void error() noexcept { ++errors_; }
  [[nodiscard]] int values() const noexcept { return values_; }
  [[nodiscard]] int errors() const noexcept { return errors_; }

 private:
  int values_ = 0;
  int errors_ = 0;
};

struct Sweep {
  std::size_t points = 0;     ///< allocations that were made to fail, each once
  std::size_t survivors = 0;  ///< of those, the ones that the scenario got over with a value
};

/// Runs `scenario(ending)` again and again, the first time with memory for everything, then with
/// its first allocation failing, then with its second, until one run makes no allocation that
/// could. Each run is in a thread of its own, whose frame cache is empty. Checks that every run
/// ends once, in a value, an error or `std::bad_alloc`, and that it leaks nothing.
template <class Scenario>
Sweep fail_each(const std::string& name, Scenario scenario) {
  Sweep sweep;
  // Allocates what the first use of anything allocates for good.
  std::thread{[&] {
    Ending ending;
    scenario(ending);
    EXPECT_EQ(ending.values(), 1) << name;
    EXPECT_EQ(ending.errors(), 0) << name;
  }}.join();
  for (std::size_t failing = 1;; ++failing) {
    SCOPED_TRACE(name + ", allocation " + std::to_string(failing) + " fails");
    Ending ending;
    bool failed = false;
    const std::int64_t before = live_blocks;
    std::thread{[&] {
      fails_in = failing;
      try {
        scenario(ending);
      } catch (const std::bad_alloc&) {
        ending.error();
      }
      fails_in = 0;
      failed = has_failed;
    }}.join();
    EXPECT_EQ(live_blocks, before) << "it leaks";
    EXPECT_EQ(ending.values() + ending.errors(), 1);
    if (!failed) {
      EXPECT_EQ(ending.values(), 1);
      return sweep;
    }
    ++sweep.points;
    sweep.survivors += static_cast<std::size_t>(ending.values());
  }
}

}  // namespace penstock::allocation
