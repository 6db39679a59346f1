// SPDX-License-Identifier: MIT
#include "support/replaced_new.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "allocation/sweep.hpp"

namespace penstock {
namespace {

TEST(sweep, counts_the_allocations_of_a_scenario) {
  const auto sweep = allocation::fail_each("two blocks", [](allocation::Ending& ending) {
    const auto first = std::make_unique<int>(1);
    const auto second = std::make_unique<int>(*first);
    EXPECT_NE(first, second);  // a compiler may leave out what nobody looks at
    ending.value();
  });
  EXPECT_EQ(sweep.points, 2U);
  EXPECT_EQ(sweep.survivors, 0U);
}

}  // namespace
}  // namespace penstock
