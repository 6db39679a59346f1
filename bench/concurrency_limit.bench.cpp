// SPDX-License-Identifier: MIT
// One limit for all threads: a place taken and given back in one word, beside a counter behind a
// mutex, which takes its lock twice.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <mutex>

#include <penstock/layer/concurrency_limit.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

constexpr std::uint32_t places = 1000;

class MutexLimit {
 public:
  bool try_acquire() {
    const std::lock_guard lock{mutex_};
    if (in_flight_ >= places) return false;
    ++in_flight_;
    return true;
  }
  void release() {
    const std::lock_guard lock{mutex_};
    --in_flight_;
  }

 private:
  std::mutex mutex_;
  std::uint32_t in_flight_ = 0;
};

void mutex_limit(benchmark::State& state) {
  static MutexLimit limit;
  for (auto _ : state) {
    if (!limit.try_acquire()) state.SkipWithError("refused");
    limit.release();
  }
}
BENCHMARK(mutex_limit)->Threads(1)->Threads(2)->UseRealTime();

void concurrency_limit_place(benchmark::State& state) {
  static ConcurrencyLimit limit{{.max_in_flight = places}};
  const bench::AllocationCounter allocations{state};
  for (auto _ : state) {
    auto permit = limit.try_acquire();
    if (!permit) state.SkipWithError("refused");
  }
  bench::compare_with(state, "mutex_limit");
}
BENCHMARK(concurrency_limit_place)->Threads(1)->Threads(2)->UseRealTime();

void full_limit_refusal(benchmark::State& state) {
  static ConcurrencyLimit limit{{.max_in_flight = 1}};
  static const auto held = limit.try_acquire();
  const bench::AllocationCounter allocations{state};
  for (auto _ : state) {
    if (limit.try_acquire()) state.SkipWithError("admitted");
  }
}
BENCHMARK(full_limit_refusal)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace penstock
