// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

/// What the replaced `operator new` knows and does, in a program that includes `replaced_new.hpp`
/// in one of its sources.
namespace penstock::testing {

/// Its calls by this thread, the bytes they asked for, and its calls by all threads.
inline thread_local std::uint64_t allocations_here = 0;
inline thread_local std::uint64_t bytes_asked_here = 0;
inline std::atomic<std::uint64_t> allocations_everywhere{0};
/// What was given and not taken back.
inline std::atomic<std::int64_t> live_blocks{0};

/// The how manieth allocation of this thread from now on fails, once; 0: none.
inline thread_local std::size_t fails_in = 0;
inline thread_local bool has_failed = false;
/// Called in the middle of the one that fails, if set: for what other threads do meanwhile.
inline thread_local void (*as_it_fails)() = nullptr;

}  // namespace penstock::testing
