// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

/// The part of the seam (`core/sync.hpp`) that policies use: a shared decision is a step of one
/// atomic word. Apart, so that what only decides does not bring threads and locks along.
namespace penstock::sync {

using std::atomic;

/// The one `Object` of the calling thread, made at its first use and destroyed with the thread.
template <class Object>
[[nodiscard]] Object& per_thread() noexcept {
  static thread_local Object object;
  return object;
}

}  // namespace penstock::sync
