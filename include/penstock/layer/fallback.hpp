// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/policy/fallback.hpp>

namespace penstock {

/// The attempts behind two errors of one call, in order: an error without a history is one.
[[nodiscard]] inline std::vector<AttemptRecord> joined_history(const AttemptRecord& first,
                                                               const Error& first_error,
                                                               const AttemptRecord& second,
                                                               const Error& second_error) {
  std::vector<AttemptRecord> all{first_error.history().begin(), first_error.history().end()};
  if (all.empty()) all.push_back(first);
  const auto later = second_error.history();
  all.insert(all.end(), later.begin(), later.end());
  if (later.empty()) all.push_back(second);
  for (std::size_t index = 0; index < all.size(); ++index)
    all[index].number = static_cast<std::uint32_t>(index + 1);
  return all;
}

/// What can answer in place of a failed call: another service `plan(request, call)`, a function
/// `plan(request, error)`, or a reply.
template <class Plan, class Request>
concept FallbackServiceFor = std::invocable<Plan&, const Request&, Call&>;
template <class Plan, class Request>
concept FallbackFunctionFor =
    !FallbackServiceFor<Plan, Request> && std::invocable<Plan&, const Request&, const Error&>;

template <class Plan, class Request>
struct FallbackReply {
  using type = Plan;
};
template <class Plan, class Request>
requires FallbackServiceFor<Plan, Request>
struct FallbackReply<Plan, Request> {
  using type = std::invoke_result_t<Plan&, const Request&, Call&>;
};
template <class Plan, class Request>
requires FallbackFunctionFor<Plan, Request>
struct FallbackReply<Plan, Request> {
  using type = std::invoke_result_t<Plan&, const Request&, const Error&>;
};

template <class Plan>
[[nodiscard]] std::string describe_fallback(const FallbackPolicy& policy, const Plan& plan) {
  if constexpr (requires {
                  { plan.describe() } -> std::convertible_to<std::string>;
                }) {
    return "fallback(to [" + plan.describe() + "], " + policy.describe() + ")";
  } else {
    return "fallback(" + policy.describe() + ")";
  }
}

/// Calls inside; a failure that the policy answers is replaced by the plan's reply.
template <class Plan, class Inner>
class FallbackService {
 public:
  static constexpr bool keeps_time = true;

  FallbackService(FallbackPolicy policy, Plan plan, Inner inner)
      : policy_(policy),
        plan_(std::move(plan)),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    using R = reply_t<Inner, const Request&>;
    constexpr bool fits = std::convertible_to<typename FallbackReply<Plan, Request>::type, R>;
    static_assert(fits,
                  "penstock: fallback(x) cannot answer this request: x must be a blocking service "
                  "x(request, call) or a function x(request, error), either returning what the "
                  "leaf returns, or a reply");
    const Time started = call.now;
    // A copy: what the layers inside narrow must not narrow the plan.
    Call first = call;
    R result = inner_(request, first);
    call.now = first.now;
    if (!needs_plan<Request>(result, call)) return result;
    if constexpr (fits) {
      const Time fell_back = call.now;
      Call second = call;
      R other = ask<R>(request, second, result.error());
      if constexpr (FallbackServiceFor<Plan, Request>) call.now = call.where().now();
      return finish(std::move(result), std::move(other), started, fell_back, call.now);
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    using R = result_t<Inner, const Request&>;
    using Planned = typename FallbackReply<Plan, Request>::type;
    constexpr bool later = std::same_as<typename AsyncReply<Planned>::type, R>;
    constexpr bool fits = later || std::convertible_to<Planned, R>;
    static_assert(fits,
                  "penstock: fallback(x) cannot answer this request: x must be a service "
                  "x(request, call) or a function x(request, error), either returning what the "
                  "leaf returns or its Result at once, or a reply");
    const Time started = call.now;
    Call first = call;
    R result = co_await inner_(request, first);
    keep_time<Inner>(first);
    call.now = first.now;
    if (!needs_plan<Request>(result, call)) co_return result;
    if constexpr (fits) {
      const Time fell_back = call.now;
      Call second = call;
      if constexpr (later) {
        Planned pending = ask<Planned>(request, second, result.error());
        R other = co_await std::move(pending);
        call.now = call.where().now();
        co_return finish(std::move(result), std::move(other), started, fell_back, call.now);
      } else {
        R other = ask<R>(request, second, result.error());
        if constexpr (FallbackServiceFor<Plan, Request>) call.now = call.where().now();
        co_return finish(std::move(result), std::move(other), started, fell_back, call.now);
      }
    }
  }

  [[nodiscard]] std::string describe() const {
    return describe_fallback(policy_, plan_) + " > " + inner_.describe();
  }

 private:
  // A service that cannot be reached in time is not tried.
  template <class Request, class R>
  [[nodiscard]] bool needs_plan(const R& result, const Call& call) const noexcept {
    if (result || !policy_.answers(result.error().kind())) return false;
    return !FallbackServiceFor<Plan, Request> || may_go_on(call).has_value();
  }

  // What the plan throws is its error.
  template <class Answer, class Request>
  Answer ask(const Request& request, Call& call, const Error& error) noexcept {
    try {
      if constexpr (FallbackServiceFor<Plan, Request>) {
        return std::invoke(plan_, request, call);
      } else if constexpr (FallbackFunctionFor<Plan, Request>) {
        return std::invoke(plan_, request, error);
      } else {
        return plan_;
      }
    } catch (...) {
      Error thrown = Error::from_exception(std::current_exception());
      if constexpr (is_result<Answer>) {
        return thrown;
      } else {
        return AsyncReply<Answer>::ready(std::move(thrown));
      }
    }
  }

  template <class R>
  static R finish(R first, R second, Time started, Time fell_back, Time ended) {
    if (second) return second;
    const auto record = [](const Error& error, Time from, Time to) {
      return AttemptRecord{1,
                           error.kind(),
                           static_cast<std::int16_t>(error.status()),
                           from,
                           elapsed_between(from, to)};
    };
    Error error = std::move(second).error();
    try {
      error.add_history(joined_history(record(first.error(), started, fell_back),
                                       first.error(),
                                       record(error, fell_back, ended),
                                       error));
    } catch (const std::bad_alloc&) {
      return error;  // without memory for the history it is the error all the same
    }
    return error;
  }

  FallbackPolicy policy_;
  Plan plan_;
  Inner inner_;
};

template <class Plan>
class FallbackLayer {
 public:
  static constexpr LayerKind kind = LayerKind::fallback;
  FallbackLayer(FallbackPolicy policy, Plan plan) : policy_(policy), plan_(std::move(plan)) {}
  [[nodiscard]] const void* shared() const noexcept { return nullptr; }
  [[nodiscard]] std::string describe() const { return describe_fallback(policy_, plan_); }
  template <class Inner>
  [[nodiscard]] FallbackService<Plan, Inner> wrap(Inner inner) && {
    return {policy_, std::move(plan_), std::move(inner)};
  }

 private:
  FallbackPolicy policy_;
  Plan plan_;
};
static_assert(Layer<FallbackLayer<int>>);

/// Answers outages in place of the inner service: outside `retry`, which it would otherwise hide
/// failures from. `plan` is one of
/// - another service, `plan(request, call)`: a stack over another leaf, say. It gets the call as
///   it came, with what is left of the deadline, and is not tried when nothing is left;
/// - a function, `plan(request, error)`, that sees why;
/// - a reply, which is copied.
///
/// Over a coroutine leaf a plan may give its `Result` at once or a `Task` of it. When the plan
/// fails too, its error is the call's, with the history of both sides; what it throws is an error
/// of kind `exception`. The plan is copied or moved in; share one by `std::ref`. *Safe from any
/// thread* as far as the plan is. A call that succeeds allocates nothing here.
template <class Plan>
[[nodiscard]] FallbackLayer<std::decay_t<Plan>> fallback(Plan&& plan, FallbackPolicy policy = {}) {
  return {policy, std::forward<Plan>(plan)};
}

}  // namespace penstock
