// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/policy/throttle.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{100h};
constexpr std::uint64_t lucky = ~std::uint64_t{0};  // the highest draw: refused only at 1

static_assert(ThrottleSlice::unpack(ThrottleSlice{5, 6, 7}.pack()) == ThrottleSlice{5, 6, 7});
static_assert(ThrottleSlice{} == ThrottleSlice{0, 0, 0});
static_assert(ThrottleSlice{5, 6, 7}.at(5) == ThrottleSlice{5, 6, 7});
static_assert(ThrottleSlice{5, 6, 7}.at(5 + (1U << 24)) == ThrottleSlice{5, 6, 7});
static_assert(ThrottleSlice{20, 6, 7}.at(5) == ThrottleSlice{20, 6, 7});
static_assert(ThrottleSlice{21, 6, 7}.at(5) == ThrottleSlice{5, 0, 0});
static_assert(ThrottleSlice{5, 6, 7}.at(6) == ThrottleSlice{6, 0, 0});
static_assert(ThrottleSlice{5, 6, 7}.at(4) == ThrottleSlice{5, 6, 7});
// What was never touched belongs to any turn, also to one that looks like the past.
static_assert(ThrottleSlice{0, 0, 0}.at(ThrottleSlice::turn_mask) ==
              ThrottleSlice{ThrottleSlice::turn_mask, 0, 0});
static_assert(ThrottleSlice{5, 6, 7}.at(100'000'000) ==
              ThrottleSlice{100'000'000 & ThrottleSlice::turn_mask, 0, 0});
static_assert(ThrottleSlice{0, 6, 7}.at(ThrottleSlice::turn_mask) == ThrottleSlice{0, 6, 7});
static_assert(ThrottleSlice{5, 6, 7}.with(1, 0) == ThrottleSlice{5, 7, 7});
static_assert(ThrottleSlice{5, 0, 7}.with(-1, 0) == ThrottleSlice{5, 0, 7});
static_assert(ThrottleSlice{5, ThrottleSlice::most, 2000}.with(1, 0) ==
              ThrottleSlice{5, ThrottleSlice::most / 2 + 1, 1000});
static_assert(ThrottleSlice{5, 100, ThrottleSlice::most}.with(0, 1) ==
              ThrottleSlice{5, 50, ThrottleSlice::most / 2 + 1});

void call(Throttle& throttle, Time now, Outcome outcome, int times = 1) {
  for (int count = 0; count < times; ++count) {
    auto permit = throttle.admit(now, lucky);
    ASSERT_TRUE(permit);
    permit->settle(outcome, now);
  }
}

TEST(throttle, refuses_nothing_while_the_other_side_accepts) {
  Throttle throttle;
  EXPECT_EQ(throttle.refusal_probability(start), 0);
  call(throttle, start, Outcome::success, 1000);
  EXPECT_EQ(throttle.refusal_probability(start), 0);
  call(throttle, start, Outcome::unavailable, 1000);
  EXPECT_EQ(throttle.refusal_probability(start), 0);  // k = 2: half may fail
}

TEST(throttle, refuses_by_the_formula_of_the_book) {
  Throttle throttle{{.k = 2, .most = 1}};
  call(throttle, start, Outcome::success, 100);
  call(throttle, start, Outcome::rate_limited, 299);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start), (399 - 2 * 100) / 400.0);
  Throttle strict{{.k = 1.1, .most = 1}};
  call(strict, start, Outcome::success, 100);
  call(strict, start, Outcome::rate_limited, 99);
  EXPECT_DOUBLE_EQ(strict.refusal_probability(start), (199 - 110.0) / 200);
}

TEST(throttle, an_answer_to_a_bad_request_is_an_accept) {
  Throttle throttle;
  for (const Outcome outcome : {Outcome::permanent, Outcome::not_found, Outcome::credential})
    call(throttle, start, outcome, 100);
  EXPECT_EQ(throttle.refusal_probability(start), 0);
}

// trap 44: a request counts when it is made, so calls that hang do not hide, and so do those
// refused here.
TEST(throttle, counts_requests_when_they_are_made_and_those_it_refuses_too) {
  Throttle throttle{{.most = 1}};
  std::vector<Throttle::Permit> hanging;
  for (int calls = 0; calls < 99; ++calls) {
    auto permit = throttle.admit(start, lucky);
    ASSERT_TRUE(permit);
    hanging.push_back(std::move(*permit));
  }
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start), 99 / 100.0);
  const auto refused = throttle.admit(start, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::overloaded);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start), 100 / 101.0);
}

TEST(throttle, what_was_cancelled_or_dropped_was_no_request) {
  Throttle throttle;
  call(throttle, start, Outcome::neutral, 100);
  for (int calls = 0; calls < 100; ++calls) {
    [[maybe_unused]] auto dropped = throttle.admit(start, lucky);
  }
  EXPECT_EQ(throttle.refusal_probability(start), 0);
  call(throttle, start, Outcome::timeout, 1);
  EXPECT_EQ(throttle.refusal_probability(start), 0.5);
}

TEST(throttle, an_accept_counts_when_it_comes) {
  Throttle throttle{{.window = 100s, .most = 1}};
  auto permit = throttle.admit(start, lucky);
  EXPECT_EQ(throttle.refusal_probability(start + 50s), 0.5);
  permit->settle(Outcome::success, start + 50s);
  EXPECT_EQ(throttle.refusal_probability(start + 50s), 0);
}

TEST(throttle, what_is_cancelled_after_its_window_takes_nothing_of_later_requests_away) {
  for (const Duration later : {100s, 1500s, 1600s, 3600s}) {
    Throttle throttle{{.window = 100s, .most = 1}};
    auto cancelled = throttle.admit(start, lucky);
    call(throttle, start + later, Outcome::timeout, 99);
    cancelled->settle(Outcome::neutral, start + later);
    EXPECT_DOUBLE_EQ(throttle.refusal_probability(start + later), 0.99) << later.count();
  }
}

TEST(throttle, a_permit_that_moves_settles_once) {
  Throttle throttle;
  auto first = throttle.admit(start, lucky);
  {
    auto second = throttle.admit(start, lucky);
    *first = std::move(*second);
  }
  EXPECT_EQ(throttle.refusal_probability(start), 0.5);
  first->settle(Outcome::success, start);
  first->settle(Outcome::success, start);
  EXPECT_EQ(throttle.refusal_probability(start), 0);
  call(throttle, start, Outcome::timeout, 2);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start), 1 / 4.0);
}

TEST(throttle, a_permit_moved_over_another_settles_where_and_when_it_was_asked_for) {
  Throttle one{{.window = 100s}};
  Throttle other{{.window = 100s}};
  auto kept = one.admit(start, lucky);
  {
    auto moved = other.admit(start + 50s, lucky);
    *kept = std::move(*moved);
  }
  EXPECT_EQ(one.refusal_probability(start + 50s), 0);
  EXPECT_EQ(other.refusal_probability(start + 50s), 0.5);
  kept->settle(Outcome::neutral, start + 60s);
  EXPECT_EQ(other.refusal_probability(start + 60s), 0);
}

TEST(throttle, forgets_what_is_older_than_its_window) {
  Throttle throttle{{.window = 100s, .most = 1}};
  call(throttle, start, Outcome::unavailable, 99);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start), 0.99);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start + 89s), 0.99);
  EXPECT_EQ(throttle.refusal_probability(start + 101s), 0);
  EXPECT_EQ(throttle.refusal_probability(start + 101h), 0);
}

TEST(throttle, a_slice_leaves_the_window_whole) {
  for (const Duration into : {0s, 50s, 90s}) {
    Throttle throttle{{.window = 100s, .most = 1}};
    call(throttle, start + into, Outcome::unavailable, 99);
    EXPECT_DOUBLE_EQ(throttle.refusal_probability(start + into + 100s - 1ns), 0.99);
    EXPECT_EQ(throttle.refusal_probability(start + into + 100s), 0);
  }
}

TEST(throttle, its_slices_are_as_long_before_the_epoch) {
  for (const Time asked : {Time{-100s}, Time{-1ns}, Time{}}) {
    Throttle throttle{{.window = 100s, .most = 1}};
    call(throttle, asked, Outcome::unavailable, 99);
    const Time gone = asked == Time{-1ns} ? Time{90s} : asked + 100s;
    EXPECT_DOUBLE_EQ(throttle.refusal_probability(gone - 1ns), 0.99);
    EXPECT_EQ(throttle.refusal_probability(gone), 0);
  }
}

TEST(throttle, who_is_up_to_fifteen_windows_late_sees_what_is_newer) {
  Throttle throttle{{.window = 100s, .most = 1}};
  call(throttle, start, Outcome::unavailable, 99);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start - 1500s), 0.99);
  EXPECT_EQ(throttle.refusal_probability(start - 1600s), 0);
}

TEST(throttle, a_draw_at_the_probability_passes) {
  Throttle throttle;
  EXPECT_TRUE(throttle.admit(start, 0));
  call(throttle, start, Outcome::timeout);
  ASSERT_EQ(throttle.refusal_probability(start), 0.5);
  EXPECT_TRUE(throttle.admit(start, std::uint64_t{1} << 63));
  EXPECT_FALSE(throttle.admit(start, (std::uint64_t{1} << 63) - 1));
}

TEST(throttle, a_clock_that_jumps_forgets_or_remembers_but_never_breaks) {
  Throttle throttle{{.window = 100s, .most = 1}};
  call(throttle, start, Outcome::unavailable, 99);
  EXPECT_DOUBLE_EQ(throttle.refusal_probability(start - 50s), 0.99);
  for (const Time now : {Time::min(), Time{}, Time{-1ns}, never, start}) {
    const double refused = throttle.refusal_probability(now);
    EXPECT_GE(refused, 0);
    EXPECT_LE(refused, 1);
    auto permit = throttle.admit(now, lucky);
    if (permit) permit->settle(Outcome::success, now);
  }
}

// trap 45: chance comes as an argument; the share refused is the probability.
TEST(throttle, refuses_as_large_a_share_as_it_says) {
  Random random{7};
  int refused = 0;
  for (int run = 0; run < 10'000; ++run) {
    Throttle throttle;
    call(throttle, start, Outcome::unavailable, 3);  // 3 of 4
    if (!throttle.admit(start, random())) ++refused;
  }
  EXPECT_NEAR(refused, 7500, 150);
}

TEST(throttle, always_lets_some_ask_so_that_it_sees_the_recovery) {
  Throttle throttle{{.window = 10s, .most = 0.9}};
  Random random{3};
  Time now = start;
  const auto second = [&](Outcome outcome) {
    int passed = 0;
    for (int calls = 0; calls < 1000; ++calls) {
      now += 1ms;
      if (auto permit = throttle.admit(now, random())) {
        ++passed;
        permit->settle(outcome, now);
      }
    }
    return passed;
  };
  for (int seconds = 0; seconds < 30; ++seconds) second(Outcome::unavailable);
  EXPECT_NEAR(second(Outcome::unavailable), 100, 40);
  for (int seconds = 0; seconds < 40; ++seconds) second(Outcome::success);
  EXPECT_EQ(second(Outcome::success), 1000);
}

TEST(throttle, says_what_to_write_instead_and_describes_itself) {
  EXPECT_THROW((Throttle{{.k = 0.9}}), std::invalid_argument);
  EXPECT_THROW((Throttle{{.k = std::nan("")}}), std::invalid_argument);
  EXPECT_THROW((Throttle{{.window = 0s}}), std::invalid_argument);
  EXPECT_THROW((Throttle{{.most = 1.1}}), std::invalid_argument);
  EXPECT_EQ(Throttle{}.describe(), "throttle(2 requests per accept in 2min)");
}

TEST(throttle, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((Throttle{{.k = 1, .window = 1ms, .most = 0}}));
  EXPECT_NO_THROW((Throttle{{.k = 1000, .most = 1}}));
  EXPECT_THROW((Throttle{{.k = 1001}}), std::invalid_argument);
  EXPECT_THROW((Throttle{{.most = -0.1}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
