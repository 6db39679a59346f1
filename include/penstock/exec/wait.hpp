// SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>

#include <penstock/core/call.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>

namespace penstock {

/// Resumes a coroutine on an executor: a `Job` to keep beside the handle.
class ResumeJob final : public Job {
 public:
  ResumeJob() noexcept
      : Job([](Job& job) noexcept { static_cast<ResumeJob&>(job).awaiter.resume(); }) {}
  std::coroutine_handle<> awaiter;
};

class [[nodiscard]] Reschedule {
 public:
  explicit Reschedule(Executor& executor) noexcept : executor_(executor) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiter) noexcept {
    job_.awaiter = awaiter;
    executor_.post(job_);
  }
  void await_resume() const noexcept {}

 private:
  Executor& executor_;
  ResumeJob job_;
};

/// `co_await reschedule(executor)`: the caller resumes on `executor`, behind the jobs that wait
/// there. Allocates nothing; knows no stop and no deadline.
[[nodiscard]] inline Reschedule reschedule(Executor& executor) noexcept {
  return Reschedule{executor};
}

class [[nodiscard]] WaitUntil : private Timer, private StopNode {
 public:
  WaitUntil(Executor& executor, Time until, StopToken stop) noexcept
      : Timer([](Timer& timer) noexcept { static_cast<WaitUntil&>(timer).wake(Woken::by_timer); }),
        StopNode(
            [](StopNode& node) noexcept { static_cast<WaitUntil&>(node).wake(Woken::by_stop); },
            stop),
        executor_(executor) {
    when = until;
  }

  [[nodiscard]] bool await_ready() noexcept {
    if (!stop_requested()) return false;
    woken_.store(Woken::by_stop, std::memory_order_relaxed);
    return true;
  }
  [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
    job_.awaiter = awaiter;
    if (when != never) executor_.arm(*this);
    hook();
    // acq_rel: the waker must see the hook complete, and we must see what it wrote.
    if (!met_.exchange(true, std::memory_order_acq_rel)) return true;
    if (woken_.load(std::memory_order_relaxed) == Woken::by_stop) return false;
    executor_.post(job_);  // the timer was first; this may be another thread than the executor's
    return true;
  }
  [[nodiscard]] bool await_resume() noexcept {
    if (job_.awaiter) {
      unhook();
      if (when != never) executor_.disarm(*this);
    }
    return woken_.load(std::memory_order_relaxed) == Woken::by_timer;
  }

 private:
  enum class Woken : unsigned char { not_yet, by_timer, by_stop };

  // `woken_` leaves not_yet once, by whichever of timer and stop comes first; only that one goes
  // on. `met_` is set by it and by await_suspend: whoever comes second lets the awaiter resume.
  void wake(Woken reason) noexcept {
    Woken expected = Woken::not_yet;
    if (!woken_.compare_exchange_strong(expected, reason, std::memory_order_relaxed)) return;
    if (met_.exchange(true, std::memory_order_acq_rel)) executor_.post(job_);
  }

  Executor& executor_;
  ResumeJob job_;
  sync::atomic<Woken> woken_{Woken::not_yet};
  sync::atomic<bool> met_{false};
};

/// `co_await wait_until(executor, when, stop)`: true when the time has come, false when `stop`
/// fired first. The caller resumes on `executor`; if stopped already, before or as it comes to
/// wait, it goes on at once where it is.
/// O(log n) for n pending timers; allocates nothing.
[[nodiscard]] inline WaitUntil wait_until(Executor& executor, Time when, StopToken stop) noexcept {
  return WaitUntil{executor, when, stop};
}

}  // namespace penstock
