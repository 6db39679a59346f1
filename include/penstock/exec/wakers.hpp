// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include <penstock/core/sync.hpp>

namespace penstock {

/// Threads that wake somebody without the lock under which they decided to, so that who is woken
/// does not wait for it: whoever is about to destroy what they use for it waits until they are
/// gone. `enter` and `wait_until_gone` are called with that lock held, `leave` without; one thread
/// waits.
class Wakers {
 public:
  void enter() noexcept { word_.fetch_add(1, std::memory_order_relaxed); }
  /// Touches nothing afterwards.
  void leave() noexcept {
    const auto* const word = &word_;
    // Release: what was used to wake is used no more.
    if (word_.fetch_sub(1, std::memory_order_release) == (awaited | 1)) sync::wake_on(word);
  }
  void wait_until_gone() noexcept {
    if (word_.load(std::memory_order_acquire) == 0) return;
    word_.fetch_or(awaited, std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t seen = word_.load(std::memory_order_acquire);
      if (seen == awaited) break;
      static_cast<void>(sync::sleep_on(word_, seen, never));
    }
    word_.store(0, std::memory_order_relaxed);
  }

 private:
  // How many have entered and not left, and, set and taken back by the one that waits, whether
  // the last to leave is to wake it.
  static constexpr std::uint32_t awaited = 1U << 31;
  sync::atomic<std::uint32_t> word_{0};
};

}  // namespace penstock
