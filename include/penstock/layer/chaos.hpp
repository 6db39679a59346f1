// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/policy/chaos.hpp>

namespace penstock {

/// Makes trouble as the policy says, on the way to and from the inner service.
template <class Inner>
class ChaosService {
 public:
  static constexpr bool keeps_time = true;

  ChaosService(ChaosPolicy policy, Inner inner) : policy_(policy), inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const ChaosPolicy::Plan plan = policy_.plan(call.where().random());
    if (plan.delay > Duration::zero()) {
      const Time made = saturating_add(call.now, plan.delay);
      if (!block_until(call, std::min(made, call.deadline))) return ErrorKind::cancelled;
      if (made >= call.deadline) return ErrorKind::timeout;
    }
    if (plan.fault) return *plan.fault;
    auto result = inner_(request, call);
    if (plan.outcome && result) return *plan.outcome;
    return result;
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const ChaosPolicy::Plan plan = policy_.plan(call.where().random());
    if (plan.delay > Duration::zero()) {
      const Time made = saturating_add(call.now, plan.delay);
      const Time until = std::min(made, call.deadline);
      const bool came = co_await wait_until(call.where(), until, call.stop);
      call.now = call.where().now();
      if (!came) co_return ErrorKind::cancelled;
      if (made >= call.deadline) co_return ErrorKind::timeout;
    }
    if (plan.fault) co_return *plan.fault;
    auto result = co_await inner_(request, call);
    keep_time<Inner>(call);
    if (plan.outcome && result) co_return *plan.outcome;
    co_return result;
  }

  [[nodiscard]] std::string describe() const {
    return policy_.describe() + " > " + inner_.describe();
  }

 private:
  ChaosPolicy policy_;
  Inner inner_;
};

class ChaosLayer {
 public:
  static constexpr LayerKind kind = LayerKind::chaos;
  explicit ChaosLayer(ChaosPolicy policy) noexcept : policy_(policy) {}
  [[nodiscard]] const void* shared() const noexcept { return nullptr; }
  [[nodiscard]] std::string describe() const { return policy_.describe(); }
  template <class Inner>
  [[nodiscard]] ChaosService<Inner> wrap(Inner inner) && {
    return {policy_, std::move(inner)};
  }

 private:
  ChaosPolicy policy_;
};
static_assert(Layer<ChaosLayer>);

/// Injects faults, latency and lost replies: innermost, so that every layer outside meets them.
/// Chance comes from the executor, so a simulation repeats them by its seed. An injected wait ends
/// early with `cancelled`, or with `timeout` at the deadline. *Safe from any thread.* Allocates
/// nothing.
[[nodiscard]] inline ChaosLayer chaos(ChaosPolicy policy) {
  return ChaosLayer{policy};
}

}  // namespace penstock
