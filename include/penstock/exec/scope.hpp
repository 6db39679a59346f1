// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <mutex>
#include <utility>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {

/// Runs tasks side by side on one executor and outlives them all. *Safe from any thread.*
///
/// A task may spawn others into its own scope. What a task throws ends the program: a spawned
/// task deals with its own errors, its `Result` among them. The destructor asserts that
/// everything was joined, by `co_await scope.join()` or `scope.wait()`.
class Scope {
 public:
  explicit Scope(Executor& executor) noexcept : executor_(executor) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() {
    assert(running_ == 0 && "penstock: join a Scope before it goes: co_await scope.join()");
  }

  [[nodiscard]] Executor& executor() const noexcept { return executor_; }

  /// Starts the task on the executor. Throws std::bad_alloc, and then has started nothing.
  void spawn(Task<void> task) {
    exec::RootTask root = run(std::move(task), *this);
    {
      const std::lock_guard lock{mutex_};
      ++running_;
    }
    std::move(root).start();
  }

  [[nodiscard]] std::size_t running_approx() const noexcept {
    const std::lock_guard lock{mutex_};
    return running_;
  }

  /// `co_await scope.join()`: resumes on the scope's executor when nothing runs in it. One
  /// joiner at a time.
  class [[nodiscard]] Join {
   public:
    explicit Join(Scope& scope) noexcept : scope_(scope) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
      const std::lock_guard lock{scope_.mutex_};
      if (scope_.running_ == 0) return false;
      job_.awaiter = awaiter;
      scope_.joiner_ = &job_;
      return true;
    }
    // The lock: the last task may still hold it, and the scope may go when we return.
    void await_resume() const noexcept { const std::lock_guard lock{scope_.mutex_}; }

   private:
    Scope& scope_;
    ResumeJob job_;
  };
  [[nodiscard]] Join join() noexcept { return Join{*this}; }

  /// Blocks this thread until nothing runs; drives an executor that lives in it.
  void wait() {
    sync_wait(executor_, [](Scope& self) -> Task<void> { co_await self.join(); }(*this));
  }

 private:
  static exec::RootTask run(Task<void> task, Scope& scope) {
    co_await reschedule(scope.executor_);
    co_await std::move(task);
    // The task's frame must be gone before the joiner can be told.
    { const Task<void> finished = std::move(task); }
    scope.leave();
  }
  void leave() noexcept {
    const std::lock_guard lock{mutex_};
    if (--running_ == 0 && joiner_ != nullptr) executor_.post(*std::exchange(joiner_, nullptr));
  }

  Executor& executor_;
  mutable sync::mutex mutex_;
  std::size_t running_ = 0;  // guarded by mutex_
  Job* joiner_ = nullptr;    // guarded by mutex_
};

}  // namespace penstock
