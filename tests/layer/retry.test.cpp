// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Answers with the scripted kinds in turn, then with success; one second per call.
struct Script {
  testing::ManualExecutor& executor;
  std::vector<ErrorKind> failures;
  std::vector<Time> started{};

  Result<int> answer(Call& call) {
    started.push_back(executor.now());
    const std::size_t index = started.size() - 1;
    EXPECT_EQ(call.attempt, index + 1);
    executor.advance(1s);
    if (index < failures.size()) return failures[index];
    return static_cast<int>(started.size());
  }
};

// The same cases over a blocking and over a coroutine leaf.
struct Blocking {
  template <class Stack>
  static Result<int> run(Stack layers, Script& script, Call call) {
    auto ask = std::move(layers) | [&](int, Call& inner) { return script.answer(inner); };
    return ask(0, call);
  }
};
struct Coroutine {
  template <class Stack>
  static Result<int> run(Stack layers, Script& script, Call call) {
    auto ask = std::move(layers) | [&](int, Call& inner) -> Task<Result<int>> {
      co_await reschedule(inner.where());
      co_return script.answer(inner);
    };
    return sync_wait(script.executor, ask(0, call));
  }
};

template <class Mode>
class retry_layer : public ::testing::Test {
 protected:
  testing::ManualExecutor executor_;
  Call call_{.executor = &executor_};
};
struct Names {
  template <class Mode>
  static std::string GetName(int) {
    return std::is_same_v<Mode, Blocking> ? "blocking" : "coroutine";
  }
};
using Modes = ::testing::Types<Blocking, Coroutine>;
TYPED_TEST_SUITE(retry_layer, Modes, Names);

RetryPolicy every_second(std::uint32_t attempts) {
  RetryPolicy::Options options{.max_attempts = attempts};
  options.rules[ErrorKind::transient] = {100, Backoff::fixed(1s), Jitter::none};
  return RetryPolicy{options};
}

TYPED_TEST(retry_layer, calls_once_when_the_first_attempt_succeeds) {
  Script script{this->executor_, {}};
  EXPECT_EQ(*TypeParam::run(stack(retry()), script, this->call_), 1);
}

TYPED_TEST(retry_layer, waits_as_the_policy_says_between_attempts) {
  Script script{this->executor_, {ErrorKind::transient, ErrorKind::transient}};
  EXPECT_EQ(*TypeParam::run(stack(retry(every_second(5))), script, this->call_), 3);
  ASSERT_EQ(script.started.size(), 3U);
  EXPECT_EQ(script.started[1] - script.started[0], 2s);
  EXPECT_EQ(script.started[2] - script.started[1], 2s);
}

TYPED_TEST(retry_layer, gives_the_last_error_with_the_history_of_all_attempts) {
  Script script{this->executor_,
                {ErrorKind::transient, ErrorKind::transient, ErrorKind::permanent}};
  const auto result = TypeParam::run(stack(retry(every_second(5))), script, this->call_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::permanent);
  ASSERT_EQ(result.error().history().size(), 3U);
  EXPECT_EQ(result.error().history()[1].number, 2U);
  EXPECT_EQ(result.error().history()[1].kind, ErrorKind::transient);
  EXPECT_EQ(result.error().history()[1].elapsed, 1s);
}

TYPED_TEST(retry_layer, never_waits_past_the_deadline) {
  Script script{this->executor_, std::vector<ErrorKind>(10, ErrorKind::transient)};
  const Time start = this->executor_.now();
  const auto result =
      TypeParam::run(stack(deadline(5s), retry(every_second(10))), script, this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::transient);
  EXPECT_EQ(script.started.size(), 3U);
  EXPECT_EQ(this->executor_.now() - start, 5s);
}

TYPED_TEST(retry_layer, an_attempt_timeout_starts_anew_with_each_attempt) {
  Script script{this->executor_, {ErrorKind::transient}};
  std::vector<Duration> left;
  auto ask =
      stack(retry(every_second(3)), attempt_timeout(10s)) | [&](int, Call& call) -> Result<int> {
    left.push_back(call.left());
    return script.answer(call);
  };
  EXPECT_TRUE(ask(0, this->call_));
  EXPECT_EQ(left, (std::vector<Duration>{10s, 10s}));
}

TYPED_TEST(retry_layer, a_spent_budget_gives_the_error_at_once_and_not_after_a_wait) {
  RetryBudget budget{{.ratio = 0.1, .floor_tokens = 1, .max_tokens = 10}};
  while (budget.try_spend()) {
  }
  Script script{this->executor_, std::vector<ErrorKind>(10, ErrorKind::transient)};
  const Time start = this->executor_.now();
  const auto result = TypeParam::run(stack(retry(every_second(10), budget)), script, this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::transient);
  EXPECT_EQ(this->executor_.now() - start, 1s);
}

TYPED_TEST(retry_layer, a_stop_during_the_wait_ends_the_call_as_cancelled) {
  StopSource source;
  struct StopAt final : Timer {
    StopAt(StopSource& source, Time at) : Timer(&fire_it), source_(source) { when = at; }
    static void fire_it(Timer& timer) noexcept {
      static_cast<StopAt&>(timer).source_.request_stop();
    }
    StopSource& source_;
  } timer{source, this->executor_.now() + 90s};
  this->executor_.arm(timer);
  RetryPolicy::Options options{.max_attempts = 3};
  options.rules[ErrorKind::transient] = {3, Backoff::fixed(1h), Jitter::none};
  Script script{this->executor_, std::vector<ErrorKind>(3, ErrorKind::transient)};
  this->call_.stop = source.token();
  const Time start = this->executor_.now();
  const auto result = TypeParam::run(stack(retry(RetryPolicy{options})), script, this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->executor_.now() - start, 90s);
}

TYPED_TEST(retry_layer, reads_the_clock_twice_for_a_call_that_succeeds_at_once) {
  auto ask =
      stack(deadline(60s), retry(), attempt_timeout(20s)) | [](int) -> Result<int> { return 1; };
  const auto before = this->executor_.clock_readings();
  EXPECT_TRUE(ask(0, this->call_));
  EXPECT_EQ(this->executor_.clock_readings() - before, 2U);
}

}  // namespace
}  // namespace penstock
