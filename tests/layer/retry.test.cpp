// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <type_traits>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/manual_executor.hpp>

#include "support/draw.hpp"
#include "support/script.hpp"

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

// trap 16
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

// trap 20
TYPED_TEST(retry_layer, a_call_pays_in_once_and_each_extra_attempt_pays_one_token) {
  RetryBudget budget{{.ratio = 0.5, .floor_tokens = 5, .max_tokens = 10}};
  Script script{this->executor_, {ErrorKind::transient, ErrorKind::transient}};
  EXPECT_TRUE(TypeParam::run(stack(retry(every_second(5), budget)), script, this->call_));
  EXPECT_EQ(budget.available_approx(), 5 - 2 + 0.5);
}

TYPED_TEST(retry_layer, calls_of_one_target_share_a_budget) {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 3, .max_tokens = 10}};
  const auto fail = [&] {
    Script script{this->executor_, std::vector<ErrorKind>(10, ErrorKind::transient)};
    EXPECT_FALSE(TypeParam::run(stack(retry(every_second(3), budget)), script, this->call_));
    return script.started.size();
  };
  EXPECT_EQ(fail(), 3U);
  EXPECT_EQ(fail(), 2U);
  EXPECT_EQ(fail(), 1U);
}

TYPED_TEST(retry_layer, a_budget_with_a_window_allows_retries_again_after_a_time) {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 1, .max_tokens = 1, .window = 16s}};
  const auto fail = [&] {
    Script script{this->executor_, std::vector<ErrorKind>(10, ErrorKind::transient)};
    EXPECT_FALSE(TypeParam::run(stack(retry(every_second(2), budget)), script, this->call_));
    return script.started.size();
  };
  EXPECT_EQ(fail(), 2U);
  EXPECT_EQ(fail(), 1U);
  this->executor_.advance(16s);
  EXPECT_EQ(fail(), 2U);
}

TYPED_TEST(retry_layer, an_attempt_that_we_refused_ourselves_spends_no_budget) {
  RetryPolicy::Options options{.max_attempts = 3};
  options.rules[ErrorKind::transient] = {3, Backoff::fixed(1s), Jitter::none};
  options.rules[ErrorKind::limited] = {3, Backoff::fixed(1s), Jitter::none};
  RetryBudget budget{{.ratio = 0, .floor_tokens = 5, .max_tokens = 10}};
  Script script{this->executor_, {ErrorKind::transient, ErrorKind::limited, ErrorKind::transient}};
  EXPECT_FALSE(TypeParam::run(stack(retry(RetryPolicy{options}, budget)), script, this->call_));
  // The second attempt was refused, the third was made.
  EXPECT_EQ(budget.available_approx(), 4);
}

TYPED_TEST(retry_layer, a_stopped_wait_gives_back_what_was_paid_and_tells_the_history) {
  StopSource source;
  struct StopAt final : Timer {
    StopAt(StopSource& stopped, Time at) : Timer(&fire_it), source(stopped) { when = at; }
    static void fire_it(Timer& timer) noexcept {
      static_cast<StopAt&>(timer).source.request_stop();
    }
    StopSource& source;
  } timer{source, this->executor_.now() + 90s};
  this->executor_.arm(timer);
  RetryPolicy::Options options{.max_attempts = 3};
  options.rules[ErrorKind::transient] = {3, Backoff::fixed(1min), Jitter::none};
  RetryBudget budget{{.ratio = 0, .floor_tokens = 5, .max_tokens = 10}};
  Script script{this->executor_, std::vector<ErrorKind>(3, ErrorKind::transient)};
  this->call_.stop = source.token();
  const auto result =
      TypeParam::run(stack(retry(RetryPolicy{options}, budget)), script, this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(result.error().history().size(), 2U);
  EXPECT_EQ(budget.available_approx(), 4);
}

TYPED_TEST(retry_layer, makes_no_attempt_for_a_call_whose_wait_ended_after_its_deadline) {
  // Something else held the thread up.
  testing::Script events{this->executor_};
  events.after(2s - 1ns, [&] { this->executor_.advance(1h); });
  RetryBudget budget{{.ratio = 0, .floor_tokens = 5, .max_tokens = 10}};
  Script script{this->executor_, std::vector<ErrorKind>(3, ErrorKind::transient)};
  const auto result =
      TypeParam::run(stack(deadline(10s), retry(every_second(3), budget)), script, this->call_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::transient);
  EXPECT_EQ(result.error().history().size(), 1U);
  EXPECT_EQ(script.started.size(), 1U);
  EXPECT_EQ(budget.available_approx(), 5);
}

// Errors with a block of their own, from each attempt and into the last.
TYPED_TEST(retry_layer, keeps_the_message_of_the_last_error_beside_the_history) {
  int calls = 0;
  const auto fail = [&]() -> Result<int> {
    ++calls;
    return Error{ErrorKind::transient, "attempt " + std::to_string(calls) + " of a long story"};
  };
  const auto check = [&](const Result<int>& result) {
    EXPECT_EQ(result.error().message(), "attempt 3 of a long story");
    EXPECT_EQ(result.error().history().size(), 3U);
  };
  if constexpr (std::is_same_v<TypeParam, Blocking>) {
    auto ask = stack(retry(every_second(3))) | [&](int) { return fail(); };
    check(ask(0, this->call_));
  } else {
    auto ask = stack(retry(every_second(3))) | [&](int) -> Task<Result<int>> { co_return fail(); };
    check(sync_wait(this->executor_, ask(0, this->call_)));
  }
}

TYPED_TEST(retry_layer, a_call_that_fails_with_its_first_attempt_has_no_history) {
  Script script{this->executor_, {ErrorKind::permanent}};
  const auto result = TypeParam::run(stack(retry(every_second(5))), script, this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::permanent);
  EXPECT_TRUE(result.error().history().empty());
}

TYPED_TEST(retry_layer, numbers_and_dates_every_attempt_of_the_history) {
  Script script{this->executor_, std::vector<ErrorKind>(3, ErrorKind::transient)};
  const Time start = this->executor_.now();
  const auto result = TypeParam::run(stack(retry(every_second(3))), script, this->call_);
  const auto history = result.error().history();
  ASSERT_EQ(history.size(), 3U);
  for (std::size_t index = 0; index < history.size(); ++index) {
    EXPECT_EQ(history[index].number, index + 1);
    EXPECT_EQ(history[index].started, start + 2s * static_cast<int>(index));
    EXPECT_EQ(history[index].elapsed, 1s);
  }
}

// trap 19
TYPED_TEST(retry_layer, a_refusal_without_a_time_to_come_back_is_not_repeated) {
  for (const ErrorKind kind :
       {ErrorKind::circuit_open, ErrorKind::limited, ErrorKind::overloaded}) {
    RetryPolicy::Options options;
    options.rules[kind] = {3, Backoff::none(), Jitter::none};
    Script script{this->executor_, std::vector<ErrorKind>(3, kind)};
    EXPECT_FALSE(TypeParam::run(stack(retry(RetryPolicy{options})), script, this->call_));
    EXPECT_EQ(script.started.size(), 1U) << to_string(kind);
  }
}

// trap 22
TYPED_TEST(retry_layer, a_hostile_hint_does_not_hold_a_call_for_longer_than_its_clamp) {
  int calls = 0;
  auto layers = stack(retry(RetryPolicy{{.max_hint = 30s}}));
  const Time start = this->executor_.now();
  auto ask = std::move(layers) | [&](int) -> Result<int> {
    if (++calls == 2) return calls;
    Error error{ErrorKind::rate_limited};
    error.set_retry_after(Duration::max());
    return error;
  };
  EXPECT_TRUE(ask(0, this->call_));
  EXPECT_EQ(this->executor_.now() - start, 30s);
}

TYPED_TEST(retry_layer, reads_the_clock_twice_for_a_call_that_succeeds_at_once) {
  auto ask =
      stack(deadline(60s), retry(), attempt_timeout(20s)) | [](int) -> Result<int> { return 1; };
  const auto before = this->executor_.clock_readings();
  EXPECT_TRUE(ask(0, this->call_));
  EXPECT_EQ(this->executor_.clock_readings() - before, 2U);
}

// trap 15: no lock is held and no thread is kept while a call waits.
TEST(retry_layer_of_coroutines, makes_no_attempt_for_a_call_that_was_stopped_as_its_wait_ended) {
  testing::ManualExecutor executor;
  StopSource source;
  // At the same instant, and before the call goes on.
  const Time ends = executor.now() + 2s;
  executor.between_steps([&, ends] {
    if (executor.now() >= ends) source.request_stop();
  });
  RetryBudget budget{{.ratio = 0, .floor_tokens = 5, .max_tokens = 10}};
  Script script{executor, std::vector<ErrorKind>(3, ErrorKind::transient)};
  const auto result = Coroutine::run(stack(retry(every_second(3), budget)),
                                     script,
                                     {.stop = source.token(), .executor = &executor});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(result.error().history().size(), 1U);
  EXPECT_EQ(script.started.size(), 1U);
  EXPECT_EQ(budget.available_approx(), 5);
}

TEST(retry_layer_of_coroutines, calls_wait_for_their_retries_at_the_same_time) {
  testing::ManualExecutor executor;
  int calls = 0;
  auto ask = stack(retry(every_second(2))) | [&](int) -> Task<Result<int>> {
    if (++calls <= 10) co_return ErrorKind::transient;
    co_return 1;
  };
  const Time start = executor.now();
  int succeeded = 0;
  const auto one = [&]() -> Task<void> {
    const Result<int> reply = co_await ask(0);
    if (reply) ++succeeded;
  };
  Scope scope{executor};
  for (int call = 0; call < 10; ++call) scope.spawn(one());
  scope.wait();
  EXPECT_EQ(succeeded, 10);
  EXPECT_EQ(calls, 20);
  EXPECT_EQ(executor.now() - start, 1s);
}

// One decision: whatever happens, both forms make the same attempts at the same times.
TEST(retry_layer_in_both_forms, does_the_same) {
  struct Told {
    std::vector<Time> started;
    bool succeeded;
    ErrorKind kind;
    std::vector<ErrorKind> history;
    double budget;
    Time ended;
    bool operator==(const Told&) const = default;
  };
  testing::for_all(200, [](testing::Draw& draw) {
    std::vector<ErrorKind> failures;
    for (std::int64_t left = draw.whole(0, 8); left > 0; --left) {
      failures.push_back(ErrorKind{static_cast<std::uint8_t>(draw.whole(0, 16))});
    }
    RetryPolicy::Options options{.max_attempts = static_cast<std::uint32_t>(draw.whole(1, 6)),
                                 .max_elapsed = draw.duration(1h)};
    for (const ErrorKind kind : {ErrorKind::transient, ErrorKind::limited, ErrorKind::exception}) {
      options.rules[kind] = {static_cast<std::uint32_t>(draw.whole(0, 5)),
                             Backoff::exponential(draw.duration(1min), 2min),
                             Jitter::full};
    }
    const Duration limit = 1s + draw.duration(10min);
    const auto tell = [&](auto mode) {
      testing::ManualExecutor executor{7};
      RetryBudget budget{{.floor_tokens = 2, .max_tokens = 3}};
      Script script{executor, failures};
      const auto result =
          decltype(mode)::run(stack(deadline(limit), retry(RetryPolicy{options}, budget)),
                              script,
                              {.executor = &executor});
      Told told{script.started,
                result.has_value(),
                result ? ErrorKind{} : result.error().kind(),
                {},
                budget.available_approx(),
                executor.now()};
      if (!result) {
        for (const AttemptRecord& record : result.error().history())
          told.history.push_back(record.kind);
      }
      return told;
    };
    ASSERT_EQ(tell(Blocking{}), tell(Coroutine{}));
  });
}

}  // namespace
}  // namespace penstock
