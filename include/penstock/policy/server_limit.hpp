// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>

#include <penstock/core/time.hpp>

namespace penstock {

/// How a server's allowance comes back.
enum class Refill : std::uint8_t {
  gradual,  ///< evenly; `reset` is the time until it is whole again (most LLM providers)
  at_once,  ///< all of it at the end of a window; `reset` is the time until then
};

/// What a reply says of a limit the server keeps, where it says it. Absent, negative or senseless
/// values are ignored, and so is everything beside a `limit` of 0 or less, which some servers
/// send for "none".
struct ServerLimit {
  std::optional<double> limit{};      ///< the whole allowance
  std::optional<double> remaining{};  ///< what is left of it
  std::optional<Duration> reset{};    ///< from now
  double outstanding = 0;             ///< taken here for calls that the server has not counted yet
  Refill refill = Refill::gradual;
};

}  // namespace penstock
