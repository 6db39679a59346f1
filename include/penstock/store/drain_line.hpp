// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/linked_list.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// A caller that waits until its store is done with all that entered before: in its frame,
/// linked and unlinked under the store's lock.
struct Drain {
  Waiter* waiter = nullptr;
  Drain* previous = nullptr;
  Drain* next = nullptr;
  unsigned epoch = 0;
  bool settled = false;
};

/// Callers that wait for what is in a store now, and for nothing that comes later, however much
/// does. *Not synchronized*: it lives under its store's lock. Every step is O(1) per caller.
///
/// What enters is counted in one of two epochs. The old one only empties; when it is empty and
/// somebody waits for the current one, the two change roles.
class DrainLine {
 public:
  /// One enters: its epoch, to be given back by `leave`.
  [[nodiscard]] unsigned enter() noexcept {
    ++inside_[current_];
    return current_;
  }
  void leave(unsigned epoch, std::size_t count = 1) noexcept { inside_[epoch] -= count; }
  [[nodiscard]] bool empty() const noexcept { return inside_[0] + inside_[1] == 0; }

  void push(Drain& drain) noexcept {
    drain.epoch = current_;
    waiting_[current_].push(drain);
  }
  /// False: settled before.
  [[nodiscard]] bool withdraw(Drain& drain) noexcept {
    if (std::exchange(drain.settled, true)) return false;
    waiting_[drain.epoch].remove(drain);
    return true;
  }
  /// The callers whose wait is over, to be woken without the lock. After each `leave` and `push`.
  [[nodiscard]] LinkedList<Drain> take_drained() noexcept {
    LinkedList<Drain> drained;
    for (;;) {
      const unsigned old = 1 - current_;
      if (inside_[old] != 0) return drained;
      waiting_[old].for_each([](Drain& drain) { drain.settled = true; });
      drained.append(std::move(waiting_[old]));
      if (waiting_[current_].empty()) return drained;
      current_ = old;
    }
  }

 private:
  std::array<std::size_t, 2> inside_{};
  std::array<LinkedList<Drain>, 2> waiting_;
  unsigned current_ = 0;
};

}  // namespace penstock
