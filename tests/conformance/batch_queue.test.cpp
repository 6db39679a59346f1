// SPDX-License-Identifier: MIT
// The batch queue keeps its promises on every executor.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
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
#include <penstock/store/batch_queue.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Replies = std::vector<Result<int>>;
using Queue = BatchQueue<int, int>;

SizeWeightAge rule(std::size_t items, Duration age) {
  return SizeWeightAge{{.max_items = items, .max_age = age}};
}
Replies squares(std::span<int> items) {
  Replies replies;
  for (const int item : items) replies.push_back(item * item);
  return replies;
}
Task<Replies> later_squares(std::span<int> items) {
  co_await reschedule(Executor::current());
  co_return squares(items);
}

template <class E>
class batch_queue_on_every_executor : public testing::Test {
 protected:
  Task<void> put(Queue& queue, int item, Call call, std::optional<Result<int>>& reply) {
    Task<Result<int>> submitted = queue.submit(item, call);
    reply.emplace(co_await std::move(submitted));
  }
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
TYPED_TEST_SUITE(batch_queue_on_every_executor, Executors, Names);

// Those that other threads may use; a simulation is a world of its own.
template <class E>
class batch_queue_on_shared_executors : public batch_queue_on_every_executor<E> {};
using SharedExecutors = testing::Types<Inline, ThreadPool, EventLoop>;
TYPED_TEST_SUITE(batch_queue_on_shared_executors, SharedExecutors, Names);

TYPED_TEST(batch_queue_on_every_executor, serves_a_blocking_caller_by_a_blocking_handler) {
  Queue queue{this->executor_, squares, {.release = rule(10, 1ms)}};
  for (int item = 0; item < 20; ++item) EXPECT_EQ(queue.submit_and_wait(item).value(), item * item);
}

TYPED_TEST(batch_queue_on_every_executor, serves_a_blocking_caller_by_a_coroutine_handler) {
  Queue queue{this->executor_, later_squares, {.release = rule(10, 0s)}};
  for (int item = 0; item < 20; ++item) EXPECT_EQ(queue.submit_and_wait(item).value(), item * item);
}

TYPED_TEST(batch_queue_on_every_executor, gives_many_coroutines_their_own_replies) {
  Queue queue{this->executor_, later_squares, {.release = rule(7, 1ms), .max_running = 3}};
  Scope scope{this->executor_};
  std::vector<std::optional<Result<int>>> replies(500);
  for (int item = 0; item < 500; ++item)
    scope.spawn(this->put(queue, item, {}, replies[static_cast<std::size_t>(item)]));
  scope.wait();
  for (int item = 0; item < 500; ++item)
    EXPECT_EQ(replies[static_cast<std::size_t>(item)]->value(), item * item);
  ASSERT_TRUE(queue.drain_and_wait());
  EXPECT_EQ(queue.stats().completed, 500U);
  EXPECT_GE(queue.stats().batches, 500U / 7);
}

TYPED_TEST(batch_queue_on_every_executor, runs_the_handler_on_its_executor) {
  Executor* where = nullptr;
  const auto looks = [&](std::span<int> items) {
    where = &Executor::current();
    return squares(items);
  };
  Queue queue{this->executor_, looks, {.release = rule(1, 0s)}};
  ASSERT_TRUE(queue.submit_and_wait(1));
  EXPECT_EQ(where, &this->executor_);
}

TYPED_TEST(batch_queue_on_shared_executors, resumes_its_caller_on_the_executor_of_the_call) {
  Queue queue{this->executor_, squares, {.release = rule(1, 0s)}};
  ThreadPool home{1};
  const auto body = [&]() -> Task<Executor*> {
    Task<Result<int>> submitted = queue.submit(3);
    if (!co_await std::move(submitted)) co_return nullptr;
    co_return &Executor::current();
  };
  // An executor that lives in a thread needs this one to drive it.
  std::optional<Executor*> resumed_on;
  Parker done;
  std::thread caller{[&] {
    resumed_on = sync_wait(home, body());
    done.unpark();
  }};
  EXPECT_TRUE(this->executor_.wait(done, never));
  caller.join();
  EXPECT_EQ(*resumed_on, &home);
}

TYPED_TEST(batch_queue_on_every_executor, leaves_by_age_but_not_before) {
  Queue queue{this->executor_, squares, {.release = rule(100, 2ms)}};
  const Time before = this->executor_.now();
  EXPECT_EQ(queue.submit_and_wait(5).value(), 25);
  EXPECT_GE(this->executor_.now(), before + 2ms);
}

TYPED_TEST(batch_queue_on_every_executor, gives_up_at_the_deadline_of_either_kind_of_caller) {
  Queue queue{this->executor_, squares, {.release = rule(100, 1h)}};
  const Time soon = this->executor_.now() + 2ms;
  EXPECT_EQ(queue.submit_and_wait(1, {.deadline = soon}).error().kind(), ErrorKind::deadline);
  const Time later = this->executor_.now() + 2ms;
  Task<Result<int>> submitted = queue.submit(1, {.deadline = later});
  EXPECT_EQ(sync_wait(this->executor_, std::move(submitted)).error().kind(), ErrorKind::deadline);
  EXPECT_EQ(queue.stats().batches, 0U);
}

TYPED_TEST(batch_queue_on_every_executor, lets_a_cancelled_caller_leave) {
  Queue queue{this->executor_, squares, {.release = rule(100, 1h)}};
  StopSource source;
  Scope scope{this->executor_};
  std::optional<Result<int>> reply;
  const auto cancels = [&]() -> Task<void> {
    source.request_stop();
    co_return;
  };
  scope.spawn(this->put(queue, 1, {.stop = source.token()}, reply));
  scope.spawn(cancels());
  scope.wait();
  EXPECT_EQ(reply->error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(queue.submit_and_wait(1, {.stop = source.token()}).error().kind(),
            ErrorKind::cancelled);
}

TYPED_TEST(batch_queue_on_every_executor, makes_callers_wait_for_room) {
  Queue queue{this->executor_, later_squares, {.release = rule(100, 1h), .capacity = 3}};
  Scope scope{this->executor_};
  std::vector<std::optional<Result<int>>> replies(20);
  for (int item = 0; item < 20; ++item)
    scope.spawn(this->put(queue, item, {}, replies[static_cast<std::size_t>(item)]));
  const auto drains = [&]() -> Task<void> {
    Task<Result<void>> drained = queue.drain();
    EXPECT_TRUE(co_await std::move(drained));
  };
  // What remains after the last caller found room waits for company until it is flushed.
  while (queue.stats().completed < 20) sync_wait(this->executor_, drains());
  scope.wait();
  for (const auto& reply : replies) EXPECT_TRUE(*reply);
}

TYPED_TEST(batch_queue_on_every_executor, survives_a_handler_that_throws) {
  const auto throws = [](std::span<int> items) {
    if (items[0] == 0) throw 42;
    return squares(items);
  };
  Queue queue{this->executor_, throws, {.release = rule(1, 0s)}};
  EXPECT_EQ(queue.submit_and_wait(0).error().kind(), ErrorKind::exception);
  EXPECT_EQ(queue.submit_and_wait(2).value(), 4);
}

TYPED_TEST(batch_queue_on_every_executor, drains_closes_and_goes_with_items_inside) {
  std::array<std::optional<Result<int>>, 3> replies;
  Scope scope{this->executor_};
  {
    Queue queue{this->executor_, later_squares, {.release = rule(100, 1h)}};
    const auto body = [&]() -> Task<void> {
      scope.spawn(this->put(queue, 1, {}, replies[0]));
      while (queue.stats().queued < 1) co_await reschedule(this->executor_);
      Task<Result<void>> drained = queue.drain();
      EXPECT_TRUE(co_await std::move(drained));
      scope.spawn(this->put(queue, 2, {}, replies[1]));
      while (queue.stats().queued < 1) co_await reschedule(this->executor_);
      queue.close();
      Task<Result<int>> late = queue.submit(3);
      replies[2].emplace(co_await std::move(late));
    };
    sync_wait(this->executor_, body());
  }
  scope.wait();
  EXPECT_EQ(replies[0]->value(), 1);
  EXPECT_EQ(replies[1]->value(), 4);
  EXPECT_EQ(replies[2]->error().kind(), ErrorKind::closed);
}

TYPED_TEST(batch_queue_on_shared_executors, takes_items_from_other_threads) {
  Queue queue{this->executor_, squares, {.release = rule(8, 1ms)}};
  ThreadPool callers{3};
  Parker done;
  int right = 0;
  std::thread starter{[&] {
    Scope scope{callers};
    std::mutex mutex;
    const auto body = [&](int item) -> Task<void> {
      Task<Result<int>> submitted = queue.submit(item);
      const Result<int> reply = co_await std::move(submitted);
      const std::lock_guard lock{mutex};
      right += reply && *reply == item * item ? 1 : 0;
    };
    for (int item = 0; item < 300; ++item) scope.spawn(body(item));
    scope.wait();
    done.unpark();
  }};
  EXPECT_TRUE(this->executor_.wait(done, never));
  starter.join();
  EXPECT_EQ(right, 300);
}

}  // namespace
}  // namespace penstock
