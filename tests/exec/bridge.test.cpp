// SPDX-License-Identifier: MIT
// Where coroutines meet callbacks, futures and the standard's stop tokens.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/exec/future.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/std_stop.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class bridge : public ::testing::Test {
 protected:
  Task<int> later(int value) {
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + 1s, StopToken{});
    if (value < 0) throw std::runtime_error{"broken"};
    co_return value;
  }
  testing::ManualExecutor executor;
  Scope scope{executor};
};

// A callback API as there are many.
class Client {
 public:
  void get(std::function<void(Result<std::string>)> done) { done_ = std::move(done); }
  void answer(Result<std::string> reply) { std::exchange(done_, nullptr)(std::move(reply)); }
  void forget() { done_ = nullptr; }

 private:
  std::function<void(Result<std::string>)> done_;
};

TEST_F(bridge, a_callback_resumes_the_coroutine_that_waits_for_it) {
  Client client;
  std::string got;
  const auto body = [&]() -> Task<void> {
    OneShot<std::string> done;
    client.get(done.setter());
    Result<std::string> reply = co_await done.wait();
    got = reply.value_or("nothing");
  };
  scope.spawn(body());
  executor.run_for(1s);
  client.answer("reply");
  EXPECT_EQ(got, "");  // not inside the callback
  scope.wait();
  EXPECT_EQ(got, "reply");
}

TEST_F(bridge, a_callback_that_came_before_the_wait_is_not_lost) {
  OneShot<int> done;
  EXPECT_TRUE(done.setter().set(4));
  EXPECT_EQ(done.wait_and_take().value(), 4);
  EXPECT_EQ(done.wait_and_take().error().kind(), ErrorKind::closed);
}

TEST_F(bridge, the_first_callback_decides) {
  OneShot<int> done;
  const auto setter = done.setter();
  const auto other = setter;
  EXPECT_TRUE(other.set(ErrorKind::timeout));
  EXPECT_FALSE(setter.set(1));
  EXPECT_EQ(done.wait_and_take().error().kind(), ErrorKind::timeout);
}

TEST_F(bridge, a_callback_that_is_dropped_ends_the_wait) {
  Client client;
  std::optional<ErrorKind> end;
  const auto body = [&]() -> Task<void> {
    OneShot<std::string> done;
    client.get(done.setter());
    Result<std::string> reply = co_await done.wait();
    end = reply.error().kind();
  };
  scope.spawn(body());
  executor.run_for(1s);
  client.forget();
  scope.wait();
  EXPECT_EQ(end, ErrorKind::closed);
}

TEST_F(bridge, a_callback_after_the_receiver_has_left_goes_nowhere) {
  Client client;
  std::optional<ErrorKind> end;
  const auto body = [&]() -> Task<void> {
    OneShot<std::string> done;
    client.get(done.setter());
    Result<std::string> reply = co_await done.wait({.deadline = executor.now() + 1s});
    end = reply.error().kind();
  };
  scope.spawn(body());
  scope.wait();
  EXPECT_EQ(end, ErrorKind::deadline);
  client.answer("late");
}

TEST_F(bridge, a_wait_that_was_stopped_may_be_taken_up_again) {
  StopSource source;
  OneShot<int> done;
  const auto setter = done.setter();
  std::optional<ErrorKind> first;
  int second = 0;
  const auto body = [&]() -> Task<void> {
    Result<int> stopped = co_await done.wait({.stop = source.token()});
    first = stopped.error().kind();
    Result<int> reply = co_await done.wait();
    second = *reply;
  };
  scope.spawn(body());
  executor.run_for(1s);
  source.request_stop();
  executor.run_for(1s);
  EXPECT_EQ(first, ErrorKind::cancelled);
  setter.set(9);
  scope.wait();
  EXPECT_EQ(second, 9);
}

TEST_F(bridge, a_future_gets_the_value_of_a_task) {
  std::future<int> future = to_future(scope, later(3));
  EXPECT_EQ(future.wait_for(0s), std::future_status::timeout);
  scope.wait();
  EXPECT_EQ(future.get(), 3);
}

TEST_F(bridge, a_future_rethrows_what_the_task_threw) {
  std::future<int> future = to_future(scope, later(-1));
  scope.wait();
  EXPECT_THROW(future.get(), std::runtime_error);
}

TEST_F(bridge, a_future_is_told_after_the_frame_of_its_task_is_gone) {
  const auto counted = std::make_shared<int>(1);
  const auto body = [](std::shared_ptr<int>) -> Task<void> { co_return; };
  std::future<void> future = to_future(scope, body(counted));
  long uses_when_told = 0;
  const auto watch = [&]() -> Task<void> {
    while (future.wait_for(0s) != std::future_status::ready) co_await reschedule(executor);
    uses_when_told = counted.use_count();
  };
  scope.spawn(watch());
  scope.wait();
  EXPECT_EQ(uses_when_told, 1);
}

TEST_F(bridge, a_callback_gets_the_value_of_a_task_once) {
  int calls = 0;
  int got = 0;
  on_done(scope, later(3), [&](Result<int> value) {
    ++calls;
    got = *value;
  });
  scope.wait();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(got, 3);
}

TEST_F(bridge, a_callback_gets_what_the_task_threw_as_an_error) {
  std::string message;
  on_done(scope, later(-1), [&](Result<int> value) { message = value.error().message(); });
  scope.wait();
  EXPECT_EQ(message, "broken");
}

TEST_F(bridge, what_a_callback_throws_goes_to_the_scope) {
  on_done(scope, later(1), [](Result<int>) { throw std::logic_error{"callback"}; });
  EXPECT_THROW(scope.wait(), std::logic_error);
}

#if defined(__cpp_lib_jthread)
TEST_F(bridge, a_standard_stop_token_stops_what_waits_here) {
  std::stop_source theirs;
  StdStopSource ours{theirs.get_token()};
  bool came = true;
  const auto body = [&]() -> Task<void> {
    came = co_await wait_until(executor, never, ours.token());
  };
  scope.spawn(body());
  executor.run_for(1s);
  theirs.request_stop();
  scope.wait();
  EXPECT_FALSE(came);
  const StdStopSource late{theirs.get_token()};
  EXPECT_TRUE(late.stop_requested());
}
#endif

}  // namespace
}  // namespace penstock
