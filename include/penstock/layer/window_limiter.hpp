// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include <penstock/core/layer.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/policy/token_bucket.hpp>
#include <penstock/policy/window_limiter.hpp>

namespace penstock {

/// Takes from a window limiter before each call. Never waits: what the window has not left is
/// refused with `limited` and the time to come back. What was taken stays taken, as it does at
/// the provider.
template <class Limiter>
class WindowLimitGate {
 public:
  class [[nodiscard]] Permit {
   public:
    [[nodiscard]] Time ready(Time now) const noexcept { return now; }
    void settle(Outcome, Time) noexcept {}
  };

  WindowLimitGate(Limiter& limiter, Cost cost) noexcept : limiter_(&limiter), cost_(cost) {}

  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    const WindowTake take = take_for(call);
    if (take.granted) return Permit{};
    Error refusal{ErrorKind::limited};
    if (take.ready != never) refusal.set_retry_after(elapsed_between(call.now, take.ready));
    return refusal;
  }
  [[nodiscard]] const void* shared() const noexcept { return limiter_; }
  [[nodiscard]] std::string describe() const {
    return "rate_limit(" + limiter_->describe() + (cost_ == Cost::request ? " by request)" : ")");
  }

 private:
  WindowTake take_for(const Call& call) noexcept {
    if constexpr (requires { limiter_->try_take(call.now, call.weight); }) {
      return limiter_->try_take(call.now, cost_ == Cost::weight ? call.weight : 1);
    } else {
      return limiter_->try_take(call.now);
    }
  }

  Limiter* limiter_;
  Cost cost_;
};
static_assert(Gate<WindowLimitGate<FixedWindowLimiter>>);
static_assert(Gate<WindowLimitGate<SlidingWindowLimiter>>);

/// Meters calls as a provider does that counts by windows. The limiter may be shared and must
/// outlive the stack. Inside `retry`, which waits for what was refused.
[[nodiscard]] inline GateLayer<WindowLimitGate<FixedWindowLimiter>, LayerKind::rate_limit>
rate_limit(FixedWindowLimiter& limiter, Cost cost = Cost::weight) {
  return GateLayer<WindowLimitGate<FixedWindowLimiter>, LayerKind::rate_limit>{{limiter, cost}};
}
/// The same in a sliding window, which counts requests.
[[nodiscard]] inline GateLayer<WindowLimitGate<SlidingWindowLimiter>, LayerKind::rate_limit>
rate_limit(SlidingWindowLimiter& limiter) {
  return GateLayer<WindowLimitGate<SlidingWindowLimiter>, LayerKind::rate_limit>{
      {limiter, Cost::request}};
}
void rate_limit(const FixedWindowLimiter&&, Cost = {}) = delete;  // name the limiter: it is shared
void rate_limit(const SlidingWindowLimiter&&) = delete;

}  // namespace penstock
