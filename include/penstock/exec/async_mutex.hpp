// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/exec/semaphore.hpp>

namespace penstock {

/// Mutual exclusion that may be held across a `co_await`, for coroutine and blocking callers in
/// one first-come queue. *Safe from any thread.*
///
/// The lock is a value, not a thread's: it may be given back elsewhere. Given back, it goes
/// straight to the first who waits. It is not recursive. A wait ends with `deadline` at the
/// call's deadline and with `cancelled` on its stop; the mutex must outlive locks and callers.
/// Nothing allocates. For a section without a `co_await` a plain mutex is cheaper.
class AsyncMutex {
 public:
  /// Held until it is destroyed or given back.
  using Lock = Semaphore::Permit;

  /// `Result<Lock> lock = co_await mutex.lock(call)`. The caller resumes on `call.where()`,
  /// without suspending when the mutex is free.
  [[nodiscard]] Semaphore::Acquire lock(const Call& call = {}) noexcept {
    return one_.acquire(call);
  }
  /// The same, blocking.
  [[nodiscard]] Result<Lock> lock_and_wait(Call call = {}) noexcept {
    return one_.acquire_and_wait(call);
  }
  /// Empty when it is held or somebody waits for it.
  [[nodiscard]] std::optional<Lock> try_lock() noexcept { return one_.try_acquire(); }

 private:
  Semaphore one_{1};
};

}  // namespace penstock
