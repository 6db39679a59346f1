// SPDX-License-Identifier: MIT
#pragma once

// The controlled words stand together: the atomic of policies is the one of threads.
#include <penstock/core/sync.hpp>
