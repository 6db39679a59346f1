// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/layer.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/policy/circuit_breaker.hpp>

namespace penstock {

/// Something told of every transition of a breaker, in order, one at a time. Runs in the thread of
/// a call, which holds nothing: it may use the breaker. Must not throw.
template <class R>
concept TransitionReceiver =
    std::move_constructible<R> && std::is_nothrow_invocable_v<R&, const Transition&>;

/// Nobody listens; costs nothing.
struct NoReceiver {
  void operator()(const Transition&) const noexcept {}
};

/// Asks the breaker before each call and tells it the outcome after. Never waits: an open
/// breaker refuses with `circuit_open` and the time to come back.
template <TransitionReceiver Receiver = NoReceiver>
class CircuitBreakerGate {
  static constexpr bool tells = !std::same_as<Receiver, NoReceiver>;

  // Refers to the gate; the breaker's own permit, all there is without a receiver, does not.
  class [[nodiscard]] TellingPermit {
   public:
    TellingPermit(CircuitBreaker::Permit permit, CircuitBreakerGate& gate) noexcept
        : permit_(std::move(permit)),
          gate_(&gate) {}
    void settle(Outcome outcome, Time now) noexcept {
      permit_.settle(outcome, now);
      gate_->tell();
    }

   private:
    CircuitBreaker::Permit permit_;
    CircuitBreakerGate* gate_;
  };

 public:
  using Permit = std::conditional_t<tells, TellingPermit, CircuitBreaker::Permit>;

  explicit CircuitBreakerGate(CircuitBreaker& breaker, Receiver receiver = {})
      : breaker_(&breaker),
        receiver_(std::move(receiver)) {}

  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    if constexpr (tells) {
      Result<CircuitBreaker::Permit> permit = breaker_->admit(call.now);
      tell();
      if (!permit) return std::move(permit).error();
      return Permit{std::move(*permit), *this};
    } else {
      return breaker_->admit(call.now);
    }
  }
  [[nodiscard]] const void* shared() const noexcept { return breaker_; }
  [[nodiscard]] std::string describe() const { return breaker_->describe(); }

 private:
  void tell() noexcept {
    if constexpr (tells) breaker_->deliver(receiver_);
  }

  CircuitBreaker* breaker_;
  [[no_unique_address]] Receiver receiver_;
};

/// Guards with a breaker that others may share and that must outlive the stack. Inside `retry`,
/// so that it sees every attempt. A call is timed from here: what it waits in layers inside, a
/// rate limit say, is part of it, so with a slow-call rule they belong outside.
[[nodiscard]] inline GateLayer<CircuitBreakerGate<>, LayerKind::circuit_breaker> circuit_breaker(
    CircuitBreaker& breaker) {
  return GateLayer<CircuitBreakerGate<>, LayerKind::circuit_breaker>{CircuitBreakerGate<>{breaker}};
}
/// The same, and `receiver(const Transition&)` is told what the breaker does. It keeps its
/// transitions for that: give it `.keep_transitions`, or throws `std::invalid_argument`. Of several
/// receivers of one breaker each transition reaches one.
template <TransitionReceiver Receiver>
[[nodiscard]] GateLayer<CircuitBreakerGate<Receiver>, LayerKind::circuit_breaker> circuit_breaker(
    CircuitBreaker& breaker, Receiver receiver) {
  if (breaker.options().keep_transitions == 0) {
    throw std::invalid_argument(
        "penstock: a breaker that keeps no transitions has none to tell; write "
        "CircuitBreaker{{.keep_transitions = 64}}");
  }
  return GateLayer<CircuitBreakerGate<Receiver>, LayerKind::circuit_breaker>{
      CircuitBreakerGate<Receiver>{breaker, std::move(receiver)}};
}
void circuit_breaker(const CircuitBreaker&&) = delete;  // name the breaker: it is shared

}  // namespace penstock
