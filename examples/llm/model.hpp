// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <penstock/core/stack.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/http/transport.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/observe.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/policy/circuit_breaker.hpp>
#include <penstock/policy/retry_policy.hpp>
#include <penstock/policy/token_bucket.hpp>

#include <llm/protocol.hpp>

namespace llm {

using penstock::Call;
using penstock::ErrorKind;
using penstock::Task;
using penstock::Time;

/// What all models of one program count together. *Safe from any thread.*
struct Counters {
  std::atomic<std::uint64_t> requests{0};  ///< attempts that went out
  std::atomic<std::uint64_t> retried{0};   ///< of them, those after the first
  std::atomic<std::uint64_t> refused{0};   ///< attempts that our breaker or limiter kept in
};

struct ModelOptions {
  penstock::RetryPolicy retry{};
  double requests_per_minute = 0;  ///< 0: no limit of ours
  double tokens_per_minute = 0;    ///< 0: no limit of ours
};

/// Encodes, sends, decodes: the leaf under a model's stack, in the mode of its transport.
template <class Transport>
class ModelLeaf {
 public:
  ModelLeaf(Transport& transport, const Endpoint& endpoint, Counters& counters)
      : transport_(&transport),
        endpoint_(&endpoint),
        counters_(&counters) {}

  Result<ChatReply> operator()(const ChatRequest& request, Call& call)
      const requires penstock::BlockingService<Transport, const http::Request&> {
    count(call);
    const http::Request encoded = endpoint_->provider->encode(*endpoint_, request);
    return read((*transport_)(encoded, call));
  }
  Task<Result<ChatReply>> operator()(const ChatRequest& request, Call& call)
      const requires penstock::AsyncService<Transport, const http::Request&> {
    count(call);
    const http::Request encoded = endpoint_->provider->encode(*endpoint_, request);
    co_return read(co_await (*transport_)(encoded, call));
  }

  [[nodiscard]] std::string describe() const {
    return std::string{endpoint_->provider->name} + "(" + http::to_string(endpoint_->origin) + ")";
  }

 private:
  void count(const Call& call) const noexcept {
    counters_->requests.fetch_add(1, std::memory_order_relaxed);
    if (call.attempt > 1) counters_->retried.fetch_add(1, std::memory_order_relaxed);
  }
  Result<ChatReply> read(Result<http::Response> response) const {
    if (!response) return std::move(response).error();
    return endpoint_->provider->decode(*response);
  }

  Transport* transport_;
  const Endpoint* endpoint_;
  Counters* counters_;
};

/// A breaker's or a limiter's refusal, seen where attempts are made.
struct CountRefusals {
  Counters* counters;
  void operator()(const Call&, const penstock::Error* error) const noexcept {
    if (error == nullptr) return;
    if (error->kind() == ErrorKind::circuit_open || error->kind() == ErrorKind::limited)
      counters->refused.fetch_add(1, std::memory_order_relaxed);
  }
};

/// One model of one provider behind everything that guards it. *Safe from any thread* where its
/// transport is; must outlive its calls.
template <class Transport>
class Model {
 public:
  Model(Endpoint endpoint,
        std::string name,
        Transport& transport,
        const ModelOptions& options,
        Counters& counters)
      : endpoint_(std::move(endpoint)),
        name_(std::move(name)),
        breaker_({.minimum_calls = 20, .open_for = std::chrono::seconds{2}}),
        requests_(per_minute(options.requests_per_minute, options.requests_per_minute / 60)),
        tokens_(per_minute(options.tokens_per_minute, options.tokens_per_minute)),
        ask_(guard(options.retry,
                   breaker_,
                   requests_,
                   tokens_,
                   endpoint_.provider->timeout,
                   CountRefusals{&counters},
                   ModelLeaf<Transport>{transport, endpoint_, counters})) {}
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const Provider& provider() const noexcept { return *endpoint_.provider; }
  [[nodiscard]] const http::Origin& origin() const noexcept { return endpoint_.origin; }

  /// Whether asking it now makes sense: its breaker lets calls through and its provider has not
  /// refused the key or the money.
  [[nodiscard]] bool is_available(Time now) const noexcept {
    return !stopped() && breaker_.state(now) != penstock::CircuitBreaker::State::open;
  }
  [[nodiscard]] bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }

  /// When our limits would let through a call of this weight; `never` for one that they cannot.
  [[nodiscard]] Time ready_at(Time now, double weight) const noexcept {
    return std::max(requests_.look(now).ready, tokens_.look(now, weight).ready);
  }

  /// `Result<ChatReply>` or a task of one, as the transport is. The request's own model is
  /// replaced by this one's; `call.weight` should be what the request costs in tokens.
  [[nodiscard]] auto generate_response(const ChatRequest& request, const Call& call) {
    return ask_(request, call);
  }

  /// Learns from a final error: a refused key or a spent quota stops the model for good.
  void learn(ErrorKind kind) noexcept {
    if (kind == ErrorKind::credential || kind == ErrorKind::quota)
      stopped_.store(true, std::memory_order_relaxed);
  }

  [[nodiscard]] std::string describe() const { return name_ + ": " + penstock::describe(ask_); }

 private:
  static penstock::TokenBucket::Options per_minute(double limit, double burst) {
    // Without a limit: one that nothing here can reach.
    if (limit <= 0) return {.rate = 1e9};
    return {.rate = limit, .per = std::chrono::minutes{1}, .burst = burst < 1 ? 1 : burst};
  }
  static auto guard(const penstock::RetryPolicy& policy,
                    penstock::CircuitBreaker& breaker,
                    penstock::TokenBucket& requests,
                    penstock::TokenBucket& tokens,
                    Duration timeout,
                    CountRefusals refusals,
                    ModelLeaf<Transport> leaf) {
    return penstock::stack(penstock::retry(policy),
                           penstock::observe(refusals),
                           penstock::circuit_breaker(breaker),
                           penstock::rate_limit(requests, penstock::Cost::request),
                           penstock::rate_limit(tokens),
                           penstock::attempt_timeout(timeout)) |
           std::move(leaf);
  }
  using Ask = std::invoke_result_t<decltype(&Model::guard),
                                   const penstock::RetryPolicy&,
                                   penstock::CircuitBreaker&,
                                   penstock::TokenBucket&,
                                   penstock::TokenBucket&,
                                   Duration,
                                   CountRefusals,
                                   ModelLeaf<Transport>>;

  Endpoint endpoint_;
  std::string name_;
  penstock::CircuitBreaker breaker_;
  penstock::TokenBucket requests_;
  penstock::TokenBucket tokens_;
  std::atomic<bool> stopped_{false};  // once from false to true
  Ask ask_;
};

}  // namespace llm
