// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/gate.hpp>

namespace penstock {

/// Lets calls in one after another and may keep them waiting: what the concurrency limits and
/// the load shedder have in common.
///
/// `try_acquire(call)` gives a permit at once or an error; the other two wait for one and refresh
/// `call.now` if they did. `permit.settle(outcome, now)` gives it back, once; so does its
/// destructor, neutrally: no cancel, timeout or exception leaks one.
template <class L>
concept Limiter = requires(L& limit, const L& constant, Call& call) {
  typename L::Permit;
  requires std::movable<typename L::Permit>;
  { limit.try_acquire(call) }
  noexcept->std::same_as<Result<typename L::Permit>>;
  { limit.acquire_and_wait(call) }
  noexcept->std::same_as<Result<typename L::Permit>>;
  { limit.acquire(call) } -> std::same_as<Task<Result<typename L::Permit>>>;
  { constant.describe() } -> std::same_as<std::string>;
  requires requires(typename L::Permit & permit, Outcome outcome, Time now) {
    { permit.settle(outcome, now) }
    noexcept;
  };
};

/// The gate of a limiter that others may share and that must outlive the stack. The permit is held
/// for as long as the inner call runs: also when that was cancelled or ran out of time, because
/// its work still goes on until it returns.
template <Limiter Limit>
class AdmitGate {
 public:
  using Permit = typename Limit::Permit;
  explicit AdmitGate(Limit& limit) noexcept : limit_(&limit) {}
  [[nodiscard, gnu::always_inline]] Result<Permit> admit(const Call& call) noexcept {
    return limit_->try_acquire(call);
  }
  [[nodiscard]] Task<Result<Permit>> stand_in_line(Call& call) { return limit_->acquire(call); }
  [[nodiscard]] Result<Permit> block_in_line(Call& call) noexcept {
    return limit_->acquire_and_wait(call);
  }
  [[nodiscard]] const void* shared() const noexcept { return limit_; }
  [[nodiscard]] std::string describe() const { return limit_->describe(); }

 private:
  Limit* limit_;
};

template <Limiter Limit, LayerKind place>
using AdmitLayer = GateLayer<AdmitGate<Limit>, place>;

}  // namespace penstock
