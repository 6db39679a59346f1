// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include <penstock/policy/gcra.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::Gcra;
using penstock::never;
using penstock::Time;

constexpr Time start{1h};
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

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
static_assert(ten_per_second.available(ten_per_second.take(full, start, 0s, 2).state, start) == 18);
// A wait below nothing is none, and of nothing there is enough.
static_assert(ten_per_second.take(full, start, -1h, 1).take.granted);
static_assert(ten_per_second.take(empty, start, 0s, 0).take.granted);
static_assert(ten_per_second.take(empty, start, 0s, 0).take.ready == start);
static_assert(!ten_per_second.take(full, start, 0s, nan).take.granted);
// The last token of all time.
static_assert(ten_per_second.take({never - 100ms}, never, 0s, 1).take.granted);
static_assert(!ten_per_second.take({never - 100ms + 1ns}, never, 0s, 1).take.granted);
static_assert(ten_per_second.take({never - 100ms + 1ns}, never, 0s, 1).take.ready == never);

// How long it takes to fill, in whole nanoseconds rounded up.
static_assert(ten_per_second.capacity() == 2s);
static_assert(Gcra{3, 1s, 1}.capacity() == 333'333'334ns);
static_assert(Gcra{2e-6, 3ns, 1e-6}.capacity() == 2ns);

// In millionths of a token, rounded to the nearest but never to nothing.
static_assert(ten_per_second.take(empty, start, 0s, 1e-6).take.ready == start + 100ns);
static_assert(ten_per_second.take(empty, start, 0s, 1e-9).take.ready == start + 100ns);
static_assert(ten_per_second.take(empty, start, 0s, 1.6e-6).take.ready == start + 200ns);

// A debt.
static_assert(ten_per_second.charge(full, start, 2).empty_at == start - 1800ms);
static_assert(ten_per_second.charge(full, start, 0.5).empty_at == start - 1950ms);
static_assert(ten_per_second.charge(empty, start, 30).empty_at == start + 3s);
static_assert(ten_per_second.charge(empty, start, 1e300).empty_at == never);
static_assert(ten_per_second.charge(full, start, 0).empty_at == full.empty_at);
static_assert(ten_per_second.charge(full, start, nan).empty_at == full.empty_at);

// A ceiling.
static_assert(ten_per_second.cap(full, start, 5).empty_at == start - 500ms);
static_assert(ten_per_second.cap(full, start, 0.5).empty_at == start - 50ms);
static_assert(ten_per_second.cap(full, start, 0).empty_at == start);
static_assert(ten_per_second.cap(full, start, nan).empty_at == start);
static_assert(ten_per_second.cap(empty, start, 5).empty_at == start);

// Given back.
static_assert(ten_per_second.refund(empty, 0.5).empty_at == start - 50ms);
static_assert(ten_per_second.refund(empty, 0).empty_at == start);
static_assert(ten_per_second.refund(empty, nan).empty_at == start);
static_assert(ten_per_second.give_up(empty, start, 0.5).empty_at == start - 50ms);
static_assert(ten_per_second.give_up({start + 300ms}, start, 5).empty_at == start + 100ms);
static_assert(ten_per_second.give_up({start + 300ms}, start, 2).empty_at == start + 300ms);
static_assert(ten_per_second.give_up(empty, start, 0).empty_at == start);
static_assert(ten_per_second.give_up(empty, start, nan).empty_at == start);

std::string refusal_of(double rate, Duration per, double burst) {
  try {
    static_cast<void>(Gcra{rate, per, burst});
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "none";
}

TEST(gcra, says_which_of_its_numbers_cannot_work) {
  for (const double rate : {0.0, -1.0, 0.9e-6, 1.1e12, nan}) {
    EXPECT_NE(refusal_of(rate, 1s, 1).find("needs a positive rate"), std::string::npos) << rate;
  }
  for (const Duration per : {0ns, -1ns}) {
    EXPECT_NE(refusal_of(1, per, 1).find("per positive time"), std::string::npos);
  }
  for (const double burst : {0.0, -1.0, 0.9e-6, 1.1e12, nan}) {
    EXPECT_NE(refusal_of(1, 1s, burst).find("needs a burst"), std::string::npos) << burst;
  }
}

TEST(gcra, takes_the_ends_of_its_ranges) {
  EXPECT_EQ(refusal_of(1e-6, 1s, 1), "none");
  EXPECT_EQ(refusal_of(1e12, 1s, 1), "none");
  EXPECT_EQ(refusal_of(1, 1ns, 1), "none");
  EXPECT_EQ(refusal_of(1, 1s, 1e-6), "none");
  EXPECT_EQ(refusal_of(1e12, 1s, 1e12), "none");
}

TEST(gcra, fills_within_146_years) {
  constexpr Duration longest{std::int64_t{1} << 62};
  EXPECT_EQ(refusal_of(1e-6, longest, 1e-6), "none");
  EXPECT_NE(refusal_of(1e-6, longest + 1ns, 1e-6).find("longer than 146 years"), std::string::npos);
}

}  // namespace
