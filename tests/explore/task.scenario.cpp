// SPDX-License-Identifier: MIT
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <utility>

#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_any.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using penstock::ErrorKind;
using penstock::Executor;
using penstock::Inline;
using penstock::never;
using penstock::Result;
using penstock::Scope;
using penstock::sync_wait;
using penstock::Task;
using penstock::ThreadPool;
namespace sync = penstock::sync;

// Resumes its awaiter in a thread of its own, which may be faster than the one that suspends.
class Elsewhere {
 public:
  explicit Elsewhere(sync::thread& thread) noexcept : thread_(thread) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  [[gnu::noinline]] void await_suspend(std::coroutine_handle<> awaiter) {
    thread_ = sync::thread{[awaiter] { awaiter.resume(); }};
  }
  void await_resume() const noexcept {}

 private:
  sync::thread& thread_;
};

Task<int> inner(sync::thread& thread) {
  const auto owned = std::make_unique<int>(20);
  Elsewhere elsewhere{thread};
  co_await elsewhere;
  co_return *owned + 1;
}
Task<int> middle(sync::thread& thread) {
  const int value = co_await inner(thread);
  co_return value * 2;
}

void a_task_finishes_in_another_thread() {
  sync::thread thread;
  const int value = sync_wait(middle(thread));
  thread.join();
  check(value == 42, "the value was lost on its way");
}

void a_task_throws_in_another_thread() {
  sync::thread thread;
  const auto body = [](sync::thread& in) -> Task<int> {
    Elsewhere elsewhere{in};
    co_await elsewhere;
    throw std::runtime_error{"lost"};
  };
  bool caught = false;
  try {
    static_cast<void>(sync_wait(body(thread)));
  } catch (const std::runtime_error&) {
    caught = true;
  }
  thread.join();
  check(caught, "the exception was lost on its way");
}

void two_hops_in_a_row() {
  sync::thread one;
  sync::thread two;
  const auto body = [](sync::thread& first, sync::thread& second) -> Task<int> {
    const int a = co_await inner(first);
    const int b = co_await inner(second);
    co_return a + b;
  };
  const int value = sync_wait(body(one, two));
  one.join();
  two.join();
  check(value == 42, "a value was lost on its way");
}

void sync_wait_on_a_pool() {
  ThreadPool pool{1};
  const auto body = []() -> Task<int> { co_return 42; };
  check(sync_wait(pool, body()) == 42, "the value was lost on its way");
}

void two_threads_wait_on_one_pool() {
  ThreadPool pool{1};
  int sum = 0;
  const auto body = [&](int by) -> Task<void> {
    sum += by;  // one thread: one after the other
    co_return;
  };
  sync::thread other{[&] { sync_wait(pool, body(1)); }};
  sync_wait(pool, body(2));
  other.join();
  check(sum == 3, "a task did not run");
}

void a_scope_outlives_its_tasks() {
  Inline executor;
  sync::thread thread;
  {
    Scope scope{executor};
    int ran = 0;
    const auto body = [&]() -> Task<void> {
      Elsewhere elsewhere{thread};
      co_await elsewhere;
      ++ran;
    };
    scope.spawn(body());
    scope.wait();
    check(ran == 1, "the scope ended before its task");
  }
  thread.join();
}

void a_scope_is_filled_from_two_threads() {
  ThreadPool pool{1};
  Scope scope{pool};
  int ran = 0;
  const auto body = [&]() -> Task<void> {
    ++ran;
    co_return;
  };
  sync::thread other{[&] { scope.spawn(body()); }};
  scope.spawn(body());
  other.join();
  scope.wait();
  check(ran == 2, "the scope ended before its tasks");
}

void a_task_spawns_another_while_the_scope_is_joined() {
  ThreadPool pool{2};
  int first = 0;
  int second = 0;
  {
    Scope scope{pool};
    const auto inner = [&]() -> Task<void> {
      ++second;
      co_return;
    };
    const auto outer = [&]() -> Task<void> {
      scope.spawn(inner());
      ++first;
      co_return;
    };
    scope.spawn(outer());
    scope.wait();
  }
  check(first == 1 && second == 1, "the scope ended before its tasks");
}

void the_losers_of_a_race_are_left_to_their_scope() {
  ThreadPool pool{2};
  Inline executor;
  Scope losers{pool};
  int ended = 0;
  {
    const auto succeeds = [&]() -> Task<Result<int>> { co_return 7; };
    const auto fails = []() -> Task<Result<int>> { co_return ErrorKind::timeout; };
    const auto body = [&]() -> Task<void> {
      auto winner = co_await when_any(losers, succeeds(), fails());
      check(winner.index == 0 && winner.value.has_value(), "an error won");
      check(&Executor::current() == &executor, "it went on elsewhere");
      ++ended;
    };
    sync_wait(executor, body());
    losers.wait();
  }
  check(ended == 1, "it did not end");
}

void a_scope_goes_as_a_coroutine_has_joined_it() {
  ThreadPool pool{2};
  int ran = 0;
  const auto body = [&]() -> Task<void> {
    const auto scope = std::make_unique<Scope>(pool);
    const auto inner = [&]() -> Task<void> {
      ++ran;
      co_return;
    };
    scope->spawn(inner());
    co_await scope->join();
  };
  sync_wait(pool, body());
  check(ran == 1, "the scope ended before its task");
}

void an_exception_of_a_task_meets_the_end_of_another() {
  ThreadPool pool{2};
  bool caught = false;
  {
    Scope scope{pool};
    const auto broken = []() -> Task<void> {
      throw std::runtime_error{"broken"};
      co_return;
    };
    const auto waits = [&]() -> Task<void> {
      static_cast<void>(co_await wait_until(pool, never, scope.token()));
    };
    scope.spawn(waits());
    scope.spawn(broken());
    try {
      scope.wait();
    } catch (const std::runtime_error&) {
      caught = true;
    }
  }
  check(caught, "the exception was lost on its way");
}

const Scenario scenarios[] = {
    {"task/the_losers_of_a_race_are_left_to_their_scope",
     the_losers_of_a_race_are_left_to_their_scope},
    {"task/a_scope_goes_as_a_coroutine_has_joined_it", a_scope_goes_as_a_coroutine_has_joined_it},
    {"task/an_exception_of_a_task_meets_the_end_of_another",
     an_exception_of_a_task_meets_the_end_of_another},
    {"task/finishes_in_another_thread", a_task_finishes_in_another_thread},
    {"task/throws_in_another_thread", a_task_throws_in_another_thread},
    {"task/two_hops_in_a_row", two_hops_in_a_row},
    {"task/sync_wait_on_a_pool", sync_wait_on_a_pool},
    {"task/two_threads_wait_on_one_pool", two_threads_wait_on_one_pool},
    {"task/a_scope_outlives_its_tasks", a_scope_outlives_its_tasks},
    {"task/a_task_spawns_another_while_the_scope_is_joined",
     a_task_spawns_another_while_the_scope_is_joined},
    {"task/a_scope_is_filled_from_two_threads", a_scope_is_filled_from_two_threads},
};

}  // namespace
}  // namespace explore
