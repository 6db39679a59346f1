// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/policy/token_bucket.hpp>

namespace penstock {

/// Takes tokens and waits for them up to `max_wait`
/// and never past the deadline; what cannot come in time is refused at once with `limited` and
/// the time to come back. A call that is cancelled while it waits pays nothing.
class RateLimitGate {
 public:
  class [[nodiscard]] Permit {
   public:
    Permit(TokenBucket& bucket, double cost, Time ready) noexcept
        : bucket_(&bucket),
          cost_(cost),
          ready_(ready) {}
    Permit(Permit&& other) noexcept
        : bucket_(std::exchange(other.bucket_, nullptr)),
          cost_(other.cost_),
          ready_(other.ready_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(bucket_, other.bucket_);
      std::swap(cost_, other.cost_);
      std::swap(ready_, other.ready_);
      return *this;
    }
    [[gnu::always_inline]] ~Permit() { give_up(); }
    [[nodiscard]] Time ready(Time) const noexcept { return ready_; }
    void settle(Outcome, Time) noexcept { bucket_ = nullptr; }
    template <class Reply>
    void settle(const Result<Reply>& result, Time) noexcept {
      if (!result && !may_have_been_sent(result.error())) give_up();
      bucket_ = nullptr;
    }

   private:
    [[gnu::always_inline]] void give_up() noexcept {
      if (bucket_ != nullptr) bucket_->give_up(ready_, cost_);
    }

    TokenBucket* bucket_;  // null: spent
    double cost_;
    Time ready_;
  };

  RateLimitGate(TokenBucket& bucket, Cost cost, Duration max_wait) noexcept
      : bucket_(&bucket),
        cost_(cost),
        max_wait_(max_wait) {}

  [[nodiscard, gnu::always_inline]] Result<Permit> admit(const Call& call) noexcept {
    const double cost = cost_ == Cost::weight ? call.weight : 1;
    const TokenBucket::Take take =
        bucket_->reserve(call.now, std::min(max_wait_, call.left()), cost);
    if (take.granted) return Permit{*bucket_, cost, take.ready};
    Error refusal{ErrorKind::limited};
    if (take.ready != never) refusal.set_retry_after(elapsed_between(call.now, take.ready));
    return refusal;
  }
  [[nodiscard]] const void* shared() const noexcept { return bucket_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "rate_limit(" + bucket_->describe();
    if (cost_ == Cost::request) text += " by request";
    if (max_wait_ != Duration::max()) text += ", wait " + to_text(max_wait_);
    return text + ")";
  }

 private:
  TokenBucket* bucket_;
  Cost cost_;
  Duration max_wait_;
};

/// Meters calls with a bucket that others may share and that must outlive the stack. Inside
/// `retry`, so that every attempt is metered. What it gave comes back when a layer inside refuses
/// before anything was sent; several limits that are to be taken all or none belong in one
/// `LimitSet`.
[[nodiscard]] inline GateLayer<RateLimitGate, LayerKind::rate_limit> rate_limit(
    TokenBucket& bucket, Cost cost = Cost::weight, Duration max_wait = Duration::max()) {
  return GateLayer<RateLimitGate, LayerKind::rate_limit>{RateLimitGate{bucket, cost, max_wait}};
}
// Name the bucket: it is shared.
void rate_limit(const TokenBucket&&, Cost = {}, Duration = {}) = delete;

}  // namespace penstock
