// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <vector>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/run_queue.hpp>

namespace penstock {

/// A fixed number of threads that run jobs in the order they were posted. *Safe from any thread.*
///
/// Meant for blocking calls: a job may block, in `wait` or in the system, and then holds its
/// thread. The destructor runs what has been posted, drops no job, and joins; timers still armed
/// then never fire, so whoever armed them must have finished before.
class ThreadPool final : public Executor {
 public:
  /// Twice the cores: the usual number for calls that mostly wait.
  [[nodiscard]] static unsigned for_blocking_calls() noexcept {
    return 2 * sync::hardware_threads();
  }

  /// Throws std::invalid_argument for no threads, std::system_error when one cannot start.
  explicit ThreadPool(unsigned threads = for_blocking_calls()) {
    if (threads == 0)
      throw std::invalid_argument{
          "penstock: ThreadPool needs at least one thread; write ThreadPool{4}, or ThreadPool{} "
          "for "
          "twice the cores"};
    threads_.reserve(threads);
    try {
      for (unsigned count = 0; count < threads; ++count) threads_.emplace_back([this] { work(); });
    } catch (...) {
      join();
      throw;
    }
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() { join(); }

  [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }
  [[nodiscard]] Time now() const noexcept override { return sync::now(); }

  void post(Job& job) noexcept override {
    const RunQueue::Lock lock{queue_.mutex};
    queue_.post(job);
    wake_one();
  }
  void arm(Timer& timer) noexcept override {
    const RunQueue::Lock lock{queue_.mutex};
    if (!queue_.arm(timer)) return;
    if (timekeeper_) {
      timekeeper_wakes_.notify_one();
    } else {
      wake_one();
    }
  }
  bool disarm(Timer& timer) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    return queue_.disarm(lock, timer);
  }
  bool wait(Parker& parker, Time until) noexcept override { return parker.park_until(until); }

 private:
  void work() noexcept {
    const CurrentExecutor current{*this};
    RunQueue::Lock lock{queue_.mutex};
    for (;;) {
      const Time first = queue_.first_timer();
      if (first != never && queue_.fire_timer(lock, now())) continue;
      if (queue_.run_job(lock)) continue;
      if (closing_) return;
      rest(lock, first);
    }
  }

  // Of the idle threads one, the timekeeper, sleeps only until the first timer; the others sleep
  // until there is a job, or no timekeeper.
  void rest(RunQueue::Lock& lock, Time first) noexcept {
    if (first != never && !timekeeper_) {
      timekeeper_ = true;
      static_cast<void>(timekeeper_wakes_.wait_until(lock, first));
      timekeeper_ = false;
      if (queue_.first_timer() != never) wake_one();
    } else {
      ++idle_;
      work_came_.wait(lock, [this] { return called_ != 0 || closing_; });
      --idle_;
      if (called_ != 0) --called_;
    }
  }

  void wake_one() noexcept {
    if (idle_ > called_) {
      ++called_;
      work_came_.notify_one();
    } else if (timekeeper_) {
      timekeeper_wakes_.notify_one();
    }
  }

  void join() noexcept {
    {
      const RunQueue::Lock lock{queue_.mutex};
      closing_ = true;
      work_came_.notify_all();
      timekeeper_wakes_.notify_all();
    }
    for (sync::thread& thread : threads_) thread.join();
  }

  RunQueue queue_;
  sync::condition_variable work_came_;
  sync::condition_variable timekeeper_wakes_;
  // Guarded by queue_.mutex. A thread that was called is still idle until it wakes, and must not
  // be counted on for a second job: the first may wait for it.
  unsigned idle_ = 0;
  unsigned called_ = 0;
  bool timekeeper_ = false;
  bool closing_ = false;
  std::vector<sync::thread> threads_;
};

}  // namespace penstock
