// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/policy/limit_set.hpp>

#include "support/window_bound.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{100h};

// 60 requests and 6000 tokens a minute, 1000 requests a day.
LimitSet provider() {
  return LimitSet{{{.bucket = {.rate = 60, .per = 1min}, .cost = Cost::request, .name = "requests"},
                   {.bucket = {.rate = 6000, .per = 1min}, .name = "tokens"},
                   {.bucket = {.rate = 1000, .per = 24h}, .cost = Cost::request, .name = "day"}}};
}

TEST(limit_set, takes_one_request_and_the_weight_in_tokens) {
  LimitSet limits = provider();
  EXPECT_TRUE(limits.try_take(start, 1500).granted);
  EXPECT_DOUBLE_EQ(limits[0].available_approx(start), 59);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 4500);
  EXPECT_DOUBLE_EQ(limits[2].available_approx(start), 999);
}

TEST(limit_set, a_call_of_no_stated_weight_weighs_one) {
  LimitSet limits = provider();
  EXPECT_TRUE(limits.try_take(start).granted);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 5999);
  EXPECT_TRUE(limits.reserve(start, 0s).granted);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 5998);
  limits.give_up(start);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 5999);
  ASSERT_TRUE(limits.try_take(start, 5999).granted);
  EXPECT_EQ(limits.look(start).ready, start + 10ms);
}

TEST(limit_set, the_first_limit_alone_may_be_short) {
  LimitSet limits = provider();
  for (int call = 0; call < 60; ++call) ASSERT_TRUE(limits.try_take(start).granted);
  const auto refused = limits.try_take(start);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 1s);
}

TEST(limit_set, takes_from_none_when_one_is_short_and_reports_the_longest_wait) {
  LimitSet limits = provider();
  ASSERT_TRUE(limits.try_take(start, 6000).granted);
  ASSERT_TRUE(limits[0].try_take(start, 59).granted);
  // A request is there in 1 s, 500 tokens in 5 s.
  const auto refused = limits.try_take(start, 500);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 5s);
  EXPECT_DOUBLE_EQ(limits[2].available_approx(start), 999);
  EXPECT_EQ(limits[0].look(start).ready, start + 1s);
  EXPECT_FALSE(limits.try_take(start + 5s - 1ns, 500).granted);
  EXPECT_TRUE(limits.try_take(start + 5s, 500).granted);
}

TEST(limit_set, a_reservation_goes_on_when_the_slowest_limit_lets_it) {
  LimitSet limits = provider();
  ASSERT_TRUE(limits.try_take(start, 6000).granted);
  const auto take = limits.reserve(start, 10s, 500);
  EXPECT_TRUE(take.granted);
  EXPECT_EQ(take.ready, start + 5s);
  const auto refused = limits.reserve(start, 10s, 600);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 11s);
  // All were charged for the instant at which the call goes on.
  EXPECT_DOUBLE_EQ(limits[0].available_approx(start + 5s), 59);
}

TEST(limit_set, more_than_any_limit_holds_is_refused_for_ever) {
  LimitSet limits = provider();
  const auto refused = limits.reserve(start, Duration::max(), 6001);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, never);
  EXPECT_DOUBLE_EQ(limits[0].available_approx(start), 60);
}

TEST(limit_set, who_gives_up_gives_back_what_the_call_took) {
  LimitSet limits = provider();
  ASSERT_TRUE(limits.try_take(start, 1500).granted);
  limits.give_up(start, 1500);
  EXPECT_DOUBLE_EQ(limits[0].available_approx(start), 60);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 6000);
  EXPECT_DOUBLE_EQ(limits[2].available_approx(start), 1000);
}

TEST(limit_set, settles_the_difference_between_the_estimate_and_the_truth) {
  LimitSet limits = provider();
  ASSERT_TRUE(limits.try_take(start, 1000).granted);
  limits.settle(start, 1000, 400);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 5600);
  ASSERT_TRUE(limits.try_take(start, 1000).granted);
  limits.settle(start, 1000, 3000);
  EXPECT_DOUBLE_EQ(limits[1].available_approx(start), 2600);
  // Into debt: 400 short.
  ASSERT_TRUE(limits.try_take(start, 1000).granted);
  limits.settle(start, 1000, 4000);
  EXPECT_EQ(limits.look(start, 100).ready, start + 15s);
  EXPECT_DOUBLE_EQ(limits[0].available_approx(start), 57);
  limits.settle(start, 1000, std::nan(""));
  EXPECT_EQ(limits.look(start, 100).ready, start + 15s);
}

TEST(limit_set, each_limit_learns_from_its_own_headers) {
  LimitSet limits = provider();
  ASSERT_NE(limits.find("tokens"), nullptr);
  EXPECT_EQ(limits.find("sheep"), nullptr);
  limits.find("tokens")->learn(start, {.limit = 6000, .remaining = 50});
  EXPECT_FALSE(limits.try_take(start, 100).granted);
  EXPECT_TRUE(limits.try_take(start, 50).granted);
}

TEST(limit_set, every_limit_holds_its_bound_in_every_window) {
  Random random{11};
  for (int run = 0; run < 100; ++run) {
    LimitSet limits = provider();
    std::vector<testing::Grant> requests;
    std::vector<testing::Grant> tokens;
    Time now = start;
    for (int event = 0; event < 300; ++event) {
      now = saturating_add(
          now, Duration{static_cast<std::int64_t>(random() % 2'000'000'000) - 300'000'000});
      const auto weight = static_cast<double>(random() % 400 + 1);
      const auto take = limits.reserve(
          now, Duration{static_cast<std::int64_t>(random() % 3'000'000'000)}, weight);
      if (!take.granted) continue;
      if (random() % 5 == 0) {
        limits.give_up(take.ready, weight);
        continue;
      }
      requests.push_back({take.ready, 1});
      tokens.push_back({take.ready, weight});
    }
    ASSERT_GT(requests.size(), 50U);
    testing::expect_bounded(requests, 60, 1min, 60);
    testing::expect_bounded(tokens, 6000, 1min, 6000);
  }
}

TEST(limit_set, describes_itself_and_says_what_to_write_instead) {
  LimitSet limits{{{.bucket = {.rate = 60, .per = 1min}, .cost = Cost::request, .name = "requests"},
                   {.bucket = {.rate = 6000, .per = 1min}}}};
  EXPECT_EQ(limits.size(), 2U);
  EXPECT_EQ(limits.describe(),
            "limits(requests token_bucket(60/1min, burst 60) by request; token_bucket(6000/1min, "
            "burst 6000))");
  EXPECT_THROW(LimitSet{{}}, std::invalid_argument);
  EXPECT_THROW((LimitSet{{{.bucket = {.rate = 0}}}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
