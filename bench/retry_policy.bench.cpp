// SPDX-License-Identifier: MIT
// A decision by the table of rules beside one written as a switch.
#include <benchmark/benchmark.h>

#include <chrono>

#include <penstock/core/random.hpp>
#include <penstock/policy/retry_policy.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

void hand_written_switch(benchmark::State& state) {
  Random random{1};
  unsigned attempt = 0;
  for (auto _ : state) {
    ErrorKind kind = ErrorKind::timeout;
    benchmark::DoNotOptimize(kind);
    Duration wait{};
    switch (kind) {
      case ErrorKind::timeout:
        wait = 2s * (1U << (attempt % 3));
        break;
      case ErrorKind::unavailable:
        wait = 1s;
        break;
      case ErrorKind::rate_limited:
        wait = 1s * (attempt % 10);
        break;
      default:
        state.SkipWithError("not retried");
    }
    wait += Duration{static_cast<std::int64_t>(random() % 500'000'000)};
    ++attempt;
    benchmark::DoNotOptimize(wait);
  }
}
BENCHMARK(hand_written_switch);

void retry_policy(benchmark::State& state) {
  const RetryPolicy policy = RetryPolicy::standard();
  Random random{1};
  for (auto _ : state) {
    RetryPolicy::State spent{};
    ErrorKind kind = ErrorKind::timeout;
    benchmark::DoNotOptimize(kind);
    const auto decision = policy.next(spent, kind, std::nullopt, Time{}, Time{}, never, random());
    if (!decision.again) state.SkipWithError("not retried");
    benchmark::DoNotOptimize(decision);
  }
}
BENCHMARK(retry_policy);

}  // namespace
}  // namespace penstock
