// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/policy/limit_set.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// The weight of a call is what `call.weight` says, whatever comes back.
struct AsEstimated {};

/// Gives the true weight of a call from its reply.
template <class F, class Reply>
concept ActualWeight = std::is_invocable_r_v<double, F&, const Reply&>;

/// Takes what a call is estimated to weigh from all limits, and settles for what it weighed. A call
/// that was refused inside, or cancelled while it waited, pays nothing. One that failed or was
/// cancelled under way pays its estimate: the other side has counted it.
template <class Actual>
class LimitSetGate {
 public:
  class [[nodiscard]] Permit {
   public:
    Permit(LimitSet& limits, Actual& actual, Time ready, double weight) noexcept
        : limits_(&limits),
          actual_(&actual),
          ready_(ready),
          weight_(weight) {}
    Permit(Permit&& other) noexcept
        : limits_(std::exchange(other.limits_, nullptr)),
          actual_(other.actual_),
          ready_(other.ready_),
          weight_(other.weight_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(limits_, other.limits_);
      std::swap(actual_, other.actual_);
      std::swap(ready_, other.ready_);
      std::swap(weight_, other.weight_);
      return *this;
    }
    ~Permit() { give_up(); }
    [[nodiscard]] Time ready(Time) const noexcept { return ready_; }
    void settle(Outcome, Time) noexcept { limits_ = nullptr; }
    template <class Reply>
    void settle(const Result<Reply>& result, Time now) noexcept {
      if (!result) return may_have_been_sent(result.error()) ? pay_estimate() : give_up();
      if constexpr (std::is_same_v<Actual, AsEstimated>) {
        pay_estimate();
      } else {
        static_assert(ActualWeight<Actual, Reply>,
                      "penstock: rate_limit settles by a callable that takes the reply and gives "
                      "its weight as a number: write rate_limit(limits, [](const Reply& reply) { "
                      "return reply.tokens; })");
        try {
          const double actual = (*actual_)(*result);
          std::exchange(limits_, nullptr)->settle(now, weight_, actual);
        } catch (...) {
          pay_estimate();  // not told, the estimate stands
        }
      }
    }

   private:
    void pay_estimate() noexcept { limits_ = nullptr; }
    void give_up() noexcept {
      if (limits_ != nullptr) std::exchange(limits_, nullptr)->give_up(ready_, weight_);
    }

    LimitSet* limits_;  // null: settled
    Actual* actual_;
    Time ready_;
    double weight_;
  };

  LimitSetGate(LimitSet& limits, Actual actual, Duration max_wait)
      : limits_(&limits),
        actual_(std::move(actual)),
        max_wait_(max_wait) {}

  [[nodiscard]] Result<Permit> admit(const Call& call) noexcept {
    const LimitSet::Take take =
        limits_->reserve(call.now, std::min(max_wait_, call.left()), call.weight);
    if (take.granted)
      return Permit{*limits_, actual_, take.ready, static_cast<double>(call.weight)};
    Error refusal{ErrorKind::limited};
    if (take.ready != never) refusal.set_retry_after(elapsed_between(call.now, take.ready));
    return refusal;
  }
  [[nodiscard]] const void* shared() const noexcept { return limits_; }
  [[nodiscard]] std::string describe() const {
    return "rate_limit(" + limits_->describe() +
           (max_wait_ == Duration::max() ? "" : ", wait " + to_text(max_wait_)) + ")";
  }

 private:
  LimitSet* limits_;
  [[no_unique_address]] Actual actual_;
  Duration max_wait_;
};

template <class Actual>
using LimitSetLayer = GateLayer<LimitSetGate<Actual>, LayerKind::rate_limit>;
static_assert(Layer<LimitSetLayer<AsEstimated>>);

/// Meters calls by several limits at once: `call.weight` is the estimate that is taken before the
/// call, `actual(reply)` what it weighed in truth, settled after it. What cannot come
/// within `max_wait` and the deadline is refused at once with `limited` and the longest wait. The
/// set may be shared and must outlive the stack. Inside `retry`, so that every attempt is metered.
[[nodiscard]] inline LimitSetLayer<AsEstimated> rate_limit(LimitSet& limits,
                                                           Duration max_wait = Duration::max()) {
  return LimitSetLayer<AsEstimated>{LimitSetGate<AsEstimated>{limits, {}, max_wait}};
}
template <class Actual>
requires(!std::convertible_to<Actual, Duration>)
    [[nodiscard]] LimitSetLayer<Actual> rate_limit(LimitSet& limits,
                                                   Actual actual,
                                                   Duration max_wait = Duration::max()) {
  return LimitSetLayer<Actual>{LimitSetGate<Actual>{limits, std::move(actual), max_wait}};
}

}  // namespace penstock
