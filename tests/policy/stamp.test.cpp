// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>

#include <penstock/policy/stamp.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::never;
using penstock::Time;

enum class Light : std::uint8_t { green, yellow, red, dark };
using LightStamp = penstock::Stamp<Light>;

constexpr LightStamp round_trip(LightStamp stamp) {
  return LightStamp::unpack(stamp.pack());
}

static_assert(LightStamp{}.pack() == 0);
static_assert(round_trip({Light::dark, 16383, never}) == LightStamp{Light::dark, 16383, never});
static_assert(round_trip({Light::red, 1, Time::min()}) == LightStamp{Light::red, 1, Time::min()});
static_assert(round_trip({Light::red, 1, Time{1ns}}).until == Time{65'536ns});
static_assert(round_trip({Light::red, 1, Time{-1ns}}).until == Time{});
static_assert(round_trip({Light::red, 1, never - 1ns}).until == never);
static_assert(LightStamp{Light::red, 16383, {}}.moved(Light::green) == LightStamp{});
static_assert(LightStamp{Light::red, 16383, {}}.older_than(0));
static_assert(!LightStamp{Light::red, 0, {}}.older_than(16383));
static_assert(!LightStamp{Light::red, 5, {}}.older_than(5));
static_assert(LightStamp{Light::red, 5, {}}.older_than(6));
static_assert(LightStamp{Light::red, 5, {}}.older_than(5 + 8191));
static_assert(!LightStamp{Light::red, 5, {}}.older_than(5 + 8192));
// The last time that is not yet `never`.
constexpr Time last{Duration{((std::int64_t{1} << 47) - 2) << 16}};
static_assert(round_trip({Light::red, 1, last}).until == last);
static_assert(round_trip({Light::red, 1, last + 1ns}).until == never);

static_assert(LightStamp::is(LightStamp{Light::red, 5, Time{1h}}.pack(), Light::red, 5));
static_assert(!LightStamp::is(LightStamp{Light::red, 5, Time{1h}}.pack(), Light::dark, 5));
static_assert(!LightStamp::is(LightStamp{Light::red, 5, Time{1h}}.pack(), Light::red, 6));

TEST(stamp, a_time_is_never_early_and_late_by_less_than_its_unit) {
  std::mt19937_64 random{3};
  for (int draw = 0; draw < 100'000; ++draw) {
    const Time until{Duration{static_cast<std::int64_t>(random() >> (random() % 64))}};
    const auto generation = static_cast<std::uint16_t>(random() & LightStamp::generation_mask);
    const Light state{static_cast<std::uint8_t>(random() % 4)};
    const LightStamp back = round_trip({state, generation, until});
    ASSERT_EQ(back.state, state);
    ASSERT_EQ(back.generation, generation);
    ASSERT_GE(back.until, until);
    if (back.until != never) {
      ASSERT_LT(back.until - until, 65'536ns);
    }
    ASSERT_EQ(round_trip(back), back);
  }
}

}  // namespace
