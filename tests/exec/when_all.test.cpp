// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

Task<int> number(int value) {
  co_return value;
}
Task<std::unique_ptr<int>> owned(int value) {
  co_return std::make_unique<int>(value);
}

class when_all_of : public ::testing::Test {
 protected:
  Task<int> after(Duration delay, int value) {
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + delay, StopToken{});
    order.push_back(value);
    co_return value;
  }
  Task<void> later(Duration delay) {
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + delay, StopToken{});
  }
  Task<int> throws_after(Duration delay, const char* what) {
    [[maybe_unused]] const int ran = co_await after(delay, 0);
    throw std::runtime_error{what};
  }
  Task<Result<int>> try_after(Duration delay, Result<int> result, StopToken stop) {
    const bool came = co_await wait_until(executor, executor.now() + delay, stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return result;
  }
  testing::ManualExecutor executor;
  std::vector<int> order;
};

TEST_F(when_all_of, different_tasks_gives_all_their_values) {
  auto [one, two, nothing] = sync_wait(executor, when_all(number(1), owned(2), later(1s)));
  EXPECT_EQ(one, 1);
  EXPECT_EQ(*two, 2);
  EXPECT_EQ(nothing, std::monostate{});
}

TEST_F(when_all_of, a_vector_gives_the_values_in_its_order) {
  std::vector<Task<int>> tasks;
  tasks.push_back(after(3s, 3));
  tasks.push_back(after(1s, 1));
  tasks.push_back(number(7));
  EXPECT_EQ(sync_wait(executor, when_all(std::move(tasks))), (std::vector{3, 1, 7}));
  EXPECT_EQ(order, (std::vector{1, 3}));
}

TEST_F(when_all_of, nothing_is_over_at_once) {
  EXPECT_EQ(sync_wait(executor, when_all()), std::tuple<>{});
  EXPECT_TRUE(sync_wait(executor, when_all(std::vector<Task<int>>{})).empty());
}

TEST_F(when_all_of, tasks_runs_them_side_by_side) {
  const Time start = executor.now();
  sync_wait(executor, when_all(later(5s), later(4s), later(3s)));
  EXPECT_EQ(executor.now() - start, 5s);
}

TEST_F(when_all_of, tasks_starts_them_at_once_before_anything_that_is_posted) {
  Scope scope{executor};
  const auto child = [&](int name) -> Task<void> {
    order.push_back(name);
    co_return;
  };
  const auto body = [&]() -> Task<void> {
    scope.spawn(child(3));
    [[maybe_unused]] const auto both = co_await when_all(child(1), child(2));
  };
  scope.spawn(body());
  scope.wait();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_F(when_all_of, throwing_tasks_rethrows_the_first_in_order_after_all_have_finished) {
  const auto body = [&]() -> Task<std::string> {
    try {
      [[maybe_unused]] const auto values = co_await when_all(
          throws_after(2s, "first in order"), throws_after(1s, "first in time"), after(3s, 9));
    } catch (const std::runtime_error& caught) {
      co_return caught.what();
    }
    co_return "nothing";
  };
  EXPECT_EQ(sync_wait(executor, body()), "first in order");
  EXPECT_EQ(order.back(), 9);
}

TEST_F(when_all_of, results_keeps_the_errors_beside_the_values) {
  auto [good, bad] = sync_wait(
      executor,
      when_all(try_after(2s, 1, StopToken{}), try_after(1s, ErrorKind::timeout, StopToken{})));
  EXPECT_EQ(*good, 1);
  EXPECT_EQ(bad.error().kind(), ErrorKind::timeout);
}

TEST_F(when_all_of, results_stops_the_siblings_of_a_failure_when_asked_to) {
  StopSource group;
  const Time start = executor.now();
  auto [slow, bad] = sync_wait(executor,
                               when_all(group,
                                        try_after(1h, 1, group.token()),
                                        try_after(1s, ErrorKind::timeout, group.token())));
  EXPECT_EQ(slow.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(bad.error().kind(), ErrorKind::timeout);
  EXPECT_EQ(executor.now() - start, 1s);
}

TEST_F(when_all_of, results_lets_success_stop_nobody) {
  StopSource group;
  std::vector<Task<Result<int>>> tasks;
  tasks.push_back(try_after(1s, 1, group.token()));
  tasks.push_back(try_after(2s, 2, group.token()));
  const auto values = sync_wait(executor, when_all(group, std::move(tasks)));
  EXPECT_TRUE(values[0] && values[1]);
  EXPECT_FALSE(group.stop_requested());
}

TEST_F(when_all_of, an_exception_stops_the_siblings_too) {
  StopSource group;
  const auto wait_for_stop = [&]() -> Task<int> {
    const bool came = co_await wait_until(executor, never, group.token());
    co_return came ? 1 : 0;
  };
  EXPECT_THROW(sync_wait(executor, when_all(group, wait_for_stop(), throws_after(1s, "broken"))),
               std::runtime_error);
}

TEST_F(when_all_of, groups_nests) {
  auto [inner, last] = sync_wait(
      executor, when_all(when_all(after(2s, 1), number(2)), when_all(number(3), after(1s, 4))));
  EXPECT_EQ(inner, (std::tuple{1, 2}));
  EXPECT_EQ(last, (std::tuple{3, 4}));
}

TEST_F(when_all_of, tasks_that_is_never_awaited_runs_none_of_them) {
  const auto counted = std::make_shared<int>(0);
  const auto child = [](std::shared_ptr<int> count) -> Task<void> {
    ++*count;
    co_return;
  };
  { const auto both = when_all(child(counted), child(counted)); }
  EXPECT_EQ(*counted, 0);
  EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
}  // namespace penstock
