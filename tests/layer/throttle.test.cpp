// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/layer/throttle.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(throttle_layer, spares_a_side_that_turns_most_calls_away) {
  testing::ManualExecutor executor;
  Throttle throttle;
  int asked = 0;
  auto ask = stack(penstock::throttle(throttle)) | [&](int) -> Result<int> {
    ++asked;
    return ErrorKind::unavailable;
  };
  int refused = 0;
  for (int call = 0; call < 2000; ++call) {
    const auto reply = ask(1, Call{.executor = &executor});
    if (reply.error().kind() == ErrorKind::overloaded) ++refused;
  }
  EXPECT_EQ(asked + refused, 2000);
  EXPECT_GT(refused, 1800);
  EXPECT_GT(asked, 60);
}

TEST(throttle_layer, a_call_that_was_refused_inside_was_no_request) {
  testing::ManualExecutor executor;
  Throttle throttle;
  auto ask = stack(penstock::throttle(throttle)) |
             [](int) -> Task<Result<int>> { co_return ErrorKind::circuit_open; };
  for (int call = 0; call < 100; ++call)
    EXPECT_EQ(sync_wait(executor, ask(1, Call{.executor = &executor})).error().kind(),
              ErrorKind::circuit_open);
  EXPECT_EQ(throttle.refusal_probability(executor.now()), 0);
}

TEST(throttle_layer, describes_itself) {
  Throttle throttle;
  auto ask = stack(penstock::throttle(throttle)) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(ask), "throttle(2 requests per accept in 2min) > leaf");
}

}  // namespace
}  // namespace penstock
