// SPDX-License-Identifier: MIT
#include <chrono>
#include <optional>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/thread_pool.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Executor;
using penstock::Inline;
using penstock::Job;
using penstock::never;
using penstock::Parker;
using penstock::ThreadPool;
using penstock::Time;
using penstock::Timer;
namespace sync = penstock::sync;

struct Count final : Job {
  Count() noexcept : Job([](Job& job) noexcept { ++static_cast<Count&>(job).ran; }) {}
  int ran = 0;  // plain: a job that runs in two threads at once is a race
};
struct Unpark final : Job {
  explicit Unpark(Parker& parker) noexcept
      : Job([](Job& job) noexcept { static_cast<Unpark&>(job).to.unpark(); }),
        to(parker) {}
  Parker& to;
};
struct Alarm final : Timer {
  explicit Alarm(Time at) noexcept
      : Timer([](Timer& timer) noexcept { ++static_cast<Alarm&>(timer).fired; }) {
    when = at;
  }
  int fired = 0;
};

struct Ring final : Timer {
  Ring(Parker& end, Time at) noexcept
      : Timer([](Timer& timer) noexcept { static_cast<Ring&>(timer).parker.unpark(); }),
        parker(end) {
    when = at;
  }
  Parker& parker;
};
struct Wait final : Job {
  Wait(ThreadPool& in, Parker& until, Parker& then) noexcept
      : Job([](Job& job) noexcept {
          auto& self = static_cast<Wait&>(job);
          static_cast<void>(self.pool.wait(self.parker, never));
          self.end.unpark();
        }),
        pool(in),
        parker(until),
        end(then) {}
  ThreadPool& pool;
  Parker& parker;
  Parker& end;
};

struct Block final : Timer {
  Block(ThreadPool& in, Parker& until, Parker& then, Time at) noexcept
      : Timer([](Timer& timer) noexcept {
          auto& self = static_cast<Block&>(timer);
          static_cast<void>(self.pool.wait(self.parker, never));
          self.end.unpark();
        }),
        pool(in),
        parker(until),
        end(then) {
    when = at;
  }
  ThreadPool& pool;
  Parker& parker;
  Parker& end;
};

void a_post_wakes_the_inline_driver() {
  Inline executor;
  Parker done;
  Unpark job{done};
  sync::thread other{[&] { executor.post(job); }};
  check(executor.wait(done, never), "woken by nothing");
  other.join();
}

void two_posts_of_a_burst() {
  Inline executor;
  Parker done;
  Count count;
  Unpark job{done};
  sync::thread other{[&] {
    executor.post(count);
    executor.post(job);
  }};
  check(executor.wait(done, never), "woken by nothing");
  other.join();
  check(count.ran == 1, "a job was lost or ran twice");
}

void unpark_meets_the_end_of_a_wait() {
  Inline executor;
  bool woken = false;
  sync::thread other;
  {
    // The parker goes as soon as the wait is over: `unpark` must not touch it then.
    std::optional<Parker> parker{std::in_place};
    other = sync::thread{[&] { parker->unpark(); }};
    woken = executor.wait(*parker, sync::now() + 1s);
    if (!woken) woken = executor.wait(*parker, never);
  }
  other.join();
  check(woken, "an unpark was lost");
}

void a_plain_thread_parks() {
  bool woken = false;
  sync::thread other;
  {
    std::optional<Parker> parker{std::in_place};
    other = sync::thread{[&] { parker->unpark(); }};
    woken = parker->park_until(sync::now() + 1s);
    if (!woken) woken = parker->park_until(never);
  }
  other.join();
  check(woken, "an unpark was lost");
}

void two_threads_wait_in_one_inline() {
  Inline executor;
  Parker first;
  Parker second;
  sync::thread other{[&] {
    first.unpark();
    check(executor.wait(second, never), "woken by nothing");
  }};
  check(executor.wait(first, never), "woken by nothing");
  second.unpark();
  other.join();
}

void an_inline_goes_as_soon_as_its_wait_is_over() {
  sync::thread other;
  bool woken = false;
  {
    Inline executor;  // whoever woke it may still be in `post`
    Parker done;
    Unpark job{done};
    other = sync::thread{[&] { executor.post(job); }};
    woken = executor.wait(done, never);
  }
  other.join();
  check(woken, "woken by nothing");
}

void an_inline_goes_after_the_last_of_two_wakers() {
  sync::thread one;
  sync::thread two;
  Count count;
  bool woken = false;
  {
    Inline executor;
    Parker done;
    Unpark job{done};
    one = sync::thread{[&] {
      executor.post(count);
      executor.post(job);
    }};
    Alarm alarm{sync::now() + 1s};
    two = sync::thread{[&] {
      executor.arm(alarm);
      static_cast<void>(executor.disarm(alarm));
    }};
    woken = executor.wait(done, never);
    two.join();
  }
  one.join();
  check(woken && count.ran == 1, "a job was lost or ran twice");
}

void a_pool_goes_while_a_post_still_wakes_it() {
  sync::thread other;
  {
    ThreadPool pool{1};
    Parker done;
    Unpark job{done};
    other = sync::thread{[&] { pool.post(job); }};
    check(pool.wait(done, never), "woken by nothing");
  }
  other.join();
}

void jobs_of_a_pool_all_run_before_it_ends() {
  Count one;
  Count two;
  {
    ThreadPool pool{1};
    sync::thread other{[&] { pool.post(one); }};
    pool.post(two);
    other.join();
  }
  check(one.ran == 1 && two.ran == 1, "a job was lost or ran twice");
}

void a_pool_of_two_takes_two_jobs_at_once() {
  ThreadPool pool{2};
  Parker met;
  Parker done;
  Wait waits{pool, met, done};
  Unpark unparks{met};
  pool.post(waits);
  pool.post(unparks);  // must not be left to the thread that is blocked in the first
  check(pool.wait(done, never), "woken by nothing");
}

void a_pool_of_three_takes_a_burst_of_jobs_that_wait_for_one_another() {
  ThreadPool pool{3};
  Parker second;
  Parker first;
  Parker done;
  Wait waits{pool, second, done};
  Wait waits_too{pool, first, second};
  Unpark unparks{first};
  pool.post(waits);
  pool.post(waits_too);
  pool.post(unparks);
  check(pool.wait(done, never), "woken by nothing");
}

void a_job_waits_for_a_timer() {
  ThreadPool pool{2};
  Parker rung;
  Parker done;
  Wait waits{pool, rung, done};
  Ring ring{rung, pool.now() + 1s};
  pool.arm(ring);
  pool.post(waits);  // must not be begun by the last one that keeps the time
  check(pool.wait(done, never), "woken by nothing");
  static_cast<void>(pool.disarm(ring));
}

template <class E>
void disarm_meets_the_timer() {
  std::optional<E> executor;
  if constexpr (std::is_same_v<E, ThreadPool>) {
    executor.emplace(1);
  } else {
    executor.emplace();
  }
  int fired = 0;
  bool taken_back = false;
  {
    Alarm alarm{executor->now() + 1s};
    executor->arm(alarm);
    sync::thread driver;
    if constexpr (!std::is_same_v<E, ThreadPool>) {
      driver = sync::thread{[&] {
        Parker nobody;
        static_cast<void>(executor->wait(nobody, executor->now() + 2s));
      }};
    }
    taken_back = executor->disarm(alarm);
    fired = alarm.fired;  // and never again
    if (driver.joinable()) driver.join();
  }
  check(fired == (taken_back ? 0 : 1), "a disarmed timer fired, or an armed one did not");
}

void two_timers_fire_in_their_order() {
  ThreadPool pool{1};
  Parker both;
  struct Late final : Timer {
    Late(Alarm& before, Parker& end, Time at) noexcept
        : Timer([](Timer& timer) noexcept {
            auto& self = static_cast<Late&>(timer);
            self.in_order = self.first.fired == 1;
            self.done.unpark();
          }),
          first(before),
          done(end) {
      when = at;
    }
    Alarm& first;
    Parker& done;
    bool in_order = false;
  };
  Alarm first{pool.now() + 1s};
  Late second{first, both, pool.now() + 2s};
  sync::thread other{[&] { pool.arm(first); }};
  other.join();
  pool.arm(second);
  check(pool.wait(both, never), "woken by nothing");
  check(pool.disarm(first) == false, "it fired and was still armed");
  static_cast<void>(pool.disarm(second));
  check(second.in_order, "the later timer fired first");
}

void a_timer_that_becomes_the_first_wakes_the_sleeper() {
  ThreadPool pool{1};
  Parker done;
  Alarm far{pool.now() + 100s};
  Ring near{done, pool.now() + 1s};
  pool.arm(far);
  sync::thread other{[&] { pool.arm(near); }};
  check(pool.wait(done, never), "woken by nothing");
  other.join();
  static_cast<void>(pool.disarm(near));
  static_cast<void>(pool.disarm(far));
}

void a_timer_armed_from_outside_wakes_the_driver() {
  Inline executor;
  Parker done;
  Ring ring{done, sync::now() + 1s};
  sync::thread other{[&] { executor.arm(ring); }};
  check(executor.wait(done, never), "woken by nothing");
  other.join();
  static_cast<void>(executor.disarm(ring));
}

void an_unpark_at_the_last_moment_leaves_nothing_behind() {
  Inline executor;
  Parker first;
  sync::thread other{[&] { first.unpark(); }};
  static_cast<void>(executor.wait(first, sync::now() + 1s));
  other.join();
  Parker second;
  Count count;
  executor.post(count);
  check(!executor.wait(second, sync::now() + 1s), "woken by nothing");
  check(count.ran == 1, "a job was lost or ran twice");
}

void a_timer_waits_for_a_job() {
  ThreadPool pool{2};
  Parker ran;
  Parker done;
  Block waits{pool, ran, done, pool.now() + 1s};
  Unpark unparks{ran};
  pool.arm(waits);
  pool.post(unparks);  // must not be left to the thread that fires the timer first
  check(pool.wait(done, never), "woken by nothing");
  static_cast<void>(pool.disarm(waits));
}

void a_timer_fires_while_another_blocks() {
  ThreadPool pool{2};
  Parker near_fired;
  Parker done;
  Block first{pool, near_fired, done, pool.now() + 1s};
  Ring second{near_fired, pool.now() + 2s};
  pool.arm(first);
  pool.arm(second);
  check(pool.wait(done, never), "woken by nothing");
  static_cast<void>(pool.disarm(first));
  static_cast<void>(pool.disarm(second));
}

void no_job_waits_for_a_timer() {
  let_time_wait();
  ThreadPool pool{2};
  const Time start = sync::now();
  Alarm far{start + 100s};
  Parker met;
  Parker done;
  Wait waits{pool, met, done};
  Unpark unparks{met};
  pool.arm(far);
  pool.post(waits);
  pool.post(unparks);
  check(pool.wait(done, never), "woken by nothing");
  check(sync::now() == start, "a job was left to whoever waits for a timer");
  static_cast<void>(pool.disarm(far));
}

void no_timer_waits_for_a_later_one() {
  let_time_wait();
  ThreadPool pool{2};
  const Time start = sync::now();
  Alarm far{start + 100s};
  Parker rung;
  Parker done;
  Wait waits{pool, rung, done};
  Ring near{rung, start + 1s};
  pool.arm(far);
  pool.post(waits);
  pool.arm(near);  // must not be left to whoever was called for the job
  check(pool.wait(done, never), "woken by nothing");
  check(sync::now() == start + 1s, "a timer was left to who waits for a later one");
  static_cast<void>(pool.disarm(near));
  static_cast<void>(pool.disarm(far));
}

void a_pool_ends_without_waiting_for_its_timers() {
  let_time_wait();
  const Time start = sync::now();
  Alarm far{start + 100s};
  {
    ThreadPool pool{1};
    pool.arm(far);
  }
  check(sync::now() == start && far.fired == 0, "the end of a pool waited for a timer");
}

const Scenario scenarios[] = {
    {"executor/a_post_wakes_the_inline_driver", a_post_wakes_the_inline_driver},
    {"executor/two_posts_of_a_burst", two_posts_of_a_burst},
    {"executor/unpark_meets_the_end_of_a_wait", unpark_meets_the_end_of_a_wait},
    {"executor/a_plain_thread_parks", a_plain_thread_parks},
    {"executor/two_threads_wait_in_one_inline", two_threads_wait_in_one_inline},
    {"executor/an_inline_goes_as_soon_as_its_wait_is_over",
     an_inline_goes_as_soon_as_its_wait_is_over},
    {"executor/an_inline_goes_after_the_last_of_two_wakers",
     an_inline_goes_after_the_last_of_two_wakers},
    {"executor/a_pool_goes_while_a_post_still_wakes_it", a_pool_goes_while_a_post_still_wakes_it},
    {"executor/a_pool_of_three_takes_a_burst_of_jobs_that_wait_for_one_another",
     a_pool_of_three_takes_a_burst_of_jobs_that_wait_for_one_another},
    {"executor/a_job_waits_for_a_timer", a_job_waits_for_a_timer},
    {"executor/a_timer_waits_for_a_job", a_timer_waits_for_a_job},
    {"executor/jobs_of_a_pool_all_run_before_it_ends", jobs_of_a_pool_all_run_before_it_ends},
    {"executor/a_pool_of_two_takes_two_jobs_at_once", a_pool_of_two_takes_two_jobs_at_once},
    {"executor/disarm_meets_the_timer_of_a_pool", disarm_meets_the_timer<ThreadPool>},
    {"executor/disarm_meets_the_timer_of_an_inline", disarm_meets_the_timer<Inline>},
    {"executor/two_timers_fire_in_their_order", two_timers_fire_in_their_order},
    {"executor/a_timer_that_becomes_the_first_wakes_the_sleeper",
     a_timer_that_becomes_the_first_wakes_the_sleeper},
    {"executor/a_timer_armed_from_outside_wakes_the_driver",
     a_timer_armed_from_outside_wakes_the_driver},
    {"executor/an_unpark_at_the_last_moment_leaves_nothing_behind",
     an_unpark_at_the_last_moment_leaves_nothing_behind},
    {"executor/a_timer_fires_while_another_blocks", a_timer_fires_while_another_blocks},
    {"executor/no_job_waits_for_a_timer", no_job_waits_for_a_timer},
    {"executor/no_timer_waits_for_a_later_one", no_timer_waits_for_a_later_one},
    {"executor/a_pool_ends_without_waiting_for_its_timers",
     a_pool_ends_without_waiting_for_its_timers},
};

}  // namespace
}  // namespace explore
