// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock::testing {

/// Calls of the global `operator new`, in a program that includes `counting_new.hpp` in one of its
/// sources: by this thread, and by all.
inline thread_local std::uint64_t allocations_here = 0;
inline thread_local std::uint64_t bytes_asked_here = 0;
inline std::atomic<std::uint64_t> allocations_everywhere{0};

}  // namespace penstock::testing
