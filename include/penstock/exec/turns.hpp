// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>

namespace penstock {

/// Whose turn it is among levels of falling urgency that may all have something waiting. A level
/// goes before those behind it until it has had its share of the cycle; a cycle ends when no
/// waiting level has any of its share left. So every level waits for at most the shares of all
/// others, however much waits there. *Not synchronized.* O(levels), no allocation.
template <unsigned... shares>
class Turns {
  static_assert(sizeof...(shares) != 0 && ((shares > 0) && ...),
                "penstock: Turns needs a share of at least 1 for each level");

 public:
  static constexpr std::size_t levels = sizeof...(shares);
  using Waiting = std::array<bool, levels>;

  /// The level to serve now. At least one must be waiting.
  [[nodiscard]] constexpr std::size_t next(const Waiting& waiting) noexcept {
    for (;;) {
      for (std::size_t level = 0; level < levels; ++level) {
        if (!waiting[level] || left_[level] == 0) continue;
        --left_[level];
        return level;
      }
      left_ = {shares...};
    }
  }

 private:
  std::array<unsigned, levels> left_{shares...};
};

}  // namespace penstock
