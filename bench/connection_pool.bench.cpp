// SPDX-License-Identifier: MIT
// Taking an idle connection and giving it back, beside a free list behind a mutex.
#include <benchmark/benchmark.h>

#include <mutex>
#include <vector>

#include <penstock/store/connection_pool.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

struct Plain {
  using Key = int;
  using Connection = int;
  Result<int> connect(const int& key, Call&) const { return key + 1; }
  bool usable(int&) const noexcept { return true; }
};

void mutex_free_list(benchmark::State& state) {
  static std::mutex mutex;
  static std::vector<int> idle{8, 8, 8, 8};
  for (auto _ : state) {
    int connection = 0;
    {
      const std::lock_guard lock{mutex};
      connection = idle.back();
      idle.pop_back();
    }
    if (connection != 8) state.SkipWithError("another connection");
    const std::lock_guard lock{mutex};
    idle.push_back(connection);
  }
}
BENCHMARK(mutex_free_list)->Threads(1)->Threads(2)->UseRealTime();

void connection_pool(benchmark::State& state) {
  static ConnectionPool<Plain> pool{Plain{}};
  for (auto _ : state) {
    Call call;
    auto lease = pool.acquire(7, call);
    if (!lease || **lease != 8)
      state.SkipWithError("another connection");
    else
      lease->give_back();
  }
}
BENCHMARK(connection_pool)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace penstock
