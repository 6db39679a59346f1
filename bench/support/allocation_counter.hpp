// SPDX-License-Identifier: MIT
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>

#include "../../tests/support/allocations.hpp"

namespace penstock::bench {

/// Reports `allocs_per_op`: what is allocated from here to the end of the scope, per iteration.
/// `By::anyone` belongs to benchmarks that have threads of their own, and that run alone.
class AllocationCounter {
 public:
  enum class By : unsigned char { this_thread, anyone };

  explicit AllocationCounter(benchmark::State& state, By by = By::this_thread)
      : state_(state),
        by_(by),
        before_(count()) {}
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;
  ~AllocationCounter() {
    const auto made = static_cast<double>(count() - before_);
    state_.counters["allocs_per_op"] = benchmark::Counter(
        made / static_cast<double>(state_.iterations()), benchmark::Counter::kAvgThreads);
  }

 private:
  [[nodiscard]] std::uint64_t count() const noexcept {
    return by_ == By::this_thread ? testing::allocations_here
                                  : testing::allocations_everywhere.load(std::memory_order_relaxed);
  }
  benchmark::State& state_;
  By by_;
  std::uint64_t before_;
};

}  // namespace penstock::bench
