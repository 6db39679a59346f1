// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/exec/driven.hpp>

namespace penstock {

/// The caller's thread as an executor: whatever is posted here runs while that thread waits
/// here (`wait`, `sync_wait`), one thing at a time, and not otherwise. *Safe from any thread*;
/// one thread drives. Must be destroyed with nothing posted or armed.
class Inline final : public Driven {
 public:
  Inline() = default;
  ~Inline() = default;

 private:
  void sleep(RunQueue::Lock& lock, Time until) noexcept override {
    if (until == never) {
      changed_.wait(lock);
    } else {
      static_cast<void>(changed_.wait_until(lock, until));
    }
  }
  void wake_sleeper() noexcept override { changed_.notify_one(); }

  sync::condition_variable changed_;
};

}  // namespace penstock
