// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/core/executor.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {

/// As `wait_until`, in a frame of its own: for a coroutine that seldom waits, and would else keep
/// room for the wait all its life, beside each call in flight. The caller resumes on `executor`.
/// Allocates nothing but its frame, only when it is called.
[[nodiscard]] inline Task<bool> pause_until(Executor& executor, Time when, StopToken stop) {
  co_return co_await wait_until(executor, when, stop);
}

}  // namespace penstock
