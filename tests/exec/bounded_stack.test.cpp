// SPDX-License-Identifier: MIT
// However long a chain of completions is, it never grows the stack.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/channel.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/exec/when_any.hpp>

#include "support/small_stack.hpp"

namespace penstock {
namespace {

using support::on_a_small_stack;

Task<int> one() {
  co_return 1;
}
Task<int> one_later() {
  co_await reschedule(Executor::current());
  co_return 1;
}

// The symmetric transfer of g++ 12 overflows here in every build but plain -O2.
TEST(small_stack, fits_ten_million_immediate_awaits) {
  constexpr int awaits = 10'000'000;
  const auto body = []() -> Task<std::int64_t> {
    std::int64_t sum = 0;
    for (int i = 0; i < awaits; ++i) sum += co_await one();
    co_return sum;
  };
  std::int64_t sum = 0;
  on_a_small_stack([&] { sum = sync_wait(body()); });
  EXPECT_EQ(sum, awaits);
}

TEST(small_stack, fits_awaits_that_end_at_once_and_elsewhere_in_turn) {
  constexpr int rounds = 200'000;
  const auto body = []() -> Task<std::int64_t> {
    std::int64_t sum = 0;
    for (int i = 0; i < rounds; ++i) sum += co_await one() + co_await one_later();
    co_return sum;
  };
  std::int64_t sum = 0;
  on_a_small_stack([&] { sum = sync_wait(body()); });
  EXPECT_EQ(sum, 2 * rounds);
}

TEST(small_stack, fits_groups_that_end_at_once_and_elsewhere) {
  constexpr int rounds = 100'000;
  const auto body = []() -> Task<std::int64_t> {
    std::int64_t sum = 0;
    for (int i = 0; i < rounds; ++i) {
      auto [a, b] = co_await when_all(one(), one());
      auto [c, d] = co_await when_all(one_later(), one());
      StopSource losers;
      const auto winner = co_await when_any(losers, one_later(), one_later());
      sum += a + b + c + d + winner.value;
    }
    co_return sum;
  };
  std::int64_t sum = 0;
  on_a_small_stack([&] { sum = sync_wait(body()); });
  EXPECT_EQ(sum, 5 * rounds);
}

TEST(small_stack, fits_a_group_of_many_children) {
  constexpr std::size_t children = 100'000;
  std::size_t values = 0;
  on_a_small_stack([&] {
    std::vector<Task<int>> tasks;
    for (std::size_t child = 0; child < children; ++child)
      tasks.push_back(child % 2 == 0 ? one() : one_later());
    values = sync_wait(when_all(std::move(tasks))).size();
  });
  EXPECT_EQ(values, children);
}

// Each that is let in lets the next in: on the stack of the one before, if nobody took care.
TEST(small_stack, fits_a_chain_of_permits_that_are_given_back_at_once) {
  constexpr int callers = 100'000;
  int served = 0;
  on_a_small_stack([&] {
    Inline executor;
    Scope scope{executor};
    Semaphore permits{0};
    const auto body = [&]() -> Task<void> {
      Result<Semaphore::Permit> permit = co_await permits.acquire();
      served += permit ? 1 : 0;
    };
    for (int caller = 0; caller < callers; ++caller) scope.spawn(body());
    const auto start = [&]() -> Task<void> {
      permits.add(1);
      co_return;
    };
    scope.spawn(start());
    scope.wait();
  });
  EXPECT_EQ(served, callers);
}

TEST(small_stack, fits_a_mutex_handed_on_for_ever) {
  constexpr int rounds = 100'000;
  std::int64_t entered = 0;
  on_a_small_stack([&] {
    Inline executor;
    Scope scope{executor};
    AsyncMutex mutex;
    const auto body = [&]() -> Task<void> {
      for (int i = 0; i < rounds; ++i) {
        Result<AsyncMutex::Lock> lock = co_await mutex.lock();
        entered += lock ? 1 : 0;
        if (i % 2 == 0) co_await reschedule(executor);
      }
    };
    for (int caller = 0; caller < 3; ++caller) scope.spawn(body());
    scope.wait();
  });
  EXPECT_EQ(entered, 3 * rounds);
}

TEST(small_stack, fits_values_that_hop_through_channels) {
  constexpr int hops = 300'000;
  std::int64_t sum = 0;
  on_a_small_stack([&] {
    Inline executor;
    Scope scope{executor};
    Channel<int> there{1};
    Channel<int> back{0};
    const auto echo = [&]() -> Task<void> {
      while (Result<int> value = co_await there.receive()) {
        if (!co_await back.send(*value + 1)) break;
      }
    };
    const auto ask = [&]() -> Task<void> {
      for (int hop = 0; hop < hops; ++hop) {
        if (!co_await there.send(hop)) break;
        Result<int> value = co_await back.receive();
        sum += value.value_or(0) - hop;
      }
      there.close();
    };
    scope.spawn(echo());
    scope.spawn(ask());
    scope.wait();
  });
  EXPECT_EQ(sum, hops);
}

TEST(small_stack, fits_a_scope_that_refills_itself) {
  constexpr int links = 300'000;
  int ran = 0;
  struct Chain {
    static Task<void> link(Scope& scope, int& count) {
      if (++count < links) scope.spawn(link(scope, count));
      co_return;
    }
  };
  on_a_small_stack([&] {
    Inline executor;
    Scope scope{executor};
    scope.spawn(Chain::link(scope, ran));
    scope.wait();
  });
  EXPECT_EQ(ran, links);
}

}  // namespace
}  // namespace penstock
