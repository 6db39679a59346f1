// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <penstock/core/time.hpp>
#include <penstock/policy/wide.hpp>

namespace penstock::testing {

struct Grant {
  Time ready;
  double tokens;  // whole millionths
};

[[nodiscard]] inline uint128 millionths(double tokens) {
  return static_cast<uint128>(std::llround(tokens * 1e6));
}

/// Every window of the run: what became ready in [a, b] is at most burst + rate * (b - a), in
/// whole numbers and without any tolerance.
inline void expect_bounded(std::vector<Grant> grants, double rate, Duration per, double burst) {
  std::stable_sort(grants.begin(), grants.end(), [](const Grant& one, const Grant& other) {
    return one.ready < other.ready;
  });
  const auto period = static_cast<std::uint64_t>(per.count());
  for (std::size_t first = 0; first < grants.size(); ++first) {
    uint128 sum = 0;
    for (std::size_t last = first; last < grants.size(); ++last) {
      sum += millionths(grants[last].tokens);
      const auto window = static_cast<std::uint64_t>(
          elapsed_between(grants[first].ready, grants[last].ready).count());
      ASSERT_TRUE(sum * period <= millionths(burst) * period + millionths(rate) * window)
          << "grants " << first << " to " << last << " of " << grants.size();
    }
  }
}

}  // namespace penstock::testing
