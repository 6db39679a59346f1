// SPDX-License-Identifier: MIT
#pragma once

/// Everything but `http/` and `testing/`. To pay only for what you use, include the one header
/// you need instead: each compiles alone.

#include <penstock/core/call.hpp>
#include <penstock/core/error.hpp>
#include <penstock/core/error_set.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/core/stack.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/pool_scope.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/balance.hpp>
#include <penstock/layer/cache.hpp>
#include <penstock/layer/chaos.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/coalesce.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/escalation.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/hedge.hpp>
#include <penstock/layer/observe.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/policy/balance.hpp>
#include <penstock/policy/cache.hpp>
#include <penstock/policy/chaos.hpp>
#include <penstock/policy/circuit_breaker.hpp>
#include <penstock/policy/coalesce.hpp>
#include <penstock/policy/escalation.hpp>
#include <penstock/policy/fallback.hpp>
#include <penstock/policy/hedge.hpp>
#include <penstock/policy/latency_quantile.hpp>
#include <penstock/policy/release.hpp>
#include <penstock/policy/retry_budget.hpp>
#include <penstock/policy/retry_policy.hpp>
#include <penstock/policy/token_bucket.hpp>
#include <penstock/store/batch_queue.hpp>
#include <penstock/store/cache.hpp>
#include <penstock/store/connection_pool.hpp>
#include <penstock/store/in_flight.hpp>
