// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/exec/scope.hpp>
#include <penstock/exec/thread_pool.hpp>

namespace penstock {

/// A scope on a pool: its tasks may block, as each has a thread while it does. *Safe from any
/// thread.*
class PoolScope : public Scope {
 public:
  explicit PoolScope(ThreadPool& pool) noexcept : Scope(pool) {}
};

}  // namespace penstock
