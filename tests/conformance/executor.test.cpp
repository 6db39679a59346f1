// SPDX-License-Identifier: MIT
// What every executor promises, run on each of them.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/simulation.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

template <class E>
class every_executor : public testing::Test {
 protected:
  E executor_;
};
struct Names {
  template <class E>
  static std::string GetName(int) {
    if (std::is_same_v<E, Inline>) return "inline";
    if (std::is_same_v<E, EventLoop>) return "event_loop";
    if (std::is_same_v<E, Simulation>) return "simulation";
    return "thread_pool";
  }
};
using Executors = testing::Types<Inline, ThreadPool, EventLoop, Simulation>;
TYPED_TEST_SUITE(every_executor, Executors, Names);

// Those that other threads may use; a simulation is a world of its own.
template <class E>
class every_shared_executor : public every_executor<E> {};
using SharedExecutors = testing::Types<Inline, ThreadPool, EventLoop>;
TYPED_TEST_SUITE(every_shared_executor, SharedExecutors, Names);

TYPED_TEST(every_executor, runs_a_task_to_its_value) {
  const auto body = []() -> Task<int> { co_return 42; };
  EXPECT_EQ(sync_wait(this->executor_, body()), 42);
}

TYPED_TEST(every_executor, is_the_current_one_inside_its_jobs) {
  const auto body = []() -> Task<Executor*> { co_return &Executor::current(); };
  EXPECT_EQ(sync_wait(this->executor_, body()), &this->executor_);
}

TYPED_TEST(every_executor, never_wakes_a_waiter_before_its_time) {
  const auto body = [](Executor& executor) -> Task<bool> {
    const Time until = executor.now() + 3ms;
    const bool came = co_await wait_until(executor, until, StopToken{});
    co_return came&& executor.now() >= until;
  };
  EXPECT_TRUE(sync_wait(this->executor_, body(this->executor_)));
}

TYPED_TEST(every_executor, fires_timers_in_the_order_of_their_instants) {
  std::vector<int> order;
  std::mutex mutex;
  Scope scope{this->executor_};
  const Time start = this->executor_.now();
  const auto body = [&](Executor& executor, int rank) -> Task<void> {
    static_cast<void>(co_await wait_until(executor, start + rank * 20ms, StopToken{}));
    const std::lock_guard lock{mutex};
    order.push_back(rank);
  };
  for (const int rank : {3, 1, 2}) scope.spawn(body(this->executor_, rank));
  scope.wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TYPED_TEST(every_executor, ends_a_wait_when_its_token_stops) {
  StopSource source;
  Scope scope{this->executor_};
  bool came = true;
  const auto waiter = [&](Executor& executor) -> Task<void> {
    came = co_await wait_until(executor, never, source.token());
  };
  const auto stopper = [&]() -> Task<void> {
    source.request_stop();
    co_return;
  };
  scope.spawn(waiter(this->executor_));
  scope.spawn(stopper());
  scope.wait();
  EXPECT_FALSE(came);
}

TYPED_TEST(every_executor, does_not_suspend_a_wait_that_is_stopped_already) {
  StopSource source;
  source.request_stop();
  const auto body = [&](Executor& executor) -> Task<bool> {
    co_return co_await wait_until(executor, never, source.token());
  };
  EXPECT_FALSE(sync_wait(this->executor_, body(this->executor_)));
}

TYPED_TEST(every_shared_executor, takes_posts_from_other_threads) {
  Scope scope{this->executor_};
  std::atomic<int> ran{0};
  const auto body = [&]() -> Task<void> {
    ++ran;
    co_return;
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) scope.spawn(body());
    });
  for (std::thread& thread : threads) thread.join();
  scope.wait();
  EXPECT_EQ(ran, 2000);
}

TYPED_TEST(every_shared_executor, wakes_for_a_post_while_it_sleeps) {
  Parker done;
  std::thread other{[&] { done.unpark(); }};
  EXPECT_TRUE(this->executor_.wait(done, never));
  other.join();
}

TYPED_TEST(every_executor, gives_up_a_blocking_wait_at_its_time) {
  Parker nobody;
  EXPECT_FALSE(this->executor_.wait(nobody, this->executor_.now() + 1ms));
}

TYPED_TEST(every_executor, blocks_inside_a_job_without_stalling_the_others) {
  Scope scope{this->executor_};
  Parker told;
  bool heard = false;
  const auto listener = [&](Executor& executor) -> Task<void> {
    heard = executor.wait(told, executor.now() + 10s);
    co_return;
  };
  const auto teller = [&]() -> Task<void> {
    told.unpark();
    co_return;
  };
  scope.spawn(listener(this->executor_));
  scope.spawn(teller());
  scope.wait();
  EXPECT_TRUE(heard);
}

TYPED_TEST(every_executor, scope_waits_for_tasks_that_spawn_tasks) {
  Scope scope{this->executor_};
  std::atomic<int> leaves{0};
  struct Tree {
    static Task<void> grow(Scope& in, std::atomic<int>& count, int depth) {
      if (depth == 0) {
        ++count;
        co_return;
      }
      in.spawn(grow(in, count, depth - 1));
      in.spawn(grow(in, count, depth - 1));
    }
  };
  scope.spawn(Tree::grow(scope, leaves, 8));
  scope.wait();
  EXPECT_EQ(leaves, 256);
}

}  // namespace
}  // namespace penstock
