// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>

#include <penstock/policy/text.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::to_text;

TEST(text, numbers_have_no_trailing_zeros) {
  EXPECT_EQ(to_text(10.0), "10");
  EXPECT_EQ(to_text(0.25), "0.25");
  EXPECT_EQ(to_text(-1.5), "-1.5");
  EXPECT_EQ(to_text(0.0), "0");
  EXPECT_EQ(to_text(1e6), "1000000");
  EXPECT_EQ(to_text(1.0 / 3), "0.3333333333");
  EXPECT_EQ(to_text(1e300), "1e+300");
}

TEST(text, durations_have_the_coarsest_unit_that_is_exact) {
  EXPECT_EQ(to_text(Duration{0}), "0s");
  EXPECT_EQ(to_text(24h), "24h");
  EXPECT_EQ(to_text(90min), "90min");
  EXPECT_EQ(to_text(90s), "90s");
  EXPECT_EQ(to_text(60s), "1min");
  EXPECT_EQ(to_text(1500ms), "1500ms");
  EXPECT_EQ(to_text(250us), "250us");
  EXPECT_EQ(to_text(Duration{1'000'001}), "1000001ns");
  EXPECT_EQ(to_text(-1s), "-1s");
}

TEST(text, the_longest_duration_is_forever) {
  EXPECT_EQ(to_text(Duration::max()), "forever");
  EXPECT_EQ(to_text(Duration::max() - 1ns), "9223372036854775806ns");
}

}  // namespace
