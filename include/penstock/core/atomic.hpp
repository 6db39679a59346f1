// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

/// The part of the seam (`core/sync.hpp`) that policies use: a shared decision is a step of one
/// atomic word. Apart, so that what only decides does not bring threads and locks along.
namespace penstock::sync {

using std::atomic;

}  // namespace penstock::sync
