// SPDX-License-Identifier: MIT
// The same loads on stand-alone Asio.
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <asio.hpp>

#include "support/exec_load.hpp"
#include "support/ratio_reporter.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::bench::burst;
using penstock::bench::compare_with;
using penstock::bench::Countdown;
using penstock::bench::workers;

void finish(benchmark::State& state, std::int64_t did, std::int64_t per_iteration) {
  if (did != state.iterations() * per_iteration) state.SkipWithError("something did not run once");
  state.SetItemsProcessed(did);
}

void spawn_join_asio_pool(benchmark::State& state) {
  asio::thread_pool pool{workers};
  std::atomic<std::int64_t> ran{0};
  const auto body = [&]() -> asio::awaitable<void> {
    ++ran;
    co_return;
  };
  for (auto _ : state) {
    Countdown left{burst};
    for (int task = 0; task < burst; ++task)
      asio::co_spawn(pool, body(), [&](const std::exception_ptr&) { left.count_down(); });
    left.wait();
  }
  finish(state, ran, burst);
  compare_with(state, "spawn_join_std_async");
}
BENCHMARK(spawn_join_asio_pool)->UseRealTime();

template <class Executor>
void post(benchmark::State& state, const Executor& executor) {
  std::atomic<std::int64_t> ran{0};
  for (auto _ : state) {
    Countdown left{1};
    const std::int64_t end = ran + burst;
    for (int job = 0; job < burst; ++job)
      asio::post(executor, [&ran, &left, end] {
        if (++ran == end) left.count_down();
      });
    left.wait();
  }
  finish(state, ran, burst);
  compare_with(state, "post_condvar_pool");
}
void post_asio_pool(benchmark::State& state) {
  asio::thread_pool pool{workers};
  post(state, pool.get_executor());
}
BENCHMARK(post_asio_pool)->UseRealTime();
void post_asio_loop(benchmark::State& state) {
  asio::io_context loop{1};
  auto work = asio::make_work_guard(loop);
  std::thread runner{[&] { loop.run(); }};
  post(state, loop.get_executor());
  work.reset();
  runner.join();
}
BENCHMARK(post_asio_loop)->UseRealTime();

void timer_asio(benchmark::State& state) {
  asio::io_context loop{1};
  const auto start = std::chrono::steady_clock::now() + 1h;
  std::vector<std::unique_ptr<asio::steady_timer>> timers;
  for (int timer = 0; timer < penstock::bench::pending; ++timer) {
    timers.push_back(std::make_unique<asio::steady_timer>(loop, start + timer * 1ms));
    timers.back()->async_wait([](const asio::error_code&) {});
  }
  asio::steady_timer timer{loop};
  std::int64_t cancelled = 0;
  std::int64_t turn = 0;
  for (auto _ : state) {
    timer.expires_at(start + (turn++ * 7919 % penstock::bench::pending) * 1ms);
    timer.async_wait([&](const asio::error_code& error) { cancelled += error ? 1 : 0; });
    timer.cancel();
    loop.poll();
  }
  finish(state, cancelled, 1);
  compare_with(state, "timer_map");
}
BENCHMARK(timer_asio);

template <class Executor>
void context_hop(benchmark::State& state, const Executor& here, const Executor& there) {
  std::int64_t hops = 0;
  Countdown done{1};
  const auto body = [&]() -> asio::awaitable<void> {
    for (auto _ : state) {
      co_await asio::post(asio::bind_executor(here, asio::use_awaitable));
      co_await asio::post(asio::bind_executor(there, asio::use_awaitable));
      co_await asio::post(asio::bind_executor(here, asio::use_awaitable));
      ++hops;
    }
  };
  asio::co_spawn(here, body(), [&](const std::exception_ptr&) { done.count_down(); });
  done.wait();
  finish(state, hops, 1);
  compare_with(state, "context_hop_condvar_pool");
}
void context_hop_asio_pools(benchmark::State& state) {
  asio::thread_pool here{1};
  asio::thread_pool there{1};
  context_hop(state, here.get_executor(), there.get_executor());
}
BENCHMARK(context_hop_asio_pools)->UseRealTime();
void context_hop_asio_loops(benchmark::State& state) {
  asio::io_context here{1};
  asio::io_context there{1};
  auto work_here = asio::make_work_guard(here);
  auto work_there = asio::make_work_guard(there);
  std::thread here_runner{[&] { here.run(); }};
  std::thread there_runner{[&] { there.run(); }};
  context_hop(state, here.get_executor(), there.get_executor());
  work_here.reset();
  work_there.reset();
  here_runner.join();
  there_runner.join();
}
BENCHMARK(context_hop_asio_loops)->UseRealTime();

}  // namespace
