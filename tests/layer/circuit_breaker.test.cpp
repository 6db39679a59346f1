// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/keyed.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/store/keyed.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using State = CircuitState;

static_assert(Gate<CircuitBreakerGate<>>);
static_assert(KeyedPolicies<Keyed<CircuitBreaker>, CircuitBreaker>);
static_assert(KeyedPolicies<Keyed<TokenBucket>, TokenBucket>);
static_assert(!KeyedPolicies<Keyed<TokenBucket>, CircuitBreaker>);
struct ThrowingReceiver {
  void operator()(const Transition&) const {}
};
static_assert(TransitionReceiver<NoReceiver> && !TransitionReceiver<ThrowingReceiver>);
// Without a receiver a permit is as large as the breaker's.
static_assert(sizeof(CircuitBreakerGate<>::Permit) == sizeof(CircuitBreaker::Permit));

// What the leaf is to do, for one key.
struct Target {
  testing::ManualExecutor executor{};
  std::optional<ErrorKind> failure{};
  Duration takes = 1s;
  int calls = 0;

  Result<int> answer() {
    ++calls;
    executor.advance(takes);
    if (failure) return *failure;
    return calls;
  }
};

struct Blocking {
  template <class Stack>
  static auto over(Stack layers, Target& target) {
    return [client = std::move(layers) | [&](int) { return target.answer(); },
            &target](Call call = {}) mutable {
      call.executor = &target.executor;
      return client(0, call);
    };
  }
};
struct Coroutine {
  template <class Stack>
  static auto over(Stack layers, Target& target) {
    return [client = std::move(layers) | [&](int, Call& call) -> Task<Result<int>> {
      co_await reschedule(call.where());
      co_return target.answer();
    },
            &target](Call call = {}) mutable {
      call.executor = &target.executor;
      return sync_wait(target.executor, client(0, call));
    };
  }
};

template <class Mode>
class circuit_breaker_layer : public ::testing::Test {
 protected:
  Target target_;
};
struct Names {
  template <class Mode>
  static std::string GetName(int) {
    return std::is_same_v<Mode, Blocking> ? "blocking" : "coroutine";
  }
};
using Modes = ::testing::Types<Blocking, Coroutine>;
TYPED_TEST_SUITE(circuit_breaker_layer, Modes, Names);

TYPED_TEST(circuit_breaker_layer, refuses_without_a_call_when_open_and_says_when_to_come_back) {
  CircuitBreaker breaker{{.minimum_calls = 3, .open_for = 30s, .probes = 1}};
  auto ask = TypeParam::over(stack(circuit_breaker(breaker)), this->target_);
  this->target_.failure = ErrorKind::unavailable;
  for (int call = 0; call < 3; ++call) EXPECT_EQ(ask().error().kind(), ErrorKind::unavailable);
  const auto refused = ask();
  EXPECT_EQ(refused.error().kind(), ErrorKind::circuit_open);
  EXPECT_GE(refused.error().retry_after(), 30s);
  EXPECT_EQ(this->target_.calls, 3);
  this->target_.executor.advance(*refused.error().retry_after());
  this->target_.failure.reset();
  EXPECT_TRUE(ask());
  EXPECT_EQ(breaker.state(this->target_.executor.now()), State::closed);
}

TYPED_TEST(circuit_breaker_layer, times_each_call_for_the_slow_call_rule) {
  CircuitBreaker breaker{{.minimum_calls = 2, .slow_after = 2s, .slow_rate = 1}};
  auto ask = TypeParam::over(stack(circuit_breaker(breaker)), this->target_);
  this->target_.takes = 2s - 1ns;
  EXPECT_TRUE(ask());
  EXPECT_EQ(breaker.slow_counts_approx(this->target_.executor.now()), (SampleCounts{1, 0}));
  breaker.reset();
  this->target_.takes = 2s;
  EXPECT_TRUE(ask());
  EXPECT_TRUE(ask());
  EXPECT_EQ(ask().error().kind(), ErrorKind::circuit_open);
}

TYPED_TEST(circuit_breaker_layer, a_stopped_call_moves_nothing) {
  CircuitBreaker breaker{{.minimum_calls = 1}};
  auto ask = TypeParam::over(stack(circuit_breaker(breaker)), this->target_);
  this->target_.failure = ErrorKind::cancelled;
  for (int call = 0; call < 10; ++call) EXPECT_EQ(ask().error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(breaker.counts_approx(this->target_.executor.now()).total, 0U);
}

// traps 2 and 5: a probe that was stopped, or refused further in, leaves its place to the next.
TYPED_TEST(circuit_breaker_layer, a_probe_without_an_answer_frees_its_place) {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 10s, .probes = 1}};
  auto ask = TypeParam::over(stack(circuit_breaker(breaker)), this->target_);
  this->target_.failure = ErrorKind::unavailable;
  EXPECT_FALSE(ask());
  this->target_.executor.advance(11s);
  for (const ErrorKind kind : {ErrorKind::cancelled, ErrorKind::limited, ErrorKind::deadline}) {
    this->target_.failure = kind;
    EXPECT_EQ(ask().error().kind(), kind);
    EXPECT_EQ(breaker.state(this->target_.executor.now()), State::half_open);
  }
  this->target_.failure.reset();
  EXPECT_TRUE(ask());
  EXPECT_EQ(breaker.state(this->target_.executor.now()), State::closed);
}

// The call is destroyed while its leaf waits: as dropped as a permit can be.
TEST(circuit_breaker_layer, a_probe_whose_coroutine_is_destroyed_frees_its_place) {
  struct Forever {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[gnu::noinline]] void await_suspend(std::coroutine_handle<> awaiter) noexcept {
      suspended = awaiter;
    }
    void await_resume() const noexcept {}
    std::coroutine_handle<> suspended{};
  };
  testing::ManualExecutor executor;
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 1s, .probes = 1}};
  breaker.admit(executor.now())->settle(Outcome::timeout, executor.now());
  executor.advance(2s);
  auto client = stack(circuit_breaker(breaker)) | [](int) -> Task<Result<int>> {
    Forever forever;
    co_await forever;
    co_return 1;
  };
  {
    auto task = client(0, Call{.executor = &executor});
    auto awaiter = std::move(task).operator co_await();
    ASSERT_TRUE(awaiter.await_suspend(std::noop_coroutine()));
    EXPECT_FALSE(breaker.admit(executor.now()));
  }
  EXPECT_TRUE(breaker.admit(executor.now()));
}

TYPED_TEST(circuit_breaker_layer, a_retry_waits_as_long_as_the_breaker_says) {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 10s, .probes = 1}};
  RetryPolicy::Options options{.max_attempts = 3};
  for (const ErrorKind kind : {ErrorKind::unavailable, ErrorKind::circuit_open}) {
    options.rules[kind] = {3, Backoff::fixed(1s), Jitter::none};
  }
  auto ask =
      TypeParam::over(stack(retry(RetryPolicy{options}), circuit_breaker(breaker)), this->target_);
  this->target_.failure = ErrorKind::unavailable;
  const Time start = this->target_.executor.now();
  EXPECT_FALSE(ask());
  // A call, a refusal a second later, and the probe when the breaker lets it.
  EXPECT_EQ(this->target_.calls, 2);
  EXPECT_GE(this->target_.executor.now() - start, 12s);
}

// trap 7
TYPED_TEST(circuit_breaker_layer, tells_transitions_to_a_receiver_that_may_call_the_stack) {
  CircuitBreaker breaker{
      {.minimum_calls = 1, .open_for = 10s, .probes = 1, .keep_transitions = 16}};
  std::vector<State> told;
  std::vector<State> seen_inside;
  const auto receiver = [&](const Transition& transition) noexcept {
    told.push_back(transition.to);
    seen_inside.push_back(breaker.state(this->target_.executor.now()));
    if (transition.to == State::open) {
      auto ask = TypeParam::over(stack(circuit_breaker(breaker)), this->target_);
      EXPECT_EQ(ask().error().kind(), ErrorKind::circuit_open);
    }
  };
  auto ask = TypeParam::over(stack(circuit_breaker(breaker, receiver)), this->target_);
  this->target_.failure = ErrorKind::unavailable;
  EXPECT_FALSE(ask());
  EXPECT_EQ(told, (std::vector<State>{State::open}));
  this->target_.executor.advance(11s);
  this->target_.failure.reset();
  EXPECT_TRUE(ask());
  EXPECT_EQ(told, (std::vector<State>{State::open, State::half_open, State::closed}));
  EXPECT_EQ(seen_inside, told);  // each was told when it happened
}

TEST(circuit_breaker_layer, a_receiver_needs_a_breaker_that_keeps_transitions) {
  CircuitBreaker breaker{{}};
  const auto receiver = [](const Transition&) noexcept {};
  EXPECT_THROW(static_cast<void>(circuit_breaker(breaker, receiver)), std::invalid_argument);
}

// trap 10: what a call threw does not live on in the breaker.
TYPED_TEST(circuit_breaker_layer, an_exception_is_gone_when_its_error_is) {
  struct Secret : std::runtime_error {
    explicit Secret(std::shared_ptr<int> own) : std::runtime_error("secret"), held(own) {}
    std::shared_ptr<int> held;
  };
  CircuitBreaker breaker{{.minimum_calls = 1, .keep_transitions = 16}};
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> watch = held;
  auto client =
      stack(circuit_breaker(breaker)) | [&](int) -> Result<int> { throw Secret{std::move(held)}; };
  {
    const auto result = client(0, Call{.executor = &this->target_.executor});
    ASSERT_EQ(result.error().kind(), ErrorKind::exception);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_EQ(breaker.state(this->target_.executor.now()), State::open);
  EXPECT_TRUE(watch.expired());
}

// trap 13: one bad host is not all hosts.
TYPED_TEST(circuit_breaker_layer, a_breaker_for_each_key_opens_for_its_key_alone) {
  Keyed<CircuitBreaker> breakers{{.capacity = 4}, {.minimum_calls = 2}};
  auto ask = TypeParam::over(stack(circuit_breaker(breakers)), this->target_);
  this->target_.failure = ErrorKind::unavailable;
  for (int call = 0; call < 2; ++call) EXPECT_FALSE(ask(Call{.key = 7}));
  EXPECT_EQ(ask(Call{.key = 7}).error().kind(), ErrorKind::circuit_open);
  this->target_.failure.reset();
  EXPECT_TRUE(ask(Call{.key = 8}));
  EXPECT_TRUE(ask());
  EXPECT_EQ(ask(Call{.key = 7}).error().kind(), ErrorKind::circuit_open);
}

TYPED_TEST(circuit_breaker_layer, a_key_without_room_is_refused_or_passes_as_was_said) {
  Keyed<CircuitBreaker> breakers{{.capacity = 1}, {.minimum_calls = 10}};
  this->target_.failure = ErrorKind::unavailable;
  auto refuse = TypeParam::over(stack(circuit_breaker(breakers)), this->target_);
  EXPECT_EQ(refuse(Call{.key = 1}).error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(refuse(Call{.key = 2}).error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(this->target_.calls, 1);
  auto pass = TypeParam::over(stack(circuit_breaker(breakers, WhenFull::pass)), this->target_);
  EXPECT_EQ(pass(Call{.key = 2}).error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(this->target_.calls, 2);
}

TYPED_TEST(circuit_breaker_layer, a_bucket_for_each_key_meters_its_key_alone) {
  Keyed<TokenBucket> buckets{{.capacity = 4}, {.rate = 1, .per = 1h}};
  auto ask = TypeParam::over(stack(rate_limit(buckets, Cost::request, 0s)), this->target_);
  EXPECT_TRUE(ask(Call{.key = 1}));
  EXPECT_EQ(ask(Call{.key = 1}).error().kind(), ErrorKind::limited);
  EXPECT_TRUE(ask(Call{.key = 2}));
}

TEST(circuit_breaker_layer, describes_what_is_kept_by_key) {
  Keyed<CircuitBreaker> breakers{{.capacity = 4}};
  Keyed<TokenBucket> buckets{{.capacity = 4}, {.rate = 2}};
  const auto client = stack(circuit_breaker(breakers, WhenFull::pass), rate_limit(buckets)) |
                      [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(client),
            "circuit_breaker(50% of at least 10 calls in 10s, open 30s, 3 probes of 1min) for each "
            "of at most 4 keys, others pass > rate_limit(token_bucket(2/1s, burst 2)) for each of "
            "at most 4 keys > leaf");
}

TEST(circuit_breaker_layer, the_same_keyed_policies_twice_in_one_stack_are_refused) {
  Keyed<TokenBucket> buckets{{.capacity = 4}, {.rate = 2}};
  const auto leaf = [](int) -> Result<int> { return 1; };
  EXPECT_THROW(static_cast<void>(stack(rate_limit(buckets), rate_limit(buckets)) | leaf),
               std::invalid_argument);
}

}  // namespace
}  // namespace penstock
