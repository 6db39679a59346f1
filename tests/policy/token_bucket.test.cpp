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

#include "support/window_bound.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::Gcra;
using penstock::never;
using penstock::Time;
using penstock::TokenBucket;

constexpr Time start{1h};

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
  bucket.refund();
  bucket.refund(3);
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

TEST(token_bucket, the_last_in_line_gives_its_whole_turn_up) {
  TokenBucket bucket{{.rate = 10, .burst = 1}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  const TokenBucket::Take mine = bucket.reserve(start, 1s);
  bucket.give_up(mine.ready);
  EXPECT_EQ(bucket.reserve(start, 1s).ready, mine.ready);
}

TEST(token_bucket, a_turn_given_up_before_others_lets_nobody_go_on_together_with_them) {
  TokenBucket bucket{{.rate = 10, .burst = 1}};
  ASSERT_TRUE(bucket.try_take(start).granted);
  const TokenBucket::Take first = bucket.reserve(start, 1s);
  const TokenBucket::Take second = bucket.reserve(start, 1s);
  bucket.give_up(first.ready);
  EXPECT_EQ(bucket.reserve(start, 1s).ready, second.ready + 100ms);
}

TEST(token_bucket, of_a_heavy_turn_comes_back_what_nobody_reserved_behind_it) {
  TokenBucket bucket{{.rate = 10, .burst = 5}};
  ASSERT_TRUE(bucket.try_take(start, 5).granted);
  const TokenBucket::Take heavy = bucket.reserve(start, 1s, 4);
  ASSERT_EQ(bucket.reserve(start, 1s, 1).ready, start + 500ms);
  bucket.give_up(heavy.ready, 4);
  EXPECT_EQ(bucket.look(start, 1).ready, start + 300ms);
}

TEST(token_bucket, what_was_granted_at_once_comes_back_whole) {
  TokenBucket bucket{{.rate = 10}};
  ASSERT_TRUE(bucket.try_take(start, 3).granted);
  ASSERT_TRUE(bucket.try_take(start, 3).granted);
  bucket.give_up(start, 3);
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 7);
}

TEST(token_bucket, a_refund_of_nothing_or_no_number_changes_nothing) {
  TokenBucket bucket{{.rate = 10}};
  ASSERT_TRUE(bucket.try_take(start, 10).granted);
  bucket.refund(0);
  bucket.refund(-3);
  bucket.refund(std::numeric_limits<double>::quiet_NaN());
  bucket.give_up(start, 0);
  bucket.give_up(start, std::numeric_limits<double>::quiet_NaN());
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

// trap 27: what is said to start empty is empty, at whatever time the clock begins.
TEST(token_bucket, starts_with_as_much_as_it_is_told) {
  for (const Time now : {Time{}, Time{-5h}, start, Time{Duration::max() / 2}}) {
    TokenBucket none{{.rate = 10, .initial = 0}};
    EXPECT_EQ(none.available_approx(now), 0);
    EXPECT_FALSE(none.try_take(now).granted);
    EXPECT_FALSE(none.try_take(now + 100ms - 1ns).granted);
    EXPECT_TRUE(none.try_take(now + 100ms).granted);
    TokenBucket some{{.rate = 10, .initial = 3}};
    EXPECT_TRUE(some.try_take(now, 3).granted);
    EXPECT_FALSE(some.try_take(now, 0.001).granted);
    EXPECT_EQ(some.reserve(now, 1s).ready, now + 100ms);
  }
}

TEST(token_bucket, a_look_takes_nothing_and_tells_what_a_take_would_be_told) {
  TokenBucket bucket{{.rate = 10, .burst = 2}};
  for (int taken = 0; taken < 2; ++taken) {
    EXPECT_EQ(bucket.look(start).ready, start);
    EXPECT_TRUE(bucket.look(start).granted);
    EXPECT_TRUE(bucket.try_take(start).granted);
  }
  EXPECT_EQ(bucket.look(start, 2).ready, start + 200ms);
  EXPECT_EQ(bucket.reserve(start, Duration::max(), 2).ready, start + 200ms);
  EXPECT_FALSE(bucket.look(start, 3).granted);
  EXPECT_EQ(bucket.look(start, 3).ready, never);
}

TEST(token_bucket, a_charge_may_go_into_debt_that_later_takes_wait_for) {
  TokenBucket bucket{{.rate = 10, .burst = 10}};
  bucket.charge(start, 25);
  EXPECT_EQ(bucket.available_approx(start), 0);
  EXPECT_EQ(bucket.look(start).ready, start + 1600ms);
  EXPECT_FALSE(bucket.try_take(start + 1600ms - 1ns).granted);
  bucket.refund(25);
  EXPECT_EQ(bucket.available_approx(start), 10);
  bucket.charge(start, 0);
  bucket.charge(start, -3);
  bucket.charge(start, std::nan(""));
  EXPECT_EQ(bucket.available_approx(start), 10);
  bucket.charge(start, 1e300);
  EXPECT_FALSE(bucket.reserve(start, Duration::max()).granted);
}

TEST(token_bucket, never_learns_to_grant_more_than_its_own_rate_and_burst) {
  TokenBucket bucket{{.rate = 10, .burst = 10}};
  ASSERT_TRUE(bucket.try_take(start, 6).granted);
  bucket.learn(start, {.limit = 1000, .remaining = 900, .reset = 1s});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 4);
  bucket.learn(start, {.limit = 1000, .remaining = 2, .reset = 0s});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 2);
}

TEST(token_bucket, a_reply_that_comes_late_or_twice_gives_nothing_back) {
  TokenBucket bucket{{.rate = 10, .burst = 10}};
  bucket.learn(start, {.limit = 10, .remaining = 3});
  bucket.learn(start, {.limit = 10, .remaining = 7});  // sent before the other
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 3);
  bucket.learn(start, {.limit = 10, .remaining = 3});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 3);
}

TEST(token_bucket, takes_off_what_the_server_has_not_counted_yet) {
  TokenBucket bucket{{.rate = 10, .burst = 10}};
  bucket.learn(start, {.remaining = 5, .outstanding = 2});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 3);
  bucket.learn(start, {.remaining = 1, .outstanding = 2});
  EXPECT_EQ(bucket.available_approx(start), 0);
  TokenBucket other{{.rate = 10, .burst = 10}};
  other.learn(start, {.remaining = 5, .outstanding = 1});
  EXPECT_DOUBLE_EQ(other.available_approx(start), 4);
}

TEST(token_bucket, a_smaller_allowance_than_its_burst_holds_from_the_next_reply_on) {
  TokenBucket bucket{{.rate = 10, .burst = 10}};
  bucket.learn(start, {.limit = 4});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 4);
  bucket.learn(start, {.limit = 0.5});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 0.5);
}

TEST(token_bucket, a_reset_says_nothing_without_what_it_brings_back) {
  TokenBucket bucket{{.rate = 10, .burst = 10}};
  bucket.learn(start, {.remaining = 10, .reset = 1s});  // how many there will be
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 10);
  bucket.learn(start, {.limit = 10, .reset = 1s, .refill = penstock::Refill::at_once});  // are left
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 10);
}

TEST(token_bucket, a_reset_counts_up_to_the_time_to_fill_or_the_period) {
  TokenBucket slow_to_fill{{.rate = 10, .per = 1s, .burst = 20}};
  slow_to_fill.learn(start, {.remaining = 0, .reset = 1h, .refill = penstock::Refill::at_once});
  EXPECT_EQ(slow_to_fill.look(start).ready, start + 2100ms);
  TokenBucket long_period{{.rate = 60, .per = 1min, .burst = 1}};
  long_period.learn(start, {.remaining = 0, .reset = 1h, .refill = penstock::Refill::at_once});
  EXPECT_EQ(long_period.look(start).ready, start + 61s);
}

TEST(token_bucket, a_slower_refill_at_the_server_is_seen_by_its_reset) {
  // The server fills 10 in 5 s, this bucket would in 1 s: by the reset it has granted no more.
  TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 10}};
  bucket.learn(start, {.limit = 10, .remaining = 10, .reset = 5s});
  EXPECT_DOUBLE_EQ(bucket.available_approx(start), 10 - 10 + 0.0);
  TokenBucket steady{{.rate = 10, .per = 1s, .burst = 10}};
  steady.learn(start, {.limit = 10, .remaining = 5, .reset = 500ms});
  EXPECT_DOUBLE_EQ(steady.available_approx(start), 5);
  EXPECT_DOUBLE_EQ(steady.available_approx(start + 500ms), 10);
}

TEST(token_bucket, an_allowance_that_comes_back_at_once_lasts_until_its_reset) {
  TokenBucket bucket{{.rate = 60, .per = 1min, .burst = 60}};
  bucket.learn(start,
               {.limit = 60, .remaining = 0, .reset = 30s, .refill = penstock::Refill::at_once});
  EXPECT_EQ(bucket.look(start).ready, start + 31s);
  double granted = 0;
  TokenBucket some{{.rate = 60, .per = 1min, .burst = 60}};
  some.learn(start,
             {.limit = 60, .remaining = 40, .reset = 30s, .refill = penstock::Refill::at_once});
  for (Time now = start; now < start + 30s; now += 100ms)
    if (some.try_take(now).granted) ++granted;
  EXPECT_LE(granted, 40);
  EXPECT_GE(granted, 39);
}

// trap 22, for limits: a senseless or hostile header stops nobody for longer than a window.
TEST(token_bucket, senseless_replies_are_ignored_and_hostile_ones_clamped) {
  TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 10}};
  for (const double nonsense : {0.0, -1.0, std::nan("")}) {
    bucket.learn(start, {.limit = nonsense, .remaining = 0, .reset = 1h});
    EXPECT_EQ(bucket.available_approx(start), 10) << nonsense;
  }
  bucket.learn(start, {.remaining = -1, .reset = -5s});
  bucket.learn(start, {.remaining = std::nan(""), .outstanding = std::nan("")});
  bucket.learn(start, {});
  EXPECT_EQ(bucket.available_approx(start), 10);
  bucket.learn(start, {.remaining = 0, .reset = 24h * 365, .refill = penstock::Refill::at_once});
  EXPECT_EQ(bucket.look(start).ready, start + 1100ms);
}

TEST(token_bucket, never_grants_more_than_its_bound_whatever_else_is_done_to_it) {
  std::mt19937_64 random{20261124};
  const auto draw = [&random](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>{low, high}(random);
  };
  for (int run = 0; run < 300; ++run) {
    TokenBucket::Options options{.rate = static_cast<double>(draw(1, 1000)),
                                 .per = Duration{draw(1, 10'000) * 1'000'000},
                                 .burst = static_cast<double>(draw(1, 1000))};
    const Gcra same{options.rate, options.per, options.burst};
    const std::int64_t step = std::max<std::int64_t>(same.capacity().count() / 8, 2);
    if (draw(0, 1) == 0) options.initial = options.burst / 2;
    if (draw(0, 2) != 0)
      options.slow_start = {
          .ramp = Duration{std::min<std::int64_t>(draw(1, 4 * step), 86'400'000'000'000)},
          .idle = Duration{draw(0, 2 * step)},
          .share = 0.01 * static_cast<double>(draw(1, 100))};
    TokenBucket bucket{options};
    Time now{Duration{draw(0, 2) == 0 ? Duration::max().count() - 400 * step : draw(0, 1'000'000)}};
    std::vector<penstock::testing::Grant> grants;
    for (int event = 0; event < 250; ++event) {
      const std::int64_t dice = draw(0, 9);
      now = penstock::saturating_add(now,
                                     Duration{dice == 0   ? -draw(0, step)
                                              : dice == 1 ? draw(0, 20 * step)
                                                          : draw(0, step)});
      const double cost =
          std::max(std::floor(static_cast<double>(draw(1, 1000)) / 1000 * options.burst * 1e6),
                   1.0) /
          1e6;
      if (draw(0, 9) == 0) {
        bucket.learn(
            now,
            {.limit = static_cast<double>(draw(1, 2000)),
             .remaining = static_cast<double>(draw(0, 2000)),
             .reset = Duration{draw(0, 10 * step)},
             .refill = draw(0, 1) == 0 ? penstock::Refill::gradual : penstock::Refill::at_once});
        continue;
      }
      const auto take = draw(0, 1) == 0 ? bucket.try_take(now, cost)
                                        : bucket.reserve(now, Duration{draw(0, step)}, cost);
      if (!take.granted) {
        ASSERT_TRUE(take.ready > now || take.ready == never);
        continue;
      }
      ASSERT_GE(take.ready, now);
      if (draw(0, 9) == 0) {
        bucket.refund(cost);
      } else {
        grants.push_back({take.ready, cost});
      }
    }
    penstock::testing::expect_bounded(grants, options.rate, options.per, options.burst);
  }
}

TEST(token_bucket, says_what_to_write_instead) {
  EXPECT_THROW((TokenBucket{{.rate = 0}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = -1}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = std::nan("")}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .per = 0s}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .burst = -1}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .per = 1h, .burst = 1e12}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .initial = -1}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .initial = 1.5}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .initial = std::nan("")}}), std::invalid_argument);
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
  EXPECT_EQ(
      (TokenBucket{{.rate = 10, .initial = 0, .slow_start = {.ramp = 30s}}}.describe()),
      "token_bucket(10/1s, burst 10, starts with 0, slow start from 10% within 30s after 1min "
      "idle)");
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
    std::vector<penstock::testing::Grant> grants;
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
    penstock::testing::expect_bounded(grants, options.rate, options.per, options.burst);
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

TEST(token_bucket, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((TokenBucket{{.rate = 1e-6, .burst = 1e-6}}));
  EXPECT_NO_THROW((TokenBucket{{.rate = 1e12, .per = 1ns, .burst = 1e12}}));
  EXPECT_THROW((TokenBucket{{.rate = 1.1e12}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1e-7, .burst = 1}}), std::invalid_argument);
  EXPECT_THROW((TokenBucket{{.rate = 1, .burst = 1e-7}}), std::invalid_argument);
  EXPECT_NO_THROW((TokenBucket{{.rate = 5, .initial = 0}}));
  EXPECT_NO_THROW((TokenBucket{{.rate = 5, .initial = 5}}));
}

}  // namespace
