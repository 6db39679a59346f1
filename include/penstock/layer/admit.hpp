// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/task.hpp>

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

/// Takes a permit, waits for it if it must, and holds it for as long as the inner call runs:
/// also when that was cancelled or ran out of time, because its work still goes on until it
/// returns.
template <Limiter Limit, class Inner>
class AdmitService {
 public:
  static constexpr bool keeps_time = true;

  AdmitService(Limit& limit, Inner inner) : limit_(&limit), inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&>
  [[gnu::always_inline]] reply_t<Inner, const Request&> operator()(const Request& request,
                                                                   Call& call) {
    Result<typename Limit::Permit> permit = limit_->try_acquire(call);
    if (!permit) {
      permit = limit_->acquire_and_wait(call);
      if (!permit) return std::move(permit).error();
    }
    return admitted(*permit, request, call);
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    Result<typename Limit::Permit> permit = limit_->try_acquire(call);
    if (!permit) {
      permit = co_await limit_->acquire(call);
      if (!permit) co_return std::move(permit).error();
    }
    auto result = co_await inner_(request, call);
    keep_time<Inner>(call);
    permit->settle(outcome_of(result), call.now);
    co_return result;
  }

  [[nodiscard]] std::string describe() const {
    return limit_->describe() + " > " + inner_.describe();
  }

 private:
  // A function of its own, so that the result is made where the caller wants it.
  template <class Request>
  [[gnu::always_inline]] reply_t<Inner, const Request&> admitted(typename Limit::Permit& permit,
                                                                 const Request& request,
                                                                 Call& call) {
    auto result = inner_(request, call);
    permit.settle(outcome_of(result), call.now);
    return result;
  }

  Limit* limit_;
  Inner inner_;
};

/// The layer of a limiter that others may share and that must outlive the stack.
template <Limiter Limit, LayerKind place>
class AdmitLayer {
 public:
  static constexpr LayerKind kind = place;
  explicit AdmitLayer(Limit& limit) noexcept : limit_(&limit) {}
  [[nodiscard]] const void* shared() const noexcept { return limit_; }
  [[nodiscard]] std::string describe() const { return limit_->describe(); }
  template <class Inner>
  [[nodiscard]] AdmitService<Limit, Inner> wrap(Inner inner) && {
    return {*limit_, std::move(inner)};
  }

 private:
  Limit* limit_;
};

}  // namespace penstock
