// SPDX-License-Identifier: MIT
#include <chrono>

#include <penstock/core/stack.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/pool_scope.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/layer/hedge.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Call;
using penstock::HedgePolicy;
using penstock::PoolScope;
using penstock::Result;
using penstock::RetryBudget;
using penstock::ThreadPool;
namespace sync = penstock::sync;

void a_hedge_is_paid_for_if_it_is_sent() {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 2, .max_tokens = 2}};
  HedgePolicy policy{{.delay = 0s}};
  sync::atomic<int> sent{0};
  ThreadPool pool{1};
  PoolScope attempts{pool};
  auto ask = stack(hedge(policy, attempts, budget)) | [&](int request) -> Result<int> {
    ++sent;
    return request;
  };
  check(ask(1).has_value(), "a call failed");
  attempts.wait();
  check(budget.available_approx() == 2 - (sent - 1), "paid for what was not sent");
}

const Scenario scenarios[] = {
    {"hedge/a_hedge_is_paid_for_if_it_is_sent", a_hedge_is_paid_for_if_it_is_sent},
};

}  // namespace
}  // namespace explore
