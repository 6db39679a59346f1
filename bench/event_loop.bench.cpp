// SPDX-License-Identifier: MIT
// How late timers are, what a burst of posts costs, what an idle loop costs.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <time.h>

#include <penstock/core/random.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/poll_poller.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/timer_queue.hpp>
#include <penstock/exec/wait.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using bench::AllocationCounter;

struct Count final : Job {
  explicit Count(std::atomic<int>& counter)
      : Job([](Job& job) noexcept {
          static_cast<Count&>(job).count->fetch_add(1, std::memory_order_release);
        }),
        count(&counter) {}
  std::atomic<int>* count;
};
void await_count(const std::atomic<int>& count, int wanted) {
  while (count.load(std::memory_order_acquire) != wanted) std::this_thread::yield();
}

// What many programs have: functions behind a mutex, and a condition variable told of each.
class FunctionQueue {
 public:
  void post(std::function<void()> function) {
    const std::lock_guard lock{mutex_};
    functions_.push_back(std::move(function));
    changed_.notify_one();
  }
  void run() {
    std::unique_lock lock{mutex_};
    for (;;) {
      changed_.wait(lock, [this] { return !functions_.empty(); });
      const std::function<void()> function = std::move(functions_.front());
      functions_.pop_front();
      if (!function) return;
      lock.unlock();
      function();
      lock.lock();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> functions_;
};

constexpr int burst = 1000;

void function_queue_burst(benchmark::State& state) {
  FunctionQueue queue;
  std::thread runner{[&] { queue.run(); }};
  std::atomic<int> ran{0};
  int wanted = 0;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      for (int job = 0; job < burst; ++job)
        queue.post([&ran] { ran.fetch_add(1, std::memory_order_release); });
      await_count(ran, wanted += burst);
    }
  }
  queue.post({});
  runner.join();
  state.SetItemsProcessed(state.iterations() * burst);
}
BENCHMARK(function_queue_burst)->UseRealTime();

std::atomic<std::uint64_t> wakes{0};
class CountedPoller : public Poller {
 public:
  void wake() noexcept {
    wakes.fetch_add(1, std::memory_order_relaxed);
    Poller::wake();
  }
};

void loop_burst(benchmark::State& state) {
  BasicEventLoop<CountedPoller> loop;
  std::thread runner{[&] { static_cast<void>(loop.run()); }};
  std::atomic<int> ran{0};
  std::deque<Count> jobs;
  for (int job = 0; job < burst; ++job) jobs.emplace_back(ran);
  int wanted = 0;
  const std::uint64_t before = wakes;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      for (Count& job : jobs) loop.post(job);
      await_count(ran, wanted += burst);
    }
  }
  state.counters["wakes_per_burst"] =
      static_cast<double>(wakes - before) / static_cast<double>(state.iterations());
  loop.stop();
  runner.join();
  state.SetItemsProcessed(state.iterations() * burst);
  bench::compare_with(state, "function_queue_burst");
}
BENCHMARK(loop_burst)->UseRealTime();

// Posted and run by one thread, as a coroutine that is resumed on its loop.
void function_queue_in_one_thread(benchmark::State& state) {
  int ran = 0;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      FunctionQueue queue;
      std::function<void()> again;
      int left = burst;
      again = [&] {
        ++ran;
        if (--left != 0) {
          queue.post([&again] { again(); });
        } else {
          queue.post({});
        }
      };
      queue.post([&again] { again(); });
      queue.run();
    }
  }
  if (ran != state.iterations() * burst) state.SkipWithError("a function was lost");
}
BENCHMARK(function_queue_in_one_thread);

void loop_in_one_thread(benchmark::State& state) {
  EventLoop loop;
  std::int64_t ran = 0;
  const auto body = [&]() -> Task<void> {
    for (int turn = 0; turn < burst; ++turn) {
      co_await reschedule(loop);
      ++ran;
    }
  };
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) sync_wait(loop, body());
  }
  if (ran != state.iterations() * burst) state.SkipWithError("a turn was lost");
  bench::compare_with(state, "function_queue_in_one_thread");
}
BENCHMARK(loop_in_one_thread);

// Sleeps of 200 us, one after the other; how late each ended.
class Lateness {
 public:
  static constexpr Duration sleep = 200us;

  void add(benchmark::State& state, Time due, Time now) {
    if (now < due) state.SkipWithError("a timer came early");
    late_.push_back(now - due);
  }
  void report(benchmark::State& state) {
    if (late_.empty()) return;
    std::ranges::sort(late_);
    state.counters["late_p50_us"] = at(0.5);
    state.counters["late_p99_us"] = at(0.99);
    state.counters["late_max_us"] = at(1);
  }

 private:
  [[nodiscard]] double at(double share) const {
    const auto last = static_cast<double>(late_.size() - 1);
    return static_cast<double>(late_[static_cast<std::size_t>(last * share)].count()) / 1000;
  }
  std::vector<Duration> late_;
};

void condition_variable_sleep(benchmark::State& state) {
  std::mutex mutex;
  std::condition_variable changed;
  Lateness late;
  for (auto _ : state) {
    const Time due = sync::now() + Lateness::sleep;
    std::unique_lock lock{mutex};
    while (changed.wait_until(lock, due) != std::cv_status::timeout) {
    }
    late.add(state, due, sync::now());
  }
  late.report(state);
}
BENCHMARK(condition_variable_sleep)->UseRealTime();

template <class Loop>
void loop_sleep(benchmark::State& state) {
  Loop loop;
  Lateness late;
  const auto body = [&]() -> Task<void> {
    for (auto _ : state) {
      const Time due = loop.now() + Lateness::sleep;
      static_cast<void>(co_await wait_until(loop, due, StopToken{}));
      late.add(state, due, loop.now());
    }
  };
  sync_wait(loop, body());
  late.report(state);
  bench::compare_with(state, "condition_variable_sleep");
}
void timer_accuracy(benchmark::State& state) {
  loop_sleep<EventLoop>(state);
}
BENCHMARK(timer_accuracy)->UseRealTime();
void timer_accuracy_of_poll(benchmark::State& state) {
  loop_sleep<BasicEventLoop<PollPoller>>(state);
}
BENCHMARK(timer_accuracy_of_poll)->UseRealTime();

struct Nothing final : Timer {
  Nothing() : Timer([](Timer&) noexcept {}) {}
};

// One more timer set and taken back while `range` others are pending.
void multimap_set_and_cancel(benchmark::State& state) {
  std::multimap<Time, int> pending;
  Random random{1};
  for (std::int64_t timer = 0; timer < state.range(0); ++timer)
    pending.emplace(Time{Duration{static_cast<std::int64_t>(random() >> 8)}}, 0);
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      const auto place =
          pending.emplace(Time{Duration{static_cast<std::int64_t>(random() >> 8)}}, 0);
      benchmark::DoNotOptimize(place->second);
      pending.erase(place);
    }
  }
  if (pending.size() != static_cast<std::size_t>(state.range(0)))
    state.SkipWithError("a timer was lost");
}
BENCHMARK(multimap_set_and_cancel)->Arg(1000)->Arg(1'000'000);

void timer_queue_set_and_cancel(benchmark::State& state) {
  TimerQueue queue;
  Random random{1};
  std::deque<Nothing> pending(static_cast<std::size_t>(state.range(0)));
  for (Nothing& timer : pending) {
    timer.when = Time{Duration{static_cast<std::int64_t>(random() >> 8)}};
    queue.insert(timer);
  }
  // The first look at so many sorts some of them; it is not what is measured.
  Timer* const first = queue.first();
  queue.remove(*first);
  queue.insert(*first);
  Nothing timer;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      timer.when = Time{Duration{static_cast<std::int64_t>(random() >> 8)}};
      queue.insert(timer);
      benchmark::DoNotOptimize(queue.first());
      queue.remove(timer);
    }
  }
  if (TimerQueue::armed(timer) || queue.first() != first) state.SkipWithError("the queue is wrong");
  bench::compare_with(state, "multimap_set_and_cancel");
}
BENCHMARK(timer_queue_set_and_cancel)->Arg(1000)->Arg(1'000'000);

// Requests with one timeout each, of which the oldest is answered and a new one sent.
constexpr Duration timeout = 1s;

void multimap_of_timeouts(benchmark::State& state) {
  std::multimap<Time, int> pending;
  Time now{};
  const auto send = [&] { pending.emplace_hint(pending.end(), (now += 1us) + timeout, 0); };
  for (std::int64_t request = 0; request < state.range(0); ++request) send();
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      pending.erase(pending.begin());
      send();
      benchmark::DoNotOptimize(pending.begin()->first);
    }
  }
  if (pending.size() != static_cast<std::size_t>(state.range(0)))
    state.SkipWithError("a timer was lost");
}
BENCHMARK(multimap_of_timeouts)->Arg(1000)->Arg(1'000'000);

void timer_queue_of_timeouts(benchmark::State& state) {
  TimerQueue queue;
  std::deque<Nothing> pending(static_cast<std::size_t>(state.range(0)));
  Time now{};
  const auto send = [&](Nothing& timer) {
    timer.when = (now += 1us) + timeout;
    queue.insert(timer);
  };
  for (Nothing& timer : pending) send(timer);
  auto oldest = pending.begin();
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      queue.remove(*oldest);
      send(*oldest);
      if (++oldest == pending.end()) oldest = pending.begin();
      benchmark::DoNotOptimize(queue.first());
    }
  }
  if (queue.first() != &*oldest) state.SkipWithError("the oldest is not the first");
  bench::compare_with(state, "multimap_of_timeouts");
}
BENCHMARK(timer_queue_of_timeouts)->Arg(1000)->Arg(1'000'000);

Duration thread_time() {
  ::timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

// A loop with nothing to do for 50 ms: the share of a processor that it uses.
void idle_loop(benchmark::State& state) {
  EventLoop loop;
  Duration used{};
  Duration idle{};
  for (auto _ : state) {
    std::thread runner{[&] {
      const Duration before = thread_time();
      static_cast<void>(loop.run());
      used += thread_time() - before;
    }};
    const Time start = sync::now();
    std::this_thread::sleep_for(50ms);
    loop.stop();
    runner.join();
    idle += sync::now() - start;
  }
  state.counters["cpu_percent"] =
      100 * static_cast<double>(used.count()) / static_cast<double>(idle.count());
}
BENCHMARK(idle_loop)->UseRealTime();

}  // namespace
}  // namespace penstock
