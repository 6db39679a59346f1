// SPDX-License-Identifier: MIT
#pragma once

// Where a `long` has 64 bits, the kernel's times have them as well.
#if defined(__linux__) && defined(__LP64__)
#include <penstock/core/futex_sleep.hpp>
#else
#include <penstock/core/table_sleep.hpp>
#endif

namespace penstock::sync {

/// How this system sleeps on a word.
#if defined(__linux__) && defined(__LP64__)
using WordSleep = FutexSleep;
#else
using WordSleep = TableSleep;
#endif

}  // namespace penstock::sync
