// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace penstock::testing {

inline constexpr std::uint64_t parallel_threads = 4;

/// Runs `work(index)` in so many threads, for indexes from 0. All begin when all are there, so that
/// short ones are not over before the last begins. Returns when all have ended.
template <class Work>
void in_parallel(std::uint64_t threads, Work work) {
  std::atomic<std::uint64_t> ready{0};
  std::vector<std::thread> running;
  for (std::uint64_t index = 0; index < threads; ++index) {
    running.emplace_back([&ready, work, index, threads]() mutable {
      ++ready;
      while (ready.load() < threads) std::this_thread::yield();
      work(index);
    });
  }
  for (std::thread& thread : running) thread.join();
}
template <class Work>
void in_parallel(Work work) {
  in_parallel(parallel_threads, work);
}

}  // namespace penstock::testing
