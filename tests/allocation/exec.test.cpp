// SPDX-License-Identifier: MIT
// Every allocation of every operation of `exec/` fails once: the operation ends once, in an error
// that says so, and leaks nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/channel.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/frame_cache.hpp>
#include <penstock/exec/future.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/mode.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/poll_poller.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/exec/when_any.hpp>

#include "allocation/sweep.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using allocation::Ending;

template <class T>
void note(Ending& ending, const Result<T>& result) {
  if (result) {
    ending.value();
  } else {
    EXPECT_EQ(result.error().kind(), ErrorKind::exception);
    ending.error();
  }
}

// Frames larger than any recycled one beside small ones, and two levels.
Task<int> number(int value) {
  co_return value;
}
Task<int> sum_later() {
  co_await reschedule(Executor::current());
  const int first = co_await number(1);
  co_return first + co_await number(2);
}
Task<Result<int>> reply_later() {
  co_await reschedule(Executor::current());
  co_return co_await number(3);
}
Task<void> pause() {
  co_await reschedule(Executor::current());
}

void task(Ending& ending) {
  if (sync_wait(sum_later()) == 3) ending.value();
}
void task_of_a_result(Ending& ending) {
  note(ending, sync_wait(reply_later()));
}
void task_that_is_ready(Ending& ending) {
  note(ending, sync_wait(ready_task(Result<int>{1})));
}
void task_that_is_never_awaited(Ending& ending) {
  const Task<int> never_run = sum_later();
  const bool valid = never_run.valid();
  valid ? ending.value() : ending.error();
}
void scope(Ending& ending) {
  Inline executor;
  Scope tasks{executor};
  int ran = 0;
  const auto body = [&]() -> Task<void> {
    co_await reschedule(executor);
    ++ran;
  };
  // What could not be started is not run; what was started is joined all the same.
  std::size_t started = 0;
  try {
    for (; started < 3; ++started) tasks.spawn(body());
  } catch (const std::bad_alloc&) {
    ending.error();
  }
  tasks.wait();
  EXPECT_EQ(static_cast<std::size_t>(ran), started);
  if (started == 3) ending.value();
}
void timer(Ending& ending) {
  Inline executor;
  const auto body = [&]() -> Task<bool> {
    co_return co_await wait_until(executor, executor.now(), StopToken{});
  };
  if (sync_wait(executor, body())) ending.value();
}
void semaphore(Ending& ending) {
  Inline executor;
  Semaphore permits{1};
  const auto body = [&]() -> Task<Result<Semaphore::Permit>> {
    Result<Semaphore::Permit> first = co_await permits.acquire();
    co_return first;
  };
  note(ending, sync_wait(executor, body()));
  EXPECT_EQ(permits.free_approx(), 1U);
  EXPECT_TRUE(permits.acquire_and_wait());
}
void mutex(Ending& ending) {
  AsyncMutex one;
  const auto lock = one.lock_and_wait();
  EXPECT_TRUE(lock);
  ending.value();
}
void channel(Ending& ending) {
  Channel<std::unique_ptr<int>> values{2};
  const auto body = [&]() -> Task<Result<int>> {
    auto sending = values.send(std::make_unique<int>(1));
    const Result<void> sent = co_await sending;
    if (!sent) co_return ErrorKind::closed;
    Result<std::unique_ptr<int>> value = co_await values.receive();
    co_return **value;
  };
  note(ending, sync_wait(body()));
  EXPECT_EQ(values.size_approx(), 0U);
}
void one_shot(Ending& ending) {
  OneShot<int> done;
  const auto setter = done.setter();
  const auto body = [&]() -> Task<Result<int>> { co_return co_await done.wait(); };
  setter.set(1);
  note(ending, sync_wait(body()));
}
void all(Ending& ending) {
  const auto [first, second] = sync_wait(when_all(sum_later(), reply_later()));
  EXPECT_EQ(first, 3);
  note(ending, second);
}
void all_of_a_vector(Ending& ending) {
  std::vector<Task<Result<int>>> tasks;
  for (int child = 0; child < 3; ++child) tasks.push_back(reply_later());
  StopSource group;
  const auto values = sync_wait(when_all(group, std::move(tasks)));
  bool good = true;
  for (const Result<int>& value : values) good = good && value;
  EXPECT_EQ(group.stop_requested(), !good);
  good ? ending.value() : ending.error();
}
void any(Ending& ending) {
  StopSource losers;
  const auto winner = sync_wait(when_any(losers, reply_later(), reply_later()));
  note(ending, winner.value);
}
void any_detached(Ending& ending) {
  Inline executor;
  Scope losers{executor};
  const auto body = [&]() -> Task<void> {
    // Joined here, where no memory is needed for it.
    std::optional<Result<int>> value;
    try {
      auto winner = co_await when_any(losers, reply_later(), reply_later());
      value.emplace(std::move(winner.value));
    } catch (const std::bad_alloc&) {
      ending.error();
    }
    if (value) note(ending, *value);
    co_await losers.join();
  };
  sync_wait(executor, body());
}
void future(Ending& ending) {
  Inline executor;
  Scope tasks{executor};
  const auto body = [&]() -> Task<void> {
    try {
      auto told = to_future(tasks, sum_later());
      co_await tasks.join();
      if (told.get() == 3) ending.value();
    } catch (const std::bad_alloc&) {
      ending.error();
    }
  };
  sync_wait(executor, body());
}
void callback(Ending& ending) {
  Inline executor;
  Scope tasks{executor};
  const auto body = [&]() -> Task<void> {
    const auto told = [&](const Result<int>& value) { note(ending, value); };
    try {
      on_done(tasks, sum_later(), told);
    } catch (const std::bad_alloc&) {
      ending.error();
    }
    co_await tasks.join();
  };
  sync_wait(executor, body());
}
void event_loop(Ending& ending) {
  EventLoop loop;
  sync_wait(loop, pause());
  ending.value();
}
int lowest_free_descriptor() {
  const int free = ::dup(STDERR_FILENO);
  ::close(free);
  return free;
}
void event_loop_by_poll(Ending& ending) {
  const int before = lowest_free_descriptor();
  try {
    BasicEventLoop<PollPoller> loop;
    sync_wait(loop, pause());
    ending.value();
  } catch (const std::bad_alloc&) {
    ending.error();
  }
  EXPECT_EQ(lowest_free_descriptor(), before) << "it leaks descriptors";
}
void thread_pool(Ending& ending) {
  ThreadPool pool{2};
  sync_wait(pool, pause());
  ending.value();
}

// By workers on the executor of the mode. Whichever of them could not be started, none is left.
template <class Service>
void run_all_in(Ending& ending, Mode mode, Service service) {
  const std::vector<int> items{1, 2, 3, 4};
  const std::vector<Result<int>> replies =
      run_all(items, service, {.mode = mode, .concurrency = 2});
  bool good = true;
  for (const Result<int>& reply : replies) good = good && reply;
  good ? ending.value() : ending.error();
}
void run_all_blocking(Ending& ending) {
  const auto twice = [](int item, Call&) -> Result<int> { return 2 * item; };
  run_all_in(ending, Mode::threads, twice);
}
void run_all_awaited(Ending& ending) {
  const auto twice = [](int item, Call& call) -> Task<Result<int>> {
    co_await reschedule(call.where());
    co_return 2 * item;
  };
  run_all_in(ending, Mode::async, twice);
}
void run_all_offloaded(Ending& ending) {
  const auto twice = [](int item, Call&) -> Result<int> { return 2 * item; };
  run_all_in(ending, Mode::async, twice);
}
void run_of_a_pool(Ending& ending) {
  ThreadPool pool{1};
  // The pool is as fast as can be.
  static thread_local ThreadPool* fast = nullptr;
  fast = &pool;
  testing::as_it_fails = [] {
    while (fast->queued_approx() + fast->running_approx() != 0) std::this_thread::yield();
  };
  std::atomic<int> ran{0};
  const auto count = [&] { ++ran; };
  const Result<void> outcome = sync_wait(pool.run(count));
  EXPECT_EQ(ran, outcome ? 1 : 0) << "it ran, and nobody waited for it";
  note(ending, outcome);
}

struct Scenario {
  const char* name;
  void (*work)(Ending&);
};
constexpr Scenario scenarios[] = {
    {"task", task},
    {"task of a result", task_of_a_result},
    {"task that is ready", task_that_is_ready},
    {"task that is never awaited", task_that_is_never_awaited},
    {"scope", scope},
    {"timer", timer},
    {"semaphore", semaphore},
    {"mutex", mutex},
    {"channel", channel},
    {"one_shot", one_shot},
    {"when_all", all},
    {"when_all of a vector", all_of_a_vector},
    {"when_any", any},
    {"when_any detached", any_detached},
    {"to_future", future},
    {"on_done", callback},
    {"event_loop", event_loop},
    {"event_loop by poll", event_loop_by_poll},
    {"thread_pool", thread_pool},
    {"run of a pool", run_of_a_pool},
    {"run_all that blocks", run_all_blocking},
    {"run_all awaited", run_all_awaited},
    {"run_all offloaded", run_all_offloaded},
};

TEST(exec, ends_once_and_leaks_nothing_whichever_allocation_fails) {
  std::size_t points = 0;
  for (const Scenario& scenario : scenarios) {
    const auto sweep = allocation::fail_each(scenario.name, scenario.work);
    std::printf("%-28s %2zu allocations failed, %zu of them to no harm\n",
                scenario.name,
                sweep.points,
                sweep.survivors);
    points += sweep.points;
  }
  std::printf("%zu of %zu allocations were made to fail\n", points, points);
  EXPECT_GE(points, std::size(scenarios));
}

// A frame that is made while its thread goes, by what the thread still destroys, may end in
// another, which keeps its memory for any frame of its class.
TEST(exec, asks_for_as_much_memory_in_a_thread_that_goes) {
  constexpr std::size_t size = 25;  // of the class of 40
  struct Asks {
    std::uint64_t bytes = 0;
    void* frame = nullptr;
    void ask() {
      const std::uint64_t before = testing::bytes_asked_here;
      frame = FrameCache::allocate(size);
      bytes = testing::bytes_asked_here - before;
    }
  };
  Asks first;
  Asks last;
  std::thread{[&] {
    struct AsksLast {
      Asks* asks = nullptr;
      ~AsksLast() {
        if (asks != nullptr) asks->ask();
      }
    };
    // Made before the thread's cache is, it goes after it.
    static thread_local AsksLast at_the_end;
    at_the_end.asks = &last;
    first.ask();
  }}.join();
  EXPECT_EQ(last.bytes, first.bytes);
  FrameCache::release(first.frame, size);
  FrameCache::release(last.frame, size);
}

}  // namespace
}  // namespace penstock
