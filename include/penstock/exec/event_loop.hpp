// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

#include <penstock/core/sync.hpp>
#include <penstock/exec/driven.hpp>
#include <penstock/exec/poller.hpp>
#include <penstock/exec/watch.hpp>

namespace penstock {

/// Timers, posts and file descriptors on one thread: the one in `run` or in `wait`.
///
/// A thread that posts wakes the loop only when it sleeps, once per burst. Idle, it sleeps in the
/// system and costs nothing. *Safe from any thread* except where said. The constructor throws
/// std::system_error when the system has no descriptors left. Must be destroyed with nothing
/// posted, armed or watched.
///
/// To end one without losing anything: run its work in a `Scope`, give every wait the token of
/// one `StopSource`, and then
///
///     source.request_stop();  // waits end with `cancelled`; leave it out to let all complete
///     scope.wait();           // every task has returned, each exactly once
///     loop.stop();            // now `run` returns
///
/// `EventLoops` does that for loops on threads of their own.
template <LoopPoller PollerType>
class BasicEventLoop final : public Driven {
 public:
  using Watch = penstock::Watch;

  BasicEventLoop() = default;
  ~BasicEventLoop() = default;

  /// Runs in this thread until `stop`. Where a thread drives the loop just to wait for something
  /// of its own, that one finishes first. False: another thread runs it.
  bool run() noexcept { return run(WhenIdle::sleep); }
  /// The same, and returns also once no job is posted and no timer armed: a job that another
  /// thread will post, or a descriptor, is not waited for.
  bool run_until_idle() noexcept { return run(WhenIdle::leave); }
  /// Makes `run` return after the job it is in; jobs and timers not run stay for the next `run`.
  /// Where a job of it called `run` itself, both return.
  void stop() noexcept {
    RunQueue::Lock lock{queue_.mutex};
    stopped_.store(true, std::memory_order_relaxed);
    ask_again();
    wake(lock);
  }

  /// Of a loop that nobody drives: nothing is posted and no timer armed.
  [[nodiscard]] bool is_idle() noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    return idle();
  }

  /// Starts watching, once per descriptor and for both directions; edges that lie in the past
  /// are reported too. On the loop's thread only, as `unwatch`. False with errno set when the
  /// system refuses.
  [[nodiscard]] bool watch(int descriptor, Watch& watch) noexcept {
    return poller_.watch(descriptor, watch);
  }
  /// Afterwards `ready` is not called again, not even for edges already collected.
  void unwatch(int descriptor, Watch& watch) noexcept { poller_.unwatch(descriptor, watch); }

 private:
  bool run(WhenIdle when_idle) noexcept {
    const auto stopped = [this] { return stopped_.load(std::memory_order_relaxed); };
    RunQueue::Lock lock{queue_.mutex};
    const Stay how = enter_to_stay(lock, [&] { return !stopped(); });
    if (how == Stay::refused) return false;
    if (how != Stay::withdrawn) {
      ++runs_;
      drive(lock, never, stopped, when_idle);
      --runs_;
      leave_after(how);
    }
    // One that runs in a job of another leaves it the stop, which is for that one too.
    if (runs_ != 0) return true;
    stopped_.store(false, std::memory_order_relaxed);
    return true;
  }

  void sleep(RunQueue::Lock& lock, Time until) noexcept override {
    lock.unlock();
    const bool collected = poller_.wait(until);
    lock.lock();
    if (!collected) return;
    // A timer that a watch arms must not find the loop asleep: it would wake itself for it.
    awake();
    lock.unlock();
    poller_.report();
    lock.lock();
  }
  void wake_sleeper() noexcept override { poller_.wake(); }
  void glance() noexcept override {
    if (poller_.wait(Time::min())) poller_.report();
  }

  PollerType poller_;
  int runs_ = 0;  // guarded by the lock of the queue: of the driving thread, nested
  // Written with the lock of the queue held, so that no stop falls between the loop's last look
  // and its sleep; read by the loop before every job, and relaxed: it guards no other memory.
  sync::atomic<bool> stopped_{false};
};

using EventLoop = BasicEventLoop<Poller>;

}  // namespace penstock
