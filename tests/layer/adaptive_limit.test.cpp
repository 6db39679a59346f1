// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/layer/adaptive_limit.hpp>
#include <penstock/policy/aimd.hpp>
#include <penstock/policy/vegas.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class adaptive_limit_layer : public ::testing::Test {
 protected:
  testing::ManualExecutor executor_;
  Call call_{.executor = &executor_, .now = executor_.now()};
};

TEST_F(adaptive_limit_layer, starts_at_its_initial_number) {
  AdaptiveLimit limit{Aimd{{.range = {.initial = 2}}}};
  const auto first = limit.try_acquire(call_);
  const auto second = limit.try_acquire(call_);
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(limit.try_acquire(call_).error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(limit.in_flight_approx(), 2U);
}

TEST_F(adaptive_limit_layer, a_drop_lowers_the_limit_and_places_drain_down_to_it) {
  AdaptiveLimit limit{Aimd{{.range = {.initial = 2}, .decrease = 0.5}}};
  auto first = limit.try_acquire(call_);
  {
    auto second = limit.try_acquire(call_);
    second->settle(Outcome::timeout, call_.now + 1s);
    second->settle(Outcome::timeout, call_.now + 1s);
  }
  EXPECT_EQ(limit.limit_approx(), 1U);
  EXPECT_EQ(limit.in_flight_approx(), 1U);
  EXPECT_FALSE(limit.try_acquire(call_));
  first->settle(Outcome::neutral, call_.now + 1s);
  EXPECT_TRUE(limit.try_acquire(call_));
}

TEST_F(adaptive_limit_layer, a_higher_limit_lets_waiting_callers_in) {
  AdaptiveLimit limit{Aimd{{.range = {.initial = 1, .samples = 1, .window = 0s}}}};
  Scope scope{executor_};
  int inside = 0;
  const auto caller = [&]() -> Task<void> {
    Call call{.executor = &executor_, .now = executor_.now()};
    auto permit = co_await limit.acquire(call);
    EXPECT_TRUE(permit);
    ++inside;
    [[maybe_unused]] const bool came = co_await wait_until(executor_, executor_.now() + 1s, {});
    permit->settle(Outcome::success, executor_.now());
  };
  for (int number = 0; number < 4; ++number) scope.spawn(caller());
  executor_.run_for(1ms);
  EXPECT_EQ(inside, 1);
  EXPECT_EQ(limit.waiting_approx(), 3U);
  executor_.run_for(1s);
  // One left and the limit is one higher: two more are in.
  EXPECT_EQ(limit.limit_approx(), 2U);
  EXPECT_EQ(inside, 3);
  scope.wait();
  EXPECT_EQ(inside, 4);
  EXPECT_EQ(limit.in_flight_approx(), 0U);
}

TEST_F(adaptive_limit_layer, a_permit_that_is_dropped_teaches_nothing) {
  AdaptiveLimit limit{Aimd{{.range = {.initial = 4, .samples = 1, .window = 0s}}}};
  { const auto dropped = limit.try_acquire(call_); }
  EXPECT_EQ(limit.limit_approx(), 4U);
  EXPECT_EQ(limit.in_flight_approx(), 0U);
}

TEST_F(adaptive_limit_layer, measures_the_call_and_not_its_wait) {
  AdaptiveLimit limit{
      Gradient2{{.range = {.initial = 1, .ceiling = 1, .samples = 1, .window = 0s}}}};
  auto ask = stack(concurrency_limit(limit)) | [](int, Call& call) -> Task<Result<int>> {
    [[maybe_unused]] const bool came =
        co_await wait_until(call.where(), call.where().now() + 2s, {});
    co_return 1;
  };
  Scope scope{executor_};
  const auto caller = [&]() -> Task<void> {
    [[maybe_unused]] const Result<int> reply = co_await ask(1, Call{.executor = &executor_});
  };
  for (int number = 0; number < 5; ++number) scope.spawn(caller());
  scope.wait();
  EXPECT_EQ(limit.baseline(), 2s);
  EXPECT_EQ(limit.in_flight_approx(), 0U);
}

TEST_F(adaptive_limit_layer, is_told_of_timeouts_by_a_blocking_stack_too) {
  AdaptiveLimit limit{Vegas{{.range = {.initial = 20}}}, {.max_waiting = 5}};
  auto ask = stack(concurrency_limit(limit)) | [&](int) -> Result<int> {
    executor_.advance(1s);
    return ErrorKind::timeout;
  };
  EXPECT_FALSE(ask(1, call_));
  EXPECT_EQ(limit.limit_approx(), 18U);
}

TEST_F(adaptive_limit_layer, describes_itself_and_says_what_to_write_instead) {
  AdaptiveLimit limit{Vegas{}, {.max_waiting = 5, .order = WaitOrder::priority, .max_wait = 1s}};
  EXPECT_EQ(limit.describe(), "concurrency_limit(vegas 1 to 1000, 5 may wait by priority for 1s)");
  EXPECT_THROW((AdaptiveLimit<>{Gradient2{}, {.max_waiting = 1'000'001}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
