// SPDX-License-Identifier: MIT
// Found before the library's own: a system without a futex.
#pragma once

#include <penstock/core/table_sleep.hpp>

namespace penstock::sync {

using WordSleep = TableSleep;

}  // namespace penstock::sync
