// SPDX-License-Identifier: MIT
// The same loads on oneTBB, which has no timers, no channels and no coroutines.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>

#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "support/exec_load.hpp"
#include "support/ratio_reporter.hpp"

namespace {

using penstock::bench::burst;
using penstock::bench::compare_with;
using penstock::bench::Countdown;
using penstock::bench::workers;

void finish(benchmark::State& state, std::int64_t did, std::int64_t per_iteration) {
  if (did != state.iterations() * per_iteration) state.SkipWithError("something did not run once");
  state.SetItemsProcessed(did);
}

void spawn_join_tbb(benchmark::State& state) {
  tbb::task_arena arena{static_cast<int>(workers), 0};
  std::atomic<std::int64_t> ran{0};
  for (auto _ : state) {
    arena.execute([&] {
      tbb::task_group group;
      for (int task = 0; task < burst; ++task) group.run([&] { ++ran; });
      group.wait();
    });
  }
  finish(state, ran, burst);
  compare_with(state, "spawn_join_std_async");
}
BENCHMARK(spawn_join_tbb)->UseRealTime();

void post_tbb(benchmark::State& state) {
  tbb::task_arena arena{static_cast<int>(workers), 0};
  std::atomic<std::int64_t> ran{0};
  for (auto _ : state) {
    Countdown left{1};
    const std::int64_t end = ran + burst;
    for (int job = 0; job < burst; ++job)
      arena.enqueue([&ran, &left, end] {
        if (++ran == end) left.count_down();
      });
    left.wait();
  }
  finish(state, ran, burst);
  compare_with(state, "post_condvar_pool");
}
BENCHMARK(post_tbb)->UseRealTime();

}  // namespace
