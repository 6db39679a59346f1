// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/leaf.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/service.hpp>
#include <penstock/policy/balance.hpp>

namespace penstock {

/// Several services as one: the leaf of a stack that chooses a service for each call.
template <class S>
class BalanceService {
 public:
  BalanceService(Balancer& balancer, std::vector<S> services) : balancer_(&balancer) {
    if (services.size() != balancer.size()) {
      throw std::invalid_argument{
          "penstock: balance needs a service for each endpoint of its Balancer: write "
          "Balancer{services.size()}"};
    }
    services_.reserve(services.size());
    for (S& service : services) services_.emplace_back(std::in_place, std::move(service));
  }

  template <class Request>
  requires BlockingService < Leaf<S>,
  const Request& > reply_t<Leaf<S>, const Request&> operator()(const Request& request, Call& call) {
    Balancer::Pick pick = balancer_->pick(call.now, call.where().random());
    auto result = services_[pick.index()](request, call);
    pick.settle(outcome_of(result), call.now);
    return result;
  }

  template <class Request>
  requires AsyncService < Leaf<S>,
  const Request& > reply_t<Leaf<S>, const Request&> operator()(const Request& request, Call& call) {
    Balancer::Pick pick = balancer_->pick(call.now, call.where().random());
    auto result = co_await services_[pick.index()](request, call);
    call.now = call.where().now();
    pick.settle(outcome_of(result), call.now);
    co_return result;
  }

  /// The balancer's settings and each different service once.
  [[nodiscard]] std::string describe() const {
    std::vector<std::string> different;
    for (const Leaf<S>& service : services_) {
      std::string text = service.describe();
      if (std::find(different.begin(), different.end(), text) == different.end())
        different.push_back(std::move(text));
    }
    std::string text = balancer_->describe() + " > ";
    for (std::size_t index = 0; index < different.size(); ++index)
      text += (index == 0 ? "" : " | ") + different[index];
    return text;
  }

 private:
  Balancer* balancer_;
  std::vector<Leaf<S>> services_;
};

/// The leaf of a stack over several services of one type: whatever may be a leaf itself, stacks
/// with a breaker each, say: `stack(retry()) | balance(balancer, services)`. Each attempt chooses
/// anew. What a service throws is its failure. *Safe from any thread* as far as the services are.
/// The balancer may be shared by stacks over the same endpoints and must outlive their calls.
/// Allocates nothing. Throws std::invalid_argument when there are not as many services as
/// endpoints.
template <class S>
[[nodiscard]] BalanceService<S> balance(Balancer& balancer, std::vector<S> services) {
  return {balancer, std::move(services)};
}
template <class S>
void balance(const Balancer&&, std::vector<S>) = delete;  // name the balancer: it is shared

}  // namespace penstock
