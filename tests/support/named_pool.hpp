// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/store/connection_pool.hpp>

namespace penstock::testing {

/// Opening waits twice, a millisecond each, and reads its key after each.
struct NamedTransport {
  using Key = std::string;
  struct Connection {
    std::string to;
  };
  Task<Result<Connection>> connect(const Key& to, Call& call) const {
    std::string read = to;
    for (int step = 0; step < 2; ++step) {
      const Time until = call.where().now() + std::chrono::milliseconds{1};
      if (!co_await wait_until(call.where(), until, call.stop)) co_return ErrorKind::cancelled;
      read = to;
    }
    co_return Connection{std::move(read)};
  }
  [[nodiscard]] bool usable(const Connection&) const noexcept { return true; }
};
using NamedPool = ConnectionPool<NamedTransport>;

/// Longer than a string keeps in itself.
[[nodiscard]] inline std::string long_key() {
  return std::string(100, 'k');
}
/// By a key without a name: it is gone at the first wait.
[[nodiscard]] inline Task<Result<NamedPool::Lease>> acquire_by_temporary(NamedPool& pool,
                                                                         Call& call) {
  return pool.acquire(long_key(), call);
}

}  // namespace penstock::testing
