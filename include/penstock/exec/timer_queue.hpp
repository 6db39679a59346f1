// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cassert>

#include <penstock/core/executor.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/timer_heap.hpp>

namespace penstock {

/// Armed timers, earliest first, those of one instant in no promised order. *Not synchronized.*
///
/// Most timers of a program have one of a few durations, so those of each come in the order in
/// which they will be due. Such a run is a list, and its timers touch only their neighbours; what
/// fits no list goes to a heap. Insertion is O(1); removal O(1) from a list, O(log n) amortised
/// from the heap; no allocation at any size. Lists chosen as in patience sorting.
class TimerQueue {
 public:
  TimerQueue() noexcept = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Timer* first() const noexcept { return first_; }
  [[nodiscard]] static bool armed(const Timer& timer) noexcept { return TimerHeap::armed(timer); }

  void insert(Timer& timer) noexcept {
    if (Run* const run = run_for(timer.when); run != nullptr) {
      assert(!armed(timer));
      timer.place_ = static_cast<unsigned char>(first_run + (run - runs_.data()));
      timer.sibling_ = nullptr;
      timer.previous_ = run->last;
      (run->last != nullptr ? run->last->sibling_ : run->first) = &timer;
      run->last = &timer;
      run->end = timer.when;
    } else {
      heap_.insert(timer);
    }
    if (first_ == nullptr || timer.when < first_->when) first_ = &timer;
  }

  void remove(Timer& timer) noexcept {
    if (timer.place_ < first_run) {
      heap_.remove(timer);
    } else {
      Run& run = runs_[timer.place_ - first_run];
      timer.place_ = Timer::unarmed;
      (timer.previous_ != nullptr ? timer.previous_->sibling_ : run.first) = timer.sibling_;
      if (timer.sibling_ != nullptr) {
        timer.sibling_->previous_ = timer.previous_;
      } else {
        run.last = timer.previous_;
        run.end = run.last != nullptr ? run.last->when : Time::min();
      }
    }
    if (&timer == first_) first_ = earliest();
  }

 private:
  // In the order in which they are due, linked through `previous_` and `sibling_`.
  struct Run {
    Timer* first = nullptr;
    Timer* last = nullptr;
    Time end = Time::min();  // when the last is due; the earliest of all if there is none
  };
  static constexpr unsigned char first_run = Timer::in_heap + 1;

  // The one whose end comes closest before `when`, so that an empty one is begun only for what
  // fits no other; null: none.
  Run* run_for(Time when) noexcept {
    Run* closest = nullptr;
    for (Run& run : runs_) {
      if (run.end <= when && (closest == nullptr || closest->end < run.end)) closest = &run;
    }
    return closest;
  }
  [[nodiscard]] Timer* earliest() const noexcept {
    Timer* earliest = heap_.first();
    for (const Run& run : runs_) {
      if (run.first != nullptr && (earliest == nullptr || run.first->when < earliest->when))
        earliest = run.first;
    }
    return earliest;
  }

  Timer* first_ = nullptr;
  std::array<Run, 4> runs_{};
  TimerHeap heap_;
};

}  // namespace penstock
