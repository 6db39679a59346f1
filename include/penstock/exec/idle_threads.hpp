// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/run_queue.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// The threads of a pool that have nothing to do, and who of them is called. Every function is
/// called with the lock of the pool's queue held; whoever was called is woken without it, by
/// `wake_all` of the list, or it would only wait for the lock.
///
/// One is called at a time: as long as it is on its way, whatever else comes waits for it, and it
/// calls the next before it begins with its own. So a burst of jobs costs its poster one wake-up,
/// and still each job has a thread of its own, as long as there is one: it may block that, and
/// wait for another.
class IdleThreads {
 public:
  /// For whatever was just queued, or is left.
  void call_one(WakeList& called) noexcept {
    if (coming_ == 0 && !call_from(asleep_, called)) call_from(timekeeper_, called);
  }
  /// For a timer that is now the first. The timekeeper is called in any case: who is on its way may
  /// take on something else, and would leave the time to it.
  void call_timekeeper(WakeList& called) noexcept {
    if (!call_from(timekeeper_, called)) call_one(called);
  }
  void call_all(WakeList& called) noexcept {
    while (call_from(asleep_, called) || call_from(timekeeper_, called)) {
    }
  }
  [[nodiscard]] bool keeps_time() const noexcept { return !timekeeper_.empty(); }

  /// Sleeps until it is called. One of those that sleep, the timekeeper, does so only until
  /// `first`, the instant of the first timer.
  void rest(RunQueue::Lock& lock, Time first) noexcept {
    const bool timed = first != never && !keeps_time();
    WaitList& list = timed ? timekeeper_ : asleep_;
    Sleeper self;
    list.push(self);
    lock.unlock();
    const bool called = self.parker.park_until(timed ? first : never);
    lock.lock();
    if (!called) {
      if (list.remove(self)) return;
      lock.unlock();  // called at the last moment: `self` must stay for that
      static_cast<void>(self.parker.park_until(never));
      lock.lock();
    }
    --coming_;
  }

 private:
  struct Sleeper final : Waiter {
    Sleeper() noexcept
        : Waiter([](Waiter& waiter) noexcept { static_cast<Sleeper&>(waiter).parker.unpark(); }) {}
    Parker parker;
  };

  bool call_from(WaitList& list, WakeList& called) noexcept {
    Waiter* const thread = list.pop();
    if (thread == nullptr) return false;
    ++coming_;
    called.push(*thread);
    return true;
  }

  WaitList asleep_;
  WaitList timekeeper_;  // one at most
  unsigned coming_ = 0;  // were called, and have not come back for the lock yet
};

}  // namespace penstock
