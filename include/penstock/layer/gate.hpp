// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/pause.hpp>

namespace penstock {

/// Decides whether a call may pass, and when: what a breaker and a limiter have in common.
///
/// `admit(call)` gives a permit or the refusal. `permit.ready()` is when the call may go on, now
/// or later; `permit.settle(outcome, now)` reports how it went, once. A permit that is destroyed
/// unsettled gives back what it holds, neutrally: no cancel, timeout or exception leaks one.
template <class G>
concept Gate = requires(G& gate, const G& constant, const Call& call) {
  typename G::Permit;
  requires std::movable<typename G::Permit>;
  { gate.admit(call) }
  noexcept->std::same_as<Result<typename G::Permit>>;
  { constant.describe() } -> std::same_as<std::string>;
  { constant.shared() } -> std::same_as<const void*>;
  requires requires(typename G::Permit & permit, Outcome outcome, Time now) {
    { permit.ready(now) }
    noexcept->std::same_as<Time>;
    { permit.settle(outcome, now) }
    noexcept;
  };
};

/// Asks the gate, waits if told to, calls, reports the outcome. The waits are here, once for
/// blocking and once for coroutine services; they end early with `cancelled`.
template <Gate G, class Inner>
class GateService {
 public:
  static constexpr bool keeps_time = true;

  GateService(G gate, Inner inner) : gate_(std::move(gate)), inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    Result<typename G::Permit> permit = gate_.admit(call);
    if (!permit) return std::move(permit).error();
    if (const Time ready = permit->ready(call.now); ready > call.now) {
      if (!block_until(call, ready)) return ErrorKind::cancelled;
    }
    auto result = inner_(request, call);
    permit->settle(outcome_of(result), call.now);
    return result;
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    Result<typename G::Permit> permit = gate_.admit(call);
    if (!permit) co_return std::move(permit).error();
    if (const Time ready = permit->ready(call.now); ready > call.now) {
      const bool came = co_await pause_until(call.where(), ready, call.stop);
      call.now = call.where().now();
      if (!came) co_return ErrorKind::cancelled;
    }
    auto result = co_await inner_(request, call);
    keep_time<Inner>(call);
    permit->settle(outcome_of(result), call.now);
    co_return result;
  }

  [[nodiscard]] std::string describe() const {
    return gate_.describe() + " > " + inner_.describe();
  }

 private:
  G gate_;
  Inner inner_;
};

/// The layer of a gate.
template <Gate G, LayerKind place>
class GateLayer {
 public:
  static constexpr LayerKind kind = place;
  explicit GateLayer(G gate) : gate_(std::move(gate)) {}
  [[nodiscard]] const void* shared() const noexcept { return gate_.shared(); }
  [[nodiscard]] std::string describe() const { return gate_.describe(); }
  template <class Inner>
  [[nodiscard]] GateService<G, Inner> wrap(Inner inner) && {
    return {std::move(gate_), std::move(inner)};
  }

 private:
  G gate_;
};

}  // namespace penstock
