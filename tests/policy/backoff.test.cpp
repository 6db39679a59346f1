// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <set>

#include <penstock/policy/backoff.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Backoff;
using penstock::Duration;
using penstock::Jitter;

constexpr std::uint64_t lowest = 0;
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
constexpr Duration unlimited = Duration::max();

constexpr Duration plain(Backoff backoff, std::uint32_t retry) {
  return backoff.wait(retry, 0s, highest, Jitter::none);
}

static_assert(plain(Backoff::none(), 5) == 0s);
static_assert(plain(Backoff::fixed(1s), 1) == 1s && plain(Backoff::fixed(1s), 900) == 1s);
static_assert(plain(Backoff::linear(1s), 1) == 1s && plain(Backoff::linear(1s), 7) == 7s);
static_assert(plain(Backoff::linear(1s, 5s), 7) == 5s);
static_assert(plain(Backoff::linear(3ns, 10ns), 3) == 9ns);
static_assert(plain(Backoff::exponential(2s), 1) == 2s);
static_assert(plain(Backoff::exponential(2s), 2) == 4s);
static_assert(plain(Backoff::exponential(2s), 3) == 8s);
static_assert(plain(Backoff::exponential(2s, 5s), 3) == 5s);
static_assert(plain(Backoff::exponential(100ms, unlimited, 1.5), 3) == 225ms);
static_assert(plain(Backoff::exponential(1s), 0) == 1s);

// trap 21: no attempt number overflows, whatever the numbers.
static_assert(plain(Backoff::exponential(1s), 4'294'967'295) == unlimited);
static_assert(plain(Backoff::exponential(1ns, 1h, 1e300), 4'294'967'295) == 1h);
static_assert(plain(Backoff::exponential(0s), 4'294'967'295) == 0s);
static_assert(plain(Backoff::linear(unlimited), 4'294'967'295) == unlimited);
static_assert(plain(Backoff::linear(1h), 4'294'967'295) == unlimited);
static_assert(plain(Backoff::exponential(1s, unlimited, 0.5), 9) == 1s);
static_assert(plain(Backoff::exponential(1s, unlimited, -3), 9) == 1s);
static_assert(plain(Backoff::fixed(-1s), 1) == 0s);
static_assert(plain(Backoff::linear(1s, -1s), 1) == 0s);

static_assert(Backoff{}.kind == Backoff::Kind::none && Backoff{}.factor == 2);
static_assert(Backoff::fixed(4s).interval(1, 0s, Jitter::none) == Backoff::Interval{4s, 4s});
static_assert(Backoff::fixed(4s).interval(1, 0s, Jitter::full) == Backoff::Interval{0s, 4s});
static_assert(Backoff::fixed(4s).interval(1, 0s, Jitter::equal) == Backoff::Interval{2s, 4s});
static_assert(Backoff::fixed(4s).interval(1, 0s, Jitter::spread) == Backoff::Interval{3s, 5s});
static_assert(Backoff::fixed(unlimited).interval(1, 0s, Jitter::spread).most == unlimited);
static_assert(Backoff::fixed(unlimited).wait(1, 0s, highest, Jitter::full) == unlimited);

static_assert(Backoff::decorrelated(1s, 20s).interval(1, 0s, Jitter::none) ==
              Backoff::Interval{1s, 3s});
static_assert(Backoff::decorrelated(1s, 20s).interval(2, 3s, Jitter::full) ==
              Backoff::Interval{1s, 9s});
static_assert(Backoff::decorrelated(1s, 20s).interval(9, 15s, Jitter::full) ==
              Backoff::Interval{1s, 20s});
static_assert(Backoff::decorrelated(1ns, 10ns).interval(2, 3ns, Jitter::full) ==
              Backoff::Interval{1ns, 9ns});
static_assert(Backoff::decorrelated(30s, 20s).interval(1, 0s, Jitter::full) ==
              Backoff::Interval{20s, 20s});
static_assert(Backoff::decorrelated(1s).interval(9, unlimited, Jitter::full).most == unlimited);

TEST(backoff, both_ends_of_the_interval_can_be_drawn) {
  const Backoff backoff = Backoff::fixed(4s);
  EXPECT_EQ(backoff.wait(1, 0s, lowest, Jitter::full), 0s);
  EXPECT_EQ(backoff.wait(1, 0s, highest, Jitter::full), 4s);
  EXPECT_EQ(backoff.wait(1, 0s, lowest, Jitter::spread), 3s);
  EXPECT_EQ(backoff.wait(1, 0s, highest, Jitter::spread), 5s);
}

// trap 14
TEST(backoff, callers_at_the_cap_still_come_back_at_different_times) {
  const Backoff backoff = Backoff::exponential(1s, 30s);
  std::mt19937_64 random{1};
  for (const Jitter jitter : {Jitter::full, Jitter::equal, Jitter::spread}) {
    std::set<Duration> waits;
    for (int caller = 0; caller < 100; ++caller) {
      const Duration wait = backoff.wait(50, 30s, random(), jitter);
      EXPECT_LE(wait, 30s);
      waits.insert(wait);
    }
    EXPECT_GT(waits.size(), 90U);
  }
}

TEST(backoff, a_factor_that_is_no_number_does_not_grow) {
  EXPECT_EQ(plain(Backoff::exponential(1s, unlimited, std::nan("")), 60), 1s);
  EXPECT_EQ(plain(Backoff::exponential(1s, 1h, std::numeric_limits<double>::infinity()), 60), 1h);
}

// trap 14
TEST(backoff, every_wait_lies_in_its_interval_and_under_the_cap) {
  std::mt19937_64 random{42};
  const std::array kinds{Backoff::Kind::none,
                         Backoff::Kind::fixed,
                         Backoff::Kind::linear,
                         Backoff::Kind::exponential,
                         Backoff::Kind::decorrelated};
  const std::array jitters{Jitter::none, Jitter::full, Jitter::equal, Jitter::spread};
  const auto duration = [&random] {
    return Duration{static_cast<std::int64_t>(random() >> (random() % 63 + 1))};
  };
  for (int draw = 0; draw < 200'000; ++draw) {
    const Backoff backoff{kinds[random() % kinds.size()],
                          duration(),
                          duration(),
                          1 + static_cast<double>(random() % 1000) / 100};
    const auto retry = static_cast<std::uint32_t>(random() >> (32 + random() % 32));
    const Duration previous = duration();
    const Jitter jitter = jitters[random() % jitters.size()];
    const auto range = backoff.interval(retry, previous, jitter);
    ASSERT_GE(range.least, 0s);
    ASSERT_LE(range.least, range.most);
    ASSERT_LE(range.most, backoff.cap);
    const Duration wait = backoff.wait(retry, previous, random(), jitter);
    ASSERT_GE(wait, range.least);
    ASSERT_LE(wait, range.most);
  }
}

TEST(backoff, without_jitter_no_retry_waits_less_than_the_one_before) {
  for (const Backoff backoff :
       {Backoff::fixed(3s), Backoff::linear(7ms, 1h), Backoff::exponential(1ms, 1h, 1.1)}) {
    Duration before{};
    for (std::uint32_t retry = 1; retry < 1000; ++retry) {
      const Duration wait = plain(backoff, retry);
      ASSERT_GE(wait, before);
      before = wait;
    }
  }
}

TEST(backoff, describes_itself) {
  EXPECT_EQ(Backoff::none().describe(), "none");
  EXPECT_EQ(Backoff::fixed(1s).describe(), "fixed(1s)");
  EXPECT_EQ(Backoff::linear(500ms, 10s).describe(), "linear(500ms, cap 10s)");
  EXPECT_EQ(Backoff::exponential(2s, 1min).describe(), "exponential(2s, x2, cap 1min)");
  EXPECT_EQ(Backoff::decorrelated(1s, 90s).describe(), "decorrelated(1s, cap 90s)");
}

}  // namespace
