// SPDX-License-Identifier: MIT
// What a call through a stack may cost: allocations and clock readings, counted.
#include "support/replaced_new.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <penstock/core/stack.hpp>
#include <penstock/exec/frame_cache.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/concurrency_limit.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool frames_are_kept = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool frames_are_kept = false;
#else
constexpr bool frames_are_kept = true;
#endif
#else
constexpr bool frames_are_kept = true;
#endif

struct Counted {
  std::uint64_t allocations;
  std::uint64_t clock_readings;
  friend bool operator==(const Counted&, const Counted&) = default;
};

class cost_of_a_stack : public ::testing::Test {
 protected:
  auto layers(TokenBucket& bucket) {
    return stack(deadline(60s),
                 retry(RetryPolicy{}, budget_),
                 circuit_breaker(breaker_),
                 rate_limit(bucket),
                 concurrency_limit(limit_),
                 attempt_timeout(20s));
  }
  auto layers() { return layers(bucket_); }
  template <class Work>
  Counted count(Work work) {
    const Counted before{testing::allocations_here, executor_.clock_readings()};
    work();
    return {testing::allocations_here - before.allocations,
            executor_.clock_readings() - before.clock_readings};
  }

  testing::ManualExecutor executor_;
  Call call_{.executor = &executor_};
  RetryBudget budget_;
  CircuitBreaker breaker_;
  TokenBucket bucket_{{.rate = 1e6, .per = 1s}};
  ConcurrencyLimit limit_{{.max_in_flight = 16}};
};

TEST_F(cost_of_a_stack, a_refusal_is_three_words) {
  static_assert(sizeof(Error) == 3 * sizeof(void*) || sizeof(void*) != 8);
  EXPECT_EQ(count([] { [[maybe_unused]] const Error error{ErrorKind::limited}; }).allocations, 0U);
}

TEST_F(cost_of_a_stack, a_blocking_call_allocates_nothing_and_reads_the_clock_twice) {
  auto ask = layers() | [](int request) -> Result<int> { return request + 1; };
  EXPECT_EQ(count([&] { EXPECT_EQ(*ask(1, call_), 2); }), (Counted{0, 2}));
}

TEST_F(cost_of_a_stack, an_error_that_is_not_retried_allocates_nothing_either) {
  auto ask = layers() | [](int) -> Result<int> { return ErrorKind::permanent; };
  EXPECT_EQ(count([&] { EXPECT_FALSE(ask(1, call_)); }), (Counted{0, 2}));
}

TEST_F(cost_of_a_stack, an_error_without_time_to_retry_allocates_nothing_either) {
  auto ask = layers() | [](int) -> Result<int> {
    Error error{ErrorKind::rate_limited};
    error.set_retry_after(1h);
    return error;
  };
  EXPECT_EQ(count([&] { EXPECT_FALSE(ask(1, call_)); }), (Counted{0, 2}));
}

TEST_F(cost_of_a_stack, a_refusal_by_an_open_breaker_allocates_nothing_and_reads_the_clock_once) {
  breaker_.isolate();
  auto ask = layers() | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(count([&] { EXPECT_EQ(ask(1, call_).error().kind(), ErrorKind::circuit_open); }),
            (Counted{0, 1}));
}

TEST_F(cost_of_a_stack, a_refusal_by_an_empty_bucket_allocates_nothing_and_reads_the_clock_once) {
  TokenBucket empty{{.rate = 1, .per = 1h}};
  ASSERT_TRUE(empty.try_take(executor_.now()).granted);
  auto ask = layers(empty) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(count([&] { EXPECT_EQ(ask(1, call_).error().kind(), ErrorKind::limited); }),
            (Counted{0, 1}));
}

// Counted inside a coroutine, so that what starts it is not.
TEST_F(cost_of_a_stack, a_coroutine_call_allocates_nothing_once_its_frames_are_there) {
  auto ask = layers() | [](int request) -> Task<Result<int>> { co_return request + 1; };
  constexpr std::uint64_t calls = 100;
  Counted counted{};
  const auto loop = [&]() -> Task<void> {
    const Result<int> first = co_await ask(0, call_);
    EXPECT_TRUE(first);
    const Counted before{testing::allocations_here, executor_.clock_readings()};
    for (std::uint64_t call = 0; call < calls; ++call) {
      const Result<int> reply = co_await ask(1, call_);
      EXPECT_EQ(*reply, 2);
    }
    counted = {testing::allocations_here - before.allocations,
               executor_.clock_readings() - before.clock_readings};
  };
  sync_wait(executor_, loop());
  EXPECT_EQ(counted.clock_readings, 2 * calls);
  // The layers together, and the leaf.
  constexpr std::uint64_t frames = 2;
  EXPECT_EQ(counted.allocations, frames_are_kept ? 0 : frames * calls);
}

// All of it, the coroutine that asks and the one that answers included.
TEST_F(cost_of_a_stack, a_call_in_flight_holds_less_than_a_kibibyte) {
  Semaphore answers{0};
  auto ask = layers() | [&](int request, Call& call) -> Task<Result<int>> {
    const Result<Semaphore::Permit> answer = co_await answers.acquire(call);
    if (!answer) co_return answer.error();
    co_return request + 1;
  };
  constexpr std::size_t calls = 16;  // as many as the concurrency limit lets in
  std::size_t answered = 0;
  const auto caller = [&]() -> Task<void> {
    const Result<int> reply = co_await ask(1, call_);
    answered += reply.value_or(0) == 2 ? 1 : 0;
  };
  FrameCache::trim();
  Scope scope{executor_};
  std::size_t held = 0;
  const auto answer = [&]() -> Task<void> {
    held = testing::bytes_asked_here - held;
    EXPECT_EQ(answered, 0U);
    answers.add(calls);
    co_return;
  };
  held = testing::bytes_asked_here;
  for (std::size_t call = 0; call < calls; ++call) scope.spawn(caller());
  scope.spawn(answer());
  scope.wait();
  EXPECT_EQ(answered, calls);
  EXPECT_LT(held / calls, 1024U);
  EXPECT_GT(held / calls, 256U);  // they were not kept from before
}

}  // namespace
}  // namespace penstock
