// SPDX-License-Identifier: MIT
// The breaker's decisions as tables of values, without threads, atomics or a clock.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <random>

#include <penstock/policy/circuit.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Circuit;
using penstock::CircuitAnswer;
using penstock::CircuitStep;
using penstock::Duration;
using penstock::never;
using penstock::on_call;
using penstock::Ramp;
using penstock::Time;
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

}  // namespace
