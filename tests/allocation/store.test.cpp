// SPDX-License-Identifier: MIT
// Every allocation on the way to a connection fails once: the caller is told once, nothing leaks,
// and the pool has lost neither a connection nor a place.
#include <gtest/gtest.h>

#include <cstdio>
#include <new>
#include <utility>

#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>

#include "allocation/sweep.hpp"
#include "support/named_pool.hpp"

namespace penstock {
namespace {

using allocation::Ending;

using testing::acquire_by_temporary;
using testing::long_key;
using Pool = testing::NamedPool;
using Lease = Pool::Lease;

// Whoever asks is told once, also where there is no memory to ask.
Task<void> ask(Pool& pool, Executor& executor, Ending& ending) {
  Call call{.executor = &executor};
  try {
    Task<Result<Lease>> acquiring = acquire_by_temporary(pool, call);
    const Result<Lease> lease = co_await std::move(acquiring);
    if (lease) {
      EXPECT_EQ((*lease)->to, long_key());
      ending.value();
    } else {
      EXPECT_EQ(lease.error().kind(), ErrorKind::exception);
      ending.error();
    }
  } catch (const std::bad_alloc&) {
    ending.error();
  }
}
void expect_whole(const Pool& pool) {
  const Pool::Stats stats = pool.stats();
  EXPECT_EQ(stats.waiting, 0U);
  EXPECT_EQ(stats.connections, stats.idle);
}

void opened(Ending& ending) {
  Inline executor;
  Pool pool{{}};
  sync_wait(executor, ask(pool, executor, ending));
  expect_whole(pool);
}
// By the second, who finds what the first gave back or opens a connection after all.
void reused(Ending& ending) {
  Inline executor;
  Pool pool{{}};
  const auto body = [&]() -> Task<void> {
    Call call{.executor = &executor};
    try {
      Task<Result<Lease>> acquiring = acquire_by_temporary(pool, call);
      Result<Lease> first = co_await std::move(acquiring);
      if (first) first->give_back();
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(pool.stats().connections, 0U);
    }
    Task<void> second = ask(pool, executor, ending);
    co_await std::move(second);
  };
  sync_wait(executor, body());
  expect_whole(pool);
}
// In line for the only place, to open a connection of one's own there.
void waited_for(Ending& ending) {
  Inline executor;
  Pool pool{{}, {.max_per_key = 1}};
  Scope others{executor};
  const auto body = [&]() -> Task<void> {
    Call call{.executor = &executor};
    try {
      Task<Result<Lease>> acquiring = acquire_by_temporary(pool, call);
      const Result<Lease> held = co_await std::move(acquiring);
      others.spawn(ask(pool, executor, ending));
      co_await reschedule(executor);
      // It waits, or had no memory to.
      EXPECT_TRUE(!held || pool.stats().waiting == 1 || ending.errors() == 1);
    } catch (const std::bad_alloc&) {
      ending.error();
    }
    co_await others.join();
  };
  sync_wait(executor, body());
  expect_whole(pool);
}

TEST(pool, tells_a_caller_once_and_stays_whole_whichever_allocation_fails) {
  const std::pair<const char*, void (*)(Ending&)> scenarios[] = {
      {"a connection is opened", opened},
      {"a connection is reused", reused},
      {"a place is waited for", waited_for},
  };
  for (const auto& [name, work] : scenarios) {
    const auto sweep = allocation::fail_each(name, work);
    std::printf("%-28s %2zu allocations failed, %zu of them to no harm\n",
                name,
                sweep.points,
                sweep.survivors);
    // The key, its copy and the connection's, at the least.
    EXPECT_GE(sweep.points, 3U) << name;
  }
}

}  // namespace
}  // namespace penstock
