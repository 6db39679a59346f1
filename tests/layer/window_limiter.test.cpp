// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>

#include <penstock/core/stack.hpp>
#include <penstock/layer/window_limiter.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(window_limiter_layer, refuses_with_the_time_to_come_back) {
  testing::ManualExecutor executor;
  SlidingWindowLimiter limiter{{.limit = 2, .window = 10s}};
  auto ask = stack(rate_limit(limiter)) | [](int) -> Result<int> { return 1; };
  const Call call{.executor = &executor};
  EXPECT_TRUE(ask(1, call));
  executor.advance(4s);
  EXPECT_TRUE(ask(1, call));
  const auto refused = ask(1, call);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::limited);
  EXPECT_EQ(refused.error().retry_after(), Duration{6s});
  executor.advance(6s);
  EXPECT_TRUE(ask(1, call));
}

TEST(window_limiter_layer, a_fixed_window_counts_by_weight_or_by_request) {
  testing::ManualExecutor executor;
  FixedWindowLimiter tokens{{.limit = 10, .window = 1h}};
  FixedWindowLimiter requests{{.limit = 2, .window = 1h}};
  auto ask = stack(rate_limit(tokens), rate_limit(requests, Cost::request)) |
             [](int) -> Result<int> { return 1; };
  EXPECT_EQ(describe(ask),
            "rate_limit(fixed_window(10/1h)) > rate_limit(fixed_window(2/1h) by request) > leaf");
  const auto call = [&](std::uint32_t weight) {
    return ask(1, Call{.executor = &executor, .weight = weight});
  };
  EXPECT_TRUE(call(6));
  EXPECT_FALSE(call(5));
  EXPECT_TRUE(call(3));
  EXPECT_FALSE(call(1));
  EXPECT_EQ(call(11).error().retry_after(), std::nullopt);
}

}  // namespace
}  // namespace penstock
