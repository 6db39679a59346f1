// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/policy/limit_set.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// The weight of a call is what `call.weight` says, whatever comes back.
struct AsEstimated {};

/// Gives the true weight of a call from its reply.
template <class F, class Reply>
concept ActualWeight = std::is_invocable_r_v<double, F&, const Reply&>;

/// What one call took from a `LimitSet`: given back when it is destroyed unsettled. *One thread
/// at a time.*
class [[nodiscard]] LimitSetCharge {
 public:
  LimitSetCharge(LimitSet& limits, Time ready, double weight) noexcept
      : limits_(&limits),
        ready_(ready),
        weight_(weight) {}
  LimitSetCharge(const LimitSetCharge&) = delete;
  LimitSetCharge& operator=(const LimitSetCharge&) = delete;
  ~LimitSetCharge() {
    if (limits_ != nullptr) limits_->give_up(ready_, weight_);
  }
  void keep() noexcept { limits_ = nullptr; }
  void settle(Time now, double actual) noexcept {
    if (limits_ != nullptr) std::exchange(limits_, nullptr)->settle(now, weight_, actual);
  }

 private:
  LimitSet* limits_;  // null: settled
  Time ready_;
  double weight_;
};

/// Takes what a call is estimated to weigh from all limits, waits, calls, and settles for what it
/// weighed. A call that was refused inside, or cancelled while it waited, pays nothing. One that
/// failed or was cancelled under way pays its estimate: the other side has counted it.
template <class Actual, class Inner>
class LimitSetService {
 public:
  static constexpr bool keeps_time = true;

  LimitSetService(LimitSet& limits, Actual actual, Duration max_wait, Inner inner)
      : limits_(&limits),
        actual_(std::move(actual)),
        max_wait_(max_wait),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const LimitSet::Take take = reserve(call);
    if (!take.granted) return refusal(take, call.now);
    LimitSetCharge charge{*limits_, take.ready, static_cast<double>(call.weight)};
    if (take.ready > call.now && !block_until(call, take.ready)) return ErrorKind::cancelled;
    auto result = inner_(request, call);
    settle(charge, result, call.now);
    return result;
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const LimitSet::Take take = reserve(call);
    if (!take.granted) co_return refusal(take, call.now);
    LimitSetCharge charge{*limits_, take.ready, static_cast<double>(call.weight)};
    if (take.ready > call.now) {
      const bool came = co_await wait_until(call.where(), take.ready, call.stop);
      call.now = call.where().now();
      if (!came) co_return ErrorKind::cancelled;
    }
    auto result = co_await inner_(request, call);
    keep_time<Inner>(call);
    settle(charge, result, call.now);
    co_return result;
  }

  [[nodiscard]] std::string describe() const {
    return "rate_limit(" + limits_->describe() +
           (max_wait_ == Duration::max() ? "" : ", wait " + to_text(max_wait_)) + ") > " +
           inner_.describe();
  }

 private:
  [[nodiscard]] LimitSet::Take reserve(const Call& call) noexcept {
    return limits_->reserve(call.now, std::min(max_wait_, call.left()), call.weight);
  }
  static Error refusal(LimitSet::Take take, Time now) noexcept {
    Error error{ErrorKind::limited};
    if (take.ready != never) error.set_retry_after(elapsed_between(now, take.ready));
    return error;
  }
  static constexpr bool was_sent(ErrorKind kind) noexcept {
    switch (kind) {
      case ErrorKind::deadline:
      case ErrorKind::circuit_open:
      case ErrorKind::limited:
      case ErrorKind::overloaded:
      case ErrorKind::budget_exhausted:
      case ErrorKind::closed:
        return false;
      default:
        return true;
    }
  }
  template <class Reply>
  void settle(LimitSetCharge& charge, const Result<Reply>& result, Time now) noexcept {
    if (!result) {
      if (was_sent(result.error().kind())) charge.keep();
      return;
    }
    if constexpr (std::is_same_v<Actual, AsEstimated>) {
      charge.keep();
    } else {
      static_assert(ActualWeight<Actual, Reply>,
                    "penstock: rate_limit settles by a callable that takes the reply and gives its "
                    "weight as a number: write rate_limit(limits, [](const Reply& reply) { return "
                    "reply.tokens; })");
      try {
        charge.settle(now, actual_(*result));
      } catch (...) {
        charge.keep();  // not told, the estimate stands
      }
    }
  }

  LimitSet* limits_;
  [[no_unique_address]] Actual actual_;
  Duration max_wait_;
  Inner inner_;
};

template <class Actual>
class LimitSetLayer {
 public:
  static constexpr LayerKind kind = LayerKind::rate_limit;
  LimitSetLayer(LimitSet& limits, Actual actual, Duration max_wait)
      : limits_(&limits),
        actual_(std::move(actual)),
        max_wait_(max_wait) {}
  [[nodiscard]] const void* shared() const noexcept { return limits_; }
  [[nodiscard]] std::string describe() const { return "rate_limit(" + limits_->describe() + ")"; }
  template <class Inner>
  [[nodiscard]] LimitSetService<Actual, Inner> wrap(Inner inner) && {
    return {*limits_, std::move(actual_), max_wait_, std::move(inner)};
  }

 private:
  LimitSet* limits_;
  Actual actual_;
  Duration max_wait_;
};
static_assert(Layer<LimitSetLayer<AsEstimated>>);

/// Meters calls by several limits at once: `call.weight` is the estimate that is taken before the
/// call, `actual(reply)` what it weighed in truth, settled after it. What cannot come
/// within `max_wait` and the deadline is refused at once with `limited` and the longest wait. The
/// set may be shared and must outlive the stack. Inside `retry`, so that every attempt is metered.
[[nodiscard]] inline LimitSetLayer<AsEstimated> rate_limit(LimitSet& limits,
                                                           Duration max_wait = Duration::max()) {
  return {limits, {}, max_wait};
}
template <class Actual>
requires(!std::convertible_to<Actual, Duration>)
    [[nodiscard]] LimitSetLayer<Actual> rate_limit(LimitSet& limits,
                                                   Actual actual,
                                                   Duration max_wait = Duration::max()) {
  return {limits, std::move(actual), max_wait};
}

}  // namespace penstock
