// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <concepts>
#include <stdexcept>
#include <string>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/hedge.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/manual_executor.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// What one attempt does; `ignores_stop` stands for a leaf that cannot be cut short.
struct Act {
  Duration time{};
  ErrorKind failure{};
  bool fails = false;
  bool ignores_stop = false;
};
Act answers_after(Duration time) {
  return {time, {}, false, false};
}
Act fails_after(Duration time, ErrorKind kind) {
  return {time, kind, true, false};
}
Act deaf_for(Duration time) {
  return {time, {}, false, true};
}

template <class Policy, class ScopeType>
concept can_hedge_with = requires(Policy&& policy, ScopeType& scope) {
  hedge(std::forward<Policy>(policy), scope);
};

class hedge_layer : public ::testing::Test {
 protected:
  // Attempts take the acts in turn; the reply is the number of the attempt and the request.
  Task<Result<std::string>> leaf(const std::string& request, Call& call) {
    const std::size_t number = started_.size();
    started_.push_back(executor_.now() - start_);
    const Act act = number < acts_.size() ? acts_[number] : acts_.back();
    const StopToken stop = act.ignores_stop ? StopToken{} : call.stop;
    const bool came = co_await wait_until(executor_, executor_.now() + act.time, stop);
    ended_.push_back(executor_.now() - start_);
    if (!came) co_return ErrorKind::cancelled;
    if (act.fails) co_return Error{act.failure}.set_status(static_cast<int>(500 + number));
    co_return std::to_string(number) + request;
  }
  auto over_leaf() {
    return [this](const std::string& request, Call& call) { return leaf(request, call); };
  }
  Result<std::string> run(HedgePolicy& policy, std::vector<Act> acts, Call call = {}) {
    acts_ = std::move(acts);
    auto ask = stack(hedge(policy, scope_)) | over_leaf();
    call.executor = &executor_;
    auto result = sync_wait(executor_, ask(std::string{"!"}, call));
    returned_ = executor_.now() - start_;
    scope_.wait();
    return result;
  }

  testing::ManualExecutor executor_;
  Scope scope_{executor_};
  const Time start_ = executor_.now();
  std::vector<Act> acts_;
  std::vector<Duration> started_;
  std::vector<Duration> ended_;
  Duration returned_{};
};

TEST_F(hedge_layer, sends_a_fast_call_once) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_EQ(*run(policy, {answers_after(49ms)}), "0!");
  EXPECT_EQ(started_.size(), 1U);
  EXPECT_EQ(returned_, 49ms);
}

TEST_F(hedge_layer, sends_a_slow_call_again_and_takes_the_first_reply) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_EQ(*run(policy, {answers_after(10s), answers_after(20ms)}), "1!");
  EXPECT_EQ(started_, (std::vector<Duration>{0ms, 50ms}));
  EXPECT_EQ(returned_, 70ms);
}

TEST_F(hedge_layer, takes_the_first_attempt_when_it_comes_in_time_after_all) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_EQ(*run(policy, {answers_after(60ms), answers_after(20ms)}), "0!");
  EXPECT_EQ(returned_, 60ms);
}

TEST_F(hedge_layer, stops_the_losers) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_TRUE(run(policy, {answers_after(10s), answers_after(20ms)}));
  EXPECT_EQ(ended_, (std::vector<Duration>{70ms, 70ms}));
}

// trap 33
TEST_F(hedge_layer, returns_the_winner_without_waiting_for_a_loser_that_does_not_listen) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_EQ(*run(policy, {deaf_for(1h), answers_after(20ms)}), "1!");
  EXPECT_EQ(returned_, 70ms);
  EXPECT_EQ(ended_.back(), 1h) << "it went on in its scope";
}

// trap 34
TEST_F(hedge_layer, takes_the_first_success_and_not_the_first_error) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_EQ(*run(policy, {answers_after(90ms), fails_after(10ms, ErrorKind::permanent)}), "0!");
  EXPECT_EQ(returned_, 90ms);
}

TEST_F(hedge_layer, waits_for_a_hedge_whose_first_attempt_has_failed) {
  HedgePolicy policy{{.delay = 50ms}};
  EXPECT_EQ(*run(policy, {fails_after(60ms, ErrorKind::transient), answers_after(30ms)}), "1!");
  EXPECT_EQ(returned_, 80ms);
}

TEST_F(hedge_layer, gives_an_error_at_once_when_nothing_else_is_under_way) {
  HedgePolicy policy{{.delay = 50ms}};
  const auto result = run(policy, {fails_after(10ms, ErrorKind::transient)});
  EXPECT_EQ(result.error().kind(), ErrorKind::transient);
  EXPECT_TRUE(result.error().history().empty());
  EXPECT_EQ(started_.size(), 1U);
  EXPECT_EQ(returned_, 10ms);
}

TEST_F(hedge_layer, gives_the_first_attempt_s_error_with_the_history_of_all_when_all_fail) {
  HedgePolicy policy{{.delay = 50ms}};
  const auto result =
      run(policy,
          {fails_after(100ms, ErrorKind::transient), fails_after(10ms, ErrorKind::unavailable)});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::transient);
  EXPECT_EQ(result.error().status(), 500);
  ASSERT_EQ(result.error().history().size(), 2U);
  EXPECT_EQ(result.error().history()[0].number, 2U);
  EXPECT_EQ(result.error().history()[0].kind, ErrorKind::unavailable);
  EXPECT_EQ(result.error().history()[0].elapsed, 10ms);
  EXPECT_EQ(result.error().history()[1].number, 1U);
}

TEST_F(hedge_layer, sends_as_many_as_it_may_one_delay_apart) {
  HedgePolicy policy{{.max_hedges = 3, .delay = 50ms}};
  EXPECT_EQ(*run(policy, {answers_after(10s)}), "0!");
  EXPECT_EQ(started_, (std::vector<Duration>{0ms, 50ms, 100ms, 150ms}));
}

// trap 36
TEST_F(hedge_layer, sends_nothing_after_the_caller_has_cancelled) {
  HedgePolicy policy{{.delay = 50ms}};
  StopSource source;
  const testing::StopAt stop{executor_, source, executor_.now() + 20ms};
  const auto result = run(policy, {deaf_for(1h)}, {.stop = source.token()});
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(started_.size(), 1U);
  EXPECT_EQ(returned_, 20ms) << "and does not wait for a leaf that does not listen";
}

TEST_F(hedge_layer, stops_its_attempts_when_the_caller_cancels) {
  HedgePolicy policy{{.delay = 50ms}};
  StopSource source;
  const testing::StopAt stop{executor_, source, executor_.now() + 60ms};
  const auto result = run(policy, {answers_after(1h)}, {.stop = source.token()});
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(ended_, (std::vector<Duration>{60ms, 60ms}));
}

TEST_F(hedge_layer, a_caller_that_is_stopped_with_its_delay_sends_nothing_more) {
  HedgePolicy policy{{.delay = 50ms}};
  StopSource source;
  const testing::StopAt stop{executor_, source, executor_.now() + 50ms};
  EXPECT_FALSE(run(policy, {answers_after(1h)}, {.stop = source.token()}));
  EXPECT_EQ(started_.size(), 1U);
}

TEST_F(hedge_layer, the_caller_s_stop_source_may_go_before_a_loser_does) {
  HedgePolicy policy{{.delay = 50ms}};
  acts_ = {deaf_for(1h), answers_after(20ms)};
  auto ask = stack(hedge(policy, scope_)) | over_leaf();
  {
    StopSource source;
    EXPECT_TRUE(sync_wait(executor_,
                          ask(std::string{"!"}, {.stop = source.token(), .executor = &executor_})));
  }
  scope_.wait();
  EXPECT_EQ(ended_.back(), 1h);
}

TEST_F(hedge_layer, a_loser_reads_its_own_copy_of_the_request) {
  HedgePolicy policy{{.delay = 50ms}};
  std::vector<std::string> seen;
  auto ask = stack(hedge(policy, scope_)) |
             [&](const std::string& request, Call& call) -> Task<Result<int>> {
    const bool first = call.now == start_;
    co_await reschedule(executor_);
    const bool came = co_await wait_until(executor_, executor_.now() + (first ? 1h : 1ms), {});
    EXPECT_TRUE(came);
    seen.push_back(request);
    co_return 1;
  };
  {
    const std::string request(100, 'x');
    EXPECT_TRUE(sync_wait(executor_, ask(request, {.executor = &executor_})));
  }
  scope_.wait();
  EXPECT_EQ(seen, (std::vector<std::string>(2, std::string(100, 'x'))));
}

// trap 37: with no hedges at all it still ends when the time is over, and says where the rest is.
TEST_F(hedge_layer, ends_with_its_deadline_even_over_a_leaf_that_does_not_listen) {
  HedgePolicy policy{{.max_hedges = 0}};
  const auto result = run(policy, {deaf_for(1h)}, {.deadline = executor_.now() + 30ms});
  EXPECT_EQ(result.error().kind(), ErrorKind::timeout);
  EXPECT_EQ(returned_, 30ms);
  EXPECT_EQ(ended_.back(), 1h);
}

// trap 35
TEST_F(hedge_layer, sends_no_more_than_the_budget_pays_for) {
  HedgePolicy policy{{.max_hedges = 3, .delay = 50ms}};
  RetryBudget budget{{.ratio = 0, .floor_tokens = 2, .max_tokens = 10}};
  acts_ = {answers_after(10s)};
  auto ask = stack(hedge(policy, scope_, budget)) | over_leaf();
  EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, {.executor = &executor_})));
  EXPECT_EQ(started_.size(), 3U);
  EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, {.executor = &executor_})));
  EXPECT_EQ(started_.size(), 4U);
  scope_.wait();
}

TEST_F(hedge_layer, sees_what_time_brings_back_to_the_budget) {
  HedgePolicy policy{{.delay = 50ms}};
  RetryBudget budget{{.ratio = 0, .floor_tokens = 1, .max_tokens = 10, .window = 10s}};
  acts_ = {answers_after(10s)};
  auto ask = stack(hedge(policy, scope_, budget)) | over_leaf();
  for (int call = 0; call < 3; ++call) {
    EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, Call{.executor = &executor_})));
    scope_.wait();
    executor_.advance(10s);
  }
  EXPECT_EQ(started_.size(), 3U + 3U);
}

TEST_F(hedge_layer, a_success_pays_in_as_of_its_time) {
  HedgePolicy policy{{.delay = 1h}};
  RetryBudget budget{{.ratio = 1, .floor_tokens = 0, .max_tokens = 10, .window = 10s}};
  acts_ = {answers_after(1s)};
  auto ask = stack(hedge(policy, scope_, budget)) | over_leaf();
  EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, Call{.executor = &executor_})));
  EXPECT_EQ(budget.available_approx(executor_.now()), 1) << "and has not faded yet";
}

TEST_F(hedge_layer, a_hedge_that_was_refused_before_it_was_sent_spends_nothing) {
  HedgePolicy policy{{.delay = 50ms}};
  for (const ErrorKind kind : {ErrorKind::circuit_open, ErrorKind::unavailable}) {
    RetryBudget budget{{.ratio = 0, .floor_tokens = 2, .max_tokens = 10}};
    acts_ = {answers_after(10s), fails_after(0s, kind)};
    started_.clear();
    auto ask = stack(hedge(policy, scope_, budget)) | over_leaf();
    EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, Call{.executor = &executor_})));
    EXPECT_EQ(started_.size(), 2U);
    EXPECT_EQ(budget.available_approx(), kind == ErrorKind::circuit_open ? 2 : 1);
  }
}

TEST_F(hedge_layer, pays_each_success_into_a_shared_budget_once) {
  HedgePolicy policy{{.delay = 50ms}};
  acts_ = {answers_after(1ms)};
  for (const bool with_retry : {false, true}) {
    RetryBudget budget{{.ratio = 1, .floor_tokens = 0, .max_tokens = 10}};
    const Call call{.executor = &executor_};
    if (with_retry) {
      auto ask = stack(retry(RetryPolicy{}, budget), hedge(policy, scope_, budget)) | over_leaf();
      EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, call)));
    } else {
      auto ask = stack(hedge(policy, scope_, budget)) | over_leaf();
      EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, call)));
    }
    EXPECT_EQ(budget.available_approx(), 1) << with_retry;
  }
  scope_.wait();
}

TEST_F(hedge_layer, measures_its_delay) {
  HedgePolicy policy{{.quantile = 0.5, .min_samples = 10, .window = 100}};
  acts_ = {answers_after(10ms)};
  auto ask = stack(hedge(policy, scope_)) | over_leaf();
  for (int call = 0; call < 10; ++call)
    EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, {.executor = &executor_})));
  EXPECT_EQ(started_.size(), 10U);
  acts_ = {answers_after(1s)};
  EXPECT_TRUE(sync_wait(executor_, ask(std::string{"!"}, {.executor = &executor_})));
  ASSERT_EQ(started_.size(), 12U);
  EXPECT_GE(started_[11] - started_[10], 10ms);
  EXPECT_LE(started_[11] - started_[10], 12ms);
  scope_.wait();
}

// trap 38
TEST_F(hedge_layer, a_cancelled_hedge_teaches_nothing) {
  HedgePolicy policy{{.quantile = 0.01, .min_samples = 1, .window = 20, .min_delay = 0ms}};
  policy.on_end(Outcome::success, 10ms);
  EXPECT_TRUE(run(policy, {answers_after(15ms), answers_after(1h)}));
  EXPECT_EQ(started_.size(), 2U);
  EXPECT_GE(*policy.delay(), 10ms) << "the hedge ran for less than that";
}

// trap 38
TEST_F(hedge_layer, an_overtaken_first_attempt_counts_as_at_least_as_long_as_it_ran) {
  HedgePolicy policy{{.quantile = 0.99, .min_samples = 1, .window = 20, .min_delay = 0ms}};
  policy.on_end(Outcome::success, 10ms);
  const Duration before = *policy.delay();
  EXPECT_TRUE(run(policy, {answers_after(1h), answers_after(3ms)}));
  EXPECT_GE(*policy.delay(), before + 3ms);
}

TEST_F(hedge_layer, an_attempt_that_the_caller_cancelled_teaches_nothing) {
  HedgePolicy policy{{.quantile = 0.99, .min_samples = 1, .window = 20, .min_delay = 0ms}};
  policy.on_end(Outcome::success, 10ms);
  const Duration before = *policy.delay();
  StopSource source;
  const testing::StopAt stop{executor_, source, executor_.now() + 1s};
  EXPECT_FALSE(run(policy, {answers_after(1h)}, {.stop = source.token()}));
  EXPECT_EQ(*policy.delay(), before);
}

TEST_F(hedge_layer, carries_an_exception_of_every_attempt) {
  HedgePolicy policy{{.delay = 50ms}};
  auto ask = stack(hedge(policy, scope_)) | [this](int, Call& call) -> Task<Result<int>> {
    const bool came = co_await wait_until(executor_, executor_.now() + 60ms, call.stop);
    if (came) throw std::runtime_error{"broken"};
    co_return 1;
  };
  const auto result = sync_wait(executor_, ask(1, {.executor = &executor_}));
  EXPECT_EQ(result.error().kind(), ErrorKind::exception);
  scope_.wait();
}

TEST_F(hedge_layer, carries_what_copying_the_request_throws) {
  struct Fragile {
    Fragile() = default;
    Fragile(const Fragile&) { throw std::runtime_error{"no copy"}; }
    Fragile& operator=(const Fragile&) = default;
  };
  HedgePolicy policy{{.delay = 50ms}};
  auto ask =
      stack(hedge(policy, scope_)) | [](const Fragile&) -> Task<Result<int>> { co_return 1; };
  const Fragile request;
  const auto result = sync_wait(executor_, ask(request, {.executor = &executor_}));
  EXPECT_EQ(result.error().message(), "no copy");
  scope_.wait();
}

// trap 42
TEST_F(hedge_layer, cannot_be_given_a_policy_that_is_made_for_the_call) {
  EXPECT_TRUE((can_hedge_with<HedgePolicy&, Scope>));
  EXPECT_FALSE((can_hedge_with<HedgePolicy, Scope>));
}

// trap 41
TEST_F(hedge_layer, refuses_the_same_policy_twice_in_one_stack) {
  HedgePolicy policy;
  EXPECT_THROW(static_cast<void>(stack(in_any_order, hedge(policy, scope_), hedge(policy, scope_)) |
                                 over_leaf()),
               std::invalid_argument);
}

TEST_F(hedge_layer, describes_itself) {
  HedgePolicy policy{{.delay = 50ms}};
  auto ask = stack(hedge(policy, scope_)) | over_leaf();
  EXPECT_EQ(describe(ask), "hedge(1 after 50ms) > leaf");
}

}  // namespace
}  // namespace penstock
