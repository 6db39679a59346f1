// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace penstock::testing {

/// Calls of the global `operator new` by this thread, as counted by this program.
[[nodiscard]] std::uint64_t allocations() noexcept;

}  // namespace penstock::testing
