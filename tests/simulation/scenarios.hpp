// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include "batch.hpp"
#include "brownout.hpp"
#include "bucket.hpp"
#include "full_pipeline.hpp"
#include "pipeline.hpp"
#include "pool.hpp"
#include "storm.hpp"
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
             &Pipeline::play<Flavour::coroutines>},
    Scenario{"blocking",
             "the same pipeline with callers that block",
             &Pipeline::play<Flavour::blocking>},
    Scenario{"full-pipeline",
             "deadline > cache > coalesce > fallback > retry > hedge > breaker > limiter > "
             "adaptive and fixed concurrency limit > attempt timeout, coroutines",
             &FullPipeline<Flavour::coroutines>::play},
    Scenario{"full-blocking",
             "the same without the hedge, with callers that block",
             &FullPipeline<Flavour::blocking>::play},
    Scenario{"batch",
             "a batch queue under faults, cancels, flush, drain, close and abort",
             &BatchTrial::play},
    Scenario{"pool",
             "a connection pool under cuts, refusals, crashes, cancels and close",
             &PoolTrial<testing::SimulatedTransport>::play},
    Scenario{"blocking-pool",
             "the same pool with callers that block",
             &PoolTrial<testing::BlockingSimulatedTransport>::play},
    Scenario{
        "bucket", "a token bucket, exact for every window whatever the clock does", &Bucket::play},
    Scenario{"brownout",
             "a retry storm over a server that fails for a while, bounded by a budget",
             &Brownout::play},
    Scenario{"cancel-storm",
             "layers, pool and batch queue, and everybody gives up in one instant",
             &Storm::play},
};

}  // namespace simulate
