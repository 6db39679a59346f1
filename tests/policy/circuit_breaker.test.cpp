// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/policy/circuit_breaker.hpp>

#include "support/breaking.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::Circuit;
using penstock::CircuitBreaker;
using penstock::Duration;
using penstock::ErrorKind;
using penstock::never;
using penstock::Outcome;
using penstock::Time;
using penstock::testing::admitted;
using penstock::testing::call;
using penstock::testing::refuses;
using penstock::testing::trip;
using Permit = CircuitBreaker::Permit;
using State = CircuitBreaker::State;

constexpr Time start{1h};
// The open time is kept in units of 65 536 ns, rounded up.
constexpr Duration unit{65'536};

constexpr Circuit open_until_start{State::open, 7, start};
static_assert(seen_at(open_until_start, start - 1ns) == open_until_start);
static_assert(seen_at(open_until_start, start) == Circuit{State::half_open, 8, {}});
static_assert(seen_at(Circuit{State::open, 7, never}, never).state == State::open);
static_assert(seen_at(Circuit{State::closed, 7, {}}, never).state == State::closed);

static_assert(!std::is_copy_constructible_v<Permit> && !std::is_copy_assignable_v<Permit>);
static_assert(std::is_nothrow_move_constructible_v<Permit>);
static_assert(std::is_nothrow_move_assignable_v<Permit>);

TEST(circuit_breaker, lets_calls_pass_while_they_succeed) {
  CircuitBreaker breaker;
  for (int round = 0; round < 1000; ++round) call(breaker, Outcome::success, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  EXPECT_EQ(breaker.counts_approx(start), (penstock::SampleCounts{1000, 0}));
}

TEST(circuit_breaker, opens_at_the_failure_that_reaches_the_rate) {
  CircuitBreaker breaker{{.failure_rate = 0.5, .minimum_calls = 10}};
  for (int success = 0; success < 10; ++success) call(breaker, Outcome::success, start);
  for (int failure = 0; failure < 9; ++failure) {
    call(breaker, Outcome::timeout, start);
    EXPECT_EQ(breaker.state(start), State::closed);
  }
  call(breaker, Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

// trap 13
TEST(circuit_breaker, does_not_judge_fewer_than_the_minimum_of_calls) {
  CircuitBreaker breaker{{.failure_rate = 0.1, .minimum_calls = 10}};
  for (int failure = 0; failure < 9; ++failure) call(breaker, Outcome::unavailable, start);
  EXPECT_EQ(breaker.state(start), State::closed);
  call(breaker, Outcome::unavailable, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

TEST(circuit_breaker, forgets_failures_that_left_the_window) {
  CircuitBreaker breaker{{.minimum_calls = 10, .window = 10s}};
  for (int failure = 0; failure < 9; ++failure) call(breaker, Outcome::unavailable, start);
  call(breaker, Outcome::unavailable, start + 11s);
  EXPECT_EQ(breaker.state(start + 11s), State::closed);
}

TEST(circuit_breaker, an_answer_of_any_kind_shows_the_target_well) {
  CircuitBreaker breaker{{.minimum_calls = 2}};
  for (const Outcome outcome : {Outcome::permanent,
                                Outcome::not_found,
                                Outcome::credential,
                                Outcome::quota,
                                Outcome::too_large,
                                Outcome::rate_limited}) {
    call(breaker, outcome, start);
  }
  EXPECT_EQ(breaker.counts_approx(start), (penstock::SampleCounts{6, 0}));
}

TEST(circuit_breaker, what_counts_as_a_failure_is_the_users_choice) {
  CircuitBreaker breaker{{.minimum_calls = 1, .failures = {Outcome::rate_limited}}};
  call(breaker, Outcome::timeout, start);  // in neither set: neutral
  EXPECT_EQ(breaker.counts_approx(start).total, 0U);
  call(breaker, Outcome::rate_limited, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

// trap 5
TEST(circuit_breaker, a_neutral_outcome_never_moves_it) {
  CircuitBreaker breaker{{.minimum_calls = 1}};
  for (int round = 0; round < 100; ++round) {
    call(breaker, Outcome::neutral, start);
    (void)admitted(breaker, start);  // dropped without an outcome
  }
  EXPECT_EQ(breaker.state(start), State::closed);
  EXPECT_EQ(breaker.counts_approx(start).total, 0U);
}

TEST(circuit_breaker, a_refusal_says_when_to_come_back) {
  CircuitBreaker breaker{{.open_for = 30s}};
  trip(breaker, start);
  const auto refused = breaker.admit(start + 10s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::circuit_open);
  EXPECT_GE(refused.error().retry_after(), 20s);
  EXPECT_LT(refused.error().retry_after(), 20s + unit);
  EXPECT_TRUE(breaker.admit(start + 10s + *refused.error().retry_after()));
}

// trap 4: open with the deadline of the time before
TEST(circuit_breaker, opening_again_starts_a_whole_open_time) {
  CircuitBreaker breaker;
  for (Time now = start; now < start + 10h; now += 1h) {
    trip(breaker, now);
    EXPECT_TRUE(refuses(breaker, now));
    EXPECT_TRUE(refuses(breaker, now + 30s - 1ns));
    breaker.reset();
  }
}

// trap 6
TEST(circuit_breaker, the_state_is_read_from_the_clock) {
  CircuitBreaker breaker;
  trip(breaker, start);
  EXPECT_EQ(breaker.state(start + 30s - 1ns), State::open);
  EXPECT_EQ(breaker.state(start + 30s + unit), State::half_open);
}

// trap 1: everyone let through at once
TEST(circuit_breaker, half_open_lets_only_the_probes_through) {
  CircuitBreaker breaker{{.probes = 3}};
  trip(breaker, start);
  const Time later = start + 31s;
  std::vector<Permit> probes;
  for (int probe = 0; probe < 3; ++probe) {
    probes.push_back(admitted(breaker, later));
    EXPECT_TRUE(probes.back().is_probe());
  }
  const auto refused = breaker.admit(later);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after(), 30s);  // open_for comes before the probes' time
  for (Permit& probe : probes) {
    EXPECT_EQ(breaker.state(later), State::half_open);
    probe.settle(Outcome::success, later);
  }
  EXPECT_EQ(breaker.state(later), State::closed);
}

TEST(circuit_breaker, a_success_keeps_its_place_until_all_probes_have_succeeded) {
  CircuitBreaker breaker{{.probes = 2}};
  trip(breaker, start);
  const Time later = start + 31s;
  call(breaker, Outcome::success, later);
  Permit second = admitted(breaker, later);
  EXPECT_TRUE(refuses(breaker, later));
  second.settle(Outcome::success, later);
  EXPECT_EQ(breaker.state(later), State::closed);
}

TEST(circuit_breaker, the_first_failed_probe_opens_it_again) {
  CircuitBreaker breaker{{.open_for = 30s, .probes = 3}};
  trip(breaker, start);
  const Time later = start + 31s;
  Permit first = admitted(breaker, later);
  Permit second = admitted(breaker, later);
  first.settle(Outcome::success, later);
  second.settle(Outcome::timeout, later + 5s);
  EXPECT_EQ(breaker.state(later + 5s), State::open);
  EXPECT_TRUE(refuses(breaker, later + 34s));
  EXPECT_EQ(breaker.state(later + 36s), State::half_open);
}

TEST(circuit_breaker, a_closed_breaker_starts_counting_anew) {
  CircuitBreaker breaker{{.minimum_calls = 10, .window = 1h, .probes = 1}};
  trip(breaker, start);
  call(breaker, Outcome::success, start + 31s);
  ASSERT_EQ(breaker.state(start + 31s), State::closed);
  EXPECT_EQ(breaker.counts_approx(start + 31s).total, 0U);
  for (int failure = 0; failure < 9; ++failure) call(breaker, Outcome::unavailable, start + 31s);
  EXPECT_EQ(breaker.state(start + 31s), State::closed);
}

// trap 2: never given back; trap 5: a cancelled probe closes it
TEST(circuit_breaker, a_cancelled_probe_frees_its_place_and_decides_nothing) {
  CircuitBreaker breaker{{.probes = 1}};
  trip(breaker, start);
  const Time later = start + 31s;
  for (int round = 0; round < 10; ++round) {
    call(breaker, Outcome::neutral, later);
    { const Permit dropped = admitted(breaker, later); }
    EXPECT_EQ(breaker.state(later), State::half_open);
  }
  call(breaker, Outcome::success, later);
  EXPECT_EQ(breaker.state(later), State::closed);
}

// trap 1: half open for ever
TEST(circuit_breaker, a_hung_probe_does_not_keep_it_half_open) {
  CircuitBreaker breaker{{.open_for = 90s, .probes = 1, .probe_timeout = 60s}};
  trip(breaker, start);
  const Time later = start + 91s;
  Permit hung = admitted(breaker, later);
  const auto refused = breaker.admit(later + 59s);
  ASSERT_FALSE(refused);
  EXPECT_LT(refused.error().retry_after(), 1s + unit);
  Permit next = admitted(breaker, later + 61s);
  hung.settle(Outcome::unavailable, later + 62s);  // lapsed: neutral, and not its place any more
  EXPECT_EQ(breaker.state(later + 62s), State::half_open);
  EXPECT_TRUE(refuses(breaker, later + 62s));
  next.settle(Outcome::success, later + 63s);
  EXPECT_EQ(breaker.state(later + 63s), State::closed);
}

TEST(circuit_breaker, a_lapsed_probe_is_neutral_even_if_nobody_took_its_place) {
  for (const Outcome outcome : {Outcome::success, Outcome::unavailable}) {
    CircuitBreaker breaker{{.probes = 1, .probe_timeout = 60s}};
    trip(breaker, start);
    const Time later = start + 31s;
    Permit hung = admitted(breaker, later);
    hung.settle(outcome, later + 61s);
    EXPECT_EQ(breaker.state(later + 61s), State::half_open);
    EXPECT_TRUE(breaker.admit(later + 61s));
  }
}

// trap 3
TEST(circuit_breaker, a_late_result_never_moves_a_newer_state) {
  for (const Outcome outcome : {Outcome::success, Outcome::unavailable}) {
    CircuitBreaker breaker{{.minimum_calls = 10, .probes = 1}};
    Permit from_closed = admitted(breaker, start);
    trip(breaker, start);
    Time now = start + 31s;
    Permit first_probe = admitted(breaker, now);
    from_closed.settle(outcome, now);
    EXPECT_EQ(breaker.state(now), State::half_open);

    first_probe.settle(Outcome::unavailable, now);
    ASSERT_EQ(breaker.state(now), State::open);
    now += 31s;
    Permit second_probe = admitted(breaker, now);
    breaker.reset();
    second_probe.settle(outcome, now);
    EXPECT_EQ(breaker.state(now), State::closed);
    EXPECT_EQ(breaker.counts_approx(now).total, 0U);
  }
}

// trap 3
TEST(circuit_breaker, a_late_probe_never_settles_a_newer_half_open_state) {
  CircuitBreaker breaker{{.probes = 2, .probe_timeout = 1h}};
  trip(breaker, start);
  Time now = start + 31s;
  Permit failing = admitted(breaker, now);
  Permit late = admitted(breaker, now);
  failing.settle(Outcome::unavailable, now);
  now += 31s;
  call(breaker, Outcome::success, now);
  late.settle(Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::half_open);
  Permit last = admitted(breaker, now);
  EXPECT_TRUE(refuses(breaker, now));
  last.settle(Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::closed);
}

TEST(circuit_breaker, a_result_a_thousand_states_late_is_not_counted) {
  CircuitBreaker breaker{{.minimum_calls = 1}};
  Permit late = admitted(breaker, start);
  for (int move = 0; move < 512; ++move) {
    breaker.isolate();
    breaker.reset();
  }
  late.settle(Outcome::unavailable, start);
  EXPECT_EQ(breaker.counts_approx(start).total, 0U);
  EXPECT_EQ(breaker.state(start), State::closed);
}

TEST(circuit_breaker, a_probe_that_lost_its_place_decides_nothing_though_its_clock_is_behind) {
  for (const Outcome outcome : {Outcome::success, Outcome::unavailable, Outcome::neutral}) {
    CircuitBreaker breaker{{.probes = 1, .probe_timeout = 60s}};
    trip(breaker, start);
    const Time later = start + 31s;
    Permit hung = admitted(breaker, later);
    const Permit next = admitted(breaker, later + 61s);
    hung.settle(outcome, later + 59s);
    EXPECT_EQ(breaker.state(later + 61s), State::half_open);
    EXPECT_TRUE(refuses(breaker, later + 61s));
  }
}

TEST(circuit_breaker, a_permit_settles_once) {
  CircuitBreaker breaker{{.minimum_calls = 2}};
  Permit permit = admitted(breaker, start);
  for (int round = 0; round < 10; ++round) permit.settle(Outcome::unavailable, start);
  EXPECT_EQ(breaker.counts_approx(start).total, 1U);
}

// trap 2: given back twice
TEST(circuit_breaker, a_moved_permit_is_given_back_once) {
  CircuitBreaker breaker{{.probes = 1}};
  trip(breaker, start);
  const Time later = start + 31s;
  std::optional<Permit> first{admitted(breaker, later)};
  Permit second{std::move(*first)};
  first.reset();
  EXPECT_TRUE(refuses(breaker, later));
  CircuitBreaker other;
  second = admitted(other, later);
  EXPECT_TRUE(breaker.admit(later));
}

TEST(circuit_breaker, a_permit_moved_onto_itself_keeps_its_place) {
  CircuitBreaker breaker{{.probes = 1}};
  trip(breaker, start);
  const Time later = start + 31s;
  Permit probe = admitted(breaker, later);
  Permit& same = probe;
  probe = std::move(same);
  EXPECT_TRUE(refuses(breaker, later));
  probe.settle(Outcome::success, later);
  EXPECT_EQ(breaker.state(later), State::closed);
}

TEST(circuit_breaker, isolated_it_stays_open_until_reset) {
  CircuitBreaker breaker;
  Permit late = admitted(breaker, start);
  breaker.isolate();
  late.settle(Outcome::success, start);
  EXPECT_EQ(breaker.state(never), State::open);
  const auto refused = breaker.admit(start + 1000h);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after(), std::nullopt);
  breaker.reset();
  EXPECT_TRUE(breaker.admit(start));
}

TEST(circuit_breaker, the_ends_of_time_are_safe) {
  for (const Time now : {Time::min(), Time{}, never - 1s, never}) {
    CircuitBreaker breaker;
    trip(breaker, now);
    EXPECT_TRUE(refuses(breaker, now));
    breaker.reset();
    call(breaker, Outcome::success, now);
  }
}

TEST(circuit_breaker, generations_wrap_without_a_stuck_state) {
  CircuitBreaker breaker{{.probes = 3}};
  Time now = start;
  for (int round = 0; round < 9000; ++round) {
    trip(breaker, now);
    now += 31s;
    // One probe of three is used in most rounds: the other places grow very old.
    call(breaker, Outcome::unavailable, now);
    ASSERT_EQ(breaker.state(now), State::open);
    now += 31s;
    const bool all = round % 3000 == 2999;
    if (all) {
      for (int probe = 0; probe < 3; ++probe) call(breaker, Outcome::success, now);
      ASSERT_EQ(breaker.state(now), State::closed);
    } else {
      breaker.reset();
    }
  }
}

TEST(circuit_breaker, describes_itself) {
  EXPECT_EQ(CircuitBreaker{}.describe(),
            "circuit_breaker(50% of at least 10 calls in 10s, open 30s, 3 probes of 1min)");
  EXPECT_EQ(to_string(State::half_open), "half_open");
}

// A model run: random calls, drops, hangs and clock steps. No generation holds more probes in
// flight and in success than it may, and from any state the breaker can be brought to close.
TEST(circuit_breaker, never_admits_more_than_its_probes_in_half_open) {
  std::mt19937_64 random{99};
  for (int run = 0; run < 300; ++run) {
    const auto most = static_cast<std::uint32_t>(random() % 4 + 1);
    CircuitBreaker breaker{
        {.minimum_calls = 3, .open_for = 1s, .probes = most, .probe_timeout = 5s}};
    struct Held {
      Permit permit;
      Time lapse;
    };
    std::vector<Held> held;
    std::uint16_t generation = 0;
    std::uint32_t succeeded = 0;
    Time now = start;
    for (int event = 0; event < 500; ++event) {
      now += Duration{static_cast<std::int64_t>(random() % 400'000'000)};
      if (random() % 2 == 0 || held.empty()) {
        auto permit = breaker.admit(now);
        if (!permit) continue;
        if (permit->generation() != generation) {
          generation = permit->generation();
          succeeded = 0;
        }
        if (permit->is_probe()) {
          std::uint32_t in_flight = 1;
          for (const Held& other : held) {
            const bool counts = other.permit.is_probe() &&
                                other.permit.generation() == generation && other.lapse > now;
            if (counts) ++in_flight;
          }
          ASSERT_LE(in_flight + succeeded, most);
        }
        held.push_back({std::move(*permit), now + 5s});
      } else {
        const std::size_t index = random() % held.size();
        std::swap(held[index], held.back());
        Held last = std::move(held.back());
        held.pop_back();
        const State before = breaker.state(now);
        const bool current = last.permit.is_probe() && last.permit.generation() == generation &&
                             before == State::half_open && now < last.lapse;
        switch (random() % 4) {
          case 0:
            break;
          case 1:
            last.permit.settle(Outcome::neutral, now);
            break;
          case 2:
            last.permit.settle(Outcome::unavailable, now);
            break;
          default:
            last.permit.settle(Outcome::success, now);
            if (current) ++succeeded;
        }
      }
    }
    held.clear();
    now += 10s;
    while (breaker.state(now) != State::closed) {
      auto permit = breaker.admit(now);
      ASSERT_TRUE(permit);
      permit->settle(Outcome::success, now);
    }
  }
}

}  // namespace
