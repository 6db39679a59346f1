// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {
namespace {

Task<int> one() {
  co_return 1;
}
Task<int> sum_of(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await one();
  co_return sum;
}

TEST(task, gives_its_value) {
  EXPECT_EQ(sync_wait(sum_of(3)), 3);
}

TEST(task, does_not_run_until_it_is_awaited) {
  bool ran = false;
  const auto body = [](bool& flag) -> Task<void> {
    flag = true;
    co_return;
  };
  Task<void> task = body(ran);
  EXPECT_FALSE(ran);
  sync_wait(std::move(task));
  EXPECT_TRUE(ran);
}

TEST(task, that_is_never_awaited_destroys_its_arguments) {
  const auto counted = std::make_shared<int>(1);
  {
    const auto body = [](std::shared_ptr<int>) -> Task<void> { co_return; };
    const Task<void> task = body(counted);
    EXPECT_EQ(counted.use_count(), 2);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(task, rethrows_what_its_body_threw) {
  const auto body = []() -> Task<int> {
    throw std::runtime_error{"broken"};
    co_return 1;
  };
  EXPECT_THROW(sync_wait(body()), std::runtime_error);
}

TEST(task, of_a_result_gives_an_exception_as_an_error) {
  const auto body = []() -> Task<Result<int>> {
    throw std::runtime_error{"broken"};
    co_return 1;
  };
  const Result<int> result = sync_wait(body());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::exception);
  EXPECT_EQ(result.error().message(), "broken");
  EXPECT_THROW(std::rethrow_exception(result.error().exception()), std::runtime_error);
}

TEST(task, of_a_result_returns_an_error_kind_directly) {
  const auto body = []() -> Task<Result<std::string>> { co_return ErrorKind::timeout; };
  EXPECT_EQ(sync_wait(body()).error().kind(), ErrorKind::timeout);
}

TEST(task, carries_a_move_only_value) {
  const auto body = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
  EXPECT_EQ(*sync_wait(body()), 7);
}

TEST(task, ready_task_is_over_before_it_starts) {
  EXPECT_EQ(sync_wait(ready_task(std::string{"x"})), "x");
}

}  // namespace
}  // namespace penstock
