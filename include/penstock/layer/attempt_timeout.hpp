// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/layer/deadline.hpp>

namespace penstock {

/// Each attempt ends within `limit`: stands inside `retry`. The leaf is told by `call.deadline`
/// and ends with `timeout`; a leaf that looks at neither its deadline nor its stop token cannot
/// be cut short from outside.
[[nodiscard]] inline TimeLimit<LayerKind::attempt_timeout> attempt_timeout(Duration limit) {
  return TimeLimit<LayerKind::attempt_timeout>{limit};
}

}  // namespace penstock
