// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace penstock {

enum class Priority : std::uint8_t { low, normal, high };

}  // namespace penstock
