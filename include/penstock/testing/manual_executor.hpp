// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>

#include <penstock/core/executor.hpp>
#include <penstock/core/random.hpp>
#include <penstock/exec/run_queue.hpp>

namespace penstock::testing {

/// An executor with a clock of its own: time stands still while anything can run, and jumps to
/// the next timer, or to the end of a blocking wait, when nothing can. A day of back-off takes
/// microseconds, and the same seed gives the same run. *One thread at a time.*
///
/// A wait that nothing can end is a deadlock: it is said on stderr and ends the program.
class ManualExecutor final : public Executor {
 public:
  explicit ManualExecutor(std::uint64_t seed = 1) noexcept : random_(seed) {}
  ManualExecutor(const ManualExecutor&) = delete;
  ManualExecutor& operator=(const ManualExecutor&) = delete;
  ~ManualExecutor() = default;

  [[nodiscard]] Time now() const noexcept override {
    ++clock_readings_;
    return now_;
  }
  /// How often `now` was asked for.
  [[nodiscard]] std::uint64_t clock_readings() const noexcept { return clock_readings_; }
  [[nodiscard]] std::uint64_t random() noexcept override { return random_(); }

  /// Lets time pass without running anything: for a leaf that takes long.
  void advance(Duration elapsed) noexcept { now_ = saturating_add(now_, elapsed); }

  void post(Job& job) noexcept override {
    const RunQueue::Lock lock{queue_.mutex};
    queue_.post(job);
  }
  void arm(Timer& timer) noexcept override {
    const RunQueue::Lock lock{queue_.mutex};
    static_cast<void>(queue_.arm(timer));
  }
  bool disarm(Timer& timer) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    return queue_.disarm(lock, timer);
  }

  bool wait(Parker& parker, Time until) noexcept override {
    const CurrentExecutor current{*this};
    RunQueue::Lock lock{queue_.mutex};
    for (;;) {
      while (queue_.run_job(lock)) {
      }
      if (parker.unparked()) return true;
      if (now_ >= until) return false;
      if (queue_.fire_timer(lock, now_)) continue;
      const Time next = std::min(queue_.first_timer(), until);
      if (next == never) die();
      now_ = next;
    }
  }

  /// Runs everything that is due up to `until`, then stands at that instant.
  void run_until(Time until) noexcept {
    Parker nobody;
    static_cast<void>(wait(nobody, until));
  }
  void run_for(Duration time) noexcept { run_until(saturating_add(now_, time)); }

 private:
  [[noreturn]] static void die() noexcept {
    std::fputs("penstock: deadlock: everyone waits, no job is posted and no timer is armed\n",
               stderr);
    std::terminate();
  }

  RunQueue queue_;
  Time now_{Duration{1'000'000'000'000}};
  Random random_;
  mutable std::uint64_t clock_readings_ = 0;
};

}  // namespace penstock::testing
