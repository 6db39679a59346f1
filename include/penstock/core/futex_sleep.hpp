// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>

namespace penstock::sync {

/// Sleeping on a word, of Linux: the kernel keeps a list for each address that is slept on. For the
/// contract of each function see `sync::sleep_on` and `sync::wake_on`.
struct FutexSleep {
  static_assert(sizeof(atomic<std::uint32_t>) == sizeof(std::uint32_t) &&
                atomic<std::uint32_t>::is_always_lock_free);

  static bool sleep(const atomic<std::uint32_t>& word,
                    std::uint32_t expected,
                    Time until) noexcept {
    ::timespec limit{};
    if (until > Time{}) {
      const auto since = until.time_since_epoch().count();
      limit.tv_sec = since / 1'000'000'000;
      limit.tv_nsec = since % 1'000'000'000;
    }
    // Of the two ways to wait it is the one with a bit set that takes an instant, of the monotonic
    // clock, which is the steady one of the standard library.
    const long failed = ::syscall(SYS_futex,
                                  &word,
                                  FUTEX_WAIT_BITSET_PRIVATE,
                                  expected,
                                  until != never ? &limit : nullptr,
                                  nullptr,
                                  FUTEX_BITSET_MATCH_ANY);
    return failed == 0 || errno != ETIMEDOUT;
  }
  static void wake(const atomic<std::uint32_t>* word) noexcept {
    ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
};

}  // namespace penstock::sync
