// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/error.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {

/// A caller that waits in a store until it is given something, its token stops, or its deadline
/// passes: an intrusive node, blocking and coroutine callers in one queue.
///
/// Protocol, the same for every store: a waiter is linked into a `WaitList` under the store's
/// lock, and membership of that list is the truth. Whoever unlinks it, under the lock, decides
/// how the wait ends (a store that grants; the stop or the timer, through the store's
/// `withdraw`), and then, without the lock, calls `wake` exactly once. So a wait ends in one
/// way only, and what was granted is never lost.
class Waiter {
 public:
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  /// The store's own record of this wait, set before it is linked.
  void* record = nullptr;

  /// Once, by whoever unlinked it, never under the store's lock. The waiter may be gone after.
  void wake() noexcept { wake_(*this); }

 protected:
  using Wake = void (*)(Waiter&) noexcept;
  explicit Waiter(Wake action) noexcept : wake_(action) {}
  ~Waiter() = default;

 private:
  friend class WaitList;
  friend class WakeList;
  Wake wake_;
  Waiter* previous_ = this;  // itself: in no `WaitList`
  Waiter* next_ = nullptr;
};

/// Waiters in the order they came. *Not synchronized*: it lives under its store's lock.
class WaitList {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Waiter* first() const noexcept { return first_; }

  void push(Waiter& waiter) noexcept {
    waiter.previous_ = last_;
    waiter.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
  }
  /// The next to be served, unlinked; null when nobody waits.
  [[nodiscard]] Waiter* pop() noexcept {
    Waiter* const waiter = first_;
    if (waiter != nullptr) static_cast<void>(remove(*waiter));
    return waiter;
  }
  /// False: it was not linked, someone else decided first.
  [[nodiscard]] bool remove(Waiter& waiter) noexcept {
    if (waiter.previous_ == &waiter) return false;
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.previous_ = &waiter;
    waiter.next_ = nullptr;
    return true;
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

/// Waiters whose wait was decided under the lock, to be woken without it, in the order they came.
/// Not linked in any `WaitList` any more, so nobody can withdraw them. *Not synchronized.*
class WakeList {
 public:
  WakeList() noexcept = default;
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;
  ~WakeList() { assert(first_ == nullptr && "penstock: who was granted something is not woken"); }

  void push(Waiter& waiter) noexcept {
    assert(waiter.previous_ == &waiter);
    (last_ != nullptr ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
  }
  void wake_all() noexcept {
    Waiter* waiter = std::exchange(first_, nullptr);
    last_ = nullptr;
    while (waiter != nullptr) {
      Waiter& woken = *waiter;
      waiter = std::exchange(woken.next_, nullptr);
      woken.wake();  // it may be gone after
    }
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

/// How a wait in a store ended.
enum class WaitEnd : unsigned char { granted, stopped, timed_out };

/// The error of a wait that was not granted.
[[nodiscard]] constexpr ErrorKind refusal_of(WaitEnd end) noexcept {
  return end == WaitEnd::stopped ? ErrorKind::cancelled : ErrorKind::deadline;
}

/// `withdraw(waiter)`: takes the store's lock and unlinks the waiter; false when it was not
/// linked any more. Must not throw.
template <class W>
concept Withdraw = std::is_nothrow_invocable_r_v<bool, W&, Waiter&> && std::copy_constructible<W>;

/// The wait of a blocking caller: construct, link under the store's lock, then `wait`.
template <Withdraw Take>
class BlockingWaiter final : public Waiter {
 public:
  explicit BlockingWaiter(Take withdraw) noexcept
      : Waiter(
            [](Waiter& waiter) noexcept { static_cast<BlockingWaiter&>(waiter).parker_.unpark(); }),
        withdraw_(withdraw) {}

  /// Blocks until it is woken, `call.stop` fires or `call.deadline` passes. Refreshes `call.now`.
  [[nodiscard]] WaitEnd wait(Call& call) noexcept {
    Executor& executor = call.where();
    WaitEnd end = WaitEnd::granted;
    {
      const auto on_stop = [&]() noexcept {
        if (!withdraw_(*this)) return;
        end = WaitEnd::stopped;
        parker_.unpark();
      };
      const StopCallback callback{call.stop, on_stop};
      if (!executor.wait(parker_, call.deadline)) {
        if (withdraw_(*this)) {
          end = WaitEnd::timed_out;
        } else {
          static_cast<void>(executor.wait(parker_, never));  // the wake is on its way
        }
      }
    }
    call.now = executor.now();
    return end;
  }

 private:
  Take withdraw_;
  Parker parker_;
};

/// The wait of a coroutine: construct, link under the store's lock, then `co_await` it by name.
/// The caller resumes on `call.where()`, without suspending when it was woken already. After it
/// the caller refreshes `call.now`.
template <Withdraw Take>
class SuspendedWaiter final : public Waiter, private Timer, private StopNode {
 public:
  SuspendedWaiter(const Call& call, Take withdraw) noexcept
      : Waiter([](Waiter& waiter) noexcept { static_cast<SuspendedWaiter&>(waiter).resume(); }),
        Timer([](Timer& timer) noexcept {
          static_cast<SuspendedWaiter&>(timer).give_up(WaitEnd::timed_out);
        }),
        StopNode(
            [](StopNode& node) noexcept {
              static_cast<SuspendedWaiter&>(node).give_up(WaitEnd::stopped);
            },
            call.stop),
        withdraw_(withdraw),
        executor_(call.where()) {
    when = call.deadline;
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
    job_.awaiter = awaiter;
    if (when != never) executor_.arm(*this);
    hook();
    // acq_rel: see WaitUntil; the second to arrive resumes the awaiter.
    return !met_.exchange(true, std::memory_order_acq_rel);
  }
  [[nodiscard]] WaitEnd await_resume() noexcept {
    unhook();
    if (when != never) executor_.disarm(*this);
    return end_;
  }

 private:
  void give_up(WaitEnd reason) noexcept {
    if (!withdraw_(*this)) return;
    end_ = reason;
    resume();
  }
  void resume() noexcept {
    if (met_.exchange(true, std::memory_order_acq_rel)) executor_.post(job_);
  }

  Take withdraw_;
  Executor& executor_;
  ResumeJob job_;
  WaitEnd end_ = WaitEnd::granted;  // written by whoever withdrew it, before it resumes
  sync::atomic<bool> met_{false};
};

}  // namespace penstock
