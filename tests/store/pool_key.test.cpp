// SPDX-License-Identifier: MIT
// A connection asked for with a key that has no name: the key lives as long as it is needed, and
// the caller can be stopped at every wait on the way.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <penstock/core/stop.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/testing/manual_executor.hpp>

#include "support/named_pool.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::acquire_by_temporary;
using testing::long_key;
using Pool = testing::NamedPool;
using Lease = Pool::Lease;

enum class Holder : unsigned char { nobody, gives_back, drops };

struct Ended {
  int times = 0;
  std::optional<ErrorKind> error{};
  std::size_t steps = 0;
};

// One caller with a temporary key, stopped after `stop_after` steps of everything together.
Ended run(Holder holder, std::size_t stop_after) {
  testing::ManualExecutor executor;
  StopSource stop;
  Ended ended;
  Pool pool{{}, {.max_per_key = 1}};
  const auto hold = [&]() -> Task<void> {
    Call call{.executor = &executor};
    const std::string name = long_key();
    Result<Lease> lease = co_await pool.acquire(name, call);
    EXPECT_TRUE(lease);
    if (!lease) co_return;
    static_cast<void>(co_await wait_until(executor, executor.now() + 10ms, StopToken{}));
    if (holder == Holder::gives_back) lease->give_back();
  };
  const auto ask = [&]() -> Task<void> {
    Call call{.stop = stop.token(), .executor = &executor};
    Task<Result<Lease>> acquiring = acquire_by_temporary(pool, call);
    const Result<Lease> lease = co_await std::move(acquiring);
    ++ended.times;
    if (lease) {
      EXPECT_EQ((*lease)->to, long_key());
    } else {
      ended.error = lease.error().kind();
    }
  };
  if (holder != Holder::nobody) executor.spawn("the holder", hold());
  executor.spawn("the caller", ask());
  executor.between_steps([&] {
    if (ended.steps++ == stop_after) stop.request_stop();
  });
  static_cast<void>(executor.run());
  executor.between_steps(nullptr);
  const Pool::Stats stats = pool.stats();
  EXPECT_EQ(stats.waiting, 0U);
  EXPECT_EQ(stats.connections, stats.idle);

  bool served = false;
  const auto after = [&]() -> Task<void> {
    Call call{.executor = &executor};
    Task<Result<Lease>> acquiring = acquire_by_temporary(pool, call);
    served = static_cast<bool>(co_await std::move(acquiring));
  };
  executor.spawn("the next", after());
  static_cast<void>(executor.run());
  EXPECT_TRUE(served) << "the pool has lost a place";
  return ended;
}

class pool_key : public ::testing::TestWithParam<std::pair<Holder, std::size_t>> {};
// How many waits there are: of the caller for its place, and the two of the transport.
INSTANTIATE_TEST_SUITE_P(every_way_in,
                         pool_key,
                         ::testing::Values(std::pair{Holder::nobody, 2U},
                                           std::pair{Holder::gives_back, 1U},
                                           std::pair{Holder::drops, 3U}));

TEST_P(pool_key, lives_as_long_as_its_caller_waits) {
  const Ended ended = run(GetParam().first, ~std::size_t{0});
  EXPECT_EQ(ended.times, 1);
  EXPECT_FALSE(ended.error);
}

TEST_P(pool_key, serves_or_cancels_its_caller_once_wherever_it_is_stopped) {
  const auto [holder, waits] = GetParam();
  const std::size_t steps = run(holder, ~std::size_t{0}).steps;
  std::size_t cancelled = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    SCOPED_TRACE("stopped after " + std::to_string(step) + " steps");
    const Ended ended = run(holder, step);
    EXPECT_EQ(ended.times, 1);
    if (!ended.error) continue;
    EXPECT_EQ(*ended.error, ErrorKind::cancelled);
    ++cancelled;
  }
  EXPECT_GE(cancelled, waits);
}

}  // namespace
}  // namespace penstock
