// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/service.hpp>
#include <penstock/policy/balance.hpp>

namespace penstock {

/// Several services as one: the leaf of a stack that chooses a service for each call.
template <class S>
class BalanceService {
 public:
  static constexpr bool keeps_time = true;

  BalanceService(Balancer& balancer, std::vector<S> services)
      : balancer_(&balancer),
        services_(std::move(services)) {
    if (services_.size() != balancer.size()) {
      throw std::invalid_argument{
          "penstock: balance needs a service for each endpoint of its Balancer: write "
          "Balancer{services.size()}"};
    }
  }

  template <class Request>
  requires BlockingService<S, const Request&> reply_t<S, const Request&>
  operator()(const Request& request, Call& call) {
    Balancer::Pick pick = balancer_->pick(call.now, call.where().random());
    auto result = ask(services_[pick.index()], request, call);
    call.now = call.where().now();
    pick.settle(outcome_of(result), call.now);
    return result;
  }

  template <class Request>
  requires AsyncService<S, const Request&> reply_t<S, const Request&>
  operator()(const Request& request, Call& call) {
    Balancer::Pick pick = balancer_->pick(call.now, call.where().random());
    auto result = co_await services_[pick.index()](request, call);
    call.now = call.where().now();
    pick.settle(outcome_of(result), call.now);
    co_return result;
  }

  /// The balancer's settings and each different service once.
  [[nodiscard]] std::string describe() const {
    std::vector<std::string> different;
    for (const S& service : services_) {
      std::string text = "leaf";
      if constexpr (requires {
                      { service.describe() } -> std::convertible_to<std::string>;
                    }) {
        text = service.describe();
      }
      if (std::find(different.begin(), different.end(), text) == different.end())
        different.push_back(std::move(text));
    }
    std::string text = balancer_->describe() + " > ";
    for (std::size_t index = 0; index < different.size(); ++index)
      text += (index == 0 ? "" : " | ") + different[index];
    return text;
  }

 private:
  template <class Request>
  static reply_t<S, const Request&> ask(S& service, const Request& request, Call& call) noexcept {
    try {
      return service(request, call);
    } catch (...) {
      return Error::from_exception(std::current_exception());
    }
  }

  Balancer* balancer_;
  std::vector<S> services_;
};

/// The leaf of a stack over several services of one type, which may be stacks of their own, with
/// a breaker each, say: `stack(retry()) | balance(balancer, services)`. Each attempt chooses anew.
/// *Safe from any thread* as far as the services are. The balancer may be shared by stacks over the
/// same endpoints and must outlive their calls. Allocates nothing. Throws std::invalid_argument
/// when there are not as many services as endpoints.
template <class S>
[[nodiscard]] BalanceService<S> balance(Balancer& balancer, std::vector<S> services) {
  return {balancer, std::move(services)};
}
template <class S>
void balance(const Balancer&&, std::vector<S>) = delete;  // name the balancer: it is shared

}  // namespace penstock
