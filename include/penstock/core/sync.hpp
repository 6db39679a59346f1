// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>

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

}  // namespace penstock::sync
