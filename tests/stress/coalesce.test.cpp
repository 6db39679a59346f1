// SPDX-License-Identifier: MIT
// Single flight on threads: leaders that are cancelled, time out and fail, under followers.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <penstock/core/random_bits.hpp>
#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/layer/coalesce.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Every caller ends once, with the reply to its own key or an error; no leader is left behind.
TEST(coalesce_on_threads, blocking_and_coroutine_callers_of_few_keys_all_end) {
  constexpr int callers = 4;
  constexpr int calls = 400;
  InFlight<int, int> in_flight{{.buckets = 2}};
  const CoalescePolicy policy{{.shared_errors = {ErrorKind::transient}}};
  std::atomic<int> ended{0};
  std::atomic<int> succeeded{0};
  std::atomic<int> sent{0};
  const auto count = [&](const Result<int>& result, int key) {
    ++ended;
    if (!result) return;
    EXPECT_EQ(*result, key * 10);
    ++succeeded;
  };
  const auto answer = [&](int key, std::uint64_t random) -> Result<int> {
    ++sent;
    if (random % 5 == 0) return ErrorKind::transient;
    if (random % 5 == 1) return ErrorKind::permanent;
    return key * 10;
  };
  ThreadPool pool{3};
  auto blocking = stack(coalesce(in_flight, {}, policy)) | [&](int key, Call& call) -> Result<int> {
    const std::uint64_t random = random_bits();
    if (!block_until(call, sync::now() + random % 100 * 1us)) return ErrorKind::cancelled;
    return answer(key, random);
  };
  auto coroutine =
      stack(coalesce(in_flight, {}, policy)) | [&](int key, Call& call) -> Task<Result<int>> {
    const std::uint64_t random = random_bits();
    const bool came =
        co_await wait_until(call.where(), call.where().now() + random % 100 * 1us, call.stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return answer(key, random);
  };
  StopSource storm;
  const auto call_of = [&](int number) {
    Call call;
    if (number % 3 == 0) call.deadline = sync::now() + 80us;
    if (number % 4 == 0) call.stop = storm.token();
    return call;
  };
  {
    Scope scope{pool};
    const auto caller = [&](int first) -> Task<void> {
      for (int number = 0; number < calls; ++number) {
        const int key = (first + number) % 3;
        const Result<int> result = co_await coroutine(key, call_of(number));
        count(result, key);
      }
    };
    for (int number = 0; number < callers; ++number) scope.spawn(caller(number));
    std::vector<std::thread> threads;
    for (int thread = 0; thread < callers; ++thread) {
      threads.emplace_back([&, thread] {
        for (int number = 0; number < calls; ++number) {
          const int key = (thread + number) % 3;
          if (thread == 0 && number == calls / 2) storm.request_stop();
          count(blocking(key, call_of(number)), key);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    scope.wait();
  }
  EXPECT_EQ(ended, 2 * callers * calls);
  EXPECT_GT(succeeded, 0);
  EXPECT_LE(sent, ended);
  EXPECT_EQ(in_flight.leaders_approx(), 0U);
}

}  // namespace
}  // namespace penstock
