// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include <penstock/core/layer.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/policy/circuit_breaker.hpp>

namespace penstock {

/// Asks the breaker before each call and tells it the outcome after. Never waits: an open
/// breaker refuses with `circuit_open` and the time to come back.
class CircuitBreakerGate {
 public:
  using Permit = CircuitBreaker::Permit;

  explicit CircuitBreakerGate(CircuitBreaker& breaker) noexcept : breaker_(&breaker) {}

  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    return breaker_->admit(call.now);
  }
  [[nodiscard]] const void* shared() const noexcept { return breaker_; }
  [[nodiscard]] std::string describe() const { return breaker_->describe(); }

 private:
  CircuitBreaker* breaker_;
};

/// Guards with a breaker that others may share and that must outlive the stack. Inside `retry`,
/// so that it sees every attempt.
[[nodiscard]] inline GateLayer<CircuitBreakerGate, LayerKind::circuit_breaker> circuit_breaker(
    CircuitBreaker& breaker) {
  return GateLayer<CircuitBreakerGate, LayerKind::circuit_breaker>{CircuitBreakerGate{breaker}};
}
void circuit_breaker(const CircuitBreaker&&) = delete;  // name the breaker: it is shared

}  // namespace penstock
