// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/run_queue.hpp>

namespace penstock {

/// An executor that runs in whichever one thread drives it: the thread in `run` or in `wait`.
/// `Inline` and `EventLoop` differ only in how that thread sleeps.
///
/// Jobs run in the order they were posted, timers when they are due; a due timer never waits
/// for more than one round of jobs. `wait` on the driving thread, or while nobody drives, runs
/// jobs and timers until the parker is unparked; elsewhere it blocks.
class Driven : public Executor {
 public:
  Driven(const Driven&) = delete;
  Driven& operator=(const Driven&) = delete;

  [[nodiscard]] Time now() const noexcept override { return sync::now(); }

  void post(Job& job) noexcept override {
    const RunQueue::Lock lock{queue_.mutex};
    queue_.post(job);
    wake();
  }

  void arm(Timer& timer) noexcept override {
    const RunQueue::Lock lock{queue_.mutex};
    if (queue_.arm(timer)) wake();
  }

  bool disarm(Timer& timer) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    return queue_.disarm(lock, timer);
  }

  bool wait(Parker& parker, Time until) noexcept override {
    if (!enter()) return parker.park_until(until);
    const bool unparked = drive_until(parker, until);
    leave();
    return unparked;
  }

 protected:
  Driven() = default;
  ~Driven() = default;

  /// Sleeps until `wake_sleeper` or `until`; releases the lock while it sleeps.
  virtual void sleep(RunQueue::Lock& lock, Time until) noexcept = 0;
  /// Called with the lock held while a thread is in `sleep`, at most once per sleep.
  virtual void wake_sleeper() noexcept = 0;
  /// Called between rounds, without the lock, when there is work enough not to sleep.
  virtual void glance() noexcept {}

  /// Runs until `done()`, which is read under the lock before every job, or until `until`.
  template <class Done>
  void drive(RunQueue::Lock& lock, Time until, Done done) noexcept {
    const CurrentExecutor current{*this};
    while (!done()) {
      const bool timed = until != never || queue_.first_timer() != never;
      const Time instant = timed ? now() : Time{};
      if (instant >= until) return;
      while (!done() && queue_.fire_timer(lock, instant)) {
      }
      int jobs = 0;
      while (!done() && jobs < jobs_per_round && queue_.run_job(lock)) ++jobs;
      if (done()) return;
      if (jobs != 0) {
        lock.unlock();
        glance();
        lock.lock();
        continue;
      }
      if (const Time next = std::min(queue_.first_timer(), until);
          next == never || next > instant) {
        sleeping_ = true;
        sleep(lock, next);
        sleeping_ = false;
      }
    }
  }

  /// True when this thread now drives: it did already, or nobody does.
  [[nodiscard]] bool enter() noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    if (drivers_ != 0 && driver_ != sync::this_thread_id()) return false;
    driver_ = sync::this_thread_id();
    ++drivers_;
    return true;
  }
  void leave() noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    --drivers_;
  }
  /// Called with the lock held.
  void wake() noexcept {
    if (!sleeping_) return;
    sleeping_ = false;
    wake_sleeper();
  }

  RunQueue queue_;

 private:
  struct WakeJob final : Job {
    WakeJob() noexcept : Job([](Job& job) noexcept { static_cast<WakeJob&>(job).ran = true; }) {}
    bool ran = false;  // by the driving thread only
  };
  static constexpr int jobs_per_round = 64;

  bool drive_until(Parker& parker, Time until) noexcept {
    WakeJob woken;
    if (!parker.post_on_unpark(*this, woken)) return true;
    RunQueue::Lock lock{queue_.mutex};
    drive(lock, until, [&] { return woken.ran; });
    lock.unlock();
    // Either look at the parker waits for an `unpark` that still holds its lock.
    if (woken.ran) return parker.unparked();
    if (parker.forget_post()) return false;
    // Unparked at the last moment: the job is in the queue and must leave it first.
    lock.lock();
    drive(lock, never, [&] { return woken.ran; });
    return true;
  }

  // All guarded by queue_.mutex.
  bool sleeping_ = false;
  int drivers_ = 0;  // nested waits of the one driving thread
  sync::thread_id driver_{};
};

}  // namespace penstock
