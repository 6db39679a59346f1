// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>

#include <penstock/policy/peak_ewma.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1h};
constexpr Duration unit{1 << 20};

static_assert(PeakEwma{}.pack() == 0);

TEST(peak_ewma, jumps_up_at_once_and_comes_down_slowly) {
  const PeakEwma calm = PeakEwma{}.after(10ms, now, 10s);
  EXPECT_FLOAT_EQ(calm.nanoseconds, 10e6F);
  const PeakEwma peak = calm.after(500ms, now, 10s);
  EXPECT_FLOAT_EQ(peak.nanoseconds, 500e6F);
  const PeakEwma later = peak.after(10ms, now + 1s, 10s);
  EXPECT_GT(later.nanoseconds, 400e6F);
  EXPECT_LT(later.nanoseconds, 500e6F);
  const PeakEwma much_later = peak.after(10ms, now + 100s, 10s);
  EXPECT_LT(much_later.nanoseconds, 11e6F);
}

TEST(peak_ewma, fades_when_nobody_asks_and_survives_its_word) {
  const PeakEwma peak = PeakEwma{}.after(500ms, now, 10s);
  EXPECT_NEAR(peak.at(now + 10s, 10s), 500e6 / 2.718, 2e6);
  EXPECT_FLOAT_EQ(peak.at(now - 1s, 10s), 500e6F) << "a clock reading that comes late";
  EXPECT_FLOAT_EQ(PeakEwma::unpack(peak.pack()).nanoseconds, peak.nanoseconds);
  EXPECT_EQ(PeakEwma::unpack(peak.pack()).stamp, peak.stamp);
}

TEST(peak_ewma, has_faded_after_any_silence) {
  const PeakEwma peak = PeakEwma{}.after(500ms, now, 10s);
  for (const Duration silence : {24h, 24h * 26, 24h * 27, 24h * 50, 24h * 52, 24h * 70, 24h * 365})
    EXPECT_LT(peak.at(now + silence, 10s), 1) << silence.count();
  // A thread may be as late as that, and no later.
  EXPECT_FLOAT_EQ(peak.at(now - 0xFFFF * unit, 10s), 500e6F);
  EXPECT_LT(peak.at(now - 0x10000 * unit, 10s), 1);
}

TEST(peak_ewma, mixes_a_shorter_latency_in_as_far_as_the_peak_has_faded) {
  const PeakEwma peak = PeakEwma{}.after(500ms, now, 10s);
  const float left = peak.at(now + 1s, 10s);
  const float gone = 1 - left / 500e6F;
  EXPECT_FLOAT_EQ(peak.after(10ms, now + 1s, 10s).nanoseconds, left + 10e6F * gone);
  // As long as what is left: a peak of its own.
  const Duration same{static_cast<std::int64_t>(left)};
  EXPECT_FLOAT_EQ(peak.after(same, now + 1s, 10s).nanoseconds, left);
}

TEST(peak_ewma, fades_from_the_first_unit_of_time_on) {
  const PeakEwma peak = PeakEwma{}.after(500ms, now, 1s);
  EXPECT_FLOAT_EQ(peak.at(now + unit, 1s), 500e6F * std::exp(-(1 << 20) / 1e9F));
}

}  // namespace
}  // namespace penstock
