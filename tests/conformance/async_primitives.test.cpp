// SPDX-License-Identifier: MIT
// The primitives of coroutines keep their promises on every executor.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/channel.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/future.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/exec/when_any.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

template <class E>
class primitives_on_every_executor : public ::testing::Test {
 protected:
  Task<Result<int>> reply_after(Duration delay, Result<int> reply, StopToken stop = {}) {
    const bool came = co_await wait_until(executor_, executor_.now() + delay, stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return reply;
  }
  E executor_;
};
struct Names {
  template <class E>
  static std::string GetName(int) {
    if (std::is_same_v<E, Inline>) return "inline";
    if (std::is_same_v<E, EventLoop>) return "event_loop";
    if (std::is_same_v<E, ThreadPool>) return "thread_pool";
    return "manual_executor";
  }
};
using Executors = ::testing::Types<Inline, ThreadPool, EventLoop, testing::ManualExecutor>;
TYPED_TEST_SUITE(primitives_on_every_executor, Executors, Names);

TYPED_TEST(primitives_on_every_executor, a_semaphore_never_gives_more_than_it_has) {
  Semaphore permits{2};
  Scope scope{this->executor_};
  std::atomic<int> inside{0};
  std::atomic<int> served{0};
  std::atomic<bool> too_many{false};
  const auto body = [&]() -> Task<void> {
    const auto permit = co_await permits.acquire();
    if (!permit) co_return;
    if (++inside > 2) too_many = true;
    co_await reschedule(this->executor_);
    --inside;
    ++served;
  };
  for (int caller = 0; caller < 50; ++caller) scope.spawn(body());
  scope.wait();
  EXPECT_EQ(served, 50);
  EXPECT_FALSE(too_many);
  EXPECT_EQ(permits.free_approx(), 2U);
}

TYPED_TEST(primitives_on_every_executor, a_waiter_resumes_on_the_executor_of_its_call) {
  Semaphore permits{0};
  Scope scope{this->executor_};
  Executor* resumed_on = nullptr;
  const auto body = [&]() -> Task<void> {
    const auto permit = co_await permits.acquire();
    if (permit) resumed_on = &Executor::current();
  };
  scope.spawn(body());
  std::thread other{[&] { permits.add(1); }};
  other.join();
  scope.wait();
  EXPECT_EQ(resumed_on, &this->executor_);
}

TYPED_TEST(primitives_on_every_executor, a_wait_ends_at_its_deadline) {
  Semaphore permits{0};
  AsyncMutex mutex;
  const auto held = mutex.try_lock();
  Channel<int> empty{1};
  const auto body = [&]() -> Task<int> {
    const Call call{.deadline = this->executor_.now() + 2ms};
    int right = 0;
    const auto permit = co_await permits.acquire(call);
    right += !permit && permit.error().kind() == ErrorKind::deadline ? 1 : 0;
    const auto lock = co_await mutex.lock(call);
    right += !lock && lock.error().kind() == ErrorKind::deadline ? 1 : 0;
    const auto value = co_await empty.receive(call);
    right += !value && value.error().kind() == ErrorKind::deadline ? 1 : 0;
    right += this->executor_.now() >= call.deadline ? 1 : 0;
    co_return right;
  };
  EXPECT_EQ(sync_wait(this->executor_, body()), 4);
}

TYPED_TEST(primitives_on_every_executor, a_blocking_caller_and_a_coroutine_meet_at_a_channel) {
  for (const std::size_t capacity : {0U, 1U, 8U}) {
    Channel<int> there{capacity};
    Channel<int> back{capacity};
    Scope scope{this->executor_};
    const auto echo = [&]() -> Task<void> {
      while (const Result<int> value = co_await there.receive()) {
        if (!co_await back.send(2 * *value)) break;
      }
      back.close();
    };
    scope.spawn(echo());
    for (int value = 0; value < 20; ++value) {
      ASSERT_TRUE(there.send_and_wait(int{value}, {.executor = &this->executor_}));
      ASSERT_EQ(back.receive_and_wait({.executor = &this->executor_}).value(), 2 * value);
    }
    there.close();
    scope.wait();
    EXPECT_EQ(back.receive_and_wait().error().kind(), ErrorKind::closed);
  }
}

TYPED_TEST(primitives_on_every_executor, many_senders_reach_many_receivers) {
  Channel<int> values{3};
  Scope scope{this->executor_};
  std::atomic<int> received{0};
  std::atomic<int> sum{0};
  const auto put = [&](int value) -> Task<void> {
    if (!co_await values.send(value)) sum += 1'000'000;
  };
  const auto get = [&]() -> Task<void> {
    while (const Result<int> value = co_await values.receive()) {
      sum += *value;
      if (++received == 100) values.close();
    }
  };
  for (int receiver = 0; receiver < 4; ++receiver) scope.spawn(get());
  for (int value = 1; value <= 100; ++value) scope.spawn(put(value));
  scope.wait();
  EXPECT_EQ(received, 100);
  EXPECT_EQ(sum, 5050);
}

TYPED_TEST(primitives_on_every_executor, all_are_joined_and_keep_their_replies) {
  const auto body = [&]() -> Task<int> {
    auto [first, second, third] =
        co_await when_all(this->reply_after(2ms, 1), ready_task(2), this->reply_after(1ms, 3));
    co_return 100 * *first + 10 * second + *third;
  };
  EXPECT_EQ(sync_wait(this->executor_, body()), 123);
}

TYPED_TEST(primitives_on_every_executor, the_first_success_wins_and_the_losers_are_joined) {
  StopSource losers;
  const auto winner =
      sync_wait(this->executor_,
                when_any(losers,
                         this->reply_after(0ms, ErrorKind::unavailable, losers.token()),
                         this->reply_after(1h, 1, losers.token()),
                         this->reply_after(1ms, 2, losers.token())));
  EXPECT_EQ(winner.index, 2U);
  EXPECT_EQ(*winner.value, 2);
}

TYPED_TEST(primitives_on_every_executor, the_losers_may_go_on_in_a_scope) {
  Scope scope{this->executor_};
  const auto winner = sync_wait(
      this->executor_,
      when_any(scope, this->reply_after(1h, 1, scope.token()), this->reply_after(1ms, 2)));
  EXPECT_EQ(winner.index, 1U);
  scope.request_stop();
  scope.wait();
}

TYPED_TEST(primitives_on_every_executor, a_callback_from_another_thread_resumes_its_coroutine) {
  OneShot<int> done;
  std::thread other;
  const auto body = [&]() -> Task<Executor*> {
    other = std::thread{[setter = done.setter()] { setter.set(7); }};
    const Result<int> value = co_await done.wait();
    co_return value.value_or(0) == 7 ? &Executor::current() : nullptr;
  };
  // Simulated time ends where nothing can happen: there, the callback comes first.
  if constexpr (std::is_same_v<TypeParam, testing::ManualExecutor>) {
    done.setter().set(7);
    const auto waits = [&]() -> Task<Executor*> {
      const Result<int> value = co_await done.wait();
      co_return value.value_or(0) == 7 ? &Executor::current() : nullptr;
    };
    EXPECT_EQ(sync_wait(this->executor_, waits()), &this->executor_);
  } else {
    EXPECT_EQ(sync_wait(this->executor_, body()), &this->executor_);
    other.join();
  }
}

TYPED_TEST(primitives_on_every_executor, a_future_gets_what_a_task_gives) {
  Scope scope{this->executor_};
  std::future<Result<int>> future = to_future(scope, this->reply_after(1ms, 4));
  scope.wait();
  EXPECT_EQ(future.get().value(), 4);
}

}  // namespace
}  // namespace penstock
