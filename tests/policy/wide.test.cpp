// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdint>

#include <penstock/policy/wide.hpp>

#include "support/draw.hpp"

namespace {

using penstock::multiply_divide_down;
using penstock::multiply_divide_up;
using penstock::scale_random;

constexpr std::uint64_t most = ~std::uint64_t{0};

static_assert(multiply_divide_down(7, 3, 4) == 5 && multiply_divide_up(7, 3, 4) == 6);
static_assert(multiply_divide_down(8, 3, 4) == 6 && multiply_divide_up(8, 3, 4) == 6);
static_assert(multiply_divide_down(0, 3, 4) == 0 && multiply_divide_up(0, 3, 4) == 0);
static_assert(multiply_divide_down(1, 1, most) == 0 && multiply_divide_up(1, 1, most) == 1);
static_assert(multiply_divide_down(most, most, most) == most);
static_assert(multiply_divide_up(most, most, most) == most);
static_assert(multiply_divide_up(most, most - 1, most) == most - 1);
static_assert(multiply_divide_up(3, 1, 1) == 3);
// Larger than the largest number, be it by one bit.
static_assert(multiply_divide_down(most, 2, 1) == most && multiply_divide_up(most, 2, 1) == most);
static_assert(multiply_divide_down(most, most, 1) == most);
static_assert(multiply_divide_up(most, most, 1) == most);

// Every whole number from 0 to the most can be drawn, from equal shares of the bits.
static_assert(scale_random(0, 9) == 0 && scale_random(most, 9) == 9);
static_assert(scale_random(most / 10, 9) == 0 && scale_random(most / 10 + 1, 9) == 1);
static_assert(scale_random(most, 0) == 0);
static_assert(scale_random(0, most) == 0 && scale_random(most, most) == most);
static_assert(scale_random(most / 2, most) == most / 2);

TEST(wide, the_roundings_enclose_the_quotient) {
  penstock::testing::for_all(2000, [](penstock::testing::Draw& draw) {
    const auto a = static_cast<std::uint64_t>(draw.magnitude(std::int64_t{1} << 31));
    const auto b = static_cast<std::uint64_t>(draw.magnitude(std::int64_t{1} << 31));
    const auto c = static_cast<std::uint64_t>(draw.magnitude(std::int64_t{1} << 31)) + 1;
    const std::uint64_t down = multiply_divide_down(a, b, c);
    const std::uint64_t up = multiply_divide_up(a, b, c);
    ASSERT_LE(down * c, a * b);
    ASSERT_GE(up * c, a * b);
    ASSERT_EQ(up - down, a * b % c == 0 ? 0U : 1U);
  });
}

}  // namespace
