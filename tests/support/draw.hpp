// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include <penstock/core/random.hpp>
#include <penstock/core/time.hpp>

namespace penstock::testing {

/// Random values for property tests: of every magnitude, with the edges drawn often. The same seed
/// draws the same values. *Not synchronized.*
class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : random_(mix_bits(seed)) {}

  [[nodiscard]] std::uint64_t bits() noexcept { return random_(); }
  /// Uniform in [least, most].
  [[nodiscard]] std::int64_t whole(std::int64_t least, std::int64_t most) noexcept {
    const auto width = static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least);
    if (width == ~std::uint64_t{0}) return static_cast<std::int64_t>(bits());
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(least) + bits() % (width + 1));
  }
  /// [0, most], with as many small ones as large ones; 0 and `most` come often.
  [[nodiscard]] std::int64_t magnitude(std::int64_t most) noexcept {
    switch (bits() % 16) {
      case 0:
        return 0;
      case 1:
        return most;
      default:
        return static_cast<std::int64_t>((bits() >> 1) >> (bits() % 63)) % (most / 2 + 1) * 2 +
               static_cast<std::int64_t>(most != 0 && bits() % 2);
    }
  }
  [[nodiscard]] Duration duration(Duration most = Duration::max()) noexcept {
    return Duration{magnitude(most.count())};
  }
  [[nodiscard]] double unit() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  [[nodiscard]] bool one_in(std::uint64_t number) noexcept { return bits() % number == 0; }
  template <class Range>
  [[nodiscard]] auto one_of(const Range& range) noexcept {
    return *std::next(
        std::begin(range),
        static_cast<std::ptrdiff_t>(bits() % static_cast<std::uint64_t>(std::size(range))));
  }

 private:
  Random random_;
};

/// Runs `property(draw)` for `cases` seeds and stops at the first that fails, naming its seed;
/// PENSTOCK_SEED=<seed> in the environment runs that one alone.
template <class Property>
void for_all(int cases, Property property) {
  const char* const only = std::getenv("PENSTOCK_SEED");
  const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + static_cast<std::uint64_t>(cases); ++seed) {
    SCOPED_TRACE("PENSTOCK_SEED=" + std::to_string(seed));
    Draw draw{seed};
    property(draw);
    if (only != nullptr || ::testing::Test::HasFailure()) return;
  }
}

}  // namespace penstock::testing
