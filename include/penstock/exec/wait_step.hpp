// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <coroutine>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// One operation that may have to wait, written once for blocking and coroutine callers: a
/// permit to take, a value to send. It lives in its caller's frame while it waits.
///
/// `enter(waiter)`, once: does it under the primitive's lock (false), or links the waiter
/// there (true). `withdraw(waiter)`: as in `Withdraw`. `finish(end)`: the caller's answer.
template <class S>
concept WaitStep = requires(S& step, Waiter& waiter, WaitEnd end) {
  { step.enter(waiter) }
  noexcept->std::same_as<bool>;
  { step.withdraw(waiter) }
  noexcept->std::same_as<bool>;
  step.finish(end);
};

template <class Step>
struct WithdrawStep {
  Step* step;
  bool operator()(Waiter& waiter) const noexcept { return step->withdraw(waiter); }
};

/// The awaitable of a step, made of `arguments`. Nothing happens before it is awaited, once, where
/// it stands.
///
/// Done at once, the caller goes on without suspending, and no clock is read; else it waits, and
/// resumes on `call.where()` when it is granted, its token stops or its deadline passes; or goes on
/// where it is, if that came about before it had suspended. A token
/// that has stopped before refuses even what is free. A decided wait is not decided again: what
/// was granted is given also when the stop comes before the caller runs. Allocates nothing.
template <WaitStep Step>
class [[nodiscard("nothing happens until it is awaited")]] Awaiting {
 public:
  template <class... Arguments>
  explicit Awaiting(const Call& call, Arguments&&... arguments)
      : step_{std::forward<Arguments>(arguments)...},
        stop_(call.stop),
        waiter_(call, WithdrawStep<Step>{&step_}) {}

  [[nodiscard]] bool await_ready() noexcept {
    if (stop_.stop_requested()) {
      end_ = WaitEnd::stopped;
      return true;
    }
    waits_ = step_.enter(waiter_);
    return !waits_;
  }
  [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
    return waiter_.await_suspend(awaiter);
  }
  auto await_resume() noexcept(noexcept(std::declval<Step&>().finish(WaitEnd{}))) {
    if (waits_) end_ = waiter_.await_resume();
    return step_.finish(end_);
  }

 protected:
  [[nodiscard]] Step& step() noexcept {
    return step_;
  }

 private:
  Step step_;
  StopToken stop_;
  WaitEnd end_ = WaitEnd::granted;
  bool waits_ = false;
  SuspendedWaiter<WithdrawStep<Step>> waiter_;
};

/// The same for a blocking caller, with the same ends. Refreshes `call.now` when it has waited.
template <WaitStep Step, class... Arguments>
auto block_on(Call& call, Arguments&&... arguments) {
  Step step{std::forward<Arguments>(arguments)...};
  if (call.stop.stop_requested()) return step.finish(WaitEnd::stopped);
  BlockingWaiter<WithdrawStep<Step>> waiter{WithdrawStep<Step>{&step}};
  if (!step.enter(waiter)) return step.finish(WaitEnd::granted);
  return step.finish(waiter.wait(call));
}

}  // namespace penstock
