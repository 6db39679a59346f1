// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

/// The part of the seam (`core/sync.hpp`) that policies use: a shared decision is a step of one
/// atomic word. Apart, so that what only decides does not bring threads and locks along.
namespace penstock::sync {

using std::atomic;

/// The one `Object` of the calling thread, made at its first use and destroyed with the thread.
///
/// By clang never inlined: into a coroutine it would be looked up once, before a wait, and used
/// after it in another thread. g++ has split its coroutines by then.
template <class Object>
#if defined(__clang__)
[[gnu::noinline]]
#endif
[[nodiscard]] Object&
per_thread() noexcept {
  static thread_local Object object;
  return object;
}

}  // namespace penstock::sync
