// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <utility>

#include <penstock/core/executor.hpp>

namespace penstock {

/// Armed timers, earliest first, those of one instant in no promised order. *Not synchronized.*
///
/// An intrusive pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): insertion O(1),
/// removal of any timer O(log n) amortised, no allocation at any size.
class TimerHeap {
 public:
  TimerHeap() noexcept = default;
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;

  [[nodiscard]] bool empty() const noexcept { return root_ == nullptr; }
  [[nodiscard]] Timer* first() const noexcept { return root_; }
  [[nodiscard]] static bool armed(const Timer& timer) noexcept {
    return timer.place_ != Timer::unarmed;
  }

  void insert(Timer& timer) noexcept {
    assert(!armed(timer));
    timer.child_ = timer.sibling_ = timer.previous_ = nullptr;
    timer.place_ = Timer::in_heap;
    root_ = root_ == nullptr ? &timer : meld(root_, &timer);
  }

  void remove(Timer& timer) noexcept {
    assert(timer.place_ == Timer::in_heap);
    timer.place_ = Timer::unarmed;
    if (&timer == root_) {
      root_ = combine(timer.child_);
      return;
    }
    Timer* const previous = timer.previous_;
    (previous->child_ == &timer ? previous->child_ : previous->sibling_) = timer.sibling_;
    if (timer.sibling_ != nullptr) timer.sibling_->previous_ = previous;
    if (Timer* const rest = combine(timer.child_); rest != nullptr) root_ = meld(root_, rest);
  }

 private:
  static Timer* meld(Timer* a, Timer* b) noexcept {
    if (b->when < a->when) std::swap(a, b);
    b->previous_ = a;
    b->sibling_ = a->child_;
    if (a->child_ != nullptr) a->child_->previous_ = b;
    a->child_ = b;
    a->sibling_ = a->previous_ = nullptr;
    return a;
  }

  // The two passes of the pairing heap, without recursion: pairs are melded left to right and
  // stacked through `previous_`, then melded back into one.
  static Timer* combine(Timer* list) noexcept {
    Timer* stack = nullptr;
    while (list != nullptr) {
      Timer* const a = list;
      Timer* const b = a->sibling_;
      list = b != nullptr ? b->sibling_ : nullptr;
      a->sibling_ = a->previous_ = nullptr;
      Timer* pair = a;
      if (b != nullptr) {
        b->sibling_ = b->previous_ = nullptr;
        pair = meld(a, b);
      }
      pair->previous_ = stack;
      stack = pair;
    }
    Timer* result = nullptr;
    while (stack != nullptr) {
      Timer* const next = stack->previous_;
      stack->previous_ = nullptr;
      result = result == nullptr ? stack : meld(result, stack);
      stack = next;
    }
    return result;
  }

  Timer* root_ = nullptr;
};

}  // namespace penstock
