// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include <penstock/core/atomic.hpp>

namespace penstock {

/// Failures in a row, of one era, in one word: exact in the order in which they are recorded.
/// A success that finds no failure only reads. *Safe from any thread.*
class Streak {
 public:
  /// The length of the streak with this failure; 0 if the failure is of an older era.
  std::uint32_t on_failure(std::uint16_t era) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      const bool same = era_of(seen) == era;
      if (!same && is_newer(era_of(seen), era)) return 0;
      const std::uint32_t length = same ? length_of(seen) + 1 : 1;
      if (length == 0) return length_of(seen);  // 2^32 - 1 of them are as many as it counts
      if (word_.compare_exchange_weak(seen, pack(era, length), std::memory_order_relaxed)) {
        return length;
      }
    }
  }
  void on_success(std::uint16_t era) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (era_of(seen) == era && length_of(seen) != 0) {
      if (word_.compare_exchange_weak(seen, pack(era, 0), std::memory_order_relaxed)) return;
    }
  }
  [[nodiscard]] std::uint32_t length_approx(std::uint16_t era) const noexcept {
    const std::uint64_t seen = word_.load(std::memory_order_relaxed);
    return era_of(seen) == era ? length_of(seen) : 0;
  }

 private:
  static constexpr std::uint64_t pack(std::uint16_t era, std::uint32_t length) noexcept {
    return std::uint64_t{era} << 32 | length;
  }
  static constexpr std::uint16_t era_of(std::uint64_t word) noexcept {
    return static_cast<std::uint16_t>(word >> 32);
  }
  static constexpr std::uint32_t length_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word);
  }
  // Eras are generations of a `Stamp`, modulo 2^14. No thread is later than the nearest of them;
  // any other that differs has passed, maybe so long ago that they have come round.
  static constexpr bool is_newer(std::uint16_t era, std::uint16_t than) noexcept {
    return ((std::uint32_t{era} - than) & 0x3FFFU) <= 255;
  }

  // Era and length; changed by compare-exchange only. Relaxed: it guards no other memory.
  sync::atomic<std::uint64_t> word_{0};
};

}  // namespace penstock
