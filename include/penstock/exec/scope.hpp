// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <mutex>
#include <new>
#include <utility>

#include <penstock/core/executor.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/frame_cache.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {

/// Runs tasks side by side on one executor and outlives them all. *Safe from any thread.*
///
/// A task may spawn others into its own scope. `request_stop` stops the token that the tasks were
/// given, and so does the parent's. The first exception that leaves a task stops the scope too
/// and is rethrown by whoever joins next; those after it are dropped, as failures that follow
/// from the first. The destructor asserts that everything was joined, by `co_await scope.join()`
/// or `scope.wait()`.
class Scope {
 public:
  explicit Scope(Executor& executor, StopToken parent = {}) noexcept
      : executor_(executor),
        stop_(parent) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() {
    assert(running_ == 0 && "penstock: join a Scope before it goes: co_await scope.join()");
  }

  [[nodiscard]] Executor& executor() const noexcept { return executor_; }

  /// For the calls of the tasks: stops with the scope. Valid while the scope lives.
  [[nodiscard]] StopToken token() noexcept { return stop_.token(); }
  /// True for the call that stopped it. The tasks end as they see fit; join them as ever.
  bool request_stop() noexcept { return stop_.request_stop(); }

  /// Starts the task on the executor, also in a scope that is stopped: its token tells it. Throws
  /// std::bad_alloc, also for a task that got no frame, and then has started nothing.
  void spawn(Task<void> task) {
    if (!task.valid()) throw std::bad_alloc{};
    auto* const spawned = new Spawned{*this, std::move(task)};
    {
      const std::lock_guard lock{mutex_};
      ++running_;
    }
    executor_.post(*spawned);
  }

  [[nodiscard]] std::size_t running_approx() const noexcept {
    const std::lock_guard lock{mutex_};
    return running_;
  }

  /// `co_await scope.join()`: resumes on the scope's executor when nothing runs in it, without
  /// suspending when nothing did. Rethrows what left a task. One joiner at a time.
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
    void await_resume() const { scope_.rethrow(); }

   private:
    Scope& scope_;
    ResumeJob job_;
  };
  [[nodiscard]] Join join() noexcept { return Join{*this}; }

  /// Blocks this thread until nothing runs; drives an executor that lives in it. Rethrows as
  /// `join` does, and needs no memory for it.
  void wait() {
    struct Told final : Job {
      Told() noexcept : Job([](Job& job) noexcept { static_cast<Told&>(job).done.unpark(); }) {}
      Parker done;
    };
    Told told;
    const bool runs = [&] {
      const std::lock_guard lock{mutex_};
      if (running_ != 0) joiner_ = &told;
      return running_ != 0;
    }();
    if (runs) static_cast<void>(executor_.wait(told.done, never));
    rethrow();
  }

 private:
  // A task that runs in the scope, and the job that starts it; frees itself.
  class Spawned final : public Job, private exec::Continuation {
   public:
    static void* operator new(std::size_t size) {
      if (void* const memory = FrameCache::allocate(size)) return memory;
      throw std::bad_alloc{};
    }
    static void operator delete(void* memory, std::size_t size) noexcept {
      FrameCache::release(memory, size);
    }
    Spawned(Scope& scope, Task<void> task) noexcept
        : Job([](Job& job) noexcept { static_cast<Spawned&>(job).start(); }),
          Continuation([](Continuation& next) noexcept { static_cast<Spawned&>(next).finish(); }),
          scope_(scope),
          task_(std::move(task)) {}

   private:
    void start() noexcept {
      if (!exec::TaskAccess::start(task_, *this)) finish();
    }
    void finish() noexcept {
      Scope& scope = scope_;
      std::exception_ptr thrown;
      try {
        exec::TaskAccess::take(task_);
      } catch (...) {
        thrown = std::current_exception();
      }
      delete this;  // with the task's frame, before the joiner can be told
      if (thrown) scope.fail(std::move(thrown));
      scope.leave();
    }

    Scope& scope_;
    Task<void> task_;
  };

  void fail(std::exception_ptr thrown) noexcept {
    {
      const std::lock_guard lock{mutex_};
      if (!thrown_) thrown_ = std::move(thrown);
    }
    stop_.request_stop();
  }
  void leave() noexcept {
    const std::lock_guard lock{mutex_};
    if (--running_ == 0 && joiner_ != nullptr) executor_.post(*std::exchange(joiner_, nullptr));
  }
  void rethrow() {
    std::exception_ptr thrown;
    {
      // The lock also for this: the last task may still hold it, and the scope may go now.
      const std::lock_guard lock{mutex_};
      thrown = std::exchange(thrown_, nullptr);
    }
    if (thrown) std::rethrow_exception(std::move(thrown));
  }

  Executor& executor_;
  LinkedStopSource stop_;
  mutable sync::mutex mutex_;
  // Guarded by mutex_.
  std::size_t running_ = 0;
  Job* joiner_ = nullptr;
  std::exception_ptr thrown_;
};

}  // namespace penstock
