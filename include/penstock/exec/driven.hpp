// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>

#include <penstock/core/executor.hpp>
#include <penstock/core/linked_list.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/run_queue.hpp>
#include <penstock/exec/wakers.hpp>

namespace penstock {

/// An executor that runs in whichever one thread drives it: the thread in `run` or in `wait`.
/// `Inline` and `EventLoop` differ only in how that thread sleeps.
///
/// The jobs of one thread run in the order it posted them, timers when they are due; a due timer
/// never waits for more than one round of jobs. A post from the driving thread takes no lock.
/// `wait` on the driving thread, or while nobody drives, runs jobs and timers until the parker is
/// unparked; elsewhere it blocks, and drives in its turn once nobody else does: what it waits for
/// may be among the jobs that are left.
class Driven : public Executor {
 public:
  Driven(const Driven&) = delete;
  Driven& operator=(const Driven&) = delete;

  [[nodiscard]] Time now() const noexcept override { return sync::now(); }

  void post(Job& job) noexcept override {
    if (driving_here()) {
      ready_.push(job);
      return;
    }
    RunQueue::Lock lock{queue_.mutex};
    queue_.post(job);
    wake(lock);
  }

  void arm(Timer& timer) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    if (queue_.arm(timer)) wake(lock);
  }

  bool disarm(Timer& timer) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    return queue_.disarm(lock, timer);
  }

  bool wait(Parker& parker, Time until) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    while (!enter()) {
      Standby self{parker};
      standbys_.push(self);
      lock.unlock();
      const bool unparked = parker.park_until(until);
      lock.lock();
      if (!self.called) {
        standbys_.remove(self);
        return unparked;
      }
      parker.answer_call();
    }
    const bool unparked = drive_until(lock, parker, until);
    stop_driving();
    return unparked;
  }

 protected:
  Driven() = default;
  ~Driven() = default;

  /// Sleeps until `wake_sleeper` or `until`; releases the lock while it sleeps.
  virtual void sleep(RunQueue::Lock& lock, Time until) noexcept = 0;
  /// Called without the lock, once for a sleep at most. That sleep may have ended by itself; it
  /// then ends the next one, or nothing.
  virtual void wake_sleeper() noexcept = 0;
  /// Called between rounds, without the lock, when there is work enough not to sleep.
  virtual void glance() noexcept {}

  enum class WhenIdle : unsigned char { sleep, leave };

  /// Runs until `done()`, which is asked by the driving thread before every job, until `until`,
  /// or until nothing is posted or armed if it is to leave then.
  template <class Done>
  void drive(RunQueue::Lock& lock,
             Time until,
             Done done,
             WhenIdle when_idle = WhenIdle::sleep) noexcept {
    const CurrentExecutor current{*this};
    int jobs_since_glance = 0;
    while (!done()) {
      const bool timed = until != never || queue_.first_timer() != never;
      const Time instant = timed ? now() : Time{};
      if (instant >= until) return;
      // Before the timers too: among these jobs may be some that this thread posted before it
      // drove, and what a timer posts comes after them.
      queue_.take_jobs(ready_);
      while (!done() && queue_.fire_timer(lock, instant)) {
      }
      queue_.take_jobs(ready_);
      if (!ready_.empty()) {
        lock.unlock();
        jobs_since_glance += run_round(done);
        if (jobs_since_glance >= jobs_per_round && !done()) {
          glance();
          jobs_since_glance = 0;
        }
        lock.lock();
        continue;
      }
      if (done()) return;
      const Time next = std::min(queue_.first_timer(), until);
      if (next == never && when_idle == WhenIdle::leave) return;
      if (next == never || next > instant) {
        sleeping_ = true;
        sleep(lock, next);
        sleeping_ = false;
        jobs_since_glance = 0;
      }
    }
  }

  /// How a thread came in that means to drive until it is told to go.
  enum class Stay : unsigned char {
    refused,    ///< another one stays
    withdrawn,  ///< it was told to go before its turn came
    nested,     ///< it drove already
    entered,
  };
  /// One that drives only while it waits for something itself is let finish first, as long as
  /// `wanted()`, which is asked under the lock: tell it by `ask_again`.
  template <class Wanted>
  [[nodiscard]] Stay enter_to_stay(RunQueue::Lock& lock, Wanted wanted) noexcept {
    Stay how = Stay::nested;
    if (!driving_here()) {
      if (stays_) return Stay::refused;
      stays_ = true;
      left_.wait(lock, [&] { return drivers_ == 0 || !wanted(); });
      if (drivers_ != 0) {
        stays_ = false;
        return Stay::withdrawn;
      }
      driver_.store(sync::this_thread_id(), std::memory_order_relaxed);
      how = Stay::entered;
    }
    ++drivers_;
    return how;
  }
  /// Called with the lock held.
  void ask_again() noexcept { left_.notify_all(); }
  /// Called with the lock held, after `nested` or `entered`.
  void leave_after(Stay how) noexcept {
    if (how == Stay::entered) stays_ = false;
    stop_driving();
  }

  /// Called with the lock held, while nobody drives: nothing is posted and no timer armed.
  [[nodiscard]] bool idle() const noexcept {
    return ready_.empty() && !queue_.has_jobs() && queue_.first_timer() == never;
  }

  /// Called with the lock held, and releases it if there is somebody to wake, who would only wait
  /// for it again.
  void wake(RunQueue::Lock& lock) noexcept {
    if (!sleeping_) return;
    sleeping_ = false;
    wakers_.enter();
    lock.unlock();
    wake_sleeper();
    wakers_.leave();
  }
  /// For `sleep`, with the lock held: it sleeps no longer, though it goes on.
  void awake() noexcept { sleeping_ = false; }

  RunQueue queue_;

 private:
  struct WakeJob final : Job {
    WakeJob() noexcept : Job([](Job& job) noexcept { static_cast<WakeJob&>(job).ran = true; }) {}
    bool ran = false;  // by the driving thread only
  };
  // A thread that blocks in `wait` as another one drives. Linked under the lock; whoever unlinks it
  // before the thread itself does has called it to drive, and it comes, if only to call the next.
  struct Standby {
    explicit Standby(Parker& to) noexcept : parker(to) {}
    Parker& parker;
    bool called = false;
    Standby* previous = nullptr;
    Standby* next = nullptr;
  };
  static constexpr int jobs_per_round = 64;

  // True when this thread now drives: it did already, or nobody does.
  [[nodiscard]] bool enter() noexcept {
    if (drivers_ != 0 && !driving_here()) return false;
    driver_.store(sync::this_thread_id(), std::memory_order_relaxed);
    ++drivers_;
    return true;
  }
  void stop_driving() noexcept {
    if (--drivers_ != 0) return;
    wakers_.wait_until_gone();
    driver_.store(sync::thread_id{}, std::memory_order_relaxed);
    if (stays_) {
      left_.notify_all();
    } else if (Standby* const next = standbys_.pop(); next != nullptr) {
      next->called = true;
      next->parker.call();  // with the lock held, for which it stays
    }
  }
  [[nodiscard]] bool driving_here() const noexcept {
    return driver_.load(std::memory_order_relaxed) == sync::this_thread_id();
  }

  // Jobs that are posted here meanwhile belong to the round, so a chain of them does not pay for
  // the lock each time. Returns how many ran.
  template <class Done>
  int run_round(Done done) noexcept {
    int jobs = 0;
    while (jobs < jobs_per_round && !done()) {
      Job* const job = ready_.pop();
      if (job == nullptr) break;
      job->run();
      ++jobs;
    }
    return jobs;
  }

  bool drive_until(RunQueue::Lock& lock, Parker& parker, Time until) noexcept {
    WakeJob woken;
    if (!parker.post_on_unpark(*this, woken)) return true;
    drive(lock, until, [&] { return woken.ran; });
    if (woken.ran) return true;
    if (parker.forget_post()) return false;
    // Unparked at the last moment: the job is in the queue, or on its way, and must leave it first.
    drive(lock, never, [&] { return woken.ran; });
    return true;
  }

  bool sleeping_ = false;  // guarded by queue_.mutex
  Wakers wakers_;          // of the sleeper; they enter and are waited for with the lock held
  int drivers_ = 0;        // guarded by queue_.mutex: nested waits of the one driving thread
  bool stays_ = false;     // guarded by queue_.mutex: a thread stays, or waits for its turn to
  sync::condition_variable left_;
  LinkedList<Standby> standbys_;  // guarded by queue_.mutex
  // The id of the thread between its first `enter` and its last `leave`, else no thread's. Each
  // thread stores only its own id and takes back only that, so one that reads its own id drives,
  // in any memory order.
  sync::atomic<sync::thread_id> driver_{};
  // Of the driving thread, which the lock in `enter` and `leave` hands on: jobs that it posted,
  // and those taken from the queue.
  JobQueue ready_;
};

}  // namespace penstock
