// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/layer.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/layer/rate_limit.hpp>

namespace penstock {

/// One policy for each key, as `Keyed` keeps them: `pin(key, now)` gives a handle that is empty
/// where there is no room, and otherwise keeps the policy it points to.
template <class K, class Policy>
concept KeyedPolicies = std::same_as<typename K::Policy, Policy> &&
    std::move_constructible<typename K::Pin> &&
    requires(K& keyed, const K& constant, typename K::Pin& pin, std::uint64_t key, Time now) {
  { keyed.pin(key, now) }
  noexcept->std::same_as<typename K::Pin>;
  { static_cast<bool>(pin) } -> std::same_as<bool>;
  { *pin } -> std::same_as<Policy&>;
  { constant.policy_options() } -> std::same_as<const typename Policy::Options&>;
  { constant.describe() } -> std::same_as<std::string>;
};

/// What becomes of a call whose key finds no room among keys that are all busy.
enum class WhenFull : unsigned char {
  refuse,  ///< `overloaded`
  pass,    ///< it goes on without a policy
};

/// Makes the gate of one policy.
struct BreakerGateOf {
  CircuitBreakerGate<> operator()(CircuitBreaker& breaker) const {
    return CircuitBreakerGate<>{breaker};
  }
};
struct BucketGateOf {
  Cost cost;
  Duration max_wait;
  RateLimitGate operator()(TokenBucket& bucket) const noexcept {
    return RateLimitGate{bucket, cost, max_wait};
  }
};

/// Chooses the policy by `call.key`, and then is the gate of that policy.
template <class Policies, class GateOf>
class KeyedGate {
  using Policy = typename Policies::Policy;
  using Inner = std::invoke_result_t<const GateOf&, Policy&>;

 public:
  class [[nodiscard]] Permit {
   public:
    [[nodiscard]] Time ready(Time now) const noexcept {
      return inner_ ? ready_time(*inner_, now) : now;
    }
    void settle(Outcome outcome, Time now) noexcept {
      if (inner_) inner_->settle(outcome, now);
    }
    template <class Reply>
    void settle(const Result<Reply>& result, Time now) noexcept {
      if (inner_) settle_by(*inner_, result, now);
    }

   private:
    friend KeyedGate;
    typename Policies::Pin pin_{};                   // first, so that it goes last
    std::optional<typename Inner::Permit> inner_{};  // none: it passes without a policy
  };

  KeyedGate(Policies& policies, GateOf gate_of, WhenFull when_full) noexcept
      : policies_(&policies),
        gate_of_(gate_of),
        when_full_(when_full) {}

  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    Permit permit;
    permit.pin_ = policies_->pin(call.key, call.now);
    if (!permit.pin_) {
      if (when_full_ == WhenFull::refuse) return ErrorKind::overloaded;
      return permit;
    }
    Result<typename Inner::Permit> inner = gate_of_(*permit.pin_).admit(call);
    if (!inner) return std::move(inner).error();
    permit.inner_.emplace(std::move(*inner));
    return permit;
  }
  [[nodiscard]] const void* shared() const noexcept { return policies_; }
  [[nodiscard]] std::string describe() const {
    Policy prototype{policies_->policy_options()};
    return gate_of_(prototype).describe() + " " + policies_->describe() +
           (when_full_ == WhenFull::pass ? ", others pass" : "");
  }

 private:
  Policies* policies_;
  GateOf gate_of_;
  WhenFull when_full_;
};

/// Guards with a breaker for each `call.key`; calls without a key share key 0. The breakers must
/// outlive the stack, as for one breaker. Where there are many, `.stripes = 1` keeps each small.
template <KeyedPolicies<CircuitBreaker> Breakers>
[[nodiscard]] auto circuit_breaker(Breakers& breakers, WhenFull when_full = WhenFull::refuse) {
  using KeyGate = KeyedGate<Breakers, BreakerGateOf>;
  return GateLayer<KeyGate, LayerKind::circuit_breaker>{KeyGate{breakers, {}, when_full}};
}

/// Meters with a bucket for each `call.key`; calls without a key share key 0. The buckets must
/// outlive the stack, as for one bucket.
template <KeyedPolicies<TokenBucket> Buckets>
[[nodiscard]] auto rate_limit(Buckets& buckets,
                              Cost cost = Cost::weight,
                              Duration max_wait = Duration::max(),
                              WhenFull when_full = WhenFull::refuse) {
  using KeyGate = KeyedGate<Buckets, BucketGateOf>;
  return GateLayer<KeyGate, LayerKind::rate_limit>{KeyGate{buckets, {cost, max_wait}, when_full}};
}

}  // namespace penstock
