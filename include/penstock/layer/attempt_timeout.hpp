// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/layer/deadline.hpp>

namespace penstock {

/// Each attempt ends within `limit`: stands inside `retry`. The leaf is told by `call.deadline`
/// and ends with `timeout`.
///
/// It is told and not cut off: a leaf, blocking or coroutine, that looks at neither its deadline
/// nor its stop token ends when it ends, and the call with it. To return at the limit all the same
/// means to leave the leaf behind, with whatever it refers to: put `hedge` inside, of which
/// `.max_hedges = 0` does that alone, and the leaf goes on in a scope that you join.
[[nodiscard]] inline TimeLimit<LayerKind::attempt_timeout> attempt_timeout(Duration limit) {
  return TimeLimit<LayerKind::attempt_timeout>{limit};
}

}  // namespace penstock
