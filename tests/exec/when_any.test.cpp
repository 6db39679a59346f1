// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <vector>

#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_any.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Reply = Result<int>;

class when_any_of : public ::testing::Test {
 protected:
  // Refers to this fixture: it must not run after its owner has left.
  Task<Reply> after(Duration delay, Reply reply, StopToken stop) {
    const bool came = co_await wait_until(executor, executor.now() + delay, stop);
    ++ended;
    if (!came) co_return ErrorKind::cancelled;
    co_return reply;
  }
  Task<int> number_after(Duration delay, int value) {
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + delay, losers.token());
    if (value < 0) throw std::runtime_error{"broken"};
    co_return value;
  }
  testing::ManualExecutor executor;
  StopSource losers;
  int ended = 0;
};

TEST_F(when_any_of, replies_gives_the_first_success_and_joins_the_losers) {
  const Time start = executor.now();
  const auto winner = sync_wait(
      executor, when_any(losers, after(1h, 1, losers.token()), after(2s, 2, losers.token())));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(*winner.value, 2);
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(executor.now() - start, 2s);
}

TEST_F(when_any_of, replies_waits_for_a_loser_that_does_not_hear_the_stop) {
  const Time start = executor.now();
  const auto winner = sync_wait(
      executor, when_any(losers, after(9s, 1, StopToken{}), after(2s, 2, losers.token())));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(executor.now() - start, 9s);
}

TEST_F(when_any_of, replies_is_not_decided_by_an_error) {
  const auto winner = sync_wait(
      executor,
      when_any(
          losers, after(1s, ErrorKind::unavailable, losers.token()), after(2s, 2, losers.token())));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(*winner.value, 2);
}

TEST_F(when_any_of, failures_gives_the_first_of_them) {
  const auto winner = sync_wait(executor,
                                when_any(losers,
                                         after(2s, ErrorKind::timeout, losers.token()),
                                         after(1s, ErrorKind::unavailable, losers.token())));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(winner.value.error().kind(), ErrorKind::unavailable);
  EXPECT_FALSE(losers.stop_requested());
}

TEST_F(when_any_of, one_that_is_done_at_once_still_starts_and_joins_the_others) {
  const auto winner =
      sync_wait(executor, when_any(losers, ready_task(Reply{5}), after(1h, 1, losers.token())));
  EXPECT_EQ(winner.index, 0U);
  EXPECT_EQ(ended, 1);
}

TEST_F(when_any_of, plain_tasks_is_won_by_one_that_does_not_throw) {
  const auto winner =
      sync_wait(executor, when_any(losers, number_after(1s, -1), number_after(2s, 7)));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(winner.value, 7);
  StopSource others;
  EXPECT_THROW(static_cast<void>(sync_wait(executor, when_any(others, number_after(1s, -1)))),
               std::runtime_error);
}

TEST_F(when_any_of, no_tasks_is_refused) {
  EXPECT_THROW(static_cast<void>(when_any(losers, std::vector<Task<Reply>>{})),
               std::invalid_argument);
}

TEST_F(when_any_of, replies_stops_with_its_parent) {
  StopSource parent;
  LinkedStopSource linked{parent.token()};
  Scope scope{executor};
  std::optional<ErrorKind> end;
  const auto body = [&]() -> Task<void> {
    auto winner =
        co_await when_any(linked, after(1h, 1, linked.token()), after(2h, 2, linked.token()));
    end = winner.value.error().kind();
  };
  scope.spawn(body());
  executor.run_for(1s);
  parent.request_stop();
  scope.wait();
  EXPECT_EQ(end, ErrorKind::cancelled);
}

TEST_F(when_any_of, detached_replies_leaves_the_losers_to_the_scope) {
  Scope scope{executor};
  const Time start = executor.now();
  const auto winner =
      sync_wait(executor, when_any(scope, after(9s, 1, StopToken{}), after(2s, 2, StopToken{})));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(*winner.value, 2);
  EXPECT_EQ(executor.now() - start, 2s);
  EXPECT_EQ(scope.running_approx(), 1U);
  scope.wait();
  EXPECT_EQ(executor.now() - start, 9s);
  EXPECT_EQ(ended, 2);
}

TEST_F(when_any_of, detached_replies_can_be_stopped_through_the_scope) {
  Scope scope{executor};
  const auto winner = sync_wait(
      executor, when_any(scope, after(1h, 1, scope.token()), after(2s, 2, scope.token())));
  EXPECT_EQ(winner.index, 1U);
  const Time start = executor.now();
  scope.request_stop();
  scope.wait();
  EXPECT_EQ(executor.now(), start);
}

TEST_F(when_any_of, detached_failures_gives_the_first_of_them) {
  Scope scope{executor};
  const auto winner = sync_wait(executor,
                                when_any(scope,
                                         after(2s, ErrorKind::timeout, StopToken{}),
                                         after(1s, ErrorKind::unavailable, StopToken{})));
  EXPECT_EQ(winner.index, 1U);
  EXPECT_EQ(winner.value.error().kind(), ErrorKind::unavailable);
  scope.wait();
}

}  // namespace
}  // namespace penstock
