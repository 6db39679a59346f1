// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/core/word_sleep.hpp>

/// The seam: every mutex, condition variable, atomic, thread and clock reading of the library is
/// spelled with a word from this namespace. In a user's build they are plain aliases; a test
/// build can put a controlled scheduler behind them without touching another file.
///
/// Left out on purpose: `atomic::wait`, latch, barrier and semaphores (libstdc++ 12 loses
/// wake-ups where there is no futex), stand-alone fences and `atomic<shared_ptr>` (thread
/// sanitizers do not follow them).
namespace penstock::sync {

using std::condition_variable;
using std::mutex;
using std::thread;

using thread_id = std::thread::id;

[[nodiscard]] inline thread_id this_thread_id() noexcept {
  return std::this_thread::get_id();
}
[[nodiscard]] inline unsigned hardware_threads() noexcept {
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : count;
}
[[nodiscard]] inline Time now() noexcept {
  return std::chrono::steady_clock::now();
}

/// Sleeping on a word, for whoever may touch nothing any more once the sleeper can know: a
/// condition variable must outlive the telling, or be told under its lock, for which the woken
/// thread then waits.
///
/// Sleeps if `word` is `expected`, until `wake_on`, until `until` (false), or for no reason. Look
/// at the word after it, in an order of your own: neither of the two orders memory.
inline bool sleep_on(const atomic<std::uint32_t>& word,
                     std::uint32_t expected,
                     Time until) noexcept {
  return WordSleep::sleep(word, expected, until);
}
/// After the word was changed: wakes the one that sleeps on it. Takes nothing but its address: the
/// word may be gone, and who sleeps on another that came to the same place wakes for no reason.
inline void wake_on(const atomic<std::uint32_t>* word) noexcept {
  WordSleep::wake(word);
}

/// Whether the memory of finished coroutine frames may be kept for the next. False where a test
/// build watches what is done to freed memory.
inline constexpr bool keeps_freed_frames = true;

}  // namespace penstock::sync
