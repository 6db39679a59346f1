// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include <penstock/testing/explorer/hooks.hpp>

/// The explorer runs real, unmodified code of the library under a controlled scheduler: a few
/// threads, one step at a time, in thousands of schedules that a seed or a depth-first search
/// decides, with the freedom that the memory model gives to relaxed loads. It finds lost updates
/// and wake-ups, deadlocks, livelocks, data races, uses of freed memory and leaks, and repeats
/// what it has found.
///
/// A program that explores has the directory `penstock/testing/explorer/seam` before `include`
/// on its include path, includes `explorer/runtime.hpp` in one source file, and builds all
/// others with `-fsanitize=thread` (compiled, not linked), which lets every plain access be
/// checked. A scenario is a function without arguments: it makes what it tests, starts
/// `sync::thread`s, joins them, and checks what must hold. It must do the same in every run but
/// for what the schedule decides: no real clock, no real threads, no address in a decision.
namespace penstock::testing::explorer {

/// Fails the execution unless `holds`; the sentence says what was wrong.
inline void check(bool holds, const char* sentence) noexcept {
  if (!holds) hook::broken(sentence);
}

/// From now on in this execution time passes only when no thread can go on otherwise. Usually it
/// may pass at any step, so that every timeout is met; where a lost wake-up would be made good by
/// a timer, this shows it: nothing was late when `sync::now()` stands still.
inline void let_time_wait() noexcept {
  hook::let_time_wait();
}

/// Plain data whose accesses are checked for races also in a program without instrumentation.
template <class T>
class Var {
 public:
  Var() = default;
  explicit Var(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
      : value_(std::move(value)) {
    hook::access(&value_, sizeof value_, Access::write);
  }
  [[nodiscard]] const T& get() const noexcept {
    hook::access(&value_, sizeof value_, Access::read);
    return value_;
  }
  void set(T value) noexcept(std::is_nothrow_move_assignable_v<T>) {
    hook::access(&value_, sizeof value_, Access::write);
    value_ = std::move(value);
  }

 private:
  T value_{};
};

}  // namespace penstock::testing::explorer
