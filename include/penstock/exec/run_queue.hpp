// SPDX-License-Identifier: MIT
#pragma once

#include <mutex>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/timer_queue.hpp>

namespace penstock {

/// What the executors share: the jobs to run, the timers to fire, and who is firing which. Every
/// function is called with `mutex` held. One lock for all of it: critical sections are a few
/// pointer writes.
class RunQueue {
 public:
  using Lock = std::unique_lock<sync::mutex>;
  sync::mutex mutex;

  void post(Job& job) noexcept { jobs_.push(job); }

  /// True when the timer is now the first to fire.
  [[nodiscard]] bool arm(Timer& timer) noexcept {
    timers_.insert(timer);
    return timers_.first() == &timer;
  }

  /// As `Executor::disarm`. May release the lock meanwhile.
  bool disarm(Lock& lock, Timer& timer) noexcept {
    if (TimerQueue::armed(timer)) {
      timers_.remove(timer);
      return true;
    }
    const sync::thread_id here = sync::this_thread_id();
    fired_.wait(lock, [&] {
      for (const Firing* firing = firing_; firing != nullptr; firing = firing->next) {
        if (firing->timer == &timer && firing->thread != here) return false;
      }
      return true;
    });
    return false;
  }

  [[nodiscard]] bool has_jobs() const noexcept { return !jobs_.empty(); }
  /// Moves all jobs there are behind those of `taken`.
  void take_jobs(JobQueue& taken) noexcept { taken.append(jobs_); }
  [[nodiscard]] Time first_timer() const noexcept {
    return timers_.empty() ? never : timers_.first()->when;
  }

  /// The next job, taken out; null: there is none.
  [[nodiscard]] Job* next_job() noexcept { return jobs_.pop(); }

  /// Fires the first timer if it is due at `now`, with the lock released. False: none is.
  bool fire_timer(Lock& lock, Time now) noexcept {
    if (first_timer() > now || timers_.empty()) return false;
    Timer& timer = *timers_.first();
    timers_.remove(timer);
    Firing firing{&timer, sync::this_thread_id(), firing_, nullptr};
    if (firing_ != nullptr) firing_->previous = &firing;
    firing_ = &firing;
    lock.unlock();
    timer.fire();
    lock.lock();
    (firing.previous != nullptr ? firing.previous->next : firing_) = firing.next;
    if (firing.next != nullptr) firing.next->previous = firing.previous;
    fired_.notify_all();
    return true;
  }

 private:
  // On the stack of the firing thread; linked while `timer.fire()` runs.
  struct Firing {
    const Timer* timer;
    sync::thread_id thread;
    Firing* next;
    Firing* previous;
  };

  JobQueue jobs_;
  TimerQueue timers_;
  Firing* firing_ = nullptr;
  sync::condition_variable fired_;
};

}  // namespace penstock
