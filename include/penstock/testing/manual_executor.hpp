// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/time.hpp>
#include <penstock/exec/simulation.hpp>

namespace penstock::testing {

/// The simulation of tests that tell a story: jobs run in the order they were posted, and time
/// goes as far as the test says. *One thread at a time.*
class ManualExecutor final : public Simulation {
 public:
  explicit ManualExecutor(std::uint64_t seed = 1)
      : Simulation({.seed = seed, .order = Order::arrival}) {}

  /// Runs everything that is due up to `until`, then stands at that instant.
  void run_until(Time until) noexcept { static_cast<void>(run(until)); }
};

}  // namespace penstock::testing
