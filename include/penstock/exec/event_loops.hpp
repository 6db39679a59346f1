// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <penstock/core/executor.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {

/// Event loops on threads of their own, given out in turn. *Safe from any thread.*
///
/// What is spawned here lives in the scope of its loop, and should wait by `token()`. `drain`
/// lets all of it finish; `stop` asks it to by that token first. Neither loses a task or a job:
/// the threads go on serving what other parts of the program post, until the destructor, which
/// stops, waits for what is still posted or armed, and joins.
template <class Loop>
class BasicEventLoops {
 public:
  struct Options {
    unsigned loops = sync::hardware_threads();
  };

  BasicEventLoops() : BasicEventLoops(Options{}) {}
  /// Throws std::invalid_argument for no loops, std::system_error when the system has no
  /// descriptors or threads left.
  explicit BasicEventLoops(Options settings) {
    if (settings.loops == 0)
      throw std::invalid_argument{
          "penstock: EventLoops needs at least one loop; write EventLoops{{.loops = 2}}, or "
          "EventLoops{} for one for each core"};
    try {
      for (unsigned count = 0; count < settings.loops; ++count) lanes_.emplace_back();
    } catch (...) {
      end();
      throw;
    }
  }
  BasicEventLoops(const BasicEventLoops&) = delete;
  BasicEventLoops& operator=(const BasicEventLoops&) = delete;
  ~BasicEventLoops() {
    if (!stop()) {
      std::fputs(
          "penstock: EventLoops were destroyed on one of their own threads, which they would have "
          "to wait for; let a thread outside of them destroy them\n",
          stderr);
      std::terminate();
    }
    end();
  }

  [[nodiscard]] std::size_t size() const noexcept { return lanes_.size(); }
  [[nodiscard]] Loop& operator[](std::size_t index) noexcept { return lanes_[index].loop; }
  /// Each loop in turn.
  [[nodiscard]] Loop& next() noexcept { return next_lane().loop; }
  /// Stops when `stop` is called.
  [[nodiscard]] StopToken token() noexcept { return stop_.token(); }

  /// Starts the task on the next loop; `closed` once it drains or stops. Throws std::bad_alloc,
  /// and then has started nothing. What leaves a task is told by `drain` or `stop`.
  Result<void> spawn(Task<void> task) { return spawn_in(next_lane(), std::move(task)); }
  /// Starts `make(loop)` on the next loop: for tasks that open descriptors there. It is called
  /// here and now; if it is a lambda whose coroutine uses captures, it must outlive the task.
  template <std::invocable<Loop&> Make>
  requires std::same_as<std::invoke_result_t<Make&, Loop&>, Task<void>> Result<void> spawn(
      Make&& make) {
    Lane& lane = next_lane();
    return spawn_in(lane, std::invoke(make, lane.loop));
  }

  /// Refuses new tasks and waits until all that were spawned have returned, then rethrows an
  /// exception that left one of them; the destructor, if it is left to that, ends the program.
  /// `permanent`, and nothing refused, on one of its threads, which would wait for itself.
  Result<void> drain() {
    for (const Lane& lane : lanes_)
      if (lane.id == sync::this_thread_id()) return would_wait_for_itself();
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
    }
    const std::lock_guard one_joiner{draining_};
    std::exception_ptr thrown;
    for (Lane& lane : lanes_) {
      try {
        lane.scope.wait();
      } catch (...) {
        thrown = std::current_exception();
      }
    }
    if (thrown) std::rethrow_exception(std::move(thrown));
    return {};
  }
  /// The same, asking them by the token first, from wherever it is called.
  Result<void> stop() {
    stop_.request_stop();
    return drain();
  }

 private:
  struct Started final : Job {
    Started() noexcept
        : Job([](Job& job) noexcept { static_cast<Started&>(job).parker.unpark(); }) {}
    Parker parker;
  };
  struct Lane {
    // Returns when the thread drives its loop: a thread that waited on it before would drive it.
    Lane() {
      Started started;
      loop.post(started);
      static_cast<void>(calling_thread().wait(started.parker, never));
    }
    Loop loop;
    Scope scope{loop};
    sync::thread_id id{};  // written by the thread itself before `Lane` is there
    sync::thread thread{[this] {
      id = sync::this_thread_id();
      static_cast<void>(loop.run());
      static_cast<void>(loop.run_until_idle());  // the others do so meanwhile
    }};
  };

  [[nodiscard]] Lane& next_lane() noexcept {
    return lanes_[turn_.fetch_add(1, std::memory_order_relaxed) % lanes_.size()];
  }
  Result<void> spawn_in(Lane& lane, Task<void> task) {
    // With the lock, so that no task enters a scope that was found empty.
    const std::lock_guard lock{mutex_};
    if (closed_) return ErrorKind::closed;
    lane.scope.spawn(std::move(task));
    return {};
  }
  static Result<void> would_wait_for_itself() noexcept {
    try {
      return Error{ErrorKind::permanent,
                   "penstock: a task on EventLoops cannot wait for their end; ask for it by a "
                   "StopSource, and call drain() or stop() from outside"};
    } catch (...) {
      return ErrorKind::permanent;
    }
  }
  void end() noexcept {
    for (Lane& lane : lanes_) lane.loop.stop();
    for (Lane& lane : lanes_) lane.thread.join();
    // What was left on one when its thread went, by jobs of another, may bring more to any.
    const auto is_busy = [](Lane& lane) { return !lane.loop.is_idle(); };
    while (std::ranges::any_of(lanes_, is_busy)) {
      for (Lane& lane : lanes_) static_cast<void>(lane.loop.run_until_idle());
    }
  }

  StopSource stop_;
  sync::mutex mutex_;
  sync::mutex draining_;  // a scope has one joiner at a time
  bool closed_ = false;   // guarded by mutex_
  // Any value; only its remainder counts. Relaxed: it guards no other memory.
  sync::atomic<std::size_t> turn_{0};
  std::deque<Lane> lanes_;
};

using EventLoops = BasicEventLoops<EventLoop>;

}  // namespace penstock
