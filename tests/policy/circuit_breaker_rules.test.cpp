// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/policy/circuit_breaker.hpp>

#include "support/breaking.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::BreakerMode;
using penstock::CircuitBreaker;
using penstock::Duration;
using penstock::ErrorKind;
using penstock::Jitter;
using penstock::LapsedProbe;
using penstock::never;
using penstock::Outcome;
using penstock::SampleCounts;
using penstock::Time;
using penstock::Transition;
using penstock::TripWhen;
using penstock::testing::admitted;
using penstock::testing::call;
using penstock::testing::calls;
using penstock::testing::refuses;
using penstock::testing::trip;
using Permit = CircuitBreaker::Permit;
using State = CircuitBreaker::State;

constexpr Time start{1h};
constexpr Duration unit{65'536};  // of the open time

// trap 8: the type of every `now` is the monotonic clock's.
static_assert(Time::clock::is_steady);
static_assert(!std::is_invocable_v<decltype(&CircuitBreaker::state),
                                   CircuitBreaker,
                                   std::chrono::system_clock::time_point>);

// trap 9
TEST(circuit_breaker_rules, by_default_one_failure_or_a_few_open_nothing) {
  CircuitBreaker breaker{{}};
  calls(breaker, 9, Outcome::unavailable, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  // Nor does a tenth of failures, as a mix of clients has it.
  CircuitBreaker busy{{}};
  for (int round = 0; round < 100; ++round) {
    calls(busy, 9, Outcome::success, start);
    call(busy, Outcome::timeout, start);
  }
  EXPECT_EQ(busy.state(start), State::closed);
}

// trap 10: an outcome is all it is told; an error, with what hangs on it, has nowhere to stay.
TEST(circuit_breaker_rules, keeps_nothing_of_what_failed) {
  static_assert(std::is_trivially_copyable_v<Outcome> && sizeof(Outcome) == 1);
  static_assert(!std::is_invocable_v<decltype(&Permit::settle),
                                     Permit,
                                     const penstock::Error&,
                                     Time,
                                     std::uint64_t>);
  SUCCEED();
}

// trap 11
TEST(circuit_breaker_rules, a_window_below_the_minimum_is_refused_and_one_of_one_call_works) {
  EXPECT_THROW((CircuitBreaker{{.minimum_calls = 10, .window_calls = 9}}), std::invalid_argument);
  CircuitBreaker breaker{{.failure_rate = 1, .minimum_calls = 1, .window_calls = 1}};
  call(breaker, Outcome::success, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

// trap 13: one that serves few calls is judged by its own volume, however long it takes.
TEST(circuit_breaker_rules, a_quiet_client_is_not_judged_by_its_few_calls) {
  CircuitBreaker breaker{{}};
  for (Time now = start; now < start + 10min; now += 5s) call(breaker, Outcome::timeout, now);
  EXPECT_EQ(breaker.state(start + 10min), State::closed);
}

TEST(circuit_breaker_rules, a_count_window_judges_the_last_calls_however_old) {
  CircuitBreaker breaker{{.minimum_calls = 10, .window_calls = 10}};
  calls(breaker, 5, Outcome::success, start);
  calls(breaker, 4, Outcome::timeout, start);
  EXPECT_EQ(breaker.counts_approx(start + 10h), (SampleCounts{9, 4}));
  call(breaker, Outcome::timeout, start + 10h);
  EXPECT_EQ(breaker.state(start + 10h), State::open);
}

TEST(circuit_breaker_rules, a_count_window_forgets_what_its_calls_have_pushed_out) {
  CircuitBreaker breaker{{.minimum_calls = 10, .window_calls = 10}};
  for (int round = 0; round < 100; ++round) {
    calls(breaker, 4, Outcome::timeout, start);
    calls(breaker, 6, Outcome::success, start);
  }
  EXPECT_EQ(breaker.state(start), State::closed);
}

// Generations are counted in few bits: what was counted long ago must not pass for what is to come.
TEST(circuit_breaker_rules, opens_after_any_number_of_resets_without_a_call) {
  const std::vector<CircuitBreaker::Options> rules{
      {.failure_rate = 1, .minimum_calls = 2, .window = 1min},
      {.failure_rate = 1, .minimum_calls = 2, .window_calls = 10},
      {.failure_rate = 1, .minimum_calls = 2, .window_calls = 1000},
      {.failure_rate = 0, .consecutive_failures = 2}};
  for (std::size_t rule = 0; rule < rules.size(); ++rule) {
    for (const int resets : {1, 1000, 1009, 1015, 1023, 1024, 1030, 8191, 8192, 8200, 16'000}) {
      CircuitBreaker breaker{rules[rule]};
      call(breaker, Outcome::timeout, start);
      for (int reset = 0; reset < resets; ++reset) breaker.reset();
      Time now = start;
      int failures = 0;
      for (; failures < 8 && breaker.state(now) == State::closed; ++failures)
        call(breaker, Outcome::timeout, now += 10s);
      EXPECT_EQ(breaker.state(now), State::open) << "rule " << rule << ", " << resets << " resets";
    }
  }
}

TEST(circuit_breaker_rules, probes_that_never_lapse_leave_their_places_to_any_later_generation) {
  for (const int resets : {1, 8191, 8192, 8193, 16'000}) {
    CircuitBreaker breaker{
        {.consecutive_failures = 1, .probes = 1, .probe_timeout = never - Time{}}};
    call(breaker, Outcome::timeout, start);
    call(breaker, Outcome::success, start + 1min);
    ASSERT_EQ(breaker.state(start + 1min), State::closed);
    for (int reset = 0; reset < resets; ++reset) breaker.reset();
    call(breaker, Outcome::timeout, start + 2min);
    ASSERT_EQ(breaker.state(start + 2min), State::open);
    call(breaker, Outcome::success, start + 3min);
    EXPECT_EQ(breaker.state(start + 3min), State::closed) << resets;
  }
}

TEST(circuit_breaker_rules, slow_calls_open_it_though_they_succeed) {
  CircuitBreaker breaker{{.minimum_calls = 4, .slow_after = 2s, .slow_rate = 0.5}};
  call(breaker, Outcome::success, start, 2s - 1ns);
  call(breaker, Outcome::success, start, 1s);
  call(breaker, Outcome::success, start, 2s);
  EXPECT_EQ(breaker.slow_counts_approx(start), (SampleCounts{3, 1}));
  EXPECT_EQ(breaker.counts_approx(start), (SampleCounts{3, 0}));
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::success, start, 5s);
  EXPECT_EQ(breaker.state(start), State::open);
}

TEST(circuit_breaker_rules, a_slow_call_that_was_cancelled_counts_for_nothing) {
  CircuitBreaker breaker{{.minimum_calls = 1, .slow_after = 2s}};
  call(breaker, Outcome::neutral, start, 1h);
  EXPECT_EQ(breaker.state(start), State::closed);
  EXPECT_EQ(breaker.slow_counts_approx(start).total, 0U);
}

TEST(circuit_breaker_rules, without_a_slow_rule_no_call_is_slow) {
  CircuitBreaker breaker{{.minimum_calls = 1}};
  calls(breaker, 10, Outcome::success, start);
  call(breaker, Outcome::success, start, 50min);
  EXPECT_EQ(breaker.state(start), State::closed);
  EXPECT_EQ(breaker.slow_counts_approx(start).total, 0U);
}

TEST(circuit_breaker_rules, a_slow_probe_has_failed) {
  CircuitBreaker breaker{{.minimum_calls = 1, .slow_after = 2s, .probes = 1}};
  trip(breaker, start);
  Permit probe = admitted(breaker, start + 31s);
  probe.settle(Outcome::success, start + 33s);
  EXPECT_EQ(breaker.state(start + 33s), State::open);
}

TEST(circuit_breaker_rules, consecutive_failures_open_it_and_a_success_begins_anew) {
  CircuitBreaker breaker{{.failure_rate = 0, .consecutive_failures = 3}};
  for (int round = 0; round < 10; ++round) {
    calls(breaker, 2, Outcome::timeout, start);
    call(breaker, Outcome::neutral, start);
    EXPECT_EQ(breaker.state(start), State::closed);
    call(breaker, Outcome::not_found, start);  // an answer
  }
  calls(breaker, 2, Outcome::timeout, start);
  call(breaker, Outcome::neutral, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

TEST(circuit_breaker_rules, one_failure_may_be_the_row_but_no_slow_success_is) {
  CircuitBreaker breaker{{.failure_rate = 0, .slow_after = 2s, .consecutive_failures = 1}};
  call(breaker, Outcome::success, start, 3s);
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

TEST(circuit_breaker_rules, a_streak_does_not_outlive_its_closed_state) {
  CircuitBreaker breaker{{.failure_rate = 0, .consecutive_failures = 3}};
  calls(breaker, 2, Outcome::timeout, start);
  breaker.reset();
  call(breaker, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::closed);
}

TEST(circuit_breaker_rules, any_rule_opens_it_or_all_together) {
  const CircuitBreaker::Options either{
      .failure_rate = 0.5, .minimum_calls = 10, .consecutive_failures = 3};
  CircuitBreaker any{either};
  calls(any, 3, Outcome::timeout, start);
  EXPECT_EQ(any.state(start), State::open);

  CircuitBreaker::Options both = either;
  both.trip_when = TripWhen::all_rules;
  CircuitBreaker all{both};
  calls(all, 3, Outcome::timeout, start);
  EXPECT_EQ(all.state(start), State::closed);
  calls(all, 10, Outcome::success, start);
  for (int round = 0; round < 20; ++round) {
    calls(all, 2, Outcome::timeout, start);
    call(all, Outcome::success, start);
  }
  EXPECT_EQ(all.state(start), State::closed);
  EXPECT_GT(all.counts_approx(start).failures, all.counts_approx(start).total / 2);
  calls(all, 3, Outcome::timeout, start);
  EXPECT_EQ(all.state(start), State::open);
}

TEST(circuit_breaker_rules, all_rules_with_slow_calls_wait_for_both) {
  CircuitBreaker breaker{{.failure_rate = 0.5,
                          .minimum_calls = 2,
                          .slow_after = 2s,
                          .slow_rate = 0.5,
                          .trip_when = TripWhen::all_rules}};
  calls(breaker, 4, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  for (int slow = 0; slow < 3; ++slow) call(breaker, Outcome::success, start, 3s);
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::success, start, 3s);  // a success may be the call that meets both
  EXPECT_EQ(breaker.state(start), State::open);
}

TEST(circuit_breaker_rules, a_fast_success_opens_nothing_though_it_meets_the_minimum) {
  CircuitBreaker breaker{{.failure_rate = 0.5,
                          .minimum_calls = 4,
                          .slow_after = 2s,
                          .slow_rate = 0.5,
                          .trip_when = TripWhen::all_rules}};
  for (int slow = 0; slow < 3; ++slow) call(breaker, Outcome::timeout, start, 3s);
  call(breaker, Outcome::success, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::timeout, start, 3s);
  EXPECT_EQ(breaker.state(start), State::open);
}

// --- the open time -----------------------------------------------------------------------------
// Opens again at the first failed probe; how long it stays open, in whole units of the stamp.
Duration open_again(CircuitBreaker& breaker, Time& now) {
  EXPECT_EQ(breaker.state(now), State::half_open);
  call(breaker, Outcome::timeout, now);
  const auto refused = breaker.admit(now);
  EXPECT_FALSE(refused);
  const Duration wait = *refused.error().retry_after();
  now += wait;
  return wait;
}

TEST(circuit_breaker_rules, the_open_time_grows_until_it_closes) {
  CircuitBreaker breaker{
      {.minimum_calls = 1, .open_for = 10s, .open_growth = 2, .open_at_most = 60s, .probes = 1}};
  trip(breaker, start);
  Time now = start + 10s + unit;
  for (const Duration expected : {20s, 40s, 60s, 60s}) {
    const Duration wait = open_again(breaker, now);
    EXPECT_GE(wait, expected);
    EXPECT_LT(wait, expected + unit);
  }
  call(breaker, Outcome::success, now);
  ASSERT_EQ(breaker.state(now), State::closed);
  trip(breaker, now);
  EXPECT_TRUE(refuses(breaker, now + 10s - 1ns));
  EXPECT_FALSE(refuses(breaker, now + 10s + unit));
}

TEST(circuit_breaker_rules, a_reset_ends_the_growth) {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 10s, .open_growth = 2, .probes = 1}};
  trip(breaker, start);
  Time now = start + 10s + unit;
  open_again(breaker, now);
  breaker.isolate();
  breaker.reset();
  trip(breaker, now);
  EXPECT_EQ(breaker.state(now + 10s + unit), State::half_open);
}

TEST(circuit_breaker_rules, a_reset_of_an_open_breaker_ends_the_growth) {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 10s, .open_growth = 2}};
  trip(breaker, start);
  breaker.reset();
  trip(breaker, start);
  EXPECT_EQ(breaker.state(start + 10s + unit), State::half_open);
}

TEST(circuit_breaker_rules, the_longest_open_time_never_cuts_the_first) {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 1h, .open_at_most = 10min}};
  trip(breaker, start);
  EXPECT_EQ(breaker.state(start + 1h - 1ns), State::open);
}

TEST(circuit_breaker_rules, a_spread_open_time_stays_in_its_interval_at_the_cap_too) {
  Duration least = Duration::max();
  Duration most{};
  for (int run = 0; run < 200; ++run) {
    CircuitBreaker breaker{{.minimum_calls = 1,
                            .open_for = 10s,
                            .open_growth = 10,
                            .open_at_most = 10s,
                            .open_jitter = Jitter::equal,
                            .probes = 1}};
    const Time now = start + run * 1us;  // where nobody gives chance, the time does
    trip(breaker, now);
    const Duration wait = *breaker.admit(now).error().retry_after();
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, 5s);
  EXPECT_LT(least, 5500ms);
  EXPECT_LE(most, 10s + unit);
  EXPECT_GT(most, 9500ms);
}

TEST(circuit_breaker_rules, the_same_time_and_chance_open_it_for_the_same_time) {
  const auto open_time = [](std::uint64_t chance) {
    CircuitBreaker breaker{{.minimum_calls = 1, .open_jitter = Jitter::full}};
    admitted(breaker, start).settle(Outcome::timeout, start, chance);
    return breaker.admit(start).error().retry_after();
  };
  EXPECT_EQ(open_time(1), open_time(1));
  EXPECT_NE(open_time(1), open_time(2));
}

TEST(circuit_breaker_rules, no_chance_given_is_a_chance_of_zero) {
  CircuitBreaker given{{.minimum_calls = 1, .open_jitter = Jitter::full, .probes = 1, .ramp = 1h}};
  CircuitBreaker none{given.options()};
  admitted(given, start).settle(Outcome::timeout, start, 0);
  admitted(none, start).settle(Outcome::timeout, start);
  EXPECT_EQ(given.admit(start).error().retry_after(), none.admit(start).error().retry_after());
  const Time later = start + 31s;
  call(given, Outcome::success, later);
  call(none, Outcome::success, later);
  for (Time now = later; now < later + 1min; now += 1s) {
    const auto expected = given.admit(now, 0);
    const auto permit = none.admit(now);
    ASSERT_EQ(permit.has_value(), expected.has_value());
    if (permit) continue;
    ASSERT_EQ(permit.error().retry_after(), expected.error().retry_after());
  }
}

// --- half open ---------------------------------------------------------------------------------
TEST(circuit_breaker_rules, a_share_of_the_probes_is_enough) {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 5, .probe_success_rate = 0.6}};
  trip(breaker, start);
  const Time now = start + 31s;
  calls(breaker, 2, Outcome::timeout, now);
  calls(breaker, 2, Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::half_open);
  call(breaker, Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::closed);
}

TEST(circuit_breaker_rules, it_opens_again_when_the_share_cannot_be_reached) {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 5, .probe_success_rate = 0.6}};
  trip(breaker, start);
  const Time now = start + 31s;
  calls(breaker, 2, Outcome::success, now);
  calls(breaker, 2, Outcome::timeout, now);
  EXPECT_EQ(breaker.state(now), State::half_open);
  call(breaker, Outcome::timeout, now);
  EXPECT_EQ(breaker.state(now), State::open);
}

// trap 1: what a lapsed probe means is the user's choice.
TEST(circuit_breaker_rules, a_lapsed_probe_may_count_as_failed) {
  CircuitBreaker breaker{{.minimum_calls = 1,
                          .probes = 2,
                          .probe_timeout = 60s,
                          .lapsed_probe = LapsedProbe::failure}};
  trip(breaker, start);
  Time now = start + 31s;
  Permit hung = admitted(breaker, now);
  now += 61s;
  EXPECT_TRUE(refuses(breaker, now));  // who comes next finds it
  EXPECT_EQ(breaker.state(now), State::open);
  EXPECT_TRUE(refuses(breaker, now + 30s - 1ns));
  hung.settle(Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::open);
}

TEST(circuit_breaker_rules, a_probe_that_comes_back_too_late_may_have_failed) {
  for (const Outcome outcome : {Outcome::success, Outcome::timeout, Outcome::neutral}) {
    CircuitBreaker breaker{{.minimum_calls = 1, .lapsed_probe = LapsedProbe::failure}};
    trip(breaker, start);
    Permit hung = admitted(breaker, start + 31s);
    hung.settle(outcome, start + 2min);
    EXPECT_EQ(breaker.state(start + 2min), State::open);
  }
}

TEST(circuit_breaker_rules, a_lapsed_failure_within_the_share_does_not_open_it) {
  CircuitBreaker breaker{{.minimum_calls = 1,
                          .probes = 2,
                          .probe_success_rate = 0.5,
                          .lapsed_probe = LapsedProbe::failure}};
  trip(breaker, start);
  Time now = start + 31s;
  const Permit hung = admitted(breaker, now);
  now += 61s;
  Permit second = admitted(breaker, now);
  EXPECT_TRUE(second.is_probe());
  EXPECT_TRUE(refuses(breaker, now));
  second.settle(Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::closed);
}

TEST(circuit_breaker_rules, who_finds_the_failure_that_opens_it_is_told_the_new_open_time) {
  CircuitBreaker breaker{{.minimum_calls = 1,
                          .open_for = 30s,
                          .open_growth = 2,
                          .probes = 1,
                          .probe_timeout = 60s,
                          .lapsed_probe = LapsedProbe::failure}};
  trip(breaker, start);
  const Permit hung = admitted(breaker, start + 31s);
  const auto refused = breaker.admit(start + 92s);
  ASSERT_FALSE(refused);
  EXPECT_GE(refused.error().retry_after(), 60s);
}

TEST(circuit_breaker_rules, after_closing_the_share_let_through_grows) {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1, .ramp = 100s, .ramp_from = 0.1}};
  trip(breaker, start);
  const Time closed = start + 31s;
  call(breaker, Outcome::success, closed);
  ASSERT_EQ(breaker.state(closed), State::closed);
  std::mt19937_64 random{3};
  int before = 0;
  for (int tenth = 1; tenth <= 9; ++tenth) {
    int passed = 0;
    for (int attempt = 0; attempt < 1000; ++attempt) {
      const Time now = closed + tenth * 10s;
      const std::uint64_t chance = random();
      const auto permit = breaker.admit(now, chance);
      if (permit) {
        ++passed;
        continue;
      }
      ASSERT_EQ(permit.error().kind(), ErrorKind::circuit_open);
      ASSERT_LE(permit.error().retry_after(), 100s - tenth * 10s + unit);
    }
    EXPECT_NEAR(passed, 100 + 90 * tenth, 60);
    EXPECT_GT(passed, before);
    before = passed;
  }
  for (int attempt = 0; attempt < 1000; ++attempt) {
    EXPECT_TRUE(breaker.admit(closed + 100s + unit, random()));
  }
}

TEST(circuit_breaker_rules, in_the_ramp_it_counts_and_opens_as_ever) {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1, .ramp = 100s, .ramp_from = 0.99}};
  trip(breaker, start);
  const Time closed = start + 31s;
  call(breaker, Outcome::success, closed);
  for (std::uint64_t chance = 0; breaker.state(closed) == State::closed; ++chance) {
    auto permit = breaker.admit(closed, chance);
    if (permit) permit->settle(Outcome::timeout, closed);
  }
  EXPECT_EQ(breaker.state(closed), State::open);
}

TEST(circuit_breaker_rules, neither_the_first_closed_state_nor_a_reset_one_has_a_ramp) {
  CircuitBreaker breaker{{.ramp = 100s, .ramp_from = 0}};
  calls(breaker, 100, Outcome::success, start);
  breaker.isolate();
  breaker.reset();
  calls(breaker, 100, Outcome::success, start);
}

// --- by hand -----------------------------------------------------------------------------------
TEST(circuit_breaker_rules, disabled_it_lets_everything_through_and_counts_nothing) {
  CircuitBreaker breaker{{.minimum_calls = 1, .ramp = 1h, .ramp_from = 0}};
  trip(breaker, start);
  breaker.disable();
  EXPECT_EQ(breaker.state(start + 1h), State::disabled);
  EXPECT_EQ(to_string(breaker.state(start)), "disabled");
  calls(breaker, 100, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::disabled);
  EXPECT_EQ(breaker.counts_approx(start).total, 0U);
  Permit late = admitted(breaker, start);
  EXPECT_FALSE(late.would_be_refused());
  breaker.reset();
  late.settle(Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::closed);
}

TEST(circuit_breaker_rules, a_dry_run_moves_as_ever_and_refuses_nothing) {
  CircuitBreaker breaker{{.minimum_calls = 2, .probes = 1, .mode = BreakerMode::dry_run}};
  CircuitBreaker strict{{.minimum_calls = 2, .probes = 1}};
  std::mt19937_64 random{4};
  std::uint64_t refused = 0;
  Time now = start;
  for (int round = 0; round < 10'000; ++round) {
    now += Duration{static_cast<std::int64_t>(random() % 2'000'000'000)};
    const Outcome outcome = random() % 3 == 0 ? Outcome::success : Outcome::timeout;
    Permit dry = admitted(breaker, now);
    auto real = strict.admit(now);
    ASSERT_EQ(dry.would_be_refused(), !real);
    if (!real) ++refused;
    dry.settle(outcome, now);
    if (real) real->settle(outcome, now);
    ASSERT_EQ(breaker.state(now), strict.state(now));
    ASSERT_EQ(breaker.counts_approx(now), strict.counts_approx(now));
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_EQ(breaker.would_have_refused_approx(), refused);
  EXPECT_EQ(strict.would_have_refused_approx(), 0U);
}

TEST(circuit_breaker_rules, a_permit_moved_over_another_says_what_it_stands_for) {
  CircuitBreaker breaker{{.minimum_calls = 1, .mode = BreakerMode::dry_run}};
  Permit permit = admitted(breaker, start);
  trip(breaker, start);
  EXPECT_FALSE(permit.would_be_refused());
  permit = admitted(breaker, start);
  EXPECT_TRUE(permit.would_be_refused());
}

TEST(circuit_breaker_rules, is_idle_when_nothing_is_held_against_the_target) {
  CircuitBreaker breaker{{.window = 10s, .slow_after = 2s, .consecutive_failures = 5}};
  EXPECT_TRUE(breaker.idle(start));
  call(breaker, Outcome::success, start);
  EXPECT_TRUE(breaker.idle(start));
  call(breaker, Outcome::timeout, start);
  EXPECT_FALSE(breaker.idle(start));
  EXPECT_FALSE(breaker.idle(start + 11s));  // still the first of a row
  call(breaker, Outcome::success, start + 11s);
  EXPECT_TRUE(breaker.idle(start + 11s));
  call(breaker, Outcome::success, start + 11s, 3s);
  EXPECT_FALSE(breaker.idle(start + 11s));
  EXPECT_TRUE(breaker.idle(start + 22s));
  breaker.isolate();
  EXPECT_FALSE(breaker.idle(start + 22s));
  breaker.disable();
  EXPECT_FALSE(breaker.idle(start + 22s));

  CircuitBreaker ramping{{.minimum_calls = 1, .probes = 1, .ramp = 10s}};
  trip(ramping, start);
  EXPECT_FALSE(ramping.idle(start + 31s));
  call(ramping, Outcome::success, start + 31s);
  EXPECT_FALSE(ramping.idle(start + 31s));
  EXPECT_TRUE(ramping.idle(start + 41s + unit));

  CircuitBreaker in_units{{.minimum_calls = 1, .probes = 1, .ramp = 1000 * unit}};
  const Time whole{1'000'000 * unit};
  trip(in_units, whole - 31s);
  call(in_units, Outcome::success, whole);
  EXPECT_FALSE(in_units.idle(whole + 1000 * unit - 1ns));
  EXPECT_TRUE(in_units.idle(whole + 1000 * unit));

  CircuitBreaker row{{.window = 10s, .consecutive_failures = 1, .trip_when = TripWhen::all_rules}};
  call(row, Outcome::timeout, start);
  EXPECT_FALSE(row.idle(start + 11s));
  call(row, Outcome::success, start + 11s);
  EXPECT_TRUE(row.idle(start + 11s));

  CircuitBreaker by_rate{{.window = 10s}};
  call(by_rate, Outcome::timeout, start);
  EXPECT_TRUE(by_rate.idle(start + 11s));
}

// --- what it tells -----------------------------------------------------------------------------
TEST(circuit_breaker_rules, tells_its_transitions_in_order) {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1, .keep_transitions = 16}};
  trip(breaker, start);
  call(breaker, Outcome::timeout, start + 31s);
  breaker.isolate(start + 40s);
  breaker.disable(start + 41s);
  breaker.reset(start + 42s);
  std::vector<std::pair<State, State>> moves;
  std::vector<Time> times;
  breaker.deliver([&](const Transition& transition) {
    moves.emplace_back(transition.from, transition.to);
    times.push_back(transition.at);
    EXPECT_EQ(transition.generation, moves.size());
    EXPECT_EQ(transition.missed, 0U);
  });
  EXPECT_EQ(moves,
            (std::vector<std::pair<State, State>>{{State::closed, State::open},
                                                  {State::open, State::half_open},
                                                  {State::half_open, State::open},
                                                  {State::open, State::open},
                                                  {State::open, State::disabled},
                                                  {State::disabled, State::closed}}));
  ASSERT_EQ(times.size(), 6U);
  EXPECT_GE(times[1], start + 31s);
  EXPECT_LT(times[1], start + 31s + unit);
  EXPECT_GE(times[5], start + 42s);
}

// trap 7: a receiver that uses the breaker meets no lock.
TEST(circuit_breaker_rules, a_receiver_may_use_the_breaker) {
  CircuitBreaker breaker{{.minimum_calls = 1, .keep_transitions = 16}};
  trip(breaker, start);
  std::vector<State> seen;
  const auto receive = [&](const Transition& transition) {
    seen.push_back(transition.to);
    if (transition.to == State::open) {
      breaker.reset();
      call(breaker, Outcome::success, start);
    }
  };
  breaker.deliver(receive);
  EXPECT_EQ(seen, (std::vector<State>{State::open, State::closed}));
}

TEST(circuit_breaker_rules, refuses_what_its_parts_refuse) {
  EXPECT_THROW((CircuitBreaker{{.failure_rate = 0}}), std::invalid_argument);
  EXPECT_THROW((CircuitBreaker{{.keep_transitions = 2000}}), std::invalid_argument);
  EXPECT_THROW((CircuitBreaker{{.stripes = 0}}), std::invalid_argument);
}

}  // namespace
