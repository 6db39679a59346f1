// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <penstock/core/stack.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/retry.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

template <class Mode>
class fallback_layer : public ::testing::Test {
 protected:
  auto failing(ErrorKind kind, Duration time = 1s) {
    return Mode::leaf(time, [this, kind](const int&, Call&) -> Result<std::string> {
      ++primary_calls_;
      return kind;
    });
  }
  auto answering(std::string text, Duration time = 0s) {
    return Mode::leaf(time, [this, text](const int&, Call&) -> Result<std::string> {
      ++backup_calls_;
      return text;
    });
  }
  testing::ManualExecutor executor_;
  int primary_calls_ = 0;
  int backup_calls_ = 0;
};
TYPED_TEST_SUITE(fallback_layer, testing::Modes, testing::ModeNames);

TYPED_TEST(fallback_layer, passes_a_success_through) {
  auto ask = stack(fallback(std::string{"default"})) | this->answering("fine");
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 1), "fine");
}

TYPED_TEST(fallback_layer, answers_an_outage_with_a_value) {
  auto ask = stack(fallback(std::string{"default"})) | this->failing(ErrorKind::unavailable);
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 1), "default");
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 1), "default") << "the value was copied";
}

TYPED_TEST(fallback_layer, answers_an_outage_with_a_function_of_the_request_and_the_error) {
  auto ask = stack(fallback([](int request, const Error& error) -> Result<std::string> {
               return std::to_string(request) + " " + std::string{to_string(error.kind())};
             })) |
             this->failing(ErrorKind::timeout);
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 7), "7 timeout");
}

TYPED_TEST(fallback_layer, answers_an_outage_with_another_stack) {
  auto backup = stack(retry()) | this->answering("from the other");
  auto ask = stack(fallback(backup)) | this->failing(ErrorKind::unavailable);
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 1), "from the other");
  EXPECT_EQ(this->backup_calls_, 1);
}

TYPED_TEST(fallback_layer, a_plan_may_be_shared_by_reference) {
  auto backup = stack() | this->answering("shared");
  auto ask = stack(fallback(std::ref(backup))) | this->failing(ErrorKind::unavailable);
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 1), "shared");
}

TYPED_TEST(fallback_layer, leaves_the_caller_s_own_faults_alone) {
  for (const ErrorKind fault : {ErrorKind::permanent, ErrorKind::credential}) {
    auto ask = stack(fallback(std::string{"default"})) | this->failing(fault);
    EXPECT_EQ(TypeParam::run(this->executor_, ask, 1).error().kind(), fault);
  }
}

TYPED_TEST(fallback_layer, leaves_a_cancelled_call_alone) {
  StopSource source;
  const testing::StopAt stop{this->executor_, source, this->executor_.now() + 5s};
  auto backup = stack() | this->answering("late");
  auto ask = stack(fallback(backup)) | this->failing(ErrorKind::unavailable, 10s);
  const auto result = TypeParam::run(this->executor_, ask, 1, {.stop = source.token()});
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->backup_calls_, 0);
}

TYPED_TEST(fallback_layer, gives_the_other_service_the_deadline_as_it_came_and_not_as_narrowed) {
  Duration left{};
  auto ask = stack(deadline(60s),
                   fallback([&](const int&, Call& call) -> Result<std::string> {
                     left = call.left();
                     return std::string{"ok"};
                   }),
                   attempt_timeout(5s)) |
             this->failing(ErrorKind::unavailable, 10s);
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 1), "ok");
  EXPECT_EQ(left, 55s);
}

TYPED_TEST(fallback_layer, does_not_try_another_service_when_no_time_is_left) {
  auto backup = stack() | this->answering("late");
  auto ask = stack(deadline(5s), fallback(backup)) | this->failing(ErrorKind::unavailable, 10s);
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 1).error().kind(), ErrorKind::timeout);
  EXPECT_EQ(this->backup_calls_, 0);
}

TYPED_TEST(fallback_layer, keeps_the_history_of_both_sides_when_the_plan_fails_too) {
  RetryPolicy::Options twice{.max_attempts = 2};
  twice.rules[ErrorKind::unavailable] = {1, Backoff::fixed(1s), Jitter::none};
  auto backup = stack() | TypeParam::leaf(2s, [](const int&, Call&) {
                  return Result<std::string>{Error{ErrorKind::permanent}.set_status(400)};
                });
  auto ask =
      stack(fallback(backup), retry(RetryPolicy{twice})) | this->failing(ErrorKind::unavailable);
  const auto result = TypeParam::run(this->executor_, ask, 1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::permanent);
  const auto history = result.error().history();
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[0].kind, ErrorKind::unavailable);
  EXPECT_EQ(history[1].kind, ErrorKind::unavailable);
  EXPECT_EQ(history[2].kind, ErrorKind::permanent);
  EXPECT_EQ(history[2].number, 3U);
  EXPECT_EQ(history[2].status, 400);
  EXPECT_EQ(history[2].elapsed, 2s);
}

TYPED_TEST(fallback_layer, carries_what_a_plan_throws_as_an_error) {
  auto ask = stack(fallback([](int, const Error&) -> Result<std::string> {
               throw std::runtime_error{"no plan"};
             })) |
             this->failing(ErrorKind::unavailable);
  const auto result = TypeParam::run(this->executor_, ask, 1);
  EXPECT_EQ(result.error().kind(), ErrorKind::exception);
  EXPECT_EQ(result.error().message(), "no plan");
  EXPECT_EQ(result.error().history().size(), 2U);
}

// trap 40
TYPED_TEST(fallback_layer, outside_retry_is_asked_once_after_all_attempts) {
  RetryPolicy::Options options{.max_attempts = 4};
  options.rules[ErrorKind::transient] = {3, Backoff::fixed(1s), Jitter::none};
  auto ask = stack(fallback(this->answering("x")), retry(RetryPolicy{options})) |
             this->failing(ErrorKind::transient);
  EXPECT_TRUE(TypeParam::run(this->executor_, ask, 1));
  EXPECT_EQ(this->primary_calls_, 4);
  EXPECT_EQ(this->backup_calls_, 1);
}

TYPED_TEST(fallback_layer, describes_its_plan_and_its_kinds) {
  auto backup = stack(deadline(5s)) | this->answering("x");
  auto ask = stack(fallback(std::string{"x"}, FallbackPolicy{{.on = {ErrorKind::timeout}}}),
                   fallback(backup)) |
             this->failing(ErrorKind::transient);
  EXPECT_EQ(describe(ask),
            "fallback(on timeout) > fallback(to [deadline(5s) > leaf], on outages) > leaf");
}

TEST(fallback_with_a_coroutine_leaf, takes_a_plan_that_answers_with_a_task) {
  auto ask = stack(fallback([](int, const Error&) -> Task<Result<int>> { co_return 5; })) |
             [](int) -> Task<Result<int>> { co_return ErrorKind::unavailable; };
  EXPECT_EQ(*sync_wait(ask(1)), 5);
}

TEST(fallback_with_a_coroutine_leaf, carries_what_a_plan_throws_before_its_task) {
  auto ask = stack(fallback([](int, const Error&) -> Task<Result<int>> {
               throw std::runtime_error{"early"};
             })) |
             [](int) -> Task<Result<int>> { co_return ErrorKind::unavailable; };
  EXPECT_EQ(sync_wait(ask(1)).error().message(), "early");
}

}  // namespace
}  // namespace penstock
