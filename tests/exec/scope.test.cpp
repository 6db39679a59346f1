// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include <penstock/exec/scope.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class scope : public ::testing::Test {
 protected:
  Task<void> wait_for_stop(StopToken stop) {
    const bool came = co_await wait_until(executor, never, stop);
    if (!came) ++stopped;
  }
  Task<void> throws(const char* what) {
    [[maybe_unused]] const bool came =
        co_await wait_until(executor, executor.now() + 1s, StopToken{});
    throw std::runtime_error{what};
  }
  testing::ManualExecutor executor;
  int stopped = 0;
};

TEST_F(scope, stops_the_tasks_that_were_given_its_token) {
  Scope tasks{executor};
  for (int task = 0; task < 3; ++task) tasks.spawn(wait_for_stop(tasks.token()));
  executor.run_for(1s);
  EXPECT_EQ(tasks.running_approx(), 3U);
  EXPECT_TRUE(tasks.request_stop());
  EXPECT_FALSE(tasks.request_stop());
  tasks.wait();
  EXPECT_EQ(stopped, 3);
}

TEST_F(scope, stops_with_its_parent) {
  StopSource parent;
  Scope tasks{executor, parent.token()};
  tasks.spawn(wait_for_stop(tasks.token()));
  executor.run_for(1s);
  parent.request_stop();
  tasks.wait();
  EXPECT_EQ(stopped, 1);
}

TEST_F(scope, that_is_stopped_starts_tasks_whose_token_tells_them) {
  Scope tasks{executor};
  tasks.request_stop();
  tasks.spawn(wait_for_stop(tasks.token()));
  tasks.wait();
  EXPECT_EQ(stopped, 1);
}

TEST_F(scope, rethrows_the_first_exception_and_stops_the_others) {
  Scope tasks{executor};
  tasks.spawn(wait_for_stop(tasks.token()));
  tasks.spawn(throws("first"));
  tasks.spawn(throws("second"));
  try {
    tasks.wait();
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& caught) {
    EXPECT_STREQ(caught.what(), "first");
  }
  EXPECT_EQ(stopped, 1);
  tasks.wait();  // told once
}

TEST_F(scope, rethrows_to_a_coroutine_that_joins) {
  Scope outer{executor};
  Scope inner{executor};
  bool caught = false;
  const auto body = [&]() -> Task<void> {
    inner.spawn(throws("broken"));
    try {
      co_await inner.join();
    } catch (const std::runtime_error&) {
      caught = true;
    }
  };
  outer.spawn(body());
  outer.wait();
  EXPECT_TRUE(caught);
}

}  // namespace
}  // namespace penstock
