// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cassert>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

template <class T>
class Submission;

namespace exec {

/// One piece of submitted work in the queue of its pool. `run` ends it, once: by calling the
/// user's function, or without that when `refusal` was set first or it was cancelled.
class Work : public Job {
 public:
  std::optional<ErrorKind> refusal;  ///< of the thread that took it out of the queue
  Time deadline = never;             ///< to have started; set before it is queued
  // Goes once from false to true. Relaxed: it guards no other memory, and comes too late for work
  // that has started anyway.
  sync::atomic<bool> cancelled{false};

 protected:
  using Job::Job;
  ~Work() = default;
};

/// Work and the place of its outcome, on the heap and shared by the pool and the `Submission`.
///
/// Protocol: `references_` starts at 2, one for each; whoever takes it to 0 deletes it. acq_rel:
/// the one who deletes sees all that the other did. `outcome_` is written by the thread that runs
/// the work, then `settled_` under `mutex_`; it is read by the submission after it has seen that.
template <class T>
class SubmissionState : public Work {
 public:
  [[nodiscard]] bool settled() noexcept {
    const std::lock_guard lock{mutex_};
    return settled_;
  }
  /// False: it is settled already and nobody will wake the waiter.
  [[nodiscard]] bool add(Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    if (!settled_) waiting_.push(waiter);
    return !settled_;
  }
  [[nodiscard]] bool withdraw(Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    return waiting_.remove(waiter);
  }
  [[nodiscard]] Result<T> take() {
    assert(outcome_ && "penstock: the outcome of a Submission was taken before");
    Result<T> taken = *std::move(outcome_);
    outcome_.reset();
    return taken;
  }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 protected:
  using Work::Work;
  virtual ~SubmissionState() = default;

  void settle() noexcept {
    Waiter* waiter = nullptr;
    {
      const std::lock_guard lock{mutex_};
      settled_ = true;
      waiter = waiting_.pop();
    }
    if (waiter != nullptr) waiter->wake();
    release();
  }

  std::optional<Result<T>> outcome_;

 private:
  sync::mutex mutex_;
  bool settled_ = false;  // guarded by mutex_; goes once from false to true
  WaitList waiting_;      // guarded by mutex_; one at most
  sync::atomic<unsigned> references_{2};
};

template <class>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<Task<T>> = true;

/// What a submission of a function that returns `R` gives: `T` for both `T` and `Result<T>`.
template <class R>
struct Submitted {
  using type = R;
};
template <class T>
struct Submitted<Result<T>> {
  using type = T;
};
template <class F>
using submitted_t = typename Submitted<std::remove_cvref_t<std::invoke_result_t<F&>>>::type;

template <class F>
class FunctionState final : public SubmissionState<submitted_t<F>> {
  static_assert(!is_task<std::remove_cvref_t<std::invoke_result_t<F&>>>,
                "penstock: a ThreadPool is given functions that block; for a coroutine write "
                "Scope scope{pool}; scope.spawn(task)");

 public:
  explicit FunctionState(F function)
      : SubmissionState<submitted_t<F>>(
            [](Job& job) noexcept { static_cast<FunctionState&>(job).run_once(); }),
        function_(std::move(function)) {}

 private:
  using Outcome = Result<submitted_t<F>>;

  void run_once() noexcept {
    if (this->cancelled.load(std::memory_order_relaxed)) this->refusal = ErrorKind::cancelled;
    if (this->refusal) {
      this->outcome_.emplace(*this->refusal);
    } else {
      call();
    }
    function_.reset();  // what it refers to may go with whoever waits
    this->settle();
  }
  void call() noexcept {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
        std::invoke(*function_);
        this->outcome_.emplace();
      } else {
        this->outcome_.emplace(std::invoke(*function_));
      }
    } catch (...) {
      this->outcome_.emplace(Error::from_exception(std::current_exception()));
    }
  }
  std::optional<F> function_;
};

}  // namespace exec

/// The outcome of work that was given to a `ThreadPool`: what the function returned, `exception`
/// with what it threw, `closed` when the pool stopped before it started, `deadline` when its time
/// had passed by then, `cancelled` after `cancel`. Dropped, it leaves the work to itself.
/// *One thread at a time.*
template <class T>
class [[nodiscard("a Submission brings the outcome; wait for it, or cast it to void")]] Submission {
 public:
  explicit Submission(exec::SubmissionState<T> & state) noexcept : state_(&state) {}
  Submission(Submission && other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Submission& operator=(Submission&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Submission() {
    if (state_ != nullptr) state_->release();
  }

  [[nodiscard]] bool ready() const noexcept {
    return state_->settled();
  }
  /// Work that has not started will not; it keeps its place in the queue until its turn.
  void cancel() noexcept {
    state_->cancelled.store(true, std::memory_order_relaxed);
  }

  /// Blocks until the outcome is there and takes it, once. `cancelled` when `call` is stopped and
  /// `deadline` at its deadline: the work goes on, and `wait` may be called again.
  [[nodiscard]] Result<T> wait(Call call = {}) {
    BlockingWaiter waiter{Withdraw{state_}};
    if (!state_->add(waiter)) return state_->take();
    return after(waiter.wait(call));
  }
  /// The same as a coroutine, which resumes on `call.where()`; without suspending when the
  /// outcome is there already. The submission must outlive it.
  [[nodiscard]] Task<Result<T>> outcome(Call call = {}) {
    SuspendedWaiter waiter{call, Withdraw{state_}};
    if (!state_->add(waiter)) co_return state_->take();
    const WaitEnd end = co_await waiter;
    co_return after(end);
  }

 private:
  struct Withdraw {
    exec::SubmissionState<T>* state;
    bool operator()(Waiter& waiter) const noexcept { return state->withdraw(waiter); }
  };
  [[nodiscard]] Result<T> after(WaitEnd end) {
    switch (end) {
      case WaitEnd::stopped:
        return ErrorKind::cancelled;
      case WaitEnd::timed_out:
        return ErrorKind::deadline;
      case WaitEnd::granted:
        break;
    }
    return state_->take();
  }

  exec::SubmissionState<T>* state_;
};

}  // namespace penstock
