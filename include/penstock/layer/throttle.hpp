// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include <penstock/core/layer.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/policy/throttle.hpp>

namespace penstock {

/// Asks the throttle before each call and tells it the outcome after. Never waits.
class ThrottleGate {
 public:
  using Permit = Throttle::Permit;
  explicit ThrottleGate(Throttle& throttle) noexcept : throttle_(&throttle) {}

  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    return throttle_->admit(call.now, call.where().random());
  }
  [[nodiscard]] const void* shared() const noexcept { return throttle_; }
  [[nodiscard]] std::string describe() const { return throttle_->describe(); }

 private:
  Throttle* throttle_;
};
static_assert(Gate<ThrottleGate>);

/// Refuses, with `overloaded`, a share of the calls while the other side turns too many away. The
/// throttle belongs to one target, may be shared and must outlive the stack. Inside `retry`, so
/// that it counts every attempt.
[[nodiscard]] inline GateLayer<ThrottleGate, LayerKind::throttle> throttle(Throttle& throttle) {
  return GateLayer<ThrottleGate, LayerKind::throttle>{ThrottleGate{throttle}};
}
void throttle(const Throttle&&) = delete;  // name the throttle: it is shared

}  // namespace penstock
