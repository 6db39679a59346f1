// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class semaphore : public ::testing::Test {
 protected:
  // Takes `count`, notes how that ended, and keeps them in `held`.
  Task<void> hold(std::size_t count, Call call, int name) {
    Result<Semaphore::Permit> permit = co_await permits.acquire(call, count);
    ends.emplace_back(name, permit ? std::nullopt : std::optional{permit.error().kind()});
    if (permit) held.push_back(*std::move(permit));
  }
  std::vector<int> order() const {
    std::vector<int> names;
    for (const auto& [name, error] : ends) names.push_back(name);
    return names;
  }
  void settle() { executor.run_for(0ns); }

  Semaphore permits{0};  // each test adds what it needs
  testing::ManualExecutor executor;
  Scope scope{executor};
  std::vector<std::pair<int, std::optional<ErrorKind>>> ends;
  std::vector<Semaphore::Permit> held;
};

TEST_F(semaphore, gives_a_free_permit_without_suspending) {
  permits.add(1);
  const auto body = [&]() -> Task<bool> {
    const std::uint64_t before = executor.clock_readings();
    Result<Semaphore::Permit> permit = co_await permits.acquire();
    co_return permit.has_value() && executor.clock_readings() == before;
  };
  EXPECT_TRUE(sync_wait(executor, body()));
  EXPECT_EQ(permits.free_approx(), 1U);
}

TEST_F(semaphore, takes_a_dropped_permit_back) {
  permits.add(1);
  { const auto permit = permits.try_acquire(); }
  EXPECT_TRUE(permits.try_acquire());
}

TEST_F(semaphore, a_moved_permit_is_given_back_once) {
  permits.add(2);
  {
    auto first = permits.try_acquire();
    Semaphore::Permit moved = *std::move(first);
    first.reset();
    EXPECT_EQ(permits.free_approx(), 1U);
    auto second = permits.try_acquire();
    moved = *std::move(second);
    EXPECT_EQ(permits.free_approx(), 1U);
  }
  EXPECT_EQ(permits.free_approx(), 2U);
}

TEST_F(semaphore, a_forgotten_permit_never_comes_back) {
  permits.add(2);
  auto permit = permits.try_acquire();
  permit->forget();
  permit.reset();
  EXPECT_EQ(permits.free_approx(), 1U);
}

TEST_F(semaphore, serves_waiters_in_the_order_they_came) {
  for (int name = 0; name < 5; ++name) scope.spawn(hold(1, {}, name));
  settle();
  EXPECT_TRUE(ends.empty());
  permits.add(2);
  settle();
  EXPECT_EQ(order(), (std::vector{0, 1}));
  permits.add(3);
  scope.wait();
  EXPECT_EQ(order(), (std::vector{0, 1, 2, 3, 4}));
}

TEST_F(semaphore, a_large_request_is_not_overtaken_by_small_ones) {
  permits.add(1);
  scope.spawn(hold(3, {}, 0));
  scope.spawn(hold(1, {}, 1));
  settle();
  EXPECT_TRUE(ends.empty());
  EXPECT_FALSE(permits.try_acquire());
  permits.add(3);
  scope.wait();
  EXPECT_EQ(order(), (std::vector{0, 1}));
}

TEST_F(semaphore, a_large_request_that_leaves_lets_the_small_ones_through) {
  permits.add(1);
  StopSource impatient;
  scope.spawn(hold(3, {.stop = impatient.token()}, 0));
  scope.spawn(hold(1, {}, 1));
  settle();
  impatient.request_stop();
  scope.wait();
  EXPECT_EQ(ends.size(), 2U);
  EXPECT_EQ(held.size(), 1U);
}

TEST_F(semaphore, a_wait_ends_at_the_deadline_of_its_call) {
  const Time deadline = executor.now() + 5s;
  scope.spawn(hold(1, {.deadline = deadline}, 0));
  scope.wait();
  EXPECT_EQ(ends.front().second, ErrorKind::deadline);
  EXPECT_EQ(executor.now(), deadline);
  permits.add(1);
  EXPECT_EQ(permits.free_approx(), 1U);
}

TEST_F(semaphore, refuses_a_stopped_call_even_what_is_free) {
  permits.add(1);
  StopSource stopped;
  stopped.request_stop();
  scope.spawn(hold(1, {.stop = stopped.token()}, 0));
  scope.wait();
  EXPECT_EQ(ends.front().second, ErrorKind::cancelled);
  EXPECT_EQ(permits.acquire_and_wait({.stop = stopped.token()}).error().kind(),
            ErrorKind::cancelled);
}

TEST_F(semaphore, what_was_granted_before_the_stop_is_kept) {
  StopSource late;
  scope.spawn(hold(1, {.stop = late.token()}, 0));
  settle();
  permits.add(1);
  late.request_stop();
  scope.wait();
  EXPECT_EQ(ends.front().second, std::nullopt);
}

TEST_F(semaphore, refuses_everyone_once_it_is_closed) {
  permits.add(1);
  auto out = permits.try_acquire();
  scope.spawn(hold(1, {}, 0));
  settle();
  permits.close();
  scope.spawn(hold(1, {}, 1));
  scope.wait();
  EXPECT_EQ(ends[0].second, ErrorKind::closed);
  EXPECT_EQ(ends[1].second, ErrorKind::closed);
  out.reset();
  EXPECT_FALSE(permits.try_acquire());
  EXPECT_EQ(permits.acquire_and_wait().error().kind(), ErrorKind::closed);
}

TEST_F(semaphore, blocking_and_coroutine_callers_wait_in_one_queue) {
  scope.spawn(hold(1, {}, 0));
  settle();
  const auto later = [&]() -> Task<void> {
    permits.add(1);
    scope.spawn(hold(1, {}, 2));
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + 1s, StopToken{});
    permits.add(1);
  };
  scope.spawn(later());
  // Drives the executor: it waits behind 0 and before 2.
  {
    const auto permit = permits.acquire_and_wait({.executor = &executor});
    EXPECT_TRUE(permit);
    EXPECT_EQ(order(), (std::vector{0}));
  }
  scope.wait();
  EXPECT_EQ(order(), (std::vector{0, 2}));
}

TEST_F(semaphore, a_blocking_wait_ends_at_its_deadline) {
  const auto permit =
      permits.acquire_and_wait({.deadline = executor.now() + 2s, .executor = &executor});
  EXPECT_EQ(permit.error().kind(), ErrorKind::deadline);
}

TEST_F(semaphore, a_mutex_is_held_across_a_wait) {
  AsyncMutex mutex;
  int inside = 0;
  int most = 0;
  const auto body = [&]() -> Task<void> {
    Result<AsyncMutex::Lock> lock = co_await mutex.lock();
    EXPECT_TRUE(lock);
    most = std::max(most, ++inside);
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + 1s, StopToken{});
    --inside;
  };
  for (int caller = 0; caller < 10; ++caller) scope.spawn(body());
  const Time start = executor.now();
  scope.wait();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(executor.now() - start, 10s);
  EXPECT_TRUE(mutex.try_lock());
}

TEST_F(semaphore, a_mutex_that_is_held_is_not_locked_again) {
  AsyncMutex mutex;
  const auto lock = mutex.lock_and_wait();
  EXPECT_TRUE(lock);
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_EQ(
      mutex.lock_and_wait({.deadline = executor.now() + 1s, .executor = &executor}).error().kind(),
      ErrorKind::deadline);
}

}  // namespace
}  // namespace penstock
