// SPDX-License-Identifier: MIT
#include <chrono>
#include <mutex>
#include <optional>

#include <penstock/core/executor.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/watch.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::BasicEventLoop;
using penstock::Job;
using penstock::never;
using penstock::Parker;
using penstock::Scope;
using penstock::StopSource;
using penstock::StopToken;
using penstock::Task;
using penstock::Time;
using penstock::Timer;
using penstock::Watch;
namespace sync = penstock::sync;

// A poller of controlled words instead of descriptors: its one edge comes from
// `ring`.
class RungPoller {
 public:
  [[nodiscard]] bool wait(Time until) noexcept {
    std::unique_lock lock{mutex_};
    if (rung_ && watch_ != nullptr) return true;
    if (until == Time::min()) return false;
    if (until == never) {
      changed_.wait(lock, [this] { return woken_ || rung_; });
    } else {
      static_cast<void>(changed_.wait_until(lock, until, [this] { return woken_ || rung_; }));
    }
    woken_ = false;
    return rung_ && watch_ != nullptr;
  }
  void report() noexcept {
    Watch* watch = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (rung_) watch = watch_;
      rung_ = false;
    }
    if (watch != nullptr) watch->report({true, false});
  }
  void wake() noexcept {
    const std::lock_guard lock{mutex_};
    woken_ = true;
    changed_.notify_one();
  }
  [[nodiscard]] bool watch(int, Watch& watch) noexcept {
    const std::lock_guard lock{mutex_};
    watch_ = &watch;
    bell() = this;
    return true;
  }
  void unwatch(int, Watch&) noexcept {
    const std::lock_guard lock{mutex_};
    watch_ = nullptr;
  }
  void ring() noexcept {
    const std::lock_guard lock{mutex_};
    rung_ = true;
    changed_.notify_one();
  }
  static RungPoller*& bell() noexcept {
    static RungPoller* bell = nullptr;
    return bell;
  }

 private:
  sync::mutex mutex_;
  sync::condition_variable changed_;
  Watch* watch_ = nullptr;
  bool woken_ = false;
  bool rung_ = false;
};
static_assert(penstock::LoopPoller<RungPoller>);
using Loop = BasicEventLoop<RungPoller>;

struct Count final : Job {
  Count() noexcept : Job([](Job& job) noexcept { ++static_cast<Count&>(job).ran; }) {}
  int ran = 0;
};
struct Stop final : Job {
  explicit Stop(Loop& to) noexcept
      : Job([](Job& job) noexcept { static_cast<Stop&>(job).loop.stop(); }),
        loop(to) {}
  Loop& loop;
};

void a_loop_goes_as_soon_as_it_has_run() {
  sync::thread other;
  {
    Loop loop;  // whoever stops it may still be waking it
    other = sync::thread{[&] { loop.stop(); }};
    loop.run();
  }
  other.join();
}

void a_loop_goes_after_a_job_that_stops_it() {
  sync::thread other;
  {
    Loop loop;
    Stop stop{loop};
    other = sync::thread{[&] { loop.post(stop); }};
    loop.run();
  }
  other.join();
}

void a_post_wakes_the_loop() {
  Loop loop;
  Count count;
  Stop stop{loop};
  sync::thread runner{[&] { loop.run(); }};
  loop.post(count);
  loop.post(stop);
  runner.join();
  check(count.ran == 1, "a job was lost or ran twice");
}

void stop_meets_run() {
  Loop loop;
  bool ran = false;
  sync::thread runner{[&] { ran = loop.run(); }};
  loop.stop();
  runner.join();
  check(ran, "nobody ran it and somebody did");
}

void stop_from_one_thread_and_posts_from_another() {
  Loop loop;
  Count count;
  sync::thread runner{[&] { loop.run(); }};
  sync::thread poster{[&] { loop.post(count); }};
  loop.stop();
  runner.join();
  poster.join();
  loop.run_until_idle();
  check(count.ran == 1, "a job was lost or ran twice");
}

void a_watch_meets_posts() {
  Loop loop;
  struct Bell final : Watch {
    explicit Bell(Loop& to) noexcept
        : Watch([](Watch& watch, bool, bool) noexcept {
            Bell& self = static_cast<Bell&>(watch);
            ++self.rings;
            self.loop.unwatch(1, self);
            self.loop.stop();
          }),
          loop(to) {}
    Loop& loop;
    int rings = 0;
  };
  Bell bell{loop};
  Count count;
  check(loop.watch(1, bell), "refused");
  sync::thread ringer{[&] { RungPoller::bell()->ring(); }};
  sync::thread poster{[&] { loop.post(count); }};
  loop.run();
  ringer.join();
  poster.join();
  loop.run_until_idle();
  check(bell.rings == 1 && count.ran == 1, "an edge or a job was lost or came twice");
}

void a_wait_drives_a_loop_that_nobody_runs() {
  Loop loop;
  Parker done;
  sync::thread other{[&] { done.unpark(); }};
  check(loop.wait(done, never), "woken by nothing");
  other.join();
}

void two_threads_want_to_drive() {
  Loop loop;
  Parker first;
  Parker second;
  sync::thread other{[&] { check(loop.wait(first, never), "woken by nothing"); }};
  first.unpark();
  second.unpark();
  check(loop.wait(second, never), "woken by nothing");
  other.join();
}

void who_waits_drives_what_the_driver_left() {
  Loop loop;
  int ended = 0;  // by whoever drives
  const auto body = [&]() -> Task<void> {
    co_await reschedule(loop);
    ++ended;
    co_await reschedule(loop);
  };
  sync::thread other{[&] { sync_wait(loop, body()); }};
  sync_wait(loop, body());
  other.join();
  check(ended == 2, "a task did not end");
}

void who_is_called_to_drive_calls_the_next_if_it_needs_not() {
  Loop loop;
  Parker first;
  Parker second;
  sync::thread one{[&] { check(loop.wait(first, never), "woken by nothing"); }};
  sync::thread two{[&] {
    const auto body = [&]() -> Task<void> { co_await reschedule(loop); };
    sync_wait(loop, body());
    first.unpark();
  }};
  second.unpark();
  check(loop.wait(second, never), "woken by nothing");
  one.join();
  two.join();
}

void a_call_to_drive_meets_the_end_of_a_wait() {
  Loop loop;
  Parker first;
  sync::thread other{[&] {
    Parker never_unparked;
    check(!loop.wait(never_unparked, loop.now() + 1s), "woken by nothing");
    check(!loop.wait(never_unparked, loop.now() + 1s), "woken by nothing");
  }};
  first.unpark();
  check(loop.wait(first, never), "woken by nothing");
  other.join();
}

void two_wait_while_a_third_comes_to_run() {
  Loop loop;
  int ended = 0;  // by whoever drives
  const auto body = [&]() -> Task<void> {
    co_await reschedule(loop);
    if (++ended == 2) loop.stop();
  };
  sync::thread one{[&] { sync_wait(loop, body()); }};
  sync::thread two{[&] { sync_wait(loop, body()); }};
  check(loop.run(), "another one runs it");
  one.join();
  two.join();
  check(ended == 2, "a task did not end");
}

void two_wait_for_timers_of_one_loop() {
  Loop loop;
  int ended = 0;  // by whoever drives
  const auto body = [&](Time when) -> Task<void> {
    const bool came = co_await wait_until(loop, when, StopToken{});
    ended += came ? 1 : 0;
  };
  const Time start = loop.now();
  sync::thread other{[&] { sync_wait(loop, body(start + 2s)); }};
  sync_wait(loop, body(start + 1s));
  other.join();
  check(ended == 2, "a timer was lost");
}

void a_stop_meets_a_run_inside_a_job() {
  Loop loop;
  struct Nested final : Job {
    explicit Nested(Loop& to) noexcept
        : Job([](Job& job) noexcept {
            check(static_cast<Nested&>(job).loop.run_until_idle(), "refused");
          }),
          loop(to) {}
    Loop& loop;
  };
  Nested nested{loop};
  loop.post(nested);
  sync::thread other{[&] { loop.stop(); }};
  check(loop.run(), "refused");
  other.join();
  loop.run_until_idle();
}

void a_disarm_from_outside_meets_a_change_of_drivers() {
  Loop loop;
  struct Alarm final : Timer {
    Alarm() noexcept : Timer([](Timer& timer) noexcept { ++static_cast<Alarm&>(timer).fired; }) {}
    int fired = 0;  // plain: disarm must have waited for the firing thread
  };
  const auto body = [&]() -> Task<void> { co_await reschedule(loop); };
  sync::thread other{[&] { sync_wait(loop, body()); }};
  {
    Alarm alarm;
    alarm.when = loop.now();
    loop.arm(alarm);
    const bool taken_back = loop.disarm(alarm);
    check(alarm.fired == (taken_back ? 0 : 1), "taken back and fired, or neither");
  }
  sync_wait(loop, body());
  other.join();
}

void run_takes_over_from_a_thread_that_waited() {
  Loop loop;
  Parker awaited;
  sync::thread waiter{[&] { check(loop.wait(awaited, never), "woken by nothing"); }};
  sync::thread runner{[&] { check(loop.run(), "run was refused though nobody stays"); }};
  awaited.unpark();
  waiter.join();
  loop.stop();
  runner.join();
}

void the_graceful_end_of_a_loop() {
  Loop loop;
  StopSource source;
  Scope scope{loop};
  sync::thread runner{[&] { loop.run(); }};
  int ended = 0;
  const auto body = [&]() -> Task<void> {
    static_cast<void>(co_await wait_until(loop, loop.now() + 1s, source.token()));
    ++ended;
  };
  scope.spawn(body());
  source.request_stop();
  scope.wait();
  loop.stop();
  runner.join();
  check(ended == 1, "a task did not end");
}

void timers_on_a_loop_that_runs() {
  Loop loop;
  sync::thread runner{[&] { loop.run(); }};
  const auto body = [&]() -> Task<bool> {
    const Time until = loop.now() + 1s;
    const bool came = co_await wait_until(loop, until, {});
    co_return came&& loop.now() >= until;
  };
  check(sync_wait(loop, body()), "a timer came early");
  loop.stop();
  runner.join();
}

// A job of the one that drives blocks until another thread has had its turn there.
void a_job_waits_while_another_thread_stands_by() {
  Loop loop;
  Parker told;
  const auto waits = [&]() -> Task<void> {
    check(loop.wait(told, never), "woken by nothing");
    co_return;
  };
  const auto tells = [&]() -> Task<void> {
    co_await reschedule(loop);
    told.unpark();
  };
  sync::thread other{[&] { sync_wait(loop, tells()); }};
  sync_wait(loop, waits());
  other.join();
}

void a_wait_gives_up_as_it_is_called_to_drive() {
  let_time_wait();
  Loop loop;
  const auto body = [&]() -> Task<void> { co_await reschedule(loop); };
  sync::thread one{[&] {
    Parker never_unparked;
    check(!loop.wait(never_unparked, loop.now()), "woken by nothing");
  }};
  sync::thread two{[&] { sync_wait(loop, body()); }};
  sync_wait(loop, body());
  one.join();
  two.join();
}

// By two threads that take turns to drive, and a timer that posts as well.
void jobs_of_one_thread_keep_their_order() {
  Loop loop;
  int latest = 0;  // by whoever drives
  struct Number final : Job {
    Number(int& list, int which) noexcept
        : Job([](Job& job) noexcept {
            const Number& self = static_cast<Number&>(job);
            check(self.latest == self.number - 1, "a job overtook another of its thread");
            self.latest = self.number;
          }),
          latest(list),
          number(which) {}
    int& latest;
    const int number;
  };
  Number first{latest, 1};
  Number second{latest, 2};
  Number third{latest, 3};
  const auto hop = [&]() -> Task<void> { co_await reschedule(loop); };
  sync::thread other{[&] { sync_wait(loop, hop()); }};
  loop.post(first);
  sync_wait(loop, hop());
  loop.post(second);
  const auto body = [&]() -> Task<void> {
    loop.post(third);  // in a job that was posted behind
    co_return;
  };
  sync_wait(loop, body());
  sync_wait(loop, hop());
  other.join();
  loop.run_until_idle();
  check(latest == 3, "a job was lost");
}

const Scenario scenarios[] = {
    {"event_loop/jobs_of_one_thread_keep_their_order", jobs_of_one_thread_keep_their_order},

    {"event_loop/a_job_waits_while_another_thread_stands_by",
     a_job_waits_while_another_thread_stands_by},
    {"event_loop/a_wait_gives_up_as_it_is_called_to_drive",
     a_wait_gives_up_as_it_is_called_to_drive},

    {"event_loop/a_loop_goes_as_soon_as_it_has_run", a_loop_goes_as_soon_as_it_has_run},
    {"event_loop/a_loop_goes_after_a_job_that_stops_it", a_loop_goes_after_a_job_that_stops_it},
    {"event_loop/a_post_wakes_the_loop", a_post_wakes_the_loop},
    {"event_loop/stop_meets_run", stop_meets_run},
    {"event_loop/stop_from_one_thread_and_posts_from_another",
     stop_from_one_thread_and_posts_from_another},
    {"event_loop/a_watch_meets_posts", a_watch_meets_posts},
    {"event_loop/a_wait_drives_a_loop_that_nobody_runs", a_wait_drives_a_loop_that_nobody_runs},
    {"event_loop/two_threads_want_to_drive", two_threads_want_to_drive},
    {"event_loop/who_waits_drives_what_the_driver_left", who_waits_drives_what_the_driver_left},
    {"event_loop/who_is_called_to_drive_calls_the_next_if_it_needs_not",
     who_is_called_to_drive_calls_the_next_if_it_needs_not},
    {"event_loop/a_call_to_drive_meets_the_end_of_a_wait", a_call_to_drive_meets_the_end_of_a_wait},
    {"event_loop/two_wait_while_a_third_comes_to_run", two_wait_while_a_third_comes_to_run},
    {"event_loop/two_wait_for_timers_of_one_loop", two_wait_for_timers_of_one_loop},
    {"event_loop/a_stop_meets_a_run_inside_a_job", a_stop_meets_a_run_inside_a_job},
    {"event_loop/a_disarm_from_outside_meets_a_change_of_drivers",
     a_disarm_from_outside_meets_a_change_of_drivers},
    {"event_loop/run_takes_over_from_a_thread_that_waited",
     run_takes_over_from_a_thread_that_waited},
    {"event_loop/the_graceful_end_of_a_loop", the_graceful_end_of_a_loop},
    {"event_loop/timers_on_a_loop_that_runs", timers_on_a_loop_that_runs},
};

}  // namespace
}  // namespace explore
