// SPDX-License-Identifier: MIT
#include <chrono>
#include <optional>
#include <utility>

#include <penstock/core/sync.hpp>
#include <penstock/policy/circuit_breaker.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::CircuitBreaker;
using penstock::Outcome;
using penstock::Result;
using penstock::Time;
using Permit = CircuitBreaker::Permit;
using State = CircuitBreaker::State;
namespace sync = penstock::sync;

constexpr Time start{1h};
constexpr Time later{1h + 31s};  // an open breaker is half open by then

void open(CircuitBreaker& breaker) {
  auto permit = breaker.admit(start);
  check(permit.has_value(), "a closed breaker refused");
  permit->settle(Outcome::unavailable, start);
  check(breaker.state(start) == State::open, "it did not open");
}

void the_last_success_closes_it() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 2}};
  open(breaker);
  const auto probe = [&] {
    auto permit = breaker.admit(later);
    check(permit.has_value(), "a probe was refused its place");
    permit->settle(Outcome::success, later);
  };
  sync::thread other{probe};
  probe();
  other.join();
  check(breaker.state(later) == State::closed, "all probes succeeded and it stayed half open");
}

void half_open_admits_its_probes_and_no_more() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 2}};
  open(breaker);
  std::optional<Result<Permit>> first;
  std::optional<Result<Permit>> second;
  sync::thread one{[&] { first.emplace(breaker.admit(later)); }};
  sync::thread two{[&] { second.emplace(breaker.admit(later)); }};
  const Result<Permit> third = breaker.admit(later);
  one.join();
  two.join();
  check(int{first->has_value()} + int{second->has_value()} + int{third.has_value()} == 2,
        "not as many probes as places");
}

void a_failed_probe_opens_it_whatever_the_other_does() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 2}};
  open(breaker);
  auto good = breaker.admit(later);
  auto bad = breaker.admit(later);
  check(good && bad, "a probe was refused its place");
  sync::thread other{[&] { good->settle(Outcome::success, later); }};
  bad->settle(Outcome::timeout, later);
  other.join();
  check(breaker.state(later) == State::open, "a failed probe was forgotten");
}

void a_late_failure_moves_no_newer_state() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1}};
  auto late = breaker.admit(start);
  open(breaker);
  auto probe = breaker.admit(later);
  check(late && probe, "a permit was refused");
  sync::thread other{[&] { late->settle(Outcome::unavailable, later); }};
  probe->settle(Outcome::success, later);
  other.join();
  check(breaker.state(later) == State::closed, "the result of an earlier era opened it");
  check(breaker.counts_approx(later).total == 0, "the result of an earlier era was counted");
}

void a_dropped_probe_gives_its_place_back() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1}};
  open(breaker);
  const auto try_and_drop = [&] {
    const auto permit = breaker.admit(later);
    static_cast<void>(permit);
  };
  sync::thread one{try_and_drop};
  try_and_drop();
  one.join();
  auto last = breaker.admit(later);
  check(last.has_value(), "a dropped probe kept its place");
  last->settle(Outcome::success, later);
  check(breaker.state(later) == State::closed, "the last probe did not close it");
}

void failures_of_one_moment_open_it_once() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1}};
  auto one = breaker.admit(start);
  auto two = breaker.admit(start);
  sync::thread other{[&] { one->settle(Outcome::unavailable, start); }};
  two->settle(Outcome::unavailable, start);
  other.join();
  const auto probe = breaker.admit(later);
  check(probe.has_value() && probe->generation() == 2, "it opened twice");
}

void a_lapsed_probe_is_replaced_and_decides_nothing() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1, .probe_timeout = 1s}};
  open(breaker);
  auto lost = breaker.admit(later);
  const Time lapsed = later + 2s;
  sync::thread other{[&] { lost->settle(Outcome::unavailable, lapsed); }};
  auto next = breaker.admit(lapsed);
  check(next.has_value(), "a lapsed lease kept its place");
  next->settle(Outcome::success, lapsed);
  other.join();
  check(breaker.state(lapsed) == State::closed, "a lapsed probe decided");
}

void reset_meets_a_probe() {
  CircuitBreaker breaker{{.minimum_calls = 1, .probes = 1}};
  open(breaker);
  sync::thread other{[&] { breaker.reset(); }};
  if (auto permit = breaker.admit(later)) permit->settle(Outcome::unavailable, later);
  other.join();
  const State state = breaker.state(later);
  check(state == State::closed || state == State::open, "a reset left it half open");
  if (state == State::closed) {
    check(breaker.admit(later).has_value(), "a closed breaker refused");
  }
}

const Scenario scenarios[] = {
    {"circuit_breaker/the_last_success_closes_it", the_last_success_closes_it},
    {"circuit_breaker/half_open_admits_its_probes_and_no_more",
     half_open_admits_its_probes_and_no_more},
    {"circuit_breaker/a_failed_probe_opens_it_whatever_the_other_does",
     a_failed_probe_opens_it_whatever_the_other_does},
    {"circuit_breaker/a_late_failure_moves_no_newer_state", a_late_failure_moves_no_newer_state},
    {"circuit_breaker/a_dropped_probe_gives_its_place_back", a_dropped_probe_gives_its_place_back},
    {"circuit_breaker/failures_of_one_moment_open_it_once", failures_of_one_moment_open_it_once},
    {"circuit_breaker/a_lapsed_probe_is_replaced_and_decides_nothing",
     a_lapsed_probe_is_replaced_and_decides_nothing},
    {"circuit_breaker/reset_meets_a_probe", reset_meets_a_probe},
};

}  // namespace
}  // namespace explore
