// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/admit.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/concurrency_limit.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/layer/observe.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/manual_executor.hpp>

#include "support/script.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// What happens at a row of gates, in order.
using Diary = std::vector<std::string>;

struct Behaviour {
  std::string name;
  Duration wait{};
  bool refuses = false;
  Duration come_back{};  // what a refusal says
};

// A gate that waits or refuses as told, and writes down what it is asked and told.
class DiaryGate {
 public:
  class [[nodiscard]] Permit {
   public:
    Permit(Diary& diary, std::string name, Time ready)
        : diary_(&diary),
          name_(std::move(name)),
          ready_(ready) {}
    Permit(Permit&& other) noexcept
        : diary_(std::exchange(other.diary_, nullptr)),
          name_(std::move(other.name_)),
          ready_(other.ready_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(diary_, other.diary_);
      std::swap(name_, other.name_);
      std::swap(ready_, other.ready_);
      return *this;
    }
    ~Permit() {
      if (diary_ != nullptr) diary_->push_back(name_ + " gives back");
    }
    [[nodiscard]] Time ready(Time) const noexcept { return ready_; }
    void settle(Outcome outcome, Time) noexcept {
      std::exchange(diary_, nullptr)
          ->push_back(name_ + " settles " + std::string{to_string(outcome)});
    }

   private:
    Diary* diary_;
    std::string name_;
    Time ready_;
  };

  DiaryGate(Diary& diary, Behaviour behaviour) : diary_(&diary), behaviour_(std::move(behaviour)) {}
  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    const auto at = std::chrono::duration_cast<std::chrono::seconds>(call.now - Time{1000s});
    diary_->push_back(behaviour_.name + " at " + std::to_string(at.count()) + "s");
    if (behaviour_.refuses) {
      Error refusal{ErrorKind::limited};
      if (behaviour_.come_back > Duration::zero()) refusal.set_retry_after(behaviour_.come_back);
      return refusal;
    }
    return Permit{*diary_, behaviour_.name, saturating_add(call.now, behaviour_.wait)};
  }
  [[nodiscard]] const void* shared() const noexcept { return nullptr; }
  [[nodiscard]] std::string describe() const { return behaviour_.name; }

 private:
  Diary* diary_;
  Behaviour behaviour_;
};
static_assert(Gate<DiaryGate>);

// Each breaks one requirement of `Gate` alone.
struct AdmitMayThrow : DiaryGate {
  Result<Permit> admit(const Call& call) { return DiaryGate::admit(call); }
};
struct GivesNoResult : DiaryGate {
  Permit admit(const Call& call) noexcept { return *DiaryGate::admit(call); }
};
struct WithoutDescription : DiaryGate {
  void describe() const = delete;
};
struct WithoutIdentity : DiaryGate {
  void shared() const = delete;
};
struct SettleMayThrow : DiaryGate {
  struct Permit : DiaryGate::Permit {
    void settle(Outcome, Time) {}
  };
  Result<Permit> admit(const Call& call) noexcept;
};
struct UnmovablePermit : DiaryGate {
  struct Permit : DiaryGate::Permit {
    Permit(Permit&&) = delete;
  };
  Result<Permit> admit(const Call& call) noexcept;
};
static_assert(!Gate<AdmitMayThrow>);
static_assert(!Gate<GivesNoResult>);
static_assert(!Gate<WithoutDescription>);
static_assert(!Gate<WithoutIdentity>);
static_assert(!Gate<SettleMayThrow>);
static_assert(!Gate<UnmovablePermit>);

struct WithLine : DiaryGate {
  Task<Result<Permit>> stand_in_line(Call& call);
  Result<Permit> block_in_line(Call& call) noexcept;
};
static_assert(GateWithLine<WithLine>);
static_assert(GateWithLine<AdmitGate<ConcurrencyLimit>>);

// Each breaks one requirement of `GateWithLine` alone.
struct NoGateWithLine : WithLine {
  void shared() const = delete;
};
struct StandsWithoutTask : WithLine {
  Result<Permit> stand_in_line(Call& call);
};
struct BlockMayThrow : WithLine {
  Result<Permit> block_in_line(Call& call);
};
struct BlocksWithoutResult : WithLine {
  Permit block_in_line(Call& call) noexcept;
};
static_assert(!GateWithLine<DiaryGate>);
static_assert(!GateWithLine<NoGateWithLine>);
static_assert(!GateWithLine<StandsWithoutTask>);
static_assert(!GateWithLine<BlockMayThrow>);
static_assert(!GateWithLine<BlocksWithoutResult>);

auto gate(Diary& diary, Behaviour behaviour) {
  return GateLayer<DiaryGate, LayerKind::rate_limit>{DiaryGate{diary, std::move(behaviour)}};
}

// Does something at a time of the executor's.
template <class Work>
struct At final : Timer {
  At(testing::ManualExecutor& executor, Time at, Work work)
      : Timer([](Timer& timer) noexcept { static_cast<At&>(timer).work_(); }),
        work_(std::move(work)) {
    when = at;
    executor.arm(*this);
  }
  Work work_;
};

// The same cases over a blocking and over a coroutine leaf, which shares one frame among gates.
struct Blocking {
  template <class Layers>
  static Result<int> run(Layers layers, Diary& diary, Call call) {
    auto ask = std::move(layers) | [&](int) -> Result<int> {
      diary.push_back("leaf");
      return 1;
    };
    return ask(0, call);
  }
};
struct Coroutine {
  template <class Layers>
  static Result<int> run(Layers layers, Diary& diary, Call call) {
    auto ask = std::move(layers) | [&](int) -> Task<Result<int>> {
      diary.push_back("leaf");
      co_return 1;
    };
    return sync_wait(*call.executor, ask(0, call));
  }
};

template <class Mode>
class gates : public ::testing::Test {
 protected:
  Diary diary_;
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
TYPED_TEST_SUITE(gates, Modes, Names);

TYPED_TEST(gates, are_asked_from_outside_and_told_from_inside) {
  auto& diary = this->diary_;
  EXPECT_TRUE(TypeParam::run(
      stack(gate(diary, {.name = "a"}), gate(diary, {.name = "b"}), gate(diary, {.name = "c"})),
      diary,
      this->call_));
  EXPECT_EQ(diary,
            (Diary{"a at 0s",
                   "b at 0s",
                   "c at 0s",
                   "leaf",
                   "c settles success",
                   "b settles success",
                   "a settles success"}));
}

TYPED_TEST(gates, behind_a_wait_are_asked_when_it_is_over) {
  auto& diary = this->diary_;
  EXPECT_TRUE(TypeParam::run(stack(gate(diary, {.name = "a", .wait = 2s}),
                                   gate(diary, {.name = "b", .wait = 3s}),
                                   gate(diary, {.name = "c"})),
                             diary,
                             this->call_));
  EXPECT_EQ(diary,
            (Diary{"a at 0s",
                   "b at 2s",
                   "c at 5s",
                   "leaf",
                   "c settles success",
                   "b settles success",
                   "a settles success"}));
}

TYPED_TEST(gates, give_back_what_they_hold_when_one_further_in_refuses) {
  auto& diary = this->diary_;
  const auto result = TypeParam::run(
      stack(gate(diary, {.name = "a", .wait = 2s}), gate(diary, {.name = "b", .refuses = true})),
      diary,
      this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::limited);
  EXPECT_EQ(diary, (Diary{"a at 0s", "b at 2s", "a gives back"}));
}

TYPED_TEST(gates, give_back_what_they_hold_when_a_wait_is_stopped) {
  auto& diary = this->diary_;
  StopSource source;
  const At stop{this->executor_, this->executor_.now() + 3s, [&] { source.request_stop(); }};
  this->call_.stop = source.token();
  const auto result = TypeParam::run(stack(gate(diary, {.name = "a", .wait = 2s}),
                                           gate(diary, {.name = "b", .wait = 1h}),
                                           gate(diary, {.name = "c"})),
                                     diary,
                                     this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(diary, (Diary{"a at 0s", "b at 2s", "b gives back", "a gives back"}));
}

TEST(gates_of_coroutines, give_back_what_they_hold_when_the_call_ends_as_its_wait_does) {
  Diary diary;
  testing::ManualExecutor executor;
  StopSource source;
  // At the same instant, and before the call goes on.
  const Time ends = executor.now() + 2s;
  executor.between_steps([&, ends] {
    if (executor.now() >= ends) source.request_stop();
  });
  const auto result =
      Coroutine::run(stack(gate(diary, {.name = "a", .wait = 2s}), gate(diary, {.name = "b"})),
                     diary,
                     {.stop = source.token(), .executor = &executor});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(diary, (Diary{"a at 0s", "a gives back"}));
}

TYPED_TEST(gates, give_back_what_they_hold_when_a_wait_ends_after_the_deadline) {
  auto& diary = this->diary_;
  testing::Script events{this->executor_};
  events.after(2s - 1ns, [&] { this->executor_.advance(1h); });  // something else took long
  const auto result = TypeParam::run(
      stack(deadline(5s), gate(diary, {.name = "a", .wait = 2s}), gate(diary, {.name = "b"})),
      diary,
      this->call_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::deadline);
  EXPECT_EQ(diary, (Diary{"a at 0s", "a gives back"}));
}

TYPED_TEST(gates, with_a_line_are_passed_when_a_place_is_given) {
  auto& diary = this->diary_;
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  auto held = limit.try_acquire();
  ASSERT_TRUE(held);
  const At leave{this->executor_, this->executor_.now() + 3s, [&] { held->give_back(); }};
  EXPECT_TRUE(TypeParam::run(stack(gate(diary, {.name = "a", .wait = 2s}),
                                   concurrency_limit(limit),
                                   gate(diary, {.name = "c"})),
                             diary,
                             this->call_));
  EXPECT_EQ(diary, (Diary{"a at 0s", "c at 3s", "leaf", "c settles success", "a settles success"}));
  EXPECT_EQ(limit.in_flight_approx(), 0U);
}

TYPED_TEST(gates, stand_in_one_line_after_another) {
  ConcurrencyLimit outer{{.max_in_flight = 1}};
  ConcurrencyLimit inner{{.max_in_flight = 1}};
  auto in_outer = outer.try_acquire();
  auto in_inner = inner.try_acquire();
  ASSERT_TRUE(in_outer && in_inner);
  const At first{this->executor_, this->executor_.now() + 1s, [&] { in_outer->give_back(); }};
  const At second{this->executor_, this->executor_.now() + 2s, [&] { in_inner->give_back(); }};
  EXPECT_TRUE(
      TypeParam::run(stack(concurrency_limit(outer), attempt_timeout(1h), concurrency_limit(inner)),
                     this->diary_,
                     this->call_));
  EXPECT_EQ(this->executor_.now(), Time{1002s});
  EXPECT_EQ(outer.in_flight_approx() + inner.in_flight_approx(), 0U);
}

TYPED_TEST(gates, give_back_what_they_hold_when_a_line_is_left) {
  auto& diary = this->diary_;
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  const auto held = limit.try_acquire();
  ASSERT_TRUE(held);
  StopSource source;
  const At stop{this->executor_, this->executor_.now() + 3s, [&] { source.request_stop(); }};
  this->call_.stop = source.token();
  const auto result = TypeParam::run(
      stack(gate(diary, {.name = "a"}), concurrency_limit(limit), gate(diary, {.name = "c"})),
      diary,
      this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(diary, (Diary{"a at 0s", "a gives back"}));
  EXPECT_EQ(limit.waiting_approx(), 0U);
}

TYPED_TEST(gates, give_back_what_they_hold_when_a_line_is_full) {
  auto& diary = this->diary_;
  ConcurrencyLimit limit{{.max_in_flight = 1, .max_waiting = 0}};
  const auto held = limit.try_acquire();
  ASSERT_TRUE(held);
  const auto result = TypeParam::run(
      stack(gate(diary, {.name = "a"}), concurrency_limit(limit)), diary, this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(diary, (Diary{"a at 0s", "a gives back"}));
}

// Nothing of an attempt is held while the retry waits, and each attempt asks anew.
TYPED_TEST(gates, inside_a_retry_hold_nothing_between_its_attempts) {
  auto& diary = this->diary_;
  const auto result =
      TypeParam::run(stack(retry(RetryPolicy{{.max_attempts = 2}}),
                           gate(diary, {.name = "a"}),
                           gate(diary, {.name = "b", .refuses = true, .come_back = 5s})),
                     diary,
                     this->call_);
  EXPECT_EQ(result.error().kind(), ErrorKind::limited);
  EXPECT_EQ(diary,
            (Diary{"a at 0s", "b at 0s", "a gives back", "a at 5s", "b at 5s", "a gives back"}));
}

TYPED_TEST(gates, start_a_limit_on_time_among_them_when_it_is_reached) {
  auto& diary = this->diary_;
  Time deadline{};
  const auto look = [&](const Call& call, const Error*) noexcept { deadline = call.deadline; };
  EXPECT_TRUE(TypeParam::run(stack(gate(diary, {.name = "a", .wait = 2s}),
                                   attempt_timeout(10s),
                                   gate(diary, {.name = "b", .wait = 3s}),
                                   observe(look)),
                             diary,
                             this->call_));
  EXPECT_EQ(deadline, Time{1012s});
}

TYPED_TEST(gates, are_not_asked_for_a_call_that_is_over_before_it_starts) {
  auto& diary = this->diary_;
  const auto ask = [&](Call call) {
    return TypeParam::run(
               stack(deadline(1h), retry(RetryPolicy{}), gate(diary, {.name = "a"})), diary, call)
        .error()
        .kind();
  };
  StopSource source;
  source.request_stop();
  EXPECT_EQ(ask({.stop = source.token(), .executor = &this->executor_}), ErrorKind::cancelled);
  EXPECT_EQ(ask({.deadline = Time{999s}, .executor = &this->executor_}), ErrorKind::deadline);
  EXPECT_EQ(diary, Diary{});
}

TYPED_TEST(gates, tell_an_observer_among_them_of_what_is_refused_inside_it) {
  auto& diary = this->diary_;
  const auto look = [&](const Call&, const Error* error) noexcept {
    diary.push_back(error == nullptr ? "observed" : "observed a refusal");
  };
  EXPECT_TRUE(
      TypeParam::run(stack(gate(diary, {.name = "a"}), observe(look), gate(diary, {.name = "b"})),
                     diary,
                     this->call_));
  EXPECT_FALSE(TypeParam::run(
      stack(gate(diary, {.name = "c"}), observe(look), gate(diary, {.name = "d", .refuses = true})),
      diary,
      this->call_));
  EXPECT_FALSE(TypeParam::run(
      stack(gate(diary, {.name = "e", .refuses = true}), observe(look)), diary, this->call_));
  EXPECT_EQ(diary,
            (Diary{"a at 0s",
                   "b at 0s",
                   "leaf",
                   "b settles success",
                   "observed",
                   "a settles success",
                   "c at 0s",
                   "d at 0s",
                   "observed a refusal",
                   "c gives back",
                   "e at 0s"}));
}

// The leaf may be a stack of its own, or layers that are no gates stand in between.
TYPED_TEST(gates, of_a_bucket_take_nothing_for_what_was_refused_before_it_was_sent) {
  TokenBucket bucket{{.rate = 10, .per = 1h}};
  const auto fail = [&](ErrorKind kind) {
    const auto answer = [kind](int) -> Result<int> { return kind; };
    auto ask = stack(rate_limit(bucket)) | answer;
    EXPECT_EQ(ask(0, this->call_).error().kind(), kind);
  };
  fail(ErrorKind::circuit_open);
  EXPECT_NEAR(bucket.available_approx(this->executor_.now()), 10, 0.01);
  fail(ErrorKind::unavailable);
  EXPECT_NEAR(bucket.available_approx(this->executor_.now()), 9, 0.01);
  fail(ErrorKind::cancelled);
  EXPECT_NEAR(bucket.available_approx(this->executor_.now()), 8, 0.01);
}

TYPED_TEST(gates, of_two_rate_limits_take_from_both_or_from_none) {
  TokenBucket requests{{.rate = 10, .per = 1h}};
  TokenBucket tokens{{.rate = 5, .per = 1h}};
  this->call_.weight = 4;
  const auto ask = [&] {
    return TypeParam::run(
        stack(rate_limit(requests, Cost::request, 0s), rate_limit(tokens, {}, 0s)),
        this->diary_,
        this->call_);
  };
  EXPECT_TRUE(ask());
  EXPECT_EQ(ask().error().kind(), ErrorKind::limited);
  EXPECT_NEAR(requests.available_approx(this->executor_.now()), 9, 0.01);
  EXPECT_NEAR(tokens.available_approx(this->executor_.now()), 1, 0.01);
}

TYPED_TEST(gates, tell_what_a_throwing_leaf_did) {
  auto& diary = this->diary_;
  auto ask = stack(gate(diary, {.name = "a"})) | [](int) -> Result<int> { throw 1; };
  EXPECT_EQ(ask(0, this->call_).error().kind(), ErrorKind::exception);
  EXPECT_EQ(diary.back(), "a settles exception");
}

TYPED_TEST(gates, describe_themselves_in_order) {
  auto& diary = this->diary_;
  auto ask = stack(gate(diary, {.name = "a"}), gate(diary, {.name = "b"})) |
             [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(ask), "a > b > leaf");
}

}  // namespace
}  // namespace penstock
