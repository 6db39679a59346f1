// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <array>
#include <cstddef>

#include <penstock/exec/turns.hpp>

namespace penstock {
namespace {

// How often each level is served in `turns` turns in which the same levels wait.
template <std::size_t levels, unsigned... shares>
constexpr std::array<int, levels> served(Turns<shares...> turns,
                                         const std::array<bool, levels>& waiting,
                                         int rounds) {
  std::array<int, levels> counts{};
  for (int round = 0; round < rounds; ++round) ++counts[turns.next(waiting)];
  return counts;
}

static_assert(served<3>(Turns<4, 2, 1>{}, {true, true, true}, 7) == std::array{4, 2, 1});
static_assert(served<3>(Turns<4, 2, 1>{}, {true, true, true}, 700) == std::array{400, 200, 100});
static_assert(served<3>(Turns<4, 2, 1>{}, {false, true, true}, 30) == std::array{0, 20, 10});
static_assert(served<3>(Turns<4, 2, 1>{}, {false, false, true}, 30) == std::array{0, 0, 30});

TEST(turns, the_urgent_go_first) {
  Turns<2, 1> turns;
  EXPECT_EQ(turns.next({true, true}), 0U);
  EXPECT_EQ(turns.next({true, true}), 0U);
  EXPECT_EQ(turns.next({true, true}), 1U);
}

TEST(turns, nobody_waits_longer_than_the_shares_of_all_others) {
  Turns<8, 8, 4, 1> turns;
  int since_the_last = 0;
  for (int turn = 0; turn < 1000; ++turn) {
    // The three before it come and go.
    const bool here = turn % 3 != 0;
    if (turns.next({here, true, !here, true}) == 3) {
      since_the_last = 0;
    } else {
      ASSERT_LE(++since_the_last, 8 + 8 + 4);
    }
  }
}

}  // namespace
}  // namespace penstock
