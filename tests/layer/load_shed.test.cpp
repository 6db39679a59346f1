// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/layer/load_shed.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class load_shed_layer : public ::testing::Test {
 protected:
  // A call of one second, by number.
  void call(LoadShed& shed, int number, Priority priority) {
    scope_.spawn(one(shed, number, Call{.executor = &executor_, .priority = priority}));
    executor_.run_for(1ms);
  }
  Task<void> one(LoadShed& shed, int number, Call call) {
    auto ask = stack(load_shed(shed)) | [](int, Call& inner) -> Task<Result<int>> {
      [[maybe_unused]] const bool came =
          co_await wait_until(inner.where(), inner.where().now() + 1s, {});
      co_return 1;
    };
    const Result<int> reply = co_await ask(number, call);
    if (reply) {
      served_.push_back(number);
    } else {
      EXPECT_EQ(reply.error().kind(), ErrorKind::overloaded);
      refused_.push_back(number);
    }
  }

  testing::ManualExecutor executor_;
  Scope scope_{executor_};
  std::vector<int> served_{};
  std::vector<int> refused_{};
};

TEST_F(load_shed_layer, low_load_passes_at_once) {
  LoadShed shed{{.max_in_flight = 3, .max_waiting = 0}};
  for (int number = 0; number < 3; ++number) call(shed, number, Priority::low);
  EXPECT_EQ(shed.in_flight_approx(), 3U);
  EXPECT_EQ(shed.waiting_approx(), 0U);
  scope_.wait();
  EXPECT_EQ(served_, (std::vector<int>{0, 1, 2}));
}

TEST_F(load_shed_layer, high_load_waits_and_serves_the_important_first) {
  LoadShed shed{{.max_in_flight = 1, .max_waiting = 10}};
  call(shed, 0, Priority::low);
  call(shed, 1, Priority::low);
  call(shed, 2, Priority::normal);
  call(shed, 3, Priority::high);
  scope_.wait();
  EXPECT_EQ(served_, (std::vector<int>{0, 3, 2, 1}));
}

TEST_F(load_shed_layer, overload_refuses_the_less_important_at_once) {
  LoadShed shed{{.max_in_flight = 1, .max_waiting = 4, .shares = {0.25, 0.5, 1}}};
  call(shed, 0, Priority::normal);
  call(shed, 1, Priority::low);
  call(shed, 2, Priority::low);     // room for one of low priority
  call(shed, 3, Priority::normal);  // for two up to normal
  call(shed, 4, Priority::high);
  call(shed, 5, Priority::high);
  EXPECT_EQ(refused_, (std::vector<int>{2}));
  scope_.wait();
  EXPECT_EQ(served_, (std::vector<int>{0, 4, 5, 3, 1}));
}

TEST_F(load_shed_layer, the_important_take_the_place_of_the_oldest_of_the_least_important) {
  LoadShed shed{{.max_in_flight = 1, .max_waiting = 2, .shares = {1, 1, 1}}};
  call(shed, 0, Priority::low);
  call(shed, 1, Priority::low);
  call(shed, 2, Priority::low);
  call(shed, 3, Priority::low);  // nobody below it
  EXPECT_EQ(refused_, (std::vector<int>{3}));
  call(shed, 4, Priority::normal);
  EXPECT_EQ(refused_, (std::vector<int>{3, 1}));
  call(shed, 5, Priority::high);
  EXPECT_EQ(refused_, (std::vector<int>{3, 1, 2}));
  call(shed, 6, Priority::high);
  EXPECT_EQ(refused_, (std::vector<int>{3, 1, 2, 4}));
  call(shed, 7, Priority::high);
  EXPECT_EQ(refused_, (std::vector<int>{3, 1, 2, 4, 7}));
  EXPECT_EQ(shed.waiting_approx(), 2U);
  scope_.wait();
  EXPECT_EQ(served_, (std::vector<int>{0, 5, 6}));
  EXPECT_EQ(shed.in_flight_approx(), 0U);
}

TEST_F(load_shed_layer, who_has_waited_too_long_is_refused) {
  LoadShed shed{{.max_in_flight = 1, .max_waiting = 2, .max_wait = 500ms}};
  call(shed, 0, Priority::high);
  call(shed, 1, Priority::high);
  executor_.run_for(500ms);
  EXPECT_EQ(refused_, (std::vector<int>{1}));
  EXPECT_EQ(shed.waiting_approx(), 0U);
  scope_.wait();
  EXPECT_EQ(served_, (std::vector<int>{0}));
}

TEST_F(load_shed_layer, refuses_a_blocking_call_with_a_clear_error) {
  LoadShed shed{{.max_in_flight = 1, .max_waiting = 0}};
  Call call{.executor = &executor_};
  auto held = shed.try_acquire(call);
  auto ask = stack(load_shed(shed)) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(ask(1, call).error().kind(), ErrorKind::overloaded);
  held->give_back();
  EXPECT_TRUE(ask(1, call));
}

TEST_F(load_shed_layer, describes_itself_and_says_what_to_write_instead) {
  LoadShed shed{{.max_in_flight = 16, .max_waiting = 100}};
  auto ask = stack(load_shed(shed)) | [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(ask), "load_shed(16, 50/80/100 may wait for 10s) > leaf");
  EXPECT_THROW((LoadShed{{.max_in_flight = 0}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
