// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/pause.hpp>
#include <penstock/policy/retry_budget.hpp>
#include <penstock/policy/retry_policy.hpp>

namespace penstock {

/// What one retried call remembers, and its one decision: the blocking and the coroutine form
/// differ only in how they wait. *Not synchronized.*
class RetryProgress {
 public:
  explicit RetryProgress(Time started) noexcept : started_(started) {}

  /// The call for the next attempt. Attempts get copies: what one of them narrows ends with it.
  [[nodiscard]] Call attempt(const Call& call) const noexcept {
    Call next = call;
    next.attempt = state_.retries + 1;
    return next;
  }

  /// After a failed attempt: true when another is to be made at `at`.
  [[nodiscard]] bool again(const RetryPolicy& policy,
                           RetryBudget* budget,
                           const Call& call,
                           Time attempt_started,
                           const Error& error) {
    last_ = {state_.retries + 1,
             error.kind(),
             static_cast<std::int16_t>(error.status()),
             attempt_started,
             elapsed_between(attempt_started, call.now)};
    const RetryPolicy::Decision decision =
        policy.next(state_, error, started_, call.now, call.deadline, call.where().random());
    if (!decision.again) return false;
    // The budget is asked before the wait: a call that cannot be paid fails at once, with its
    // own error.
    if (budget != nullptr && !budget->try_spend()) return false;
    at_ = saturating_add(call.now, decision.wait);
    // Kept only now: a call that ends with its first attempt allocates nothing for it.
    history_.push_back(last_);
    return true;
  }
  [[nodiscard]] Time at() const noexcept { return at_; }

  /// The final error, with every attempt behind it once there was more than one.
  [[nodiscard]] Error finish(Error error) {
    if (history_.empty()) return error;
    if (history_.back().number != last_.number) history_.push_back(last_);
    error.add_history(std::move(history_));
    return error;
  }

 private:
  RetryPolicy::State state_{};
  Time started_;
  Time at_{};
  AttemptRecord last_{};
  std::vector<AttemptRecord> history_;  // of attempts that another followed
};

/// Calls again as long as the policy says so. A wait that is stopped ends with `cancelled`; the
/// final error carries the history of all attempts.
template <class Inner>
class RetryService {
 public:
  static constexpr bool keeps_time = true;

  RetryService(RetryPolicy policy, RetryBudget* budget, Inner inner)
      : policy_(std::move(policy)),
        budget_(budget),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    RetryProgress progress{call.now};
    for (;;) {
      Call attempt = progress.attempt(call);
      const Time started = call.now;
      auto result = inner_(request, attempt);
      call.now = attempt.now;
      if (result) return succeeded(std::move(result));
      if (!progress.again(policy_, budget_, call, started, result.error()))
        return progress.finish(std::move(result).error());
      if (!block_until(call, progress.at())) return progress.finish(Error{ErrorKind::cancelled});
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    RetryProgress progress{call.now};
    for (;;) {
      Call attempt = progress.attempt(call);
      const Time started = call.now;
      auto result = co_await inner_(request, attempt);
      keep_time<Inner>(attempt);
      call.now = attempt.now;
      if (result) co_return succeeded(std::move(result));
      if (!progress.again(policy_, budget_, call, started, result.error()))
        co_return progress.finish(std::move(result).error());
      const bool came = co_await pause_until(call.where(), progress.at(), call.stop);
      call.now = call.where().now();
      if (!came) co_return progress.finish(Error{ErrorKind::cancelled});
    }
  }

  [[nodiscard]] std::string describe() const {
    return policy_.describe() + " > " + inner_.describe();
  }

 private:
  template <class R>
  R succeeded(R result) noexcept {
    if (budget_ != nullptr) budget_->on_success();
    return result;
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
