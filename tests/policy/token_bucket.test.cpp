// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include <penstock/policy/token_bucket.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::Gcra;
using penstock::never;
using penstock::Time;
using penstock::TokenBucket;

constexpr Time start{1h};

constexpr Gcra ten_per_second{10, 1s, 20};
constexpr Gcra::State full{};
constexpr Gcra::State empty = ten_per_second.take(full, start, 0s, 20).state;

static_assert(ten_per_second.take(full, start, 0s, 1).take.granted);
static_assert(ten_per_second.take(full, start, 0s, 1).take.ready == start);
static_assert(ten_per_second.take(full, start, 0s, 20).take.granted);
static_assert(!ten_per_second.take(empty, start, 0s, 1).take.granted);
static_assert(ten_per_second.take(empty, start, 0s, 1).take.ready == start + 100ms);
static_assert(ten_per_second.take(empty, start, 0s, 1).state.empty_at == empty.empty_at);
static_assert(!ten_per_second.take(empty, start + 100ms - 1ns, 0s, 1).take.granted);
static_assert(ten_per_second.take(empty, start + 100ms, 0s, 1).take.granted);
static_assert(ten_per_second.take(empty, start, 500ms, 5).take.granted);
static_assert(ten_per_second.take(empty, start, 500ms, 5).take.ready == start + 500ms);
static_assert(!ten_per_second.take(empty, start, 500ms - 1ns, 5).take.granted);
static_assert(ten_per_second.take(empty, start, 0s, 0.5).take.ready == start + 50ms);
static_assert(ten_per_second.take(full, start, Duration::max(), 20.5).take.ready == never);
static_assert(!ten_per_second.take(full, start, Duration::max(), 20.5).take.granted);
static_assert(ten_per_second.available(full, start) == 20);
static_assert(ten_per_second.available(empty, start) == 0);
static_assert(ten_per_second.available(empty, start + 50ms) == 0.5);
static_assert(ten_per_second.available(ten_per_second.refund(full, 20), start) == 20);

TEST(token_bucket, starts_full_and_grants_the_burst_at_once) {
  TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 20}};
  EXPECT_EQ(bucket.available_approx(start), 20);
  for (int taken = 0; taken < 20; ++taken) {
    const auto take = bucket.try_take(start);
    EXPECT_TRUE(take.granted);
    EXPECT_EQ(take.ready, start);
  }
  const auto refused = bucket.try_take(start);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 100ms);
  EXPECT_TRUE(bucket.try_take(refused.ready).granted);
}

TEST(token_bucket, starts_full_at_the_epoch_and_before_it) {
  for (const Time now : {Time{}, Time{-5h}}) {
    TokenBucket bucket{{.rate = 3}};
    EXPECT_EQ(bucket.available_approx(now), 3);
    EXPECT_TRUE(bucket.try_take(now, 3).granted);
  }
}

TEST(token_bucket, a_burst_of_zero_means_the_rate_and_at_least_one) {
  EXPECT_EQ((TokenBucket{{.rate = 7}}.options().burst), 7);
  EXPECT_EQ((TokenBucket{{.rate = 0.25}}.options().burst), 1);
}

TEST(token_bucket, the_whole_burst_is_granted_where_the_interval_is_no_whole_nanosecond) {
  TokenBucket bucket{{.rate = 3, .per = 1s, .burst = 1}};
  Time now = start;
  for (int round = 0; round < 100; ++round) {
    ASSERT_TRUE(bucket.try_take(now).granted);
    now = bucket.try_take(now).ready;
  }
}

TEST(token_bucket, tenths_of_a_token_add_up_to_a_token) {
  TokenBucket bucket{{.rate = 1}};
  for (int tenth = 0; tenth < 10; ++tenth) EXPECT_TRUE(bucket.try_take(start, 0.1).granted);
  EXPECT_FALSE(bucket.try_take(start, 0.1).granted);
}

TEST(token_bucket, a_reservation_borrows_no_further_than_the_allowed_wait) {
  TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 1}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  EXPECT_EQ(bucket.reserve(start, 200ms).ready, start + 100ms);
  EXPECT_EQ(bucket.reserve(start, 200ms).ready, start + 200ms);
  const auto refused = bucket.reserve(start, 200ms);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.ready, start + 300ms);
  EXPECT_EQ(bucket.available_approx(start), 0);
  EXPECT_EQ(bucket.reserve(start, Duration::max()).ready, start + 300ms);
}

TEST(token_bucket, a_take_above_the_burst_is_refused_for_ever_without_waiting) {
  TokenBucket bucket{{.rate = 10}};
  for (const double cost : {10.1,
                            1e300,
                            std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN()}) {
    const auto take = bucket.reserve(start, Duration::max(), cost);
    EXPECT_FALSE(take.granted);
    EXPECT_EQ(take.ready, never);
  }
  EXPECT_EQ(bucket.available_approx(start), 10);
}

TEST(token_bucket, a_take_of_nothing_or_less_costs_nothing) {
  TokenBucket bucket{{.rate = 10}};
  ASSERT_TRUE(bucket.try_take(start, 10).granted);
  EXPECT_TRUE(bucket.try_take(start, 0).granted);
  EXPECT_TRUE(bucket.try_take(start, -5).granted);
  EXPECT_FALSE(bucket.try_take(start, 1).granted);
}

TEST(token_bucket, a_refund_makes_room_again_but_never_above_full) {
  TokenBucket bucket{{.rate = 10}};
  ASSERT_TRUE(bucket.try_take(start, 10).granted);
  bucket.refund(4);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 4);
  bucket.refund(1e9);
  bucket.refund(10);
  EXPECT_EQ(bucket.available_approx(start), 10);
  EXPECT_TRUE(bucket.try_take(start, 10).granted);
  EXPECT_FALSE(bucket.try_take(start, 0.001).granted);
}

TEST(token_bucket, parts_given_back_never_add_up_to_more_than_was_taken) {
  TokenBucket bucket{{.rate = 7, .per = 1s, .burst = 7}};
  ASSERT_TRUE(bucket.try_take(start, 7).granted);
  for (int round = 0; round < 1000; ++round) {
    ASSERT_TRUE(bucket.reserve(start, Duration::max(), 7).granted);
    for (int part = 0; part < 7; ++part) bucket.refund(1);
  }
  EXPECT_EQ(bucket.available_approx(start + 1ns), 0);
}

TEST(token_bucket, a_refund_of_nothing_or_no_number_changes_nothing) {
  TokenBucket bucket{{.rate = 10}};
  ASSERT_TRUE(bucket.try_take(start, 10).granted);
  bucket.refund(0);
  bucket.refund(-3);
  bucket.refund(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(bucket.available_approx(start), 0);
}

TEST(token_bucket, a_clock_that_jumps_back_grants_nothing_twice) {
  TokenBucket bucket{{.rate = 10}};
  ASSERT_TRUE(bucket.try_take(start, 10).granted);
  EXPECT_FALSE(bucket.try_take(start - 1h).granted);
  EXPECT_FALSE(bucket.try_take(start).granted);
  EXPECT_TRUE(bucket.try_take(start + 100ms).granted);
}

TEST(token_bucket, the_ends_of_time_are_safe) {
  TokenBucket late{{.rate = 10}};
  EXPECT_TRUE(late.try_take(never, 10).granted);
  EXPECT_FALSE(late.try_take(never).granted);
  EXPECT_EQ(late.try_take(never).ready, never);
  EXPECT_FALSE(late.reserve(never, Duration::max()).granted);
  TokenBucket early{{.rate = 10}};
  EXPECT_FALSE(early.try_take(Time::min()).granted);
  EXPECT_TRUE(early.try_take(Time::min() + 1s, 10).granted);
  EXPECT_FALSE(early.try_take(Time::min(), 1).granted);
  EXPECT_TRUE(early.try_take(never, 10).granted);
  early.refund(10);
}

TEST(token_bucket, a_daily_allowance_comes_back_evenly) {
  TokenBucket bucket{{.rate = 24, .per = 24h, .burst = 1}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  EXPECT_EQ(bucket.try_take(start).ready, start + 1h);
}

TEST(token_bucket, says_what_to_write_instead) {
  EXPECT_THROW((TokenBucket{{.rate = 0}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = -1}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = std::nan("")}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .per = 0s}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .burst = -1}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .per = 1h, .burst = 1e12}}), std::invalid_argument);
  try {
    TokenBucket{{.rate = 0}};
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string{error.what()}.find("write TokenBucket{{"), std::string::npos);
  }
}

TEST(token_bucket, describes_itself) {
  EXPECT_EQ((TokenBucket{{.rate = 10, .burst = 20}}.describe()), "token_bucket(10/1s, burst 20)");
  EXPECT_EQ((TokenBucket{{.rate = 2e6, .per = 1min}}.describe()),
            "token_bucket(2000000/1min, burst 2000000)");
}

// Every window of every run: what became ready in [a, b] is at most burst + rate * (b - a).
struct Grant {
  Time ready;
  double cost;
};

void expect_bounded(std::vector<Grant> grants, const TokenBucket::Options& options) {
  std::stable_sort(grants.begin(), grants.end(), [](const Grant& one, const Grant& other) {
    return one.ready < other.ready;
  });
  const long double rate =
      static_cast<long double>(options.rate) / static_cast<long double>(options.per.count());
  for (std::size_t first = 0; first < grants.size(); ++first) {
    long double sum = 0;
    for (std::size_t last = first; last < grants.size(); ++last) {
      sum += static_cast<long double>(grants[last].cost);
      const auto window = penstock::elapsed_between(grants[first].ready, grants[last].ready);
      const long double bound =
          static_cast<long double>(options.burst) + rate * static_cast<long double>(window.count());
      // What the long double itself may lose over the sum; a thousandth of a millionth.
      ASSERT_LE(sum, bound * (1 + 1e-17L) + 1e-9L);
    }
  }
}

TEST(token_bucket, never_grants_more_than_burst_and_rate_in_any_window) {
  std::mt19937_64 random{20240917};
  const auto draw = [&random](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>{low, high}(random);
  };
  for (int run = 0; run < 400; ++run) {
    const TokenBucket::Options options{
        .rate = static_cast<double>(draw(1, 5'000'000)) / (draw(0, 1) == 0 ? 1 : 100),
        .per = Duration{draw(1, 1'000) * draw(1, 1'000'000'000)},
        .burst = static_cast<double>(draw(1, 1000)) / 10};
    TokenBucket bucket{options};
    const Gcra same{options.rate, options.per, options.burst};
    const std::int64_t step = std::max<std::int64_t>(same.capacity().count() / 8, 2);
    Time now{Duration{draw(0, 2) == 0 ? Duration::max().count() - 300 * step : draw(0, 1'000'000)}};
    std::vector<Grant> grants;
    for (int event = 0; event < 250; ++event) {
      now =
          penstock::saturating_add(now, Duration{draw(0, 3) == 0 ? -draw(0, step) : draw(0, step)});
      const double cost = static_cast<double>(draw(1, 1000)) / 1000 * options.burst;
      // Tokens in whole millionths, so that the bound is exact in the amounts written here.
      const double exact = std::max(std::floor(cost * 1e6), 1.0) / 1e6;
      const auto take = draw(0, 1) == 0 ? bucket.try_take(now, exact)
                                        : bucket.reserve(now, Duration{draw(0, step)}, exact);
      if (take.granted) {
        ASSERT_GE(take.ready, now);
        grants.push_back({take.ready, exact});
      } else {
        ASSERT_GT(take.ready, now);
      }
    }
    ASSERT_FALSE(grants.empty());
    expect_bounded(grants, options);
  }
}

TEST(token_bucket, gives_all_but_a_nanosecond_per_take_of_the_rate) {
  TokenBucket bucket{{.rate = 3000, .per = 1s, .burst = 1}};
  Time now = start;
  for (int taken = 0; taken < 3000; ++taken) {
    const auto take = bucket.reserve(now, Duration::max());
    ASSERT_TRUE(take.granted);
    now = take.ready;
  }
  EXPECT_GE(now, start + 1s - 333334ns);
  EXPECT_LE(now, start + 1s + 3000ns);
}

TEST(token_bucket, a_refused_caller_that_comes_back_at_ready_is_granted) {
  std::mt19937_64 random{7};
  TokenBucket bucket{{.rate = 13, .per = 1s, .burst = 5}};
  Time now = start;
  for (int event = 0; event < 5000; ++event) {
    now += Duration{static_cast<std::int64_t>(random() % 200'000'000)};
    const double cost = static_cast<double>(random() % 5000 + 1) / 1000;
    const auto take = bucket.try_take(now, cost);
    if (take.granted) continue;
    now = take.ready;
    ASSERT_TRUE(bucket.try_take(now, cost).granted);
  }
}

}  // namespace
