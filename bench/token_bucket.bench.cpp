// SPDX-License-Identifier: MIT
// One bucket for all threads: one atomic word beside the same arithmetic behind a mutex, which
// falls further where two threads share it (trap 28).
#include <benchmark/benchmark.h>

#include <chrono>
#include <mutex>

#include <penstock/core/sync.hpp>
#include <penstock/policy/token_bucket.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Never short, so that every take is granted and checked.
constexpr TokenBucket::Options plenty{.rate = 1e9, .per = 1s, .burst = 1e9};

class MutexBucket {
 public:
  TokenBucket::Take try_take(Time now) {
    const std::lock_guard lock{mutex_};
    const Gcra::Answer answer = gcra_.take(state_, now, Duration::zero(), 1);
    state_ = answer.state;
    return answer.take;
  }

 private:
  std::mutex mutex_;
  Gcra gcra_{1e9, 1s, 1e9};
  Gcra::State state_{};
};

void bare_clock_read(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(sync::now());
}
BENCHMARK(bare_clock_read)->Threads(1)->Threads(2)->UseRealTime();

void mutex_bucket(benchmark::State& state) {
  static MutexBucket bucket;
  for (auto _ : state)
    if (!bucket.try_take(sync::now()).granted) state.SkipWithError("refused");
  bench::count_clock_reads(state, 1);
}
BENCHMARK(mutex_bucket)->Threads(1)->Threads(2)->UseRealTime();

void token_bucket(benchmark::State& state) {
  static TokenBucket bucket{plenty};
  {
    const bench::AllocationCounter allocations{state};
    for (auto _ : state)
      if (!bucket.try_take(sync::now()).granted) state.SkipWithError("refused");
  }
  bench::count_clock_reads(state, 1);
  bench::compare_with(state, "mutex_bucket");
}
BENCHMARK(token_bucket)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace penstock
