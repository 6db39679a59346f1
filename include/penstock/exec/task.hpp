// SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/frame_cache.hpp>

namespace penstock {

template <class T>
class Task;

namespace exec {

class TaskAccess;

/// What goes on when a task has finished, where that is no coroutine.
class Continuation {
 public:
  using Run = void (*)(Continuation&) noexcept;
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;
  void run() noexcept { run_(*this); }

 protected:
  explicit Continuation(Run work) noexcept : run_(work) {}
  ~Continuation() = default;

 private:
  Run run_;
};

/// What every task's promise shares: its frame's memory and the hand-over to what goes on after it.
///
/// Protocol of `next_`: the address of the awaiting coroutine's frame, or of a `Continuation` with
/// `is_continuation`, written by the starter before it first resumes the task. `met` is set twice:
/// by the starter when that `resume` has returned, and by the task when it is finished. Each of
/// them sees who came second, and only the second goes on: an awaiter by not suspending, the task
/// by running what is next. So a task that finishes at once costs no stack, in every build and at
/// any number (symmetric transfer is a tail call only where the optimiser is in the mood).
/// acq_rel: the result is written before the task sets it and read after the starter has; the
/// address is read in what the starter's `resume` has led to.
class TaskPromise {
 public:
  static void* operator new(std::size_t size) noexcept { return FrameCache::allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept {
    FrameCache::release(frame, size);
  }

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

  struct Finish {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    [[gnu::noinline]] void await_suspend(std::coroutine_handle<Promise> task) const noexcept {
      TaskPromise& promise = task.promise();
      const std::uintptr_t next = promise.next_.load(std::memory_order_relaxed) & ~met;
      if (promise.meets()) go_on(next);
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] Finish final_suspend() const noexcept { return {}; }

  /// Starts the task; true when it goes on elsewhere and will resume `awaiter`.
  [[nodiscard]] bool start(std::coroutine_handle<> task, std::coroutine_handle<> awaiter) noexcept {
    return start_before(task, reinterpret_cast<std::uintptr_t>(awaiter.address()));
  }
  /// The same for what is no coroutine.
  [[nodiscard]] bool start(std::coroutine_handle<> task, Continuation& next) noexcept {
    return start_before(task, reinterpret_cast<std::uintptr_t>(&next) | is_continuation);
  }

 private:
  static constexpr std::uintptr_t met = 1;
  static constexpr std::uintptr_t is_continuation = 2;
  static_assert(alignof(Continuation) > (met | is_continuation));

  bool start_before(std::coroutine_handle<> task, std::uintptr_t next) noexcept {
    next_.store(next, std::memory_order_relaxed);
    task.resume();
    return !meets();
  }
  /// True: the other side came first.
  bool meets() noexcept { return (next_.fetch_or(met, std::memory_order_acq_rel) & met) != 0; }

  static void go_on(std::uintptr_t next) noexcept {
    void* const address = reinterpret_cast<void*>(next & ~is_continuation);
    if ((next & is_continuation) != 0) {
      static_cast<Continuation*>(address)->run();
    } else {
      std::coroutine_handle<>::from_address(address).resume();
    }
  }

  sync::atomic<std::uintptr_t> next_{0};
};

template <class T>
class ValuePromise : public TaskPromise {
 public:
  [[nodiscard]] Task<T> get_return_object() noexcept;
  [[nodiscard]] static Task<T> get_return_object_on_allocation_failure() noexcept;

  template <class U = T>
  requires std::convertible_to<U, T>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
    value_.emplace(std::forward<U>(value));
  }
  void unhandled_exception() noexcept {
    if constexpr (is_result<T>) {
      value_.emplace(Error::from_exception(std::current_exception()));
    } else {
      exception_ = std::current_exception();
    }
  }
  /// Of a finished task: it gave a value, and no error.
  [[nodiscard]] bool succeeded() const noexcept {
    if constexpr (is_result<T>) {
      return value_->has_value();
    } else {
      return exception_ == nullptr;
    }
  }
  [[nodiscard]] T take() {
    if constexpr (!is_result<T>) {
      if (exception_) std::rethrow_exception(exception_);
    }
    return std::move(*value_);
  }

 private:
  struct Nothing {};
  std::optional<T> value_;
  [[no_unique_address]] std::conditional_t<is_result<T>, Nothing, std::exception_ptr> exception_;
};

template <>
class ValuePromise<void> : public TaskPromise {
 public:
  [[nodiscard]] inline Task<void> get_return_object() noexcept;
  [[nodiscard]] static inline Task<void> get_return_object_on_allocation_failure() noexcept;
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  [[nodiscard]] bool succeeded() const noexcept { return exception_ == nullptr; }
  void take() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::exception_ptr exception_;
};

}  // namespace exec

/// A coroutine that starts when it is awaited, once, and gives a `T`. *One thread at a time.*
///
/// The awaiter resumes where the task finished: in the same thread, without a hop, when the task
/// never waited; otherwise on the executor that woke the task. What the body throws is rethrown
/// from `co_await`, except that a `Task<Result<T>>` gives it as an `Error` of kind `exception`;
/// so it does when there was no memory for its frame. A task that is never awaited never runs.
template <class T>
class [[nodiscard("a Task does nothing until it is awaited: co_await it or sync_wait it")]] Task {
 public:
  using promise_type = exec::ValuePromise<T>;
  using value_type = T;

  Task(Task && other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  /// False: it was moved from, or there was no memory for its frame.
  [[nodiscard]] bool valid() const noexcept {
    return frame_ != nullptr;
  }

  class [[nodiscard]] Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    [[nodiscard]] bool await_ready() const noexcept { return !frame_; }
    [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) const noexcept {
      return frame_.promise().start(frame_, awaiter);
    }
    T await_resume() const { return result_of(frame_); }

   private:
    std::coroutine_handle<promise_type> frame_;
  };
  [[nodiscard]] Awaiter operator co_await()&& noexcept {
    return Awaiter{frame_};
  }

 private:
  friend promise_type;
  friend exec::TaskAccess;
  explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  // Of a finished task, or of one without a frame.
  static T result_of(std::coroutine_handle<promise_type> frame) {
    if (frame) return frame.promise().take();
    const auto lost = std::make_exception_ptr(std::bad_alloc{});
    if constexpr (is_result<T>) {
      return Error::from_exception(lost);
    } else {
      std::rethrow_exception(lost);
    }
  }

  std::coroutine_handle<promise_type> frame_;
};

namespace exec {
/// For what runs tasks without being a coroutine.
class TaskAccess {
 public:
  /// Runs it in this thread until its first wait. True: it goes on elsewhere, and will run `next`
  /// once it has finished. False: it has finished, or there was no memory for its frame.
  template <class T>
  [[nodiscard]] static bool start(const Task<T>& task, Continuation& next) noexcept {
    return task.frame_ && task.frame_.promise().start(task.frame_, next);
  }
  /// Of a finished task, as all below: it gave a value, and no error.
  template <class T>
  [[nodiscard]] static bool succeeded(const Task<T>& task) noexcept {
    return task.frame_ && task.frame_.promise().succeeded();
  }
  template <class T>
  static T take(const Task<T>& task) {
    return Task<T>::result_of(task.frame_);
  }
};

template <class T>
Task<T> ValuePromise<T>::get_return_object() noexcept {
  return Task<T>{std::coroutine_handle<ValuePromise>::from_promise(*this)};
}
template <class T>
Task<T> ValuePromise<T>::get_return_object_on_allocation_failure() noexcept {
  return Task<T>{nullptr};
}
inline Task<void> ValuePromise<void>::get_return_object() noexcept {
  return Task<void>{std::coroutine_handle<ValuePromise>::from_promise(*this)};
}
inline Task<void> ValuePromise<void>::get_return_object_on_allocation_failure() noexcept {
  return Task<void>{nullptr};
}
}  // namespace exec

/// A task that is over before it starts: for functions that return a `Task` without being
/// coroutines themselves.
template <class T>
[[nodiscard]] Task<T> ready_task(T value) {
  co_return std::move(value);
}

template <class T>
struct AsyncReply<Task<T>> {
  using type = T;
  [[nodiscard]] static Task<T> ready(T value) { return ready_task(std::move(value)); }
};

}  // namespace penstock
