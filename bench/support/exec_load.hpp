// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

/// What the benchmarks of executors have in common: the load, and what is written by hand.
namespace penstock::bench {

inline constexpr unsigned workers = 2;
inline constexpr int burst = 256;       // jobs or tasks before anyone waits for them
inline constexpr int pending = 10'000;  // timers that are armed meanwhile

/// Blocks until `count_down` was called often enough.
class Countdown {
 public:
  explicit Countdown(int count) noexcept : left_(count) {}
  void count_down() {
    const std::lock_guard lock{mutex_};
    if (--left_ == 0) done_.notify_one();
  }
  void wait() {
    std::unique_lock lock{mutex_};
    done_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  int left_;
};

/// The queue everyone writes once: a mutex, a condition variable and a deque.
template <class T>
class CondvarQueue {
 public:
  void push(T value) {
    {
      const std::lock_guard lock{mutex_};
      values_.push_back(std::move(value));
    }
    came_.notify_one();
  }
  T pop() {
    std::unique_lock lock{mutex_};
    came_.wait(lock, [this] { return !values_.empty(); });
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<T> values_;
};

/// The pool everyone writes once. An empty function ends a thread.
class CondvarPool {
 public:
  explicit CondvarPool(unsigned threads) {
    for (unsigned thread = 0; thread < threads; ++thread)
      threads_.emplace_back([this] {
        while (const std::function<void()> job = jobs_.pop()) job();
      });
  }
  CondvarPool(const CondvarPool&) = delete;
  CondvarPool& operator=(const CondvarPool&) = delete;
  ~CondvarPool() {
    for (std::size_t thread = 0; thread < threads_.size(); ++thread) jobs_.push({});
    for (std::thread& thread : threads_) thread.join();
  }
  void post(std::function<void()> job) { jobs_.push(std::move(job)); }

 private:
  CondvarQueue<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
};

}  // namespace penstock::bench
