// SPDX-License-Identifier: MIT
// What a call does beside its answer, to keep it or to tell how it came, may fail for want of
// memory: the answer does not.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>
#include <utility>

#include <penstock/core/stack.hpp>
#include <penstock/exec/pool_scope.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/layer/cache.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/hedge.hpp>

#include "support/allocations.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::fails_in;
using testing::has_failed;

// Calls `act()` with its first allocation failing, then with its second, until none is left; each
// time in a thread of its own, whose frame cache is empty. How many there were.
template <class Act>
std::size_t fail_each_of(Act act) {
  for (std::size_t failing = 1;; ++failing) {
    bool failed = false;
    std::thread{[&] {
      fails_in = failing;
      act();
      fails_in = 0;
      failed = has_failed;
    }}.join();
    if (!failed) return failing - 1;
  }
}

TEST(cache_without_memory, gives_the_reply_that_it_cannot_keep) {
  const std::size_t points = fail_each_of([] {
    const std::size_t failing = std::exchange(fails_in, 0);
    Cache<int, int> kept;
    auto ask = stack(cache(kept)) | [](int request) -> Result<int> { return request; };
    fails_in = failing;
    const Result<int> reply = ask(7);
    EXPECT_TRUE(reply);
  });
  EXPECT_GE(points, 2U) << "the entry and its place";
}

TEST(cache_without_memory, gives_the_stale_reply_that_it_cannot_revalidate) {
  ThreadPool pool{1};
  const std::size_t points = fail_each_of([&] {
    const std::size_t failing = std::exchange(fails_in, 0);
    Cache<int, int> kept;
    kept.put(7, 1, sync::now() - 1min);
    PoolScope scope{pool};
    const CachePolicy policy{{.ttl = 1s, .stale_while_revalidate = 1h}};
    auto ask =
        stack(cache(kept, std::identity{}, policy, scope)) | [](int) -> Result<int> { return 2; };
    fails_in = failing;
    const Result<int> reply = ask(7);
    const bool failed = has_failed;
    fails_in = 0;
    EXPECT_EQ(reply.value_or(0), 1);
    scope.wait();
    // Nobody is left who would be thought to ask anew.
    if (failed) {
      EXPECT_EQ(ask(7).value_or(0), 1);
      scope.wait();
    }
    EXPECT_EQ(ask(7).value_or(0), 2);
    has_failed = failed;
  });
  EXPECT_GE(points, 2U) << "the task and what spawns it";
}

TEST(fallback_without_memory, gives_the_error_of_the_plan) {
  const std::size_t points = fail_each_of([] {
    const std::size_t failing = std::exchange(fails_in, 0);
    auto ask = stack(fallback([](int, Call&) -> Result<int> { return ErrorKind::quota; })) |
               [](int) -> Result<int> { return ErrorKind::unavailable; };
    fails_in = failing;
    const Result<int> reply = ask(7);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind(), ErrorKind::quota);
  });
  EXPECT_GE(points, 2U) << "the history and its block";
}

TEST(hedge_without_memory, gives_the_error_of_the_first_attempt) {
  const std::size_t points = fail_each_of([] {
    const std::size_t failing = std::exchange(fails_in, 0);
    HedgePolicy policy;
    HedgeRace<int, Result<int>> race{7};
    ASSERT_EQ(race.enter(), 0U);
    ASSERT_EQ(race.enter(), 1U);
    race.finish(1, {}, {}, ErrorKind::quota, policy);
    race.finish(0, {}, {}, ErrorKind::transient, policy);
    Call call;
    fails_in = failing;
    const Result<int> reply = race.take(call);
    EXPECT_EQ(reply.error().kind(), ErrorKind::transient);
  });
  EXPECT_GE(points, 2U) << "the history and its block";
}

}  // namespace
}  // namespace penstock
