// SPDX-License-Identifier: MIT
#pragma once

#include <exception>

#include <penstock/core/executor.hpp>
#include <penstock/exec/timer_queue.hpp>

namespace penstock::support {

/// An executor that a test moves on one job or one timer at a time, with a clock that jumps to
/// the next timer when there is no job. *One thread at a time.*
class SteppedExecutor final : public Executor {
 public:
  [[nodiscard]] Time now() const noexcept override { return now_; }
  void post(Job& job) noexcept override { jobs_.push(job); }
  void arm(Timer& timer) noexcept override { timers_.insert(timer); }
  bool disarm(Timer& timer) noexcept override {
    if (!TimerQueue::armed(timer)) return false;
    timers_.remove(timer);
    return true;
  }
  bool wait(Parker& parker, Time until) noexcept override {
    while (!parker.unparked()) {
      if (now_ >= until) return false;
      if (!step()) std::terminate();
    }
    return true;
  }

  /// False: there is nothing to do.
  bool step() noexcept {
    const CurrentExecutor current{*this};
    if (Job* const job = jobs_.pop(); job != nullptr) {
      job->run();
      return true;
    }
    if (timers_.empty()) return false;
    Timer& timer = *timers_.first();
    timers_.remove(timer);
    if (timer.when > now_) now_ = timer.when;
    timer.fire();
    return true;
  }

 private:
  JobQueue jobs_;
  TimerQueue timers_;
  Time now_{Duration{1'000'000'000}};
};

}  // namespace penstock::support
