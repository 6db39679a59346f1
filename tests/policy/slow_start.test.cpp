// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <stdexcept>

#include <penstock/core/random.hpp>
#include <penstock/policy/slow_start.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{100h};

TEST(slow_start, the_clock_begins_at_the_share_and_ends_at_full_speed) {
  const SlowStart slow{{.ramp = 10s, .share = 0.2}};
  EXPECT_EQ(slow.slowed(start, start), start);
  const auto speed_at = [&](Duration since) {
    return static_cast<double>(
               (slow.slowed(start, start + since + 1ms) - slow.slowed(start, start + since))
                   .count()) /
           1e6;
  };
  EXPECT_NEAR(speed_at(0s), 0.2, 1e-3);
  EXPECT_NEAR(speed_at(5s), 0.6, 1e-3);
  EXPECT_NEAR(speed_at(10s), 1.0, 1e-3);
  EXPECT_EQ(slow.slowed(start, start + 10s), start + 6s);
  EXPECT_EQ(slow.slowed(start, start + 110s), start + 106s);
}

TEST(slow_start, the_clock_is_behind_by_whole_nanoseconds_rounded_up) {
  const SlowStart slow{{.ramp = 10s}};
  EXPECT_EQ(slow.slowed(start, start + 1ns), start);
  const SlowStart hardly{{.ramp = 1ns, .share = 0.999}};
  EXPECT_EQ(hardly.slowed(start, start + 1ns), start);
  EXPECT_EQ(hardly.slowed(start, start + 3ns), start + 2ns);
}

TEST(slow_start, without_a_ramp_the_clock_is_time_itself) {
  const SlowStart none{{}};
  EXPECT_EQ(none.slowed(start, start + 1s), start + 1s);
  EXPECT_EQ(none.instant(start, start + 1s), start + 1s);
}

TEST(slow_start, the_ends_of_time_are_their_own_instants) {
  const SlowStart slow{{.ramp = 10s}};
  EXPECT_EQ(slow.instant(start, never), never);
  EXPECT_EQ(slow.instant(never, start), start);
  EXPECT_EQ(slow.instant(start, Time::min()), Time::min());
}

TEST(slow_start, describes_itself) {
  EXPECT_EQ((SlowStart{{.ramp = 10s, .share = 0.25}}.describe()),
            "from 25% within 10s after 1min idle");
}

TEST(slow_start, the_clock_never_runs_back_and_never_faster_than_time) {
  Random random{5};
  for (int run = 0; run < 2000; ++run) {
    const SlowStart slow{{.ramp = Duration{static_cast<std::int64_t>(random() % 50'000 + 1)},
                          .share = static_cast<double>(random() % 100 + 1) / 100}};
    const Time began{Duration{static_cast<std::int64_t>(random() % 1000)}};
    Time now = began - Duration{10};
    Time shown = slow.slowed(began, now);
    for (int tick = 0; tick < 50; ++tick) {
      const Duration step{static_cast<std::int64_t>(random() % 3000)};
      now += step;
      const Time next = slow.slowed(began, now);
      ASSERT_GE(next, shown);
      ASSERT_LE(next - shown, step);
      shown = next;
      // The inverse is the first instant that shows as much.
      const Time instant = slow.instant(began, shown);
      ASSERT_LE(instant, std::max(now, began));
      ASSERT_GE(slow.slowed(began, instant), shown);
      ASSERT_TRUE(instant <= began || slow.slowed(began, instant - 1ns) < shown);
    }
  }
}

TEST(slow_start, says_what_to_write_instead) {
  EXPECT_THROW((SlowStart{{.ramp = -1s}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 25h}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .idle = -1s}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .share = 0}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .share = 1.1}}), std::invalid_argument);
  EXPECT_THROW((SlowStart{{.ramp = 1s, .share = std::nan("")}}), std::invalid_argument);
  EXPECT_FALSE(SlowStart{{}}.enabled());
}

TEST(slow_start, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((SlowStart{{.ramp = 24h, .idle = 0s, .share = 0.01}}));
  EXPECT_NO_THROW((SlowStart{{.ramp = 1ns, .share = 1}}));
  EXPECT_TRUE((SlowStart{{.ramp = 1ns}}.enabled()));
}

}  // namespace
}  // namespace penstock
