// SPDX-License-Identifier: MIT
// Submits, posts, stops and destruction of executors at the same time, on threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/event_loops.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/poll_poller.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>

#include "support/in_parallel.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::in_parallel;

struct Count final : Job {
  explicit Count(std::atomic<int>& counter)
      : Job([](Job& job) noexcept { static_cast<Count&>(job).count->fetch_add(1); }),
        count(&counter) {}
  std::atomic<int>* count;
};

// How submissions ended.
struct Ends {
  std::atomic<int> done{0};
  std::atomic<int> refused{0};
  void count(const Result<void>& outcome) {
    const bool closed = !outcome && (outcome.error().kind() == ErrorKind::closed ||
                                     outcome.error().kind() == ErrorKind::overloaded);
    if (outcome) {
      ++done;
    } else if (closed) {
      ++refused;
    }
  }
};

TEST(thread_pool_stress, every_submission_ends_once_when_the_pool_stops_meanwhile) {
  constexpr int submitters = 4;
  constexpr int each = 200;
  for (int round = 0; round < 20; ++round) {
    Ends ends;
    std::atomic<int> ran{0};
    ThreadPool pool{{.threads = 2, .max_queue = 8}};
    std::thread stopper{[&] {
      std::this_thread::sleep_for(round * 20us);
      EXPECT_TRUE(round % 2 == 0 ? pool.stop() : pool.drain());
    }};
    in_parallel(submitters, [&](std::uint64_t number) {
      for (int count = 0; count < each; ++count) {
        const auto function = [&] { ++ran; };
        auto submitted = (static_cast<std::uint64_t>(count) + number) % 2 == 0
                             ? pool.submit(function)
                             : pool.try_submit(function);
        ends.count(submitted ? submitted->wait() : Result<void>{submitted.error()});
      }
    });
    stopper.join();
    EXPECT_EQ(ends.done + ends.refused, submitters * each);
    EXPECT_EQ(ends.done, ran);
  }
}

TEST(thread_pool_stress, every_coroutine_that_waits_for_room_ends_once_under_stops) {
  for (int round = 0; round < 30; ++round) {
    ThreadPool pool{{.threads = 2, .max_queue = 2}};
    EventLoop loop;
    Scope scope{loop};
    StopSource source;
    std::atomic<int> ended{0};
    std::atomic<int> ran{0};
    const auto caller = [&](int number) -> Task<void> {
      const auto function = [&] { ++ran; };
      const Call call{.deadline = number % 3 == 0 ? loop.now() + number * 10us : never,
                      .stop = source.token()};
      Task<Result<void>> run = pool.run(function, call);
      [[maybe_unused]] const Result<void> outcome = co_await std::move(run);
      ++ended;
    };
    for (int number = 0; number < 100; ++number) scope.spawn(caller(number));
    std::thread stopper{[&] {
      std::this_thread::sleep_for(round * 10us);
      source.request_stop();
    }};
    scope.wait();
    stopper.join();
    EXPECT_EQ(ended, 100);
    EXPECT_TRUE(pool.drain());
    EXPECT_LE(ran, 100);
  }
}

TEST(thread_pool_stress, outcomes_of_dropped_submissions_go_without_anyone) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool{3};
    in_parallel(3, [&](std::uint64_t) {
      for (int count = 0; count < 500; ++count) {
        auto submitted = pool.submit([&] { ++ran; });
        if (count % 3 == 0) static_cast<void>(submitted->wait());
        if (count % 3 == 1) submitted->cancel();
      }
    });
    EXPECT_TRUE(pool.drain());
  }
  EXPECT_GE(ran, 500);
}

TEST(thread_pool_stress, posts_and_timers_beside_submissions_all_run) {
  std::atomic<int> posted{0};
  std::atomic<int> submitted{0};
  std::deque<Count> jobs;
  for (int job = 0; job < 3000; ++job) jobs.emplace_back(posted);
  ThreadPool pool{3};
  in_parallel(3, [&](std::uint64_t number) {
    for (std::size_t job = 0; job < 1000; ++job) {
      pool.post(jobs[number * 1000 + job]);
      if (job % 4 == 0) static_cast<void>(pool.submit([&] { ++submitted; }));
      if (job % 100 == 0) {
        Parker nobody;
        static_cast<void>(pool.wait(nobody, pool.now() + 50us));
      }
    }
  });
  EXPECT_TRUE(pool.drain());
  while (posted != 3000) std::this_thread::yield();
  EXPECT_EQ(submitted, 750);
}

template <class Loop>
class event_loop_stress : public ::testing::Test {};
using Loops = ::testing::Types<EventLoop, BasicEventLoop<PollPoller>>;
TYPED_TEST_SUITE(event_loop_stress, Loops);

TYPED_TEST(event_loop_stress, no_job_is_lost_between_posts_and_stops) {
  std::atomic<int> ran{0};
  std::deque<Count> jobs;
  for (int job = 0; job < 3000; ++job) jobs.emplace_back(ran);
  TypeParam loop;
  std::atomic<bool> posted{false};
  std::thread runner{[&] {
    while (!posted) EXPECT_TRUE(loop.run());
  }};
  in_parallel(3, [&](std::uint64_t number) {
    for (std::size_t job = 0; job < 1000; ++job) {
      loop.post(jobs[number * 1000 + job]);
      if (job % 50 == 0) loop.stop();
    }
  });
  posted = true;
  loop.stop();
  runner.join();
  // The first may find the last stop, which no `run` has met.
  EXPECT_TRUE(loop.run_until_idle());
  EXPECT_TRUE(loop.run_until_idle());
  EXPECT_EQ(ran, 3000);
}

TYPED_TEST(event_loop_stress, timers_are_taken_back_by_other_threads_while_they_fire) {
  struct Alarm final : Timer {
    Alarm() : Timer([](Timer& timer) noexcept { ++static_cast<Alarm&>(timer).rung; }) {}
    int rung = 0;  // plain: disarm must have waited for the firing thread
  };
  TypeParam loop;
  std::thread runner{[&] { EXPECT_TRUE(loop.run()); }};
  in_parallel(2, [&](std::uint64_t) {
    for (int round = 0; round < 500; ++round) {
      Alarm alarm;
      alarm.when = loop.now() + (round % 20) * 1us;
      loop.arm(alarm);
      const bool taken_back = loop.disarm(alarm);
      EXPECT_EQ(alarm.rung, taken_back ? 0 : 1);
    }
  });
  loop.stop();
  runner.join();
}

struct Tell final : Job {
  explicit Tell(Parker& whom)
      : Job([](Job& job) noexcept { static_cast<Tell&>(job).parker.unpark(); }),
        parker(whom) {}
  Parker& parker;
};

TYPED_TEST(event_loop_stress, run_lets_a_thread_that_drives_while_it_waits_finish_first) {
  for (int round = 0; round < 200; ++round) {
    TypeParam loop;
    Parker awaited;
    std::thread waiter{[&] { EXPECT_TRUE(loop.wait(awaited, never)); }};
    Parker driven;
    Tell drives{driven};
    loop.post(drives);
    ASSERT_TRUE(driven.park_until(never));
    std::thread runner{[&] { EXPECT_TRUE(loop.run()); }};
    awaited.unpark();
    waiter.join();
    Parker ran;
    Tell runs{ran};
    loop.post(runs);
    EXPECT_TRUE(ran.park_until(never));
    loop.stop();
    runner.join();
  }
}

TYPED_TEST(event_loop_stress, stop_ends_a_run_whose_turn_has_not_come) {
  TypeParam loop;
  Parker awaited;
  std::thread waiter{[&] { EXPECT_TRUE(loop.wait(awaited, never)); }};
  Parker driven;
  Tell drives{driven};
  loop.post(drives);
  ASSERT_TRUE(driven.park_until(never));
  std::thread runner{[&] { EXPECT_TRUE(loop.run()); }};
  loop.stop();
  runner.join();
  awaited.unpark();
  waiter.join();
  EXPECT_TRUE(loop.run_until_idle());
}

void expect_that_the_thread_that_drives_may_change(Executor& executor) {
  std::atomic<int> ran{0};
  in_parallel(4, [&](std::uint64_t) {
    const auto body = [&]() -> Task<void> {
      co_await reschedule(executor);
      ++ran;
      co_await reschedule(executor);
    };
    for (int round = 0; round < 200; ++round) sync_wait(executor, body());
  });
  EXPECT_EQ(ran, 800);
}

TYPED_TEST(event_loop_stress, the_thread_that_drives_may_change) {
  TypeParam loop;
  expect_that_the_thread_that_drives_may_change(loop);
}

TEST(inline_stress, the_thread_that_drives_may_change) {
  Inline executor;
  expect_that_the_thread_that_drives_may_change(executor);
}

TEST(event_loops, are_given_out_in_turn) {
  EventLoops loops{{.loops = 3}};
  EXPECT_EQ(loops.size(), 3U);
  EventLoop* const first = &loops.next();
  EXPECT_NE(&loops.next(), first);
  EXPECT_NE(&loops.next(), first);
  EXPECT_EQ(&loops.next(), first);
}

TEST(event_loops, run_their_tasks_on_their_loops) {
  EventLoops loops{{.loops = 2}};
  std::atomic<int> right{0};
  const auto make = [&](EventLoop& loop) -> Task<void> {
    co_await reschedule(loop);
    right += &Executor::current() == &loop ? 1 : 0;
  };
  for (int task = 0; task < 100; ++task) EXPECT_TRUE(loops.spawn(make));
  EXPECT_TRUE(loops.drain());
  EXPECT_EQ(right, 100);
  EXPECT_EQ(loops.spawn(make).error().kind(), ErrorKind::closed);
}

TEST(event_loops, stop_by_ending_every_wait) {
  EventLoops loops{{.loops = 2}};
  std::atomic<int> completed{0};
  std::atomic<int> cancelled{0};
  const auto make = [&](EventLoop& loop) -> Task<void> {
    const bool came = co_await wait_until(loop, never, loops.token());
    ++(came ? completed : cancelled);
  };
  for (int task = 0; task < 100; ++task) EXPECT_TRUE(loops.spawn(make));
  EXPECT_TRUE(loops.stop());
  EXPECT_EQ(completed, 0);
  EXPECT_EQ(cancelled, 100);
}

TEST(event_loops, refuse_to_wait_for_themselves) {
  EventLoops loops{{.loops = 1}};
  std::optional<Result<void>> stopped;
  const auto make = [&](EventLoop&) -> Task<void> {
    stopped.emplace(loops.stop());
    co_return;
  };
  EXPECT_TRUE(loops.spawn(make));
  EXPECT_TRUE(loops.drain());
  EXPECT_EQ(stopped->error().kind(), ErrorKind::permanent);
}

TEST(event_loops, wait_in_their_end_for_what_moves_between_them) {
  std::atomic<int> ended{0};
  const auto make = [&](EventLoops& loops, std::size_t index) -> Task<void> {
    Executor& one = loops[index];
    Executor& other = loops[1 - index];
    const bool came = co_await wait_until(one, one.now() + 5ms, StopToken{});
    co_await reschedule(other);
    co_await reschedule(one);
    co_await reschedule(other);
    ended += came ? 1 : 0;
  };
  for (int round = 0; round < 20; ++round) {
    std::optional<Scope> first;
    std::optional<Scope> second;
    {
      EventLoops loops{{.loops = 2}};
      first.emplace(loops[0]);  // of another part of the program, not theirs
      second.emplace(loops[1]);
      first->spawn(make(loops, 0));
      second->spawn(make(loops, 1));
    }
    EXPECT_EQ(first->running_approx() + second->running_approx(), 0U);
  }
  EXPECT_EQ(ended, 40);
}

TEST(event_loops, tell_what_left_a_task_once_all_have_returned) {
  EventLoops loops{{.loops = 3}};
  std::atomic<int> returned{0};
  const auto make = [&](EventLoop& loop) -> Task<void> {
    static_cast<void>(co_await wait_until(loop, loop.now() + 5ms, StopToken{}));
    ++returned;
  };
  const auto broken = [](EventLoop&) -> Task<void> {
    throw std::runtime_error{"broken"};
    co_return;
  };
  EXPECT_TRUE(loops.spawn(broken));
  EXPECT_TRUE(loops.spawn(make));
  EXPECT_TRUE(loops.spawn(make));
  EXPECT_THROW(static_cast<void>(loops.drain()), std::runtime_error);
  EXPECT_EQ(returned, 2);
  EXPECT_TRUE(loops.stop());  // it was told
}

TEST(event_loops_death, what_left_a_task_and_was_told_to_nobody_ends_the_program) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        EventLoops loops{{.loops = 1}};
        const auto broken = []() -> Task<void> {
          throw std::runtime_error{"broken in a task"};
          co_return;
        };
        static_cast<void>(loops.spawn(broken()));
      },
      "broken in a task");
}

TEST(event_loops, need_at_least_one) {
  EXPECT_THROW(EventLoops{{.loops = 0}}, std::invalid_argument);
}

TEST(event_loops_stress, every_task_ends_once_when_all_stop_meanwhile) {
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> spawned{0};
    std::atomic<int> ended{0};
    EventLoops loops{{.loops = 3}};
    const auto make = [&](EventLoop& loop) -> Task<void> {
      static_cast<void>(co_await wait_until(loop, loop.now() + 10ms, loops.token()));
      co_await reschedule(loop);
      ++ended;
    };
    std::thread stopper{[&] {
      std::this_thread::sleep_for(round * 20us);
      EXPECT_TRUE(loops.stop());
    }};
    in_parallel(3, [&](std::uint64_t) {
      for (int task = 0; task < 100; ++task) spawned += loops.spawn(make) ? 1 : 0;
    });
    stopper.join();
    EXPECT_EQ(ended, spawned);
  }
}

TEST(event_loops_stress, a_task_may_move_between_loops) {
  EventLoops loops{{.loops = 3}};
  std::atomic<int> ended{0};
  const auto body = [&]() -> Task<void> {
    for (int hop = 0; hop < 50; ++hop) {
      Executor& next = loops.next();
      co_await reschedule(next);
    }
    ++ended;
  };
  for (int task = 0; task < 100; ++task) EXPECT_TRUE(loops.spawn(body()));
  EXPECT_TRUE(loops.drain());
  EXPECT_EQ(ended, 100);
}

TEST(inline_stress, a_wait_is_ended_by_posts_and_stops_of_other_threads) {
  for (int round = 0; round < 300; ++round) {
    Inline executor;
    std::atomic<int> ran{0};
    Count job{ran};
    StopSource source;
    std::thread other{[&] {
      executor.post(job);
      source.request_stop();
    }};
    Call call{.stop = source.token(), .executor = &executor};
    EXPECT_FALSE(block_until(call, never));
    other.join();
    const auto behind_it = []() -> Task<void> { co_return; };
    sync_wait(executor, behind_it());
    EXPECT_EQ(ran, 1);
  }
}

}  // namespace
}  // namespace penstock
