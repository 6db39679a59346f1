// SPDX-License-Identifier: MIT
#include <chrono>

#include <penstock/core/sync.hpp>
#include <penstock/policy/token_bucket.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Time;
using penstock::TokenBucket;
namespace sync = penstock::sync;

constexpr Time start{1h};

void two_takes_of_the_last_token() {
  TokenBucket bucket{{.rate = 1, .burst = 1}};
  bool first = false;
  sync::thread other{[&] { first = bucket.try_take(start).granted; }};
  const bool second = bucket.try_take(start).granted;
  other.join();
  check(first != second, "one token was granted twice or not at all");
}

void reservations_get_turns_of_their_own() {
  TokenBucket bucket{{.rate = 1, .burst = 1}};
  Time first{};
  Time second{};
  sync::thread one{[&] { first = bucket.reserve(start, 10s).ready; }};
  sync::thread two{[&] { second = bucket.reserve(start, 10s).ready; }};
  const Time third = bucket.reserve(start, 10s).ready;
  one.join();
  two.join();
  check(first != second && second != third && first != third, "two callers got the same turn");
  check(std::max({first, second, third}) == start + 2s, "a turn was left out");
}

void a_refund_meets_takes() {
  TokenBucket bucket{{.rate = 1, .burst = 2}};
  bool late = false;
  sync::thread giver{[&] {
    if (bucket.try_take(start, 2).granted) bucket.refund(2);
  }};
  sync::thread taker{[&] { late = bucket.try_take(start).granted; }};
  giver.join();
  taker.join();
  const double left = bucket.available_approx(start);
  check(left == (late ? 1 : 2), "what was refunded and taken does not balance");
}

const Scenario scenarios[] = {
    {"token_bucket/two_takes_of_the_last_token", two_takes_of_the_last_token},
    {"token_bucket/reservations_get_turns_of_their_own", reservations_get_turns_of_their_own},
    {"token_bucket/a_refund_meets_takes", a_refund_meets_takes},
};

}  // namespace
}  // namespace explore
