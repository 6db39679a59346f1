// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include "pipeline.hpp"
#include "trial.hpp"

namespace simulate {

struct Scenario {
  std::string_view name;
  std::string_view what;
  void (*play)(Trial&);
};

/// To add one: a header beside this one, and a line here.
inline constexpr std::array scenarios{
    Scenario{"pipeline",
             "deadline > retry + budget > breaker > limiter > attempt timeout, coroutines",
             &Pipeline::play<Pipeline::Mode::coroutines>},
    Scenario{"blocking",
             "the same pipeline with callers that block",
             &Pipeline::play<Pipeline::Mode::blocking>},
};

}  // namespace simulate
