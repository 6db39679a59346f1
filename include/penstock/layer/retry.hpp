// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/passage.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/policy/retry_budget.hpp>
#include <penstock/policy/retry_policy.hpp>

namespace penstock {

/// What a call remembers once its first attempt has failed, and its one decision: the blocking
/// and the coroutine form differ only in how they wait. *Not synchronized.*
class RetryProgress {
 public:
  RetryProgress(const RetryPolicy& policy, RetryBudget* budget, Time started) noexcept
      : policy_(policy),
        budget_(budget),
        started_(started),
        attempt_started_(started) {}

  /// After an attempt that ended at `call.now` with `error`: true when another is to be made at
  /// `at()`, else false with the history added to the error.
  [[nodiscard]] bool again(const Call& call, Error& error) noexcept {
    const AttemptRecord failed{number(),
                               error.kind(),
                               static_cast<std::int16_t>(error.status()),
                               attempt_started_,
                               elapsed_between(attempt_started_, call.now)};
    if (outcome_of(error.kind()) == Outcome::neutral) give_back();
    const RetryPolicy::Decision decision =
        policy_.next(state_, error, started_, call.now, call.deadline, call.where().random());
    // The budget is asked before the wait: a call that cannot be paid fails at once, with its
    // own error.
    paid_ = decision.again && budget_ != nullptr && budget_->try_spend(call.now);
    const bool more = decision.again && (budget_ == nullptr || paid_);
    // A call that ends with its first attempt has no history and allocates nothing.
    if (more || !history_.empty()) remember(failed);
    at_ = saturating_add(call.now, decision.wait);
    if (!more) tell(error);
    return more;
  }
  /// When to make the next attempt.
  [[nodiscard]] Time at() const noexcept { return at_; }
  /// The call for it, a copy: what an attempt narrows ends with it.
  [[nodiscard]] Call attempt(const Call& call) noexcept {
    attempt_started_ = call.now;
    Call next = call;
    next.attempt = number();
    return next;
  }
  /// After the wait, which `came` to its end or was stopped: false when no attempt may start any
  /// more, with the history added to the error, or to the one that says it was cancelled.
  [[nodiscard]] bool in_time(const Call& call, bool came, Error& error) noexcept {
    const bool stopped = !came || call.stop.stop_requested();
    if (!stopped && call.now < call.deadline) return true;
    give_back();
    if (stopped) error = Error{ErrorKind::cancelled};
    tell(error);
    return false;
  }

 private:
  [[nodiscard]] std::uint32_t number() const noexcept { return state_.retries + 1; }
  // An attempt that was not made, or that we refused or cancelled ourselves, spends nothing.
  void give_back() noexcept {
    if (std::exchange(paid_, false)) budget_->refund();
  }
  // Without memory for its history a call goes on all the same.
  void remember(const AttemptRecord& failed) noexcept {
    try {
      history_.push_back(failed);
    } catch (const std::bad_alloc&) {
      return;
    }
  }
  void tell(Error& error) noexcept {
    if (history_.empty()) return;
    try {
      error.add_history(std::move(history_));
    } catch (const std::bad_alloc&) {
      return;
    }
  }

  const RetryPolicy& policy_;
  RetryBudget* budget_;
  RetryPolicy::State state_{};
  Time started_;
  Time attempt_started_;
  Time at_{};
  bool paid_ = false;  // the attempt that is next or under way
  std::vector<AttemptRecord> history_;
};

/// Calls again as long as the policy says so. A wait that is stopped ends with `cancelled`, one
/// that ends too late, after the deadline, with the error before it; the final error carries the
/// history of all attempts.
///
/// The first attempt stands apart: a call that succeeds at once, or fails for good, never sets
/// up what the others need.
template <class Inner>
class RetryService {
 public:
  static constexpr bool keeps_time = true;

  RetryService(RetryPolicy policy, RetryBudget* budget, Inner inner)
      : policy_(std::move(policy)),
        budget_(budget),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&>
  [[gnu::always_inline]] reply_t<Inner, const Request&> operator()(const Request& request,
                                                                   Call& call) {
    const Time started = call.now;
    Call attempt = first_attempt(call);
    auto result = inner_(request, attempt);
    call.now = attempt.now;
    if (result) {
      succeeded(call.now);
    } else if (policy_.may_retry(result.error(), call.now, call.deadline)) {
      call.now = retried(request, Call{call}, started, result);
    }
    return result;
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    return go_through<const Request&, Call&>(*this, request, call);
  }

  // The first attempt shares the coroutine of its neighbours (`core/passage.hpp`).
  static constexpr bool retries = true;
  using Within = Next<passes_once<Inner>, Inner>;
  struct Passage {
    Call outside{};
    [[no_unique_address]] typename Within::Passage inner{};
    [[nodiscard]] bool passed() const noexcept { return inner.passed(); }
  };
  [[gnu::always_inline]] Result<Time> enter(Passage& passage, Call& call) noexcept {
    passage.outside = call;
    call.attempt = 1;
    return Within::enter(inner_, passage.inner, call);
  }
  template <class Request>
  auto proceed(Passage& passage, const Request& request, Call& call, Time when) {
    return Within::proceed(inner_, passage.inner, request, call, when);
  }
  template <class R>
  [[gnu::always_inline]] void settle(Passage& passage, const R& result, const Call& call) noexcept {
    Within::settle(inner_, passage.inner, result, call);
  }
  template <class R>
  void drop(Passage& passage, const R& result, const Call& call) noexcept {
    Within::drop(inner_, passage.inner, result, call);
  }
  [[nodiscard]] auto& behind() noexcept { return Within::behind(inner_); }
  /// What the attempt made of the call ends with it, but for the time.
  template <class R>
  [[nodiscard]] bool wants_again(Passage& passage, Call& call, const R& result) noexcept {
    const Time now = call.now;
    call = passage.outside;
    call.now = now;
    if (result) {
      succeeded(now);
      return false;
    }
    return policy_.may_retry(result.error(), now, call.deadline);
  }
  template <class Request, class R>
  auto again(Passage& passage, const Request& request, Call& call, const R& result) {
    return retried_later(request, call, passage.outside.now, result.error());
  }

  [[nodiscard]] std::string describe() const {
    return policy_.describe() + " > " + inner_.describe();
  }

 private:
  static Call first_attempt(const Call& call) noexcept {
    Call attempt = call;
    attempt.attempt = 1;
    return attempt;
  }
  void succeeded(Time now) noexcept {
    if (budget_ != nullptr) budget_->on_success(now);
  }

  // Turns `result` from that of the first attempt into that of the last, and gives its time.
  template <class Request, class R>
  [[gnu::noinline]] Time retried(const Request& request, Call call, Time started, R& result) {
    RetryProgress progress{policy_, budget_, started};
    while (progress.again(call, result.error())) {
      const bool came = block_until(call, progress.at());
      if (!progress.in_time(call, came, result.error())) break;
      Call attempt = progress.attempt(call);
      result = inner_(request, attempt);
      call.now = attempt.now;
      if (result) {
        succeeded(call.now);
        break;
      }
    }
    return call.now;
  }

  template <class Request>
  reply_t<Inner, const Request&> retried_later(const Request& request,
                                               Call& call,
                                               Time started,
                                               const Error& first) {
    RetryProgress progress{policy_, budget_, started};
    Error error = first;
    while (progress.again(call, error)) {
      const bool came = co_await wait_until(call.where(), progress.at(), call.stop);
      call.now = call.where().now();
      if (!progress.in_time(call, came, error)) break;
      Call attempt = progress.attempt(call);
      auto result = co_await inner_(request, attempt);
      keep_time<Inner>(attempt);
      call.now = attempt.now;
      if (result) {
        succeeded(call.now);
        co_return result;
      }
      error = std::move(result).error();
    }
    co_return error;
  }

  RetryPolicy policy_;
  RetryBudget* budget_;
  Inner inner_;
};

class RetryLayer {
 public:
  static constexpr LayerKind kind = LayerKind::retry;
  RetryLayer(RetryPolicy policy, RetryBudget* budget)
      : policy_(std::move(policy)),
        budget_(budget) {}
  [[nodiscard]] const void* shared() const noexcept { return budget_; }
  [[nodiscard]] std::string describe() const { return policy_.describe(); }
  template <class Inner>
  [[nodiscard]] RetryService<Inner> wrap(Inner inner) && {
    return {std::move(policy_), budget_, std::move(inner)};
  }

 private:
  RetryPolicy policy_;
  RetryBudget* budget_;
};
static_assert(Layer<RetryLayer>);

/// Retries as `policy` says; with a budget, only while it has something left to spend. The
/// budget may be shared and must outlive the stack.
[[nodiscard]] inline RetryLayer retry(RetryPolicy policy = RetryPolicy{}) {
  return {std::move(policy), nullptr};
}
[[nodiscard]] inline RetryLayer retry(RetryPolicy policy, RetryBudget& budget) {
  return {std::move(policy), &budget};
}

}  // namespace penstock
