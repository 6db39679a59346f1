// SPDX-License-Identifier: MIT
#include <mutex>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/event_loops.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/watch.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using penstock::BasicEventLoop;
using penstock::BasicEventLoops;
using penstock::never;
using penstock::Scope;
using penstock::Task;
using penstock::Time;
using penstock::Watch;
namespace sync = penstock::sync;

// Sleeps, and has nothing to report.
class PlainPoller {
 public:
  [[nodiscard]] bool wait(Time until) noexcept {
    std::unique_lock lock{mutex_};
    const auto woken = [this] { return woken_; };
    if (until == never) {
      changed_.wait(lock, woken);
    } else if (until != Time::min()) {
      static_cast<void>(changed_.wait_until(lock, until, woken));
    }
    woken_ = false;
    return false;
  }
  void report() noexcept {}
  void wake() noexcept {
    const std::lock_guard lock{mutex_};
    woken_ = true;
    changed_.notify_one();
  }
  [[nodiscard]] bool watch(int, Watch&) noexcept { return false; }
  void unwatch(int, Watch&) noexcept {}

 private:
  sync::mutex mutex_;
  sync::condition_variable changed_;
  bool woken_ = false;
};
static_assert(penstock::LoopPoller<PlainPoller>);
using Loop = BasicEventLoop<PlainPoller>;
using Loops = BasicEventLoops<Loop>;

void stop_meets_spawn() {
  int ended = 0;  // by the one loop
  bool spawned = false;
  {
    Loops loops{{.loops = 1}};
    const auto body = [&](Loop& loop) -> Task<void> {
      static_cast<void>(co_await wait_until(loop, never, loops.token()));
      ++ended;
    };
    sync::thread stopper{[&] { check(loops.stop().has_value(), "would wait for itself"); }};
    spawned = loops.spawn(body).has_value();
    stopper.join();
    check(ended == (spawned ? 1 : 0), "stopped before a task had returned");
  }
}

void what_moves_between_them_is_waited_for() {
  Loop elsewhere;
  Scope scope{elsewhere};  // that starts it elsewhere, of which they know nothing
  bool ended = false;
  {
    Loops loops{{.loops = 2}};
    const auto body = [&]() -> Task<void> {
      co_await reschedule(loops[1]);
      co_await reschedule(loops[0]);
      ended = true;
    };
    scope.spawn(body());
    elsewhere.run_until_idle();
  }
  check(ended, "it was left behind");
}

void two_drain_while_a_task_spawns() {
  sync::atomic<int> ended{0};
  Loops loops{{.loops = 2}};
  const auto inner = [&](Loop&) -> Task<void> {
    ++ended;
    co_return;
  };
  int spawned = 1;
  const auto outer = [&](Loop&) -> Task<void> {
    if (loops.spawn(inner)) ++spawned;
    ++ended;
    co_return;
  };
  check(loops.spawn(outer).has_value(), "refused");
  sync::thread other{[&] { static_cast<void>(loops.drain()); }};
  static_cast<void>(loops.drain());
  check(ended.load() == spawned, "drained before a task had returned");
  other.join();
}

const Scenario scenarios[] = {
    {"event_loops/two_drain_while_a_task_spawns", two_drain_while_a_task_spawns},

    {"event_loops/stop_meets_spawn", stop_meets_spawn},
    {"event_loops/what_moves_between_them_is_waited_for", what_moves_between_them_is_waited_for},
};

}  // namespace
}  // namespace explore
