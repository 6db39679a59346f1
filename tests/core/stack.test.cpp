// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

Result<int> length(const std::string& text) {
  return static_cast<int>(text.size());
}
Task<Result<int>> length_later(const std::string& text) {
  co_return static_cast<int>(text.size());
}

TEST(stack, without_layers_is_the_leaf) {
  auto ask = stack() | length;
  EXPECT_EQ(*ask("four"), 4);
}

TEST(stack, over_a_coroutine_leaf_is_a_coroutine) {
  auto ask = stack(deadline(1s)) | length_later;
  EXPECT_EQ(*sync_wait(ask(std::string{"four"})), 4);
}

TEST(stack, keeps_an_rvalue_request_until_the_task_is_over) {
  auto ask = stack() | length_later;
  auto task = ask(std::string(100, 'x'));
  EXPECT_EQ(*sync_wait(std::move(task)), 100);
}

TEST(stack, passes_a_move_only_request) {
  auto ask =
      stack(retry()) | [](const std::unique_ptr<int>& request) -> Result<int> { return *request; };
  EXPECT_EQ(*ask(std::make_unique<int>(9)), 9);
}

TEST(stack, first_listed_sees_the_request_first) {
  auto ask = stack(deadline(10s), attempt_timeout(1s)) |
             [](int, Call& call) -> Result<Duration> { return call.left(); };
  EXPECT_EQ(*ask(0), 1s);
  auto other = stack(deadline(1s), attempt_timeout(10s)) |
               [](int, Call& call) -> Result<Duration> { return call.left(); };
  EXPECT_EQ(*other(0), 1s);
}

TEST(stack, refers_to_an_lvalue_leaf_and_owns_an_rvalue_one) {
  struct Counter {
    int calls = 0;
    Result<int> operator()(int) { return ++calls; }
  } counter;
  auto ask = stack() | counter;
  EXPECT_EQ(*ask(0), 1);
  EXPECT_EQ(*ask(0), 2);
  EXPECT_EQ(counter.calls, 2);
  auto own = stack() | Counter{10};
  EXPECT_EQ(*own(0), 11);
}

TEST(stack, carries_what_the_leaf_throws_as_an_error) {
  auto ask = stack() | [](int) -> Result<int> { throw std::runtime_error{"broken"}; };
  const auto result = ask(1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::exception);
  EXPECT_EQ(result.error().message(), "broken");
}

TEST(stack, carries_what_a_task_returning_function_throws_before_its_task) {
  auto ask = stack() | [](int) -> Task<Result<int>> { throw std::runtime_error{"broken"}; };
  EXPECT_EQ(sync_wait(ask(1)).error().kind(), ErrorKind::exception);
}

TEST(stack, refuses_a_call_whose_deadline_has_passed_without_calling_the_leaf) {
  int calls = 0;
  auto ask = stack() | [&](int) -> Result<int> { return ++calls; };
  EXPECT_EQ(ask(1, {.deadline = Time{}}).error().kind(), ErrorKind::deadline);
  EXPECT_EQ(calls, 0);
}

TEST(stack, refuses_a_call_that_is_stopped_already) {
  StopSource source;
  source.request_stop();
  auto ask = stack() | length_later;
  EXPECT_EQ(sync_wait(ask(std::string{"x"}, {.stop = source.token()})).error().kind(),
            ErrorKind::cancelled);
}

TEST(stack, describes_itself_in_one_flat_line) {
  TokenBucket bucket{{.rate = 10, .per = 1s}};
  auto ask = stack(deadline(60s), rate_limit(bucket), attempt_timeout(20s)) | length;
  EXPECT_EQ(describe(ask),
            "deadline(1min) > rate_limit(" + bucket.describe() + ") > attempt_timeout(20s) > leaf");
}

// trap 41
TEST(stack, refuses_the_same_state_twice) {
  TokenBucket bucket{{.rate = 10, .per = 1s}};
  EXPECT_THROW(static_cast<void>(stack(rate_limit(bucket), rate_limit(bucket)) | length),
               std::invalid_argument);
}

TEST(stack, takes_a_refused_order_when_it_is_meant) {
  auto ask = stack(in_any_order, attempt_timeout(1s), retry()) | length;
  EXPECT_EQ(*ask("four"), 4);
}

}  // namespace
}  // namespace penstock
