// SPDX-License-Identifier: MIT
// One breaker for all threads: published in one word beside the same breaker behind a mutex.
#include <benchmark/benchmark.h>

#include <mutex>

#include <penstock/core/sync.hpp>
#include <penstock/policy/circuit_breaker.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

void pass(CircuitBreaker& breaker, benchmark::State& state) {
  const Time now = sync::now();
  Result<CircuitBreaker::Permit> permit = breaker.admit(now);
  if (!permit) return state.SkipWithError("refused");
  permit->settle(Outcome::success, now);
}

void mutex_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{}};
  static std::mutex mutex;
  for (auto _ : state) {
    const std::lock_guard lock{mutex};
    pass(breaker, state);
  }
}
BENCHMARK(mutex_breaker)->Threads(1)->Threads(2)->UseRealTime();

void circuit_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{}};
  for (auto _ : state) pass(breaker, state);
}
BENCHMARK(circuit_breaker)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace penstock
