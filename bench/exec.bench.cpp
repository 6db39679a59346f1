// SPDX-License-Identifier: MIT
// What it costs to run something elsewhere, beside std::async, a pool and a queue of a mutex and
// a condition variable, and, where their packages are found, Asio and oneTBB (peers/).
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <penstock/exec/channel.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_all.hpp>

#include "support/allocation_counter.hpp"
#include "support/exec_load.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using bench::AllocationCounter;
using bench::burst;
using bench::CondvarPool;
using bench::CondvarQueue;
using bench::Countdown;
using bench::workers;

void finish(benchmark::State& state, std::int64_t did, std::int64_t per_iteration) {
  if (did != state.iterations() * per_iteration) state.SkipWithError("something did not run once");
  state.SetItemsProcessed(did);
}

// --- spawn and join: a burst of tasks, and wait for all of them ------------------------------

void spawn_join_std_async(benchmark::State& state) {
  std::atomic<std::int64_t> ran{0};
  for (auto _ : state) {
    std::vector<std::future<void>> futures;
    futures.reserve(burst);
    for (int task = 0; task < burst; ++task)
      futures.push_back(std::async(std::launch::async, [&] { ++ran; }));
    for (std::future<void>& future : futures) future.get();
  }
  finish(state, ran, burst);
}
BENCHMARK(spawn_join_std_async)->UseRealTime();

void spawn_join_condvar_pool(benchmark::State& state) {
  CondvarPool pool{workers};
  std::atomic<std::int64_t> ran{0};
  for (auto _ : state) {
    Countdown left{burst};
    for (int task = 0; task < burst; ++task)
      pool.post([&] {
        ++ran;
        left.count_down();
      });
    left.wait();
  }
  finish(state, ran, burst);
  bench::compare_with(state, "spawn_join_std_async");
}
BENCHMARK(spawn_join_condvar_pool)->UseRealTime();

template <class E>
void spawn_join(benchmark::State& state, E& executor) {
  std::atomic<std::int64_t> ran{0};
  const auto body = [&]() -> Task<void> {
    ++ran;
    co_return;
  };
  {
    Scope scope{executor};
    const AllocationCounter allocations{state, AllocationCounter::By::anyone};
    for (auto _ : state) {
      for (int task = 0; task < burst; ++task) scope.spawn(body());
      scope.wait();
    }
  }
  finish(state, ran, burst);
  bench::compare_with(state, "spawn_join_std_async");
}
void spawn_join_pool(benchmark::State& state) {
  ThreadPool pool{workers};
  spawn_join(state, pool);
}
BENCHMARK(spawn_join_pool)->UseRealTime();
void spawn_join_loop(benchmark::State& state) {
  EventLoop loop;
  spawn_join(state, loop);
}
BENCHMARK(spawn_join_loop)->UseRealTime();

// --- post: a burst of bare jobs from another thread ------------------------------------------

void post_condvar_pool(benchmark::State& state) {
  CondvarPool pool{workers};
  std::atomic<std::int64_t> ran{0};
  for (auto _ : state) {
    Countdown left{1};
    const std::int64_t end = ran + burst;
    for (int job = 0; job < burst; ++job)
      pool.post([&ran, &left, end] {
        if (++ran == end) left.count_down();
      });
    left.wait();
  }
  finish(state, ran, burst);
}
BENCHMARK(post_condvar_pool)->UseRealTime();

struct CountingJob final : Job {
  CountingJob() noexcept : Job([](Job& job) noexcept { static_cast<CountingJob&>(job).count(); }) {}
  void count() noexcept {
    if (++*ran == end) left->count_down();
  }
  std::atomic<std::int64_t>* ran = nullptr;
  std::int64_t end = 0;
  Countdown* left = nullptr;
};
template <class E>
void post(benchmark::State& state, E& executor) {
  std::atomic<std::int64_t> ran{0};
  {
    std::vector<CountingJob> jobs(burst);
    const AllocationCounter allocations{state, AllocationCounter::By::anyone};
    for (auto _ : state) {
      Countdown left{1};
      const std::int64_t end = ran + burst;
      for (CountingJob& job : jobs) {
        job.ran = &ran;
        job.end = end;
        job.left = &left;
        executor.post(job);
      }
      left.wait();
    }
  }
  finish(state, ran, burst);
  bench::compare_with(state, "post_condvar_pool");
}
void post_pool(benchmark::State& state) {
  ThreadPool pool{workers};
  post(state, pool);
}
BENCHMARK(post_pool)->UseRealTime();
void post_loop(benchmark::State& state) {
  EventLoop loop;
  std::thread runner{[&] { loop.run(); }};
  post(state, loop);
  loop.stop();
  runner.join();
}
BENCHMARK(post_loop)->UseRealTime();

// --- timer: set and cancel one while many are pending ----------------------------------------

// A map under a lock: what a pool written by hand keeps its timers in.
void timer_map(benchmark::State& state) {
  std::mutex mutex;
  std::multimap<Time, int> timers;
  const Time start = sync::now() + 1h;
  for (int timer = 0; timer < bench::pending; ++timer) timers.emplace(start + timer * 1ms, timer);
  std::int64_t cancelled = 0;
  std::int64_t turn = 0;
  for (auto _ : state) {
    const Time when = start + (turn++ * 7919 % bench::pending) * 1ms;
    std::multimap<Time, int>::iterator place;
    {
      const std::lock_guard lock{mutex};
      place = timers.emplace(when, -1);
    }
    const std::lock_guard lock{mutex};
    timers.erase(place);
    ++cancelled;
  }
  finish(state, cancelled, 1);
}
BENCHMARK(timer_map);

struct NoTimer final : Timer {
  NoTimer() noexcept : Timer([](Timer&) noexcept { std::terminate(); }) {}
};
void timer_loop(benchmark::State& state) {
  EventLoop loop;
  std::vector<NoTimer> timers(bench::pending);
  const Time start = loop.now() + 1h;
  Time next = start;
  for (NoTimer& timer : timers) {
    timer.when = next += 1ms;
    loop.arm(timer);
  }
  std::int64_t cancelled = 0;
  {
    std::int64_t turn = 0;
    NoTimer timer;
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      timer.when = start + (turn++ * 7919 % bench::pending) * 1ms;
      loop.arm(timer);
      cancelled += loop.disarm(timer) ? 1 : 0;
    }
  }
  for (NoTimer& timer : timers) loop.disarm(timer);
  finish(state, cancelled, 1);
  bench::compare_with(state, "timer_map");
}
BENCHMARK(timer_loop);

// --- channel hop: a value to the other side and an answer back -------------------------------

void channel_condvar_queue(benchmark::State& state) {
  CondvarQueue<std::int64_t> there;
  CondvarQueue<std::int64_t> back;
  std::thread echo{[&] {
    for (std::int64_t value = there.pop(); value >= 0; value = there.pop()) back.push(value + 1);
  }};
  std::int64_t right = 0;
  for (auto _ : state) {
    there.push(right);
    if (back.pop() == right + 1) ++right;
  }
  there.push(-1);
  echo.join();
  finish(state, right, 1);
}
BENCHMARK(channel_condvar_queue)->UseRealTime();

void channel_threads(benchmark::State& state) {
  Channel<std::int64_t> there{1};
  Channel<std::int64_t> back{1};
  std::thread echo{[&] {
    while (const Result<std::int64_t> value = there.receive_and_wait()) {
      if (!back.send_and_wait(*value + 1)) break;
    }
  }};
  std::int64_t right = 0;
  {
    const AllocationCounter allocations{state, AllocationCounter::By::anyone};
    for (auto _ : state) {
      if (!there.send_and_wait(right)) break;
      if (back.receive_and_wait().value_or(-1) == right + 1) ++right;
    }
  }
  there.close();
  echo.join();
  finish(state, right, 1);
  bench::compare_with(state, "channel_condvar_queue");
}
BENCHMARK(channel_threads)->UseRealTime();

// Two coroutines on one executor.
template <class E>
void channel_coroutines(benchmark::State& state, E& executor) {
  Channel<std::int64_t> there{1};
  Channel<std::int64_t> back{1};
  std::int64_t right = 0;
  const auto echo = [&]() -> Task<void> {
    while (const Result<std::int64_t> value = co_await there.receive()) {
      if (!co_await back.send(*value + 1)) break;
    }
  };
  const auto ask = [&]() -> Task<void> {
    const AllocationCounter allocations{state, AllocationCounter::By::anyone};
    for (auto _ : state) {
      if (!co_await there.send(right)) break;
      const Result<std::int64_t> value = co_await back.receive();
      if (value.value_or(-1) == right + 1) ++right;
    }
    there.close();
  };
  sync_wait(executor, [](auto& first, auto& second) -> Task<void> {
    [[maybe_unused]] const auto both = co_await when_all(first(), second());
  }(echo, ask));
  finish(state, right, 1);
  bench::compare_with(state, "channel_condvar_queue");
}
void channel_coroutines_inline(benchmark::State& state) {
  Inline executor;
  channel_coroutines(state, executor);
}
BENCHMARK(channel_coroutines_inline)->UseRealTime();
void channel_coroutines_pool(benchmark::State& state) {
  ThreadPool pool{workers};
  channel_coroutines(state, pool);
}
BENCHMARK(channel_coroutines_pool)->UseRealTime();

// --- context hop: to the pool and back -------------------------------------------------------

void context_hop_condvar_pool(benchmark::State& state) {
  CondvarPool here{1};
  CondvarPool there{1};
  std::int64_t hops = 0;
  for (auto _ : state) {
    Countdown arrived{1};
    here.post([&] {
      there.post([&] {
        here.post([&] {
          ++hops;
          arrived.count_down();
        });
      });
    });
    arrived.wait();
  }
  finish(state, hops, 1);
}
BENCHMARK(context_hop_condvar_pool)->UseRealTime();

void context_hop_pools(benchmark::State& state) {
  ThreadPool here{1};
  ThreadPool there{1};
  std::int64_t hops = 0;
  // The same three hand-overs as above: in, there and back.
  const auto body = [&]() -> Task<void> {
    const AllocationCounter allocations{state, AllocationCounter::By::anyone};
    for (auto _ : state) {
      co_await reschedule(here);
      co_await reschedule(there);
      co_await reschedule(here);
      ++hops;
    }
  };
  sync_wait(here, body());
  finish(state, hops, 1);
  bench::compare_with(state, "context_hop_condvar_pool");
}
BENCHMARK(context_hop_pools)->UseRealTime();

void context_hop_loops(benchmark::State& state) {
  EventLoop here;
  EventLoop there;
  std::thread here_runner{[&] { here.run(); }};
  std::thread there_runner{[&] { there.run(); }};
  std::int64_t hops = 0;
  const auto body = [&]() -> Task<void> {
    const AllocationCounter allocations{state, AllocationCounter::By::anyone};
    for (auto _ : state) {
      co_await reschedule(here);
      co_await reschedule(there);
      co_await reschedule(here);
      ++hops;
    }
  };
  sync_wait(here, body());
  here.stop();
  there.stop();
  here_runner.join();
  there_runner.join();
  finish(state, hops, 1);
  bench::compare_with(state, "context_hop_condvar_pool");
}
BENCHMARK(context_hop_loops)->UseRealTime();

// Back into the queue of the executor one is on: what a fair loop costs.
void context_hop_same_loop(benchmark::State& state) {
  EventLoop loop;
  std::int64_t hops = 0;
  const auto body = [&]() -> Task<void> {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      co_await reschedule(loop);
      ++hops;
    }
  };
  sync_wait(loop, body());
  finish(state, hops, 1);
  bench::compare_with(state, "context_hop_condvar_pool");
}
BENCHMARK(context_hop_same_loop)->UseRealTime();

// --- one await that is done at once, beside a call -------------------------------------------

[[gnu::noinline]] std::int64_t plain_call(std::int64_t value) {
  benchmark::DoNotOptimize(value);
  return value + 1;
}
Task<std::int64_t> immediate(std::int64_t value) {
  benchmark::DoNotOptimize(value);
  co_return value + 1;
}
void await_function_call(benchmark::State& state) {
  std::int64_t value = 0;
  for (auto _ : state) value = plain_call(value);
  finish(state, value, 1);
}
BENCHMARK(await_function_call);
void await_immediate_task(benchmark::State& state) {
  std::int64_t value = 0;
  const auto body = [&]() -> Task<void> {
    for (auto _ : state) value = co_await immediate(value);
  };
  sync_wait(body());
  finish(state, value, 1);
  bench::compare_with(state, "await_function_call");
}
BENCHMARK(await_immediate_task);
void await_when_all_of_two(benchmark::State& state) {
  std::int64_t value = 0;
  const auto body = [&]() -> Task<void> {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      const auto [first, second] = co_await when_all(immediate(value), immediate(value));
      value = (first + second) / 2;
    }
  };
  sync_wait(body());
  finish(state, value, 1);
  bench::compare_with(state, "await_function_call");
}
BENCHMARK(await_when_all_of_two);

}  // namespace
}  // namespace penstock
