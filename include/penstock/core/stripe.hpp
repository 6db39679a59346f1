// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include <penstock/core/atomic.hpp>

namespace penstock {

// Bit n is set while a thread holds number n. Set and cleared by compare-exchange and fetch_and,
// each bit by its holder alone. Relaxed: a number guards no memory, two holders would only be
// slower.
inline sync::atomic<std::uint64_t> stripe_numbers_taken{0};

/// Holds the smallest free stripe number while its thread lives.
class StripeNumber {
 public:
  static constexpr std::uint32_t most = 64;

  StripeNumber() noexcept {
    std::uint64_t taken = stripe_numbers_taken.load(std::memory_order_relaxed);
    do {
      bit_ = ~taken & (taken + 1);
    } while (bit_ != 0 && !stripe_numbers_taken.compare_exchange_weak(
                              taken, taken | bit_, std::memory_order_relaxed));
  }
  StripeNumber(const StripeNumber&) = delete;
  StripeNumber& operator=(const StripeNumber&) = delete;
  ~StripeNumber() {
    if (bit_ != 0) stripe_numbers_taken.fetch_and(~bit_, std::memory_order_relaxed);
  }
  /// 0 to 63; with more than 64 threads the later ones all share the last.
  [[nodiscard]] std::uint32_t value() const noexcept {
    return bit_ == 0 ? most - 1 : static_cast<std::uint32_t>(std::countr_zero(bit_));
  }

 private:
  std::uint64_t bit_;  // 0: all were taken
};

/// A number for state that is kept in stripes, so that threads that run at the same time write
/// to different ones: 0 to 63, no two of up to 64 living threads share one. Only a hint where to
/// write: whoever uses a stripe must be safe when two threads share it. One thread-local read.
/// *Safe from any thread.*
[[nodiscard]] inline std::uint32_t stripe_hint() noexcept {
  constinit static thread_local std::uint32_t one_more = 0;  // 0: no number yet
  if (one_more == 0) [[unlikely]] {
    static thread_local const StripeNumber number;
    one_more = number.value() + 1;
  }
  return one_more - 1;
}

}  // namespace penstock
