// SPDX-License-Identifier: MIT
// The breaker's decisions as tables of values, without threads, atomics or a clock.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <random>

#include <penstock/policy/circuit.hpp>
#include <penstock/policy/half_open.hpp>
#include <penstock/policy/trip_rule.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Circuit;
using penstock::CircuitAnswer;
using penstock::CircuitStep;
using penstock::Duration;
using penstock::HalfOpenRule;
using penstock::never;
using penstock::on_call;
using penstock::ProbeVerdict;
using penstock::Ramp;
using penstock::SampleCounts;
using penstock::Time;
using penstock::TripReadings;
using penstock::TripRule;
using penstock::TripWhen;
using State = penstock::CircuitState;

constexpr Time start{1h};
constexpr std::uint64_t half = std::uint64_t{1} << 63;
constexpr std::uint64_t nearly_one = std::numeric_limits<std::uint64_t>::max();
constexpr Ramp none{};
constexpr Ramp ramp{10s, 0.0};
constexpr Ramp from_half{10s, 0.5};

// --- a call comes ------------------------------------------------------------------------------
constexpr Circuit closed{State::closed, 3, {}};
constexpr Circuit open_until_start{State::open, 7, start};
constexpr Circuit isolated{State::open, 7, never};
constexpr Circuit half_open{State::half_open, 8, {}};
constexpr Circuit disabled{State::disabled, 9, {}};

static_assert(on_call(closed, start, none, nearly_one) == CircuitStep{closed, CircuitAnswer::pass});
static_assert(on_call(open_until_start, start - 1ns, none, 0) ==
              CircuitStep{open_until_start, CircuitAnswer::refuse, 1ns});
static_assert(on_call(open_until_start, start, none, 0) ==
              CircuitStep{half_open, CircuitAnswer::probe});
static_assert(on_call(half_open, start, none, 0) == CircuitStep{half_open, CircuitAnswer::probe});
static_assert(on_call(isolated, never, none, 0) == CircuitStep{isolated, CircuitAnswer::refuse});
static_assert(on_call(disabled, start, ramp, nearly_one) ==
              CircuitStep{disabled, CircuitAnswer::uncounted});

// --- it moves ----------------------------------------------------------------------------------
static_assert(opened(closed, start, 30s) == Circuit{State::open, 4, start + 30s});
static_assert(opened(closed, never, 30s) == Circuit{State::open, 4, never});
static_assert(closed_again(half_open, start, none) == Circuit{State::closed, 9, {}});
static_assert(closed_again(half_open, start, ramp) == Circuit{State::closed, 9, start + 10s});

// --- the ramp ----------------------------------------------------------------------------------
constexpr Circuit ramping{State::closed, 9, start + 10s};
static_assert(ramp.wait(start, start + 10s, half) == 5s);
static_assert(ramp.wait(start + 4s, start + 10s, half) == 1s);
static_assert(ramp.wait(start + 5s, start + 10s, half) == 0s);
static_assert(ramp.wait(start, start + 10s, 0) == 0s);
static_assert(ramp.wait(start + 10s, start + 10s, nearly_one) == 0s);
static_assert(from_half.wait(start, start + 10s, half) == 0s);
static_assert(from_half.wait(start, start + 10s, half + half / 2) == 5s);
// Rounded up in its stamp, the end of a ramp may be a whole unit later than the ramp is long.
static_assert(ramp.wait(start, start + 10s + 65'536ns, half) == 5s);
// A ramp that would have begun in the future is none.
static_assert(ramp.wait(start, start + 10s + 65'537ns, half) == 0s);
static_assert(ramp.wait(start, start + 11s, nearly_one) == 0s);
static_assert(ramp.wait(Time::min(), Time{}, nearly_one) == 0s);
static_assert(on_call(ramping, start, ramp, half) ==
              CircuitStep{ramping, CircuitAnswer::refuse, 5s});
static_assert(on_call(ramping, start + 5s, ramp, half) ==
              CircuitStep{ramping, CircuitAnswer::pass});

TEST(ramp, lets_a_share_through_that_grows_evenly) {
  std::mt19937_64 random{1};
  constexpr Ramp rule{100s, 0.2};
  for (int second = 0; second < 100; second += 10) {
    int passed = 0;
    for (int call = 0; call < 10'000; ++call) {
      const Duration wait = rule.wait(start + second * 1s, start + 100s, random());
      if (wait == 0s) ++passed;
      ASSERT_LE(wait, (100 - second) * 1s);
    }
    const double share = 0.2 + 0.8 * second / 100.0;
    EXPECT_NEAR(passed / 10'000.0, share, 0.02);
  }
}

TEST(ramp, who_waits_as_told_passes_with_the_same_chance) {
  std::mt19937_64 random{2};
  constexpr Ramp rule{100s, 0.1};
  for (int call = 0; call < 10'000; ++call) {
    const std::uint64_t chance = random();
    const Time now = start + Duration{static_cast<std::int64_t>(random() % 100'000'000'000)};
    const Duration wait = rule.wait(now, start + 100s, chance);
    ASSERT_EQ(rule.wait(now + wait, start + 100s, chance), 0s);
    if (wait > 1ns) {
      ASSERT_GT(rule.wait(now + wait - 1ns, start + 100s, chance), 0s);
    }
  }
}

// --- the rules ---------------------------------------------------------------------------------
constexpr TripRule by_rate{.failure_rate = 0.5, .minimum_calls = 10};
static_assert(by_rate.opens({.failures = {10, 5}}));
static_assert(!by_rate.opens({.failures = {11, 5}}));
static_assert(!by_rate.opens({.failures = {9, 9}}));  // trap 13: too few calls say nothing
static_assert(!by_rate.opens({.slow = {10, 10}, .in_a_row = 100}));
static_assert(!by_rate.opens({}));
static_assert(TripRule{.failure_rate = 0.1}.opens({.failures = {10, 1}}));
static_assert(TripRule{.failure_rate = 1}.opens({.failures = {3, 3}}));

constexpr TripRule by_slow{.slow_rate = 0.25, .minimum_calls = 4};
static_assert(by_slow.opens({.slow = {4, 1}}));
static_assert(!by_slow.opens({.slow = {5, 1}}));
static_assert(!by_slow.opens({.failures = {4, 4}}));

constexpr TripRule by_row{.minimum_calls = 10, .failures_in_a_row = 5};
static_assert(by_row.opens({.in_a_row = 5}));
static_assert(!by_row.opens({.failures = {100, 100}, .in_a_row = 4}));

constexpr TripRule any{
    .failure_rate = 0.5, .slow_rate = 0.25, .minimum_calls = 4, .failures_in_a_row = 3};
static_assert(any.opens({.failures = {4, 2}}));
static_assert(any.opens({.slow = {4, 1}}));
static_assert(any.opens({.in_a_row = 3}));
static_assert(!any.opens({.failures = {4, 1}, .slow = {5, 1}, .in_a_row = 2}));

constexpr TripRule all{.failure_rate = 0.5,
                       .slow_rate = 0.25,
                       .minimum_calls = 4,
                       .failures_in_a_row = 3,
                       .when = TripWhen::all_rules};
static_assert(all.opens({.failures = {4, 2}, .slow = {4, 1}, .in_a_row = 3}));
static_assert(!all.opens({.failures = {4, 1}, .slow = {4, 1}, .in_a_row = 3}));
static_assert(!all.opens({.failures = {4, 2}, .slow = {5, 1}, .in_a_row = 3}));
static_assert(!all.opens({.failures = {4, 2}, .slow = {4, 1}, .in_a_row = 2}));
// Of the rules that there are.
static_assert(TripRule{.failure_rate = 0.5, .failures_in_a_row = 3, .when = TripWhen::all_rules}
                  .opens({.failures = {4, 2}, .in_a_row = 3}));
static_assert(TripRule{.slow_rate = 0.5, .when = TripWhen::all_rules}.opens({.slow = {2, 1}}));
static_assert(!TripRule{.when = TripWhen::all_rules}.opens({{9, 9}, {9, 9}, 9}));
static_assert(!TripRule{.when = TripWhen::all_rules}.any());
static_assert(TripRule{.slow_rate = 0.1}.any() && by_row.any() && by_rate.any());

// --- half open ---------------------------------------------------------------------------------
constexpr HalfOpenRule all_of_three{3, 1};
static_assert(all_of_three.needed() == 3);
static_assert(all_of_three.judge({0, 0}) == ProbeVerdict::undecided);
static_assert(all_of_three.judge({2, 0}) == ProbeVerdict::undecided);
static_assert(all_of_three.judge({3, 0}) == ProbeVerdict::close);
static_assert(all_of_three.judge({0, 1}) == ProbeVerdict::open);

constexpr HalfOpenRule most_of_ten{10, 0.7};
static_assert(most_of_ten.needed() == 7);
static_assert(most_of_ten.judge({6, 3}) == ProbeVerdict::undecided);
static_assert(most_of_ten.judge({7, 3}) == ProbeVerdict::close);
static_assert(most_of_ten.judge({6, 4}) == ProbeVerdict::open);

static_assert(HalfOpenRule{100, 0.07}.needed() == 7);  // 0.07 * 100 is above 7 in floating point
static_assert(HalfOpenRule{3, 0.5}.needed() == 2);
static_assert(HalfOpenRule{3, 1e-9}.needed() == 1);
static_assert(HalfOpenRule{1, 1}.needed() == 1);

TEST(half_open_rule, a_full_set_of_verdicts_always_decides) {
  for (std::uint32_t probes = 1; probes <= 20; ++probes) {
    for (double rate = 0.05; rate <= 1; rate += 0.05) {
      const HalfOpenRule rule{probes, rate};
      for (std::uint32_t succeeded = 0; succeeded <= probes; ++succeeded) {
        const ProbeVerdict verdict = rule.judge({succeeded, probes - succeeded});
        ASSERT_EQ(verdict, succeeded >= rule.needed() ? ProbeVerdict::close : ProbeVerdict::open);
      }
      ASSERT_GE(rule.needed() + 1e-9, rate * probes);
      ASSERT_LT(rule.needed() - 1.0, rate * probes);
    }
  }
}

}  // namespace
