// SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include <penstock/core/executor.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {

namespace exec {

/// The root of a tree of tasks: a coroutine that nobody awaits. Its frame lives in its owner's
/// hands and is destroyed by it after `finished` was called.
class RootTask {
 public:
  class promise_type {
   public:
    static void* operator new(std::size_t size) {
      if (void* const frame = FrameCache::allocate(size)) return frame;
      throw std::bad_alloc{};
    }
    static void operator delete(void* frame, std::size_t size) noexcept {
      FrameCache::release(frame, size);
    }
    [[nodiscard]] RootTask get_return_object() noexcept {
      return RootTask{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    // Never suspends at its end: the frame goes by itself.
    [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };

  /// Runs it in this thread until its first wait.
  void start() && noexcept { std::exchange(frame_, nullptr).resume(); }
  /// The handle to start it by, from then on its own owner.
  [[nodiscard]] std::coroutine_handle<> release() && noexcept {
    return std::exchange(frame_, nullptr);
  }
  RootTask(RootTask&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  RootTask& operator=(RootTask&&) = delete;
  ~RootTask() {
    if (frame_) frame_.destroy();
  }

 private:
  explicit RootTask(std::coroutine_handle<> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<> frame_;
};

template <class T>
struct SyncWait {
  Parker done;
  std::optional<T> value;
  std::exception_ptr thrown;

  static RootTask run(Executor& executor, Task<T> task, SyncWait& self) {
    co_await reschedule(executor);
    try {
      self.value.emplace(co_await std::move(task));
    } catch (...) {
      self.thrown = std::current_exception();
    }
    { const Task<T> finished = std::move(task); }  // before its references go with the caller
    self.done.unpark();
  }
};
template <>
struct SyncWait<void> {
  Parker done;
  std::exception_ptr thrown;

  static RootTask run(Executor& executor, Task<void> task, SyncWait& self) {
    co_await reschedule(executor);
    try {
      co_await std::move(task);
    } catch (...) {
      self.thrown = std::current_exception();
    }
    { const Task<void> finished = std::move(task); }
    self.done.unpark();
  }
};

}  // namespace exec

/// Runs the task on `executor` and blocks this thread until it is done; on an executor that
/// lives in this thread (`Inline`, an `EventLoop` nobody runs) this drives it. Gives the task's
/// value, rethrows what it threw. Cannot be stopped itself: stop what the task does.
template <class T>
T sync_wait(Executor& executor, Task<T> task) {
  exec::SyncWait<T> state;
  exec::SyncWait<T>::run(executor, std::move(task), state).start();
  static_cast<void>(executor.wait(state.done, never));
  if (state.thrown) std::rethrow_exception(state.thrown);
  if constexpr (!std::is_void_v<T>) return std::move(*state.value);
}

/// The same on an `Inline` executor made for it: a coroutine stack in a plain function.
template <class T>
T sync_wait(Task<T> task) {
  Inline executor;
  return sync_wait(executor, std::move(task));
}

}  // namespace penstock
