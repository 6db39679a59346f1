// SPDX-License-Identifier: MIT
#include <chrono>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/store/in_flight.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::BlockingWaiter;
using penstock::Call;
using penstock::ErrorKind;
using penstock::InFlight;
using penstock::Result;
using penstock::StopSource;
using penstock::WaitEnd;
namespace sync = penstock::sync;

using Flights = InFlight<int, int>;

// As a layer does it: lead or follow, and lead when the leader goes without a
// reply.
Result<int> ask(Flights& flights, sync::atomic<int>& calls, Call call, bool drops = false) {
  const int key = 1;
  Flights::Member member{flights, key};
  BlockingWaiter waiter{member.withdraw()};
  if (member.join(waiter) == Flights::Role::follows) {
    const WaitEnd end = waiter.wait(call);
    if (end == WaitEnd::stopped) return ErrorKind::cancelled;
    if (end == WaitEnd::timed_out) return ErrorKind::deadline;
    if (member.role() == Flights::Role::follows) return member.reply();
  }
  if (drops) return ErrorKind::cancelled;
  ++calls;
  const Result<int> reply{7};
  member.land(reply);
  return reply;
}

void followers_get_the_leaders_reply() {
  Flights flights{{.buckets = 1}};
  sync::atomic<int> calls{0};
  const auto body = [&] {
    const Result<int> reply = ask(flights, calls, {});
    check(reply && *reply == 7, "a follower was forgotten");
  };
  sync::thread one{body};
  sync::thread two{body};
  body();
  one.join();
  two.join();
  check(calls.load() >= 1 && flights.leaders_approx() == 0, "nobody led, or somebody still does");
}

void a_leader_that_goes_hands_over() {
  Flights flights{{.buckets = 1}};
  sync::atomic<int> calls{0};
  const auto body = [&] {
    const Result<int> reply = ask(flights, calls, {});
    check(reply && *reply == 7, "a follower was forgotten");
  };
  sync::thread one{[&] { static_cast<void>(ask(flights, calls, {}, true)); }};
  sync::thread two{body};
  body();
  one.join();
  two.join();
  check(flights.leaders_approx() == 0, "somebody still leads");
}

void a_follower_leaves_as_it_is_served() {
  Flights flights{{.buckets = 1}};
  sync::atomic<int> calls{0};
  StopSource source;
  sync::thread leader{[&] { check(ask(flights, calls, {}).has_value(), "the leader failed"); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  const Result<int> reply = ask(flights, calls, {.stop = source.token()});
  check(reply || reply.error().kind() == ErrorKind::cancelled, "ended by neither");
  leader.join();
  stopper.join();
  check(flights.leaders_approx() == 0, "somebody still leads");
}

void an_heir_leaves_as_it_inherits() {
  Flights flights{{.buckets = 1}};
  sync::atomic<int> calls{0};
  StopSource source;
  sync::thread leader{[&] { static_cast<void>(ask(flights, calls, {}, true)); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  static_cast<void>(ask(flights, calls, {.stop = source.token()}));
  leader.join();
  stopper.join();
  check(flights.leaders_approx() == 0, "somebody still leads");
}

const Scenario scenarios[] = {
    {"in_flight/followers_get_the_leaders_reply", followers_get_the_leaders_reply},
    {"in_flight/a_leader_that_goes_hands_over", a_leader_that_goes_hands_over},
    {"in_flight/a_follower_leaves_as_it_is_served", a_follower_leaves_as_it_is_served},
    {"in_flight/an_heir_leaves_as_it_inherits", an_heir_leaves_as_it_inherits},
};

}  // namespace
}  // namespace explore
