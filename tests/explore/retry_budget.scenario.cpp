// SPDX-License-Identifier: MIT
#include <penstock/core/sync.hpp>
#include <penstock/policy/retry_budget.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using penstock::RetryBudget;
namespace sync = penstock::sync;

void the_last_token_is_spent_once() {
  RetryBudget budget{{.ratio = 0, .floor_tokens = 1, .max_tokens = 1}};
  bool first = false;
  bool second = false;
  sync::thread one{[&] { first = budget.try_spend(); }};
  sync::thread two{[&] { second = budget.try_spend(); }};
  const bool third = budget.try_spend();
  one.join();
  two.join();
  check(int{first} + int{second} + int{third} == 1, "one token was spent not just once");
}

void deposits_and_spends_balance() {
  RetryBudget budget{{.ratio = 0.5, .floor_tokens = 1, .max_tokens = 10}};
  bool spent = false;
  sync::thread depositor{[&] {
    budget.on_success();
    budget.on_success();
  }};
  sync::thread spender{[&] { spent = budget.try_spend(); }};
  const bool mine = budget.try_spend();
  depositor.join();
  spender.join();
  check(budget.available_approx() == 2.0 - int{spent} - int{mine}, "the budget does not balance");
}

void a_refund_at_the_most_adds_nothing() {
  RetryBudget budget{{.ratio = 0.5, .floor_tokens = 2, .max_tokens = 2}};
  sync::thread depositor{[&] { budget.on_success(); }};
  const bool spent = budget.try_spend();
  if (spent) budget.refund();
  depositor.join();
  check(spent, "a full budget refused");
  check(budget.available_approx() == 2, "a full budget is not full any more");
}

const Scenario scenarios[] = {
    {"retry_budget/the_last_token_is_spent_once", the_last_token_is_spent_once},
    {"retry_budget/deposits_and_spends_balance", deposits_and_spends_balance},
    {"retry_budget/a_refund_at_the_most_adds_nothing", a_refund_at_the_most_adds_nothing},
};

}  // namespace
}  // namespace explore
