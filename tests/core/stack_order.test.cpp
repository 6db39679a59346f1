// SPDX-License-Identifier: MIT
// The numbers of the table in core/stack.hpp: what the order of two layers is worth.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/cache.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/coalesce.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/layer/hedge.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

RetryPolicy retries(Backoff backoff, ErrorKind kind = ErrorKind::transient) {
  RetryPolicy::Options options{.max_attempts = 4};
  options.rules[kind] = {3, backoff, Jitter::none};
  return RetryPolicy{options};
}

// A concurrency limit of one slot, reduced to what is measured: how long it is held.
class SlotPermit {
 public:
  SlotPermit(testing::ManualExecutor& executor, Duration& held)
      : executor_(&executor),
        held_(&held),
        taken_(executor.now()) {}
  SlotPermit(SlotPermit&& other) noexcept
      : executor_(other.executor_),
        held_(std::exchange(other.held_, nullptr)),
        taken_(other.taken_) {}
  SlotPermit& operator=(SlotPermit&& other) noexcept {
    std::swap(executor_, other.executor_);
    std::swap(held_, other.held_);
    std::swap(taken_, other.taken_);
    return *this;
  }
  ~SlotPermit() {
    if (held_ != nullptr) *held_ += executor_->now() - taken_;
  }
  [[nodiscard]] Time ready(Time now) const noexcept { return now; }
  void settle(Outcome, Time) noexcept {}

 private:
  testing::ManualExecutor* executor_;
  Duration* held_;
  Time taken_;
};
struct Slot {
  using Permit = SlotPermit;
  testing::ManualExecutor* executor;
  Duration* held;

  Result<Permit> admit(const Call&) noexcept { return Permit{*executor, *held}; }
  [[nodiscard]] std::string describe() const { return "slot"; }
  [[nodiscard]] const void* shared() const noexcept { return held; }
};
struct SlotLayer {
  static constexpr LayerKind kind = LayerKind::concurrency_limit;
  Slot slot;
  [[nodiscard]] const void* shared() const noexcept { return slot.shared(); }
  [[nodiscard]] std::string describe() const { return slot.describe(); }
  template <class Inner>
  [[nodiscard]] GateService<Slot, Inner> wrap(Inner inner) && {
    return {slot, std::move(inner)};
  }
};

class stack_order : public ::testing::Test {
 protected:
  // A blocking leaf that takes `time`, as far as it has that, and fails the first `failures`.
  auto leaf(int failures, Duration time = 1s) {
    return [this, failures, time](int, Call& call) -> Result<int> {
      const Duration taken = std::min(time, call.left());
      executor_.advance(taken);
      if (++requests_ > failures) return requests_;
      return taken < time ? ErrorKind::timeout : ErrorKind::transient;
    };
  }
  template <class Ask>
  Result<int> run(Ask ask) {
    return ask(0, Call{.executor = &executor_});
  }
  [[nodiscard]] Duration elapsed() const { return executor_.now() - start_; }

  testing::ManualExecutor executor_;
  const Time start_ = executor_.now();
  int requests_ = 0;
};

TEST_F(stack_order, a_deadline_outside_retry_ends_the_call_after_10_s_and_not_43) {
  const auto every_second = retries(Backoff::fixed(1s), ErrorKind::timeout);
  EXPECT_FALSE(run(stack(deadline(10s), retry(every_second)) | leaf(9, 1h)));
  EXPECT_EQ(elapsed(), 10s);
  EXPECT_FALSE(run(stack(in_any_order, retry(every_second), deadline(10s)) | leaf(9, 1h)));
  EXPECT_EQ(elapsed(), 10s + 43s);
}

TEST_F(stack_order, an_attempt_timeout_inside_retry_saves_a_call_whose_first_attempt_hangs) {
  const auto every_second = retries(Backoff::fixed(1s), ErrorKind::timeout);
  const auto first_hangs = [this](int, Call& call) -> Result<int> {
    const Duration time = std::min(++requests_ == 1 ? Duration{1h} : Duration{1s}, call.left());
    executor_.advance(time);
    if (requests_ == 1) return ErrorKind::timeout;
    return requests_;
  };
  EXPECT_EQ(*run(stack(retry(every_second), attempt_timeout(10s)) | first_hangs), 2);
  EXPECT_EQ(elapsed(), 12s);
  requests_ = 0;
  EXPECT_FALSE(run(stack(in_any_order, attempt_timeout(10s), retry(every_second)) | first_hangs));
  EXPECT_EQ(elapsed(), 12s + 10s);
}

// trap 40
TEST_F(stack_order, a_fallback_outside_retry_lets_it_try_again_first) {
  const auto at_once = retries(Backoff::none());
  EXPECT_EQ(*run(stack(fallback(-1), retry(at_once)) | leaf(1)), 2);
  requests_ = 0;
  EXPECT_EQ(*run(stack(in_any_order, retry(at_once), fallback(-1)) | leaf(1)), -1);
  EXPECT_EQ(requests_, 1);
}

TEST_F(stack_order, a_breaker_outside_fallback_never_opens) {
  CircuitBreaker breaker{{.minimum_calls = 4}};
  CircuitBreaker blind{{.minimum_calls = 4}};
  auto ask = stack(fallback(-1), circuit_breaker(breaker)) | leaf(1000, 0s);
  auto swapped = stack(in_any_order, circuit_breaker(blind), fallback(-1)) | leaf(1000, 0s);
  for (int call = 0; call < 100; ++call) {
    EXPECT_EQ(*ask(0, Call{.executor = &executor_}), -1);
  }
  EXPECT_EQ(requests_, 4) << "it opened";
  requests_ = 0;
  for (int call = 0; call < 100; ++call) EXPECT_EQ(*swapped(0, Call{.executor = &executor_}), -1);
  EXPECT_EQ(requests_, 100);
}

TEST_F(stack_order, a_hedge_inside_retry_sends_4_requests_and_not_8) {
  HedgePolicy policy{{.delay = 100ms}};
  Scope scope{executor_};
  const auto fails = [this](int, Call&) -> Task<Result<int>> {
    ++requests_;
    co_return ErrorKind::transient;
  };
  const auto slowly = retries(Backoff::fixed(1s));
  auto ask = stack(retry(slowly), hedge(policy, scope)) | fails;
  EXPECT_FALSE(sync_wait(executor_, ask(0, Call{.executor = &executor_})));
  EXPECT_EQ(requests_, 4);
  requests_ = 0;
  auto swapped = stack(in_any_order, hedge(policy, scope), retry(slowly)) | fails;
  EXPECT_FALSE(sync_wait(executor_, swapped(0, Call{.executor = &executor_})));
  scope.wait();
  EXPECT_EQ(requests_, 8);
}

// trap 43
TEST_F(stack_order, a_concurrency_limit_inside_retry_holds_its_slot_for_4_s_and_not_18) {
  const auto waits = retries(Backoff::exponential(2s, 60s));  // 2, 4, 8 s
  Duration held{};
  EXPECT_FALSE(run(stack(retry(waits), SlotLayer{{&executor_, &held}}) | leaf(9)));
  EXPECT_EQ(held, 4s);
  held = {};
  EXPECT_FALSE(run(stack(in_any_order, SlotLayer{{&executor_, &held}}, retry(waits)) | leaf(9)));
  EXPECT_EQ(held, 18s);
}

TEST_F(stack_order, coalesce_outside_retry_spends_3_of_the_budget_and_not_30) {
  const auto fails = [this](int, Call& call) -> Task<Result<int>> {
    ++requests_;
    const bool came = co_await wait_until(executor_, executor_.now() + 1s, call.stop);
    co_return came ? ErrorKind::transient : ErrorKind::cancelled;
  };
  const auto spent_by = [&](auto layers, RetryBudget& budget) {
    const double before = budget.available_approx();
    auto ask = std::move(layers) | fails;
    Scope scope{executor_};
    const auto caller = [&]() -> Task<void> {
      const Result<int> result = co_await ask(0, Call{.executor = &executor_});
      EXPECT_FALSE(result);
    };
    for (int number = 0; number < 10; ++number) scope.spawn(caller());
    scope.wait();
    return before - budget.available_approx();
  };
  RetryBudget budget{{.floor_tokens = 100, .max_tokens = 100}};
  InFlight<int, int> in_flight;
  const auto slowly = retries(Backoff::fixed(1s));
  EXPECT_EQ(spent_by(stack(coalesce(in_flight), retry(slowly, budget)), budget), 3);
  EXPECT_EQ(spent_by(stack(in_any_order, retry(slowly, budget), coalesce(in_flight)), budget), 30);
}

TEST_F(stack_order, a_cache_outside_retry_keeps_what_all_attempts_came_to) {
  Cache<int, int> kept;
  const CachePolicy keeps{{.negative_ttl = 1h, .negative = {ErrorKind::transient}}};
  const auto waits = retries(Backoff::exponential(2s, 60s));
  auto ask = stack(cache(kept, {}, keeps), retry(waits)) | leaf(99, 0s);
  EXPECT_FALSE(ask(0, Call{.executor = &executor_}));
  EXPECT_FALSE(ask(0, Call{.executor = &executor_}));
  EXPECT_EQ(requests_, 4);
  EXPECT_EQ(elapsed(), 14s);
  kept.clear();
  requests_ = 0;
  auto swapped = stack(in_any_order, retry(waits), cache(kept, {}, keeps)) | leaf(99, 0s);
  EXPECT_FALSE(swapped(0, Call{.executor = &executor_}));
  EXPECT_FALSE(swapped(0, Call{.executor = &executor_}));
  EXPECT_EQ(requests_, 1) << "an error of one attempt is the answer to all";
  EXPECT_EQ(elapsed(), 14s + 2 * 14s);
}

TEST_F(stack_order, a_breaker_inside_retry_counts_4_failures_and_not_1) {
  const auto at_once = retries(Backoff::none());
  CircuitBreaker breaker{{.minimum_calls = 4}};
  EXPECT_FALSE(run(stack(retry(at_once), circuit_breaker(breaker)) | leaf(99, 0s)));
  EXPECT_FALSE(breaker.admit(executor_.now())) << "four failures opened it";
  CircuitBreaker outside{{.minimum_calls = 4}};
  for (int call = 1; call <= 4; ++call) {
    EXPECT_TRUE(outside.admit(executor_.now())) << call;
    EXPECT_FALSE(run(stack(circuit_breaker(outside), retry(at_once)) | leaf(99, 0s)));
  }
  EXPECT_FALSE(outside.admit(executor_.now()));
}

TEST_F(stack_order, a_limiter_inside_retry_takes_4_tokens_and_not_1) {
  const auto at_once = retries(Backoff::none());
  TokenBucket bucket{{.rate = 1, .per = 24h, .burst = 100}};
  EXPECT_FALSE(run(stack(retry(at_once), rate_limit(bucket)) | leaf(99, 0s)));
  EXPECT_NEAR(bucket.available_approx(executor_.now()), 96, 0.01);
  EXPECT_FALSE(run(stack(rate_limit(bucket), retry(at_once)) | leaf(99, 0s)));
  EXPECT_NEAR(bucket.available_approx(executor_.now()), 95, 0.01);
  EXPECT_EQ(requests_, 8);
}

TEST_F(stack_order, a_limiter_inside_hedge_takes_2_tokens_and_not_1) {
  HedgePolicy policy{{.delay = 100ms}};
  Scope scope{executor_};
  TokenBucket bucket{{.rate = 1, .per = 24h, .burst = 100}};
  const auto slow = [this](int, Call& call) -> Task<Result<int>> {
    ++requests_;
    const bool came = co_await wait_until(executor_, executor_.now() + 1s, call.stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return 1;
  };
  auto ask = stack(hedge(policy, scope), rate_limit(bucket)) | slow;
  EXPECT_TRUE(sync_wait(executor_, ask(0, Call{.executor = &executor_})));
  EXPECT_NEAR(bucket.available_approx(executor_.now()), 98, 0.01);
  auto swapped = stack(rate_limit(bucket), hedge(policy, scope)) | slow;
  EXPECT_TRUE(sync_wait(executor_, swapped(0, Call{.executor = &executor_})));
  EXPECT_NEAR(bucket.available_approx(executor_.now()), 97, 0.01);
  EXPECT_EQ(requests_, 4);
  scope.wait();
}

TEST_F(stack_order, a_limiter_beside_an_open_breaker_keeps_no_token_on_either_side) {
  CircuitBreaker breaker;
  breaker.isolate();
  TokenBucket bucket{{.rate = 1, .per = 24h, .burst = 100}};
  EXPECT_FALSE(run(stack(circuit_breaker(breaker), rate_limit(bucket)) | leaf(0)));
  EXPECT_NEAR(bucket.available_approx(executor_.now()), 100, 0.01);
  EXPECT_FALSE(run(stack(rate_limit(bucket), circuit_breaker(breaker)) | leaf(0)));
  EXPECT_NEAR(bucket.available_approx(executor_.now()), 100, 0.01);
}

TEST_F(stack_order, a_cache_outside_an_open_breaker_still_answers) {
  CircuitBreaker breaker;
  breaker.isolate();
  Cache<int, int> kept;
  kept.put(0, 42, executor_.now());
  EXPECT_EQ(*run(stack(cache(kept), circuit_breaker(breaker)) | leaf(0)), 42);
  EXPECT_EQ(run(stack(circuit_breaker(breaker), cache(kept)) | leaf(0)).error().kind(),
            ErrorKind::circuit_open);
}

}  // namespace
}  // namespace penstock
