// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <type_traits>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/layer/limit_set.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/testing/manual_executor.hpp>

#include "support/script.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Reply {
  double tokens;
};

struct Blocking {
  template <class Stack, class Leaf>
  static Result<Reply> run(Stack layers, Leaf leaf, Call call) {
    auto ask = std::move(layers) | [&](int, Call& inner) { return leaf(inner); };
    return ask(0, call);
  }
};
struct Coroutine {
  template <class Stack, class Leaf>
  static Result<Reply> run(Stack layers, Leaf leaf, Call call) {
    auto ask = std::move(layers) | [&](int, Call& inner) -> Task<Result<Reply>> {
      co_await reschedule(inner.where());
      co_return leaf(inner);
    };
    Executor& executor = call.where();
    return sync_wait(executor, ask(0, call));
  }
};

template <class Mode>
class limit_set_layer : public ::testing::Test {
 protected:
  testing::ManualExecutor executor_;
  testing::Script script_{executor_};
  Time start_ = executor_.now();
  LimitSet limits_{{{.bucket = {.rate = 60, .per = 1min}, .cost = Cost::request},
                    {.bucket = {.rate = 6000, .per = 1min}}}};
  Call call_{.executor = &executor_, .weight = 1000};

  double requests() { return limits_[0].available_approx(start_); }
  double tokens() { return limits_[1].available_approx(start_); }
};
struct Names {
  template <class Mode>
  static std::string GetName(int) {
    return std::is_same_v<Mode, Blocking> ? "blocking" : "coroutine";
  }
};
using Modes = ::testing::Types<Blocking, Coroutine>;
TYPED_TEST_SUITE(limit_set_layer, Modes, Names);

constexpr auto weighed = [](const Reply& reply) { return reply.tokens; };

TYPED_TEST(limit_set_layer, takes_the_estimate_before_the_call_and_settles_after_it) {
  double during = 0;
  const auto result = TypeParam::run(
      stack(rate_limit(this->limits_, weighed)),
      [&](Call&) -> Result<Reply> {
        during = this->tokens();
        return Reply{1600};
      },
      this->call_);
  EXPECT_TRUE(result);
  EXPECT_DOUBLE_EQ(during, 5000);
  EXPECT_DOUBLE_EQ(this->tokens(), 4400);
  EXPECT_DOUBLE_EQ(this->requests(), 59);
}

TYPED_TEST(limit_set_layer, keeps_the_estimate_where_nobody_tells_the_truth) {
  EXPECT_TRUE(TypeParam::run(
      stack(rate_limit(this->limits_)),
      [](Call&) -> Result<Reply> { return Reply{5}; },
      this->call_));
  EXPECT_DOUBLE_EQ(this->tokens(), 5000);
  const auto broken = [](const Reply&) -> double { throw std::runtime_error{"no usage"}; };
  EXPECT_TRUE(TypeParam::run(
      stack(rate_limit(this->limits_, broken)),
      [](Call&) -> Result<Reply> { return Reply{5}; },
      this->call_));
  EXPECT_DOUBLE_EQ(this->tokens(), 4000);
}

TYPED_TEST(limit_set_layer, a_call_that_failed_there_has_been_counted_there) {
  for (const ErrorKind kind : {ErrorKind::transient, ErrorKind::cancelled})
    EXPECT_FALSE(TypeParam::run(
        stack(rate_limit(this->limits_, weighed)),
        [kind](Call&) -> Result<Reply> { return kind; },
        this->call_));
  EXPECT_DOUBLE_EQ(this->tokens(), 4000);
}

TYPED_TEST(limit_set_layer, a_call_that_was_refused_inside_pays_nothing) {
  for (const ErrorKind kind : {ErrorKind::overloaded,
                               ErrorKind::circuit_open,
                               ErrorKind::limited,
                               ErrorKind::deadline,
                               ErrorKind::budget_exhausted,
                               ErrorKind::closed})
    EXPECT_FALSE(TypeParam::run(
        stack(rate_limit(this->limits_, weighed)),
        [kind](Call&) -> Result<Reply> { return kind; },
        this->call_));
  EXPECT_DOUBLE_EQ(this->tokens(), 6000);
  EXPECT_DOUBLE_EQ(this->requests(), 60);
}

// trap 24: what cannot come in time is refused at once, with the longest wait.
TYPED_TEST(limit_set_layer, refuses_at_once_what_cannot_come_in_time) {
  ASSERT_TRUE(this->limits_.try_take(this->start_, 6000).granted);
  const auto never_called = [](Call&) -> Result<Reply> {
    ADD_FAILURE();
    return Reply{1};
  };
  const auto refused =
      TypeParam::run(stack(rate_limit(this->limits_, weighed, 9s)), never_called, this->call_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::limited);
  EXPECT_EQ(refused.error().retry_after(), Duration{10s});
  this->call_.deadline = this->start_ + 9s;
  EXPECT_EQ(TypeParam::run(stack(rate_limit(this->limits_)), never_called, this->call_)
                .error()
                .retry_after(),
            Duration{10s});
  this->call_.weight = 6001;
  EXPECT_EQ(TypeParam::run(stack(rate_limit(this->limits_)), never_called, this->call_)
                .error()
                .retry_after(),
            std::nullopt);
  EXPECT_EQ(this->executor_.now(), this->start_);
}

TYPED_TEST(limit_set_layer, waits_for_what_comes_in_time) {
  ASSERT_TRUE(this->limits_.try_take(this->start_, 6000).granted);
  Time called{};
  EXPECT_TRUE(TypeParam::run(
      stack(rate_limit(this->limits_)),
      [&](Call& call) -> Result<Reply> {
        called = call.now;
        return Reply{1};
      },
      this->call_));
  EXPECT_EQ(called, this->start_ + 10s);
}

// trap 23: a reservation whose wait is cancelled is given back, from every limit.
TYPED_TEST(limit_set_layer, a_cancelled_wait_pays_nothing) {
  ASSERT_TRUE(this->limits_.try_take(this->start_, 6000).granted);
  StopSource source;
  this->call_.stop = source.token();
  this->script_.after(4s, [&] { source.request_stop(); });
  const auto result = TypeParam::run(
      stack(rate_limit(this->limits_)),
      [](Call&) -> Result<Reply> { return Reply{1}; },
      this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->executor_.now(), this->start_ + 4s);
  EXPECT_EQ(this->limits_[1].look(this->start_, 1000).ready, this->start_ + 10s);
  EXPECT_DOUBLE_EQ(this->limits_[0].available_approx(this->start_ + 10s), 60);
}

TYPED_TEST(limit_set_layer, a_single_bucket_takes_back_a_cancelled_reservation_too) {
  TokenBucket bucket{{.rate = 1000, .per = 10s}};
  ASSERT_TRUE(bucket.try_take(this->start_, 1000).granted);
  StopSource source;
  this->call_.stop = source.token();
  this->script_.after(4s, [&] { source.request_stop(); });
  EXPECT_EQ(
      TypeParam::run(
          stack(rate_limit(bucket)), [](Call&) -> Result<Reply> { return Reply{1}; }, this->call_)
          .error()
          .kind(),
      ErrorKind::cancelled);
  EXPECT_EQ(bucket.look(this->start_, 1000).ready, this->start_ + 10s);
}

TEST(limit_set_layer_text, describes_itself) {
  LimitSet limits{{{.bucket = {.rate = 60, .per = 1min}}}};
  auto ask = stack(rate_limit(limits, 5s)) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(ask), "rate_limit(limits(token_bucket(60/1min, burst 60)), wait 5s) > leaf");
}

}  // namespace
}  // namespace penstock
