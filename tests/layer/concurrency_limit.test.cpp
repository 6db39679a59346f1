// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/layer/concurrency_limit.hpp>
#include <penstock/testing/manual_executor.hpp>

#include "support/script.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Blocking {
  static Result<ConcurrencyLimit::Permit> acquire(ConcurrencyLimit& limit, Call& call) {
    return limit.acquire_and_wait(call);
  }
};
struct Coroutine {
  static Result<ConcurrencyLimit::Permit> acquire(ConcurrencyLimit& limit, Call& call) {
    return sync_wait(call.where(), limit.acquire(call));
  }
};

template <class Mode>
class concurrency_limit_in : public ::testing::Test {
 protected:
  testing::ManualExecutor executor_;
  testing::Script script_{executor_};
  Time start_ = executor_.now();
  Call call_{.executor = &executor_, .now = start_};
};
struct Names {
  template <class Mode>
  static std::string GetName(int) {
    return std::is_same_v<Mode, Blocking> ? "blocking" : "coroutine";
  }
};
using Modes = ::testing::Types<Blocking, Coroutine>;
TYPED_TEST_SUITE(concurrency_limit_in, Modes, Names);

TYPED_TEST(concurrency_limit_in, a_caller_waits_until_a_place_comes_free) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  auto held = limit.try_acquire();
  ASSERT_TRUE(held);
  this->script_.after(3s, [&] { held->give_back(); });
  auto permit = TypeParam::acquire(limit, this->call_);
  ASSERT_TRUE(permit);
  EXPECT_EQ(this->call_.now, this->start_ + 3s);
  EXPECT_EQ(limit.in_flight_approx(), 1U);
  EXPECT_EQ(limit.waiting_approx(), 0U);
}

TYPED_TEST(concurrency_limit_in, a_wait_ends_at_the_deadline_and_leaves_nothing_behind) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  auto held = limit.try_acquire();
  this->call_.deadline = this->start_ + 2s;
  const auto permit = TypeParam::acquire(limit, this->call_);
  ASSERT_FALSE(permit);
  EXPECT_EQ(permit.error().kind(), ErrorKind::deadline);
  EXPECT_EQ(this->call_.now, this->start_ + 2s);
  EXPECT_EQ(limit.waiting_approx(), 0U);
  held->give_back();
  EXPECT_EQ(limit.in_flight_approx(), 0U);
  EXPECT_TRUE(limit.try_acquire());
}

TYPED_TEST(concurrency_limit_in, max_wait_counts_from_when_the_wait_begins) {
  ConcurrencyLimit limit{{.max_in_flight = 1, .max_wait = 500ms}};
  auto held = limit.try_acquire();
  this->executor_.advance(1h);
  Call call{.executor = &this->executor_};  // made by hand, without a clock reading
  this->script_.after(400ms, [&] { held->give_back(); });
  EXPECT_TRUE(TypeParam::acquire(limit, call));
  auto again = limit.try_acquire();
  ASSERT_TRUE(again);
  EXPECT_EQ(TypeParam::acquire(limit, call).error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(call.now, this->start_ + 1h + 900ms);
}

TYPED_TEST(concurrency_limit_in, a_wait_beyond_max_wait_is_overload_and_not_the_callers_deadline) {
  ConcurrencyLimit limit{{.max_in_flight = 1, .max_wait = 500ms}};
  auto held = limit.try_acquire();
  this->call_.deadline = this->start_ + 2s;
  const auto permit = TypeParam::acquire(limit, this->call_);
  ASSERT_FALSE(permit);
  EXPECT_EQ(permit.error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(this->call_.now, this->start_ + 500ms);
}

TYPED_TEST(concurrency_limit_in, a_stop_ends_the_wait) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  auto held = limit.try_acquire();
  StopSource source;
  this->call_.stop = source.token();
  this->script_.after(1s, [&] { source.request_stop(); });
  const auto permit = TypeParam::acquire(limit, this->call_);
  ASSERT_FALSE(permit);
  EXPECT_EQ(permit.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->call_.now, this->start_ + 1s);
  EXPECT_EQ(limit.waiting_approx(), 0U);
}

// trap 24: what is hopeless is known at once and costs no wait.
TYPED_TEST(concurrency_limit_in, refuses_at_once_what_cannot_get_a_place_in_time) {
  ConcurrencyLimit limit{{.max_in_flight = 1, .max_waiting = 0}};
  auto held = limit.try_acquire();
  EXPECT_EQ(TypeParam::acquire(limit, this->call_).error().kind(), ErrorKind::overloaded);

  ConcurrencyLimit nobody_waits{{.max_in_flight = 1, .max_wait = 0s}};
  auto other = nobody_waits.try_acquire();
  EXPECT_EQ(TypeParam::acquire(nobody_waits, this->call_).error().kind(), ErrorKind::overloaded);

  ConcurrencyLimit roomy{{.max_in_flight = 1}};
  auto third = roomy.try_acquire();
  this->call_.deadline = this->start_;
  EXPECT_EQ(TypeParam::acquire(roomy, this->call_).error().kind(), ErrorKind::deadline);
  StopSource source;
  source.request_stop();
  this->call_.stop = source.token();
  EXPECT_EQ(TypeParam::acquire(roomy, this->call_).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->executor_.now(), this->start_);
  EXPECT_EQ(roomy.waiting_approx(), 0U);
}

TYPED_TEST(concurrency_limit_in, a_place_that_comes_in_the_last_instant_goes_to_the_next) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  auto held = limit.try_acquire();
  StopSource source;
  this->call_.stop = source.token();
  this->script_.after(1s, [&] {
    held->give_back();      // the waiter has the place now,
    source.request_stop();  // and is stopped before it runs
  });
  EXPECT_EQ(TypeParam::acquire(limit, this->call_).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(limit.in_flight_approx(), 0U);
}

// Several coroutines that take a permit, hold it for a second and note their number.
class Crowd {
 public:
  Crowd(testing::ManualExecutor& executor, ConcurrencyLimit& limit)
      : executor_(executor),
        limit_(limit),
        scope_(executor) {}

  void add(int number, Priority priority = Priority::normal, StopToken stop = {}) {
    scope_.spawn(one(number, Call{.stop = stop, .executor = &executor_, .priority = priority}));
    executor_.run_for(1ms);
  }
  void finish() { scope_.wait(); }
  std::vector<int> served{};
  std::vector<int> refused{};

 private:
  Task<void> one(int number, Call call) {
    call.now = executor_.now();
    auto permit = co_await limit_.acquire(call);
    if (!permit) {
      refused.push_back(number);
      co_return;
    }
    served.push_back(number);
    [[maybe_unused]] const bool came = co_await wait_until(executor_, executor_.now() + 1s, {});
  }
  testing::ManualExecutor& executor_;
  ConcurrencyLimit& limit_;
  Scope scope_;
};

class concurrency_limit_queue : public ::testing::Test {
 protected:
  testing::ManualExecutor executor_;
};

// trap 29: first come, first served; a place that comes free is never taken by who comes later.
TEST_F(concurrency_limit_queue, serves_in_order_of_arrival) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  Crowd crowd{executor_, limit};
  for (int number = 0; number < 5; ++number)
    crowd.add(number, number == 4 ? Priority::high : Priority::normal);
  // While the place passes from hand to hand nobody gets in between.
  EXPECT_FALSE(limit.try_acquire());
  executor_.run_for(1s);
  EXPECT_FALSE(limit.try_acquire());
  crowd.finish();
  EXPECT_EQ(crowd.served, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_F(concurrency_limit_queue, serves_the_highest_priority_first_when_told_to) {
  ConcurrencyLimit limit{{.max_in_flight = 1, .order = WaitOrder::priority}};
  Crowd crowd{executor_, limit};
  crowd.add(0);
  crowd.add(1, Priority::low);
  crowd.add(2, Priority::normal);
  crowd.add(3, Priority::high);
  crowd.add(4, Priority::high);
  crowd.add(5, Priority::low);
  crowd.finish();
  EXPECT_EQ(crowd.served, (std::vector<int>{0, 3, 4, 2, 1, 5}));
}

TEST_F(concurrency_limit_queue, lets_no_more_wait_than_it_has_room_for) {
  ConcurrencyLimit limit{{.max_in_flight = 1, .max_waiting = 2}};
  Crowd crowd{executor_, limit};
  for (int number = 0; number < 5; ++number) crowd.add(number);
  EXPECT_EQ(limit.waiting_approx(), 2U);
  EXPECT_EQ(crowd.refused, (std::vector<int>{3, 4}));
  crowd.finish();
  EXPECT_EQ(crowd.served, (std::vector<int>{0, 1, 2}));
}

TEST_F(concurrency_limit_queue, who_gives_up_in_the_middle_leaves_the_others_in_order) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  Crowd crowd{executor_, limit};
  StopSource second;
  StopSource last;
  crowd.add(0);
  crowd.add(1);
  crowd.add(2, Priority::normal, second.token());
  crowd.add(3);
  crowd.add(4, Priority::normal, last.token());
  second.request_stop();
  last.request_stop();
  executor_.run_for(1ms);
  EXPECT_EQ(limit.waiting_approx(), 2U);
  EXPECT_EQ(crowd.refused, (std::vector<int>{2, 4}));
  crowd.finish();
  EXPECT_EQ(crowd.served, (std::vector<int>{0, 1, 3}));
  EXPECT_EQ(limit.in_flight_approx(), 0U);
}

class concurrency_limit_layer : public ::testing::Test {
 protected:
  testing::ManualExecutor executor_;
  testing::Script script_{executor_};
  ConcurrencyLimit limit_{{.max_in_flight = 1}};
};

TEST_F(concurrency_limit_layer, holds_a_place_for_as_long_as_the_call_runs) {
  auto ask = stack(concurrency_limit(limit_)) | [&](int request) -> Result<int> {
    EXPECT_EQ(limit_.in_flight_approx(), 1U);
    return request + 1;
  };
  EXPECT_EQ(*ask(1, Call{.executor = &executor_}), 2);
  EXPECT_EQ(limit_.in_flight_approx(), 0U);
}

TEST_F(concurrency_limit_layer, gives_the_place_back_when_the_leaf_throws) {
  auto ask =
      stack(concurrency_limit(limit_)) | [](int) -> Result<int> { throw std::runtime_error{"no"}; };
  EXPECT_EQ(ask(1, Call{.executor = &executor_}).error().kind(), ErrorKind::exception);
  EXPECT_EQ(limit_.in_flight_approx(), 0U);
  auto later = stack(concurrency_limit(limit_)) | [&](int, Call& call) -> Task<Result<int>> {
    co_await reschedule(call.where());
    throw std::runtime_error{"no"};
  };
  EXPECT_EQ(sync_wait(executor_, later(1, Call{.executor = &executor_})).error().kind(),
            ErrorKind::exception);
  EXPECT_EQ(limit_.in_flight_approx(), 0U);
}

// trap 23: the place of a cancelled call is not free while its work still runs.
TEST_F(concurrency_limit_layer, keeps_the_place_of_a_stopped_call_until_its_work_has_ended) {
  StopSource source;
  auto ask = stack(concurrency_limit(limit_)) | [](int, Call& call) -> Task<Result<int>> {
    // Deaf to its stop token.
    [[maybe_unused]] const bool came =
        co_await wait_until(call.where(), call.where().now() + 10s, {});
    co_return ErrorKind::cancelled;
  };
  script_.after(1s, [&] { source.request_stop(); });
  script_.after(9s, [&] { EXPECT_FALSE(limit_.try_acquire()); });
  EXPECT_FALSE(sync_wait(executor_, ask(1, Call{.stop = source.token(), .executor = &executor_})));
  EXPECT_TRUE(limit_.try_acquire());
}

TEST_F(concurrency_limit_layer, a_coroutine_call_waits_its_turn_and_is_told_the_time) {
  auto ask = stack(concurrency_limit(limit_)) | [&](int, Call& call) -> Task<Result<int>> {
    EXPECT_EQ(call.now, executor_.now());
    [[maybe_unused]] const bool came =
        co_await wait_until(call.where(), call.where().now() + 1s, {});
    co_return 7;
  };
  const Time start = executor_.now();
  Scope scope{executor_};
  std::vector<Duration> ends;
  const auto one = [&]() -> Task<void> {
    const Result<int> reply = co_await ask(1, Call{.executor = &executor_});
    EXPECT_EQ(*reply, 7);
    ends.push_back(executor_.now() - start);
  };
  for (int caller = 0; caller < 3; ++caller) scope.spawn(one());
  scope.wait();
  EXPECT_EQ(ends, (std::vector<Duration>{1s, 2s, 3s}));
}

TEST_F(concurrency_limit_layer, a_full_limit_refuses_with_overloaded) {
  ConcurrencyLimit strict{{.max_in_flight = 1, .max_waiting = 0}};
  const auto held = strict.try_acquire();
  auto ask = stack(concurrency_limit(strict)) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(ask(1, Call{.executor = &executor_}).error().kind(), ErrorKind::overloaded);
  auto later = stack(concurrency_limit(strict)) | [](int) -> Task<Result<int>> { co_return 1; };
  EXPECT_EQ(sync_wait(executor_, later(1, Call{.executor = &executor_})).error().kind(),
            ErrorKind::overloaded);
}

TEST_F(concurrency_limit_layer, costs_no_clock_reading_while_nobody_waits) {
  auto bare = stack() | [](int) -> Result<int> { return 1; };
  auto ask = stack(concurrency_limit(limit_)) | [](int) -> Result<int> { return 1; };
  const auto readings = [&](auto& client) {
    const auto before = executor_.clock_readings();
    EXPECT_TRUE(client(1, Call{.executor = &executor_}));
    return executor_.clock_readings() - before;
  };
  EXPECT_EQ(readings(ask), readings(bare));
}

TEST_F(concurrency_limit_layer, describes_itself) {
  EXPECT_EQ(limit_.describe(), "concurrency_limit(1, 1024 may wait)");
  ConcurrencyLimit limit{
      {.max_in_flight = 8, .max_waiting = 10, .order = WaitOrder::priority, .max_wait = 250ms}};
  auto ask = stack(concurrency_limit(limit)) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(ask), "concurrency_limit(8, 10 may wait by priority for 250ms) > leaf");
}

TEST_F(concurrency_limit_layer, says_what_to_write_instead) {
  EXPECT_THROW((ConcurrencyLimit{{.max_in_flight = 0}}), std::invalid_argument);
  EXPECT_THROW((ConcurrencyLimit{{.max_in_flight = 1'000'001}}), std::invalid_argument);
  EXPECT_THROW((ConcurrencyLimit{{.max_in_flight = 1, .max_waiting = 1'000'001}}),
               std::invalid_argument);
  EXPECT_NO_THROW((ConcurrencyLimit{{.max_in_flight = 1'000'000, .max_waiting = 1'000'000}}));
}

TEST_F(concurrency_limit_layer, a_permit_that_moves_is_given_back_once) {
  ConcurrencyLimit two{{.max_in_flight = 2}};
  {
    auto first = two.try_acquire();
    {
      auto second = two.try_acquire();
      EXPECT_FALSE(two.try_acquire());
      *first = std::move(*second);
      EXPECT_EQ(two.in_flight_approx(), 1U);
    }
    EXPECT_EQ(two.in_flight_approx(), 1U);
    first->settle(Outcome::success, Time{});
    first->settle(Outcome::success, Time{});
  }
  EXPECT_EQ(two.in_flight_approx(), 0U);
}

}  // namespace
}  // namespace penstock
