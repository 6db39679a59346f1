// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>

namespace penstock::sync {

/// Sleeping on a word, of every system: in a table that all words share, a mutex and a condition
/// variable for each of a few groups of addresses, which are never destroyed. For the contract of
/// each function see `sync::sleep_on` and `sync::wake_on`.
struct TableSleep {
  static bool sleep(const atomic<std::uint32_t>& word,
                    std::uint32_t expected,
                    Time until) noexcept {
    Place& place = place_of(&word);
    std::unique_lock lock{place.mutex};
    // Whoever changes the word takes this lock after it, to wake: the change is seen here, or the
    // wake-up finds us asleep.
    if (word.load(std::memory_order_relaxed) != expected) return true;
    if (until != never) return place.woken.wait_until(lock, until) == std::cv_status::no_timeout;
    place.woken.wait(lock);
    return true;
  }
  static void wake(const atomic<std::uint32_t>* word) noexcept {
    Place& place = place_of(word);
    { const std::lock_guard lock{place.mutex}; }
    place.woken.notify_all();  // the others of the group look at their words and sleep on
  }

 private:
  struct Place {
    std::mutex mutex;
    std::condition_variable woken;
  };
  static Place& place_of(const atomic<std::uint32_t>* word) noexcept {
    static std::array<Place, 64>& places = *new std::array<Place, 64>;
    return places[reinterpret_cast<std::uintptr_t>(word) / 64 % places.size()];
  }
};

}  // namespace penstock::sync
