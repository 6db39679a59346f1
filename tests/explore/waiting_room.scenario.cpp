// SPDX-License-Identifier: MIT
#include <chrono>
#include <utility>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/waiting_room.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Call;
using penstock::Duration;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::Priority;
using penstock::Result;
using penstock::StopSource;
using penstock::Task;
using penstock::WaitingRoom;
using penstock::WaitOrder;
namespace sync = penstock::sync;

constexpr WaitingRoom::Options one_place{.limit = 1,
                                         .room = {10, 10, 10},
                                         .order = WaitOrder::arrival,
                                         .when_full = WaitingRoom::WhenFull::refuse,
                                         .max_wait = Duration::max()};

void expect_empty(const WaitingRoom& room) {
  check(room.now().in_flight == 0 && room.now().waiting == 0, "a place was lost");
}

void one_place_goes_round() {
  WaitingRoom room{one_place};
  int inside = 0;
  const auto use = [&] {
    Call call;
    const auto place = room.enter_and_wait(call);
    check(place.has_value(), "a wait without an end ended");
    ++inside;  // races where two are let in
  };
  sync::thread one{use};
  sync::thread two{use};
  use();
  one.join();
  two.join();
  check(inside == 3, "somebody was not let in");
  expect_empty(room);
}

void a_hand_over_meets_stop() {
  WaitingRoom room{one_place};
  StopSource source;
  auto held = room.try_enter();
  sync::thread waiter{[&] {
    Call call{.stop = source.token()};
    const auto place = room.enter_and_wait(call);
    check(place || place.error().kind() == ErrorKind::cancelled, "ended by neither");
  }};
  sync::thread stopper{[&] { source.request_stop(); }};
  held->give_back();
  waiter.join();
  stopper.join();
  expect_empty(room);
}

void a_hand_over_meets_a_deadline() {
  WaitingRoom room{one_place};
  auto held = room.try_enter();
  sync::thread waiter{[&] {
    Call call{.deadline = sync::now() + 1s, .now = sync::now()};
    const auto place = room.enter_and_wait(call);
    check(place || place.error().kind() == ErrorKind::deadline, "ended by neither");
  }};
  held->give_back();
  waiter.join();
  expect_empty(room);
}

void a_resize_meets_a_hand_over() {
  WaitingRoom room{one_place};
  auto held = room.try_enter();
  sync::thread waiter{[&] {
    Call call;
    const auto place = room.enter_and_wait(call);
    check(place.has_value(), "a wait without an end ended");
  }};
  sync::thread resizer{[&] {
    for (auto promised = room.resize(2); promised != 0; --promised) room.hand_over();
  }};
  held->give_back();
  waiter.join();
  resizer.join();
  expect_empty(room);
  check(room.now().limit == 2, "the limit was lost");
}

void the_urgent_displace_others() {
  WaitingRoom room{{.limit = 1,
                    .room = {1, 1, 1},
                    .order = WaitOrder::priority,
                    .when_full = WaitingRoom::WhenFull::displace,
                    .max_wait = Duration::max()}};
  auto held = room.try_enter();
  const auto use = [&](Priority priority) {
    Call call{.priority = priority};
    const auto place = room.enter_and_wait(call);
    check(place || place.error().kind() == ErrorKind::overloaded, "ended by neither");
  };
  sync::thread low{use, Priority::low};
  sync::thread high{use, Priority::high};
  held->give_back();
  low.join();
  high.join();
  expect_empty(room);
}

void a_coroutine_among_threads() {
  Inline executor;
  WaitingRoom room{one_place};
  StopSource source;
  auto held = room.try_enter();
  sync::thread giver{[&] { held->give_back(); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto body = [&]() -> Task<void> {
    Call call{.stop = source.token(), .executor = &executor};
    auto enter = room.enter(call);
    const auto place = co_await std::move(enter);
    check(place || place.error().kind() == ErrorKind::cancelled, "ended by neither");
  };
  sync_wait(executor, body());
  giver.join();
  stopper.join();
  expect_empty(room);
}

const Scenario scenarios[] = {
    {"waiting_room/one_place_goes_round", one_place_goes_round},
    {"waiting_room/a_hand_over_meets_stop", a_hand_over_meets_stop},
    {"waiting_room/a_hand_over_meets_a_deadline", a_hand_over_meets_a_deadline},
    {"waiting_room/a_resize_meets_a_hand_over", a_resize_meets_a_hand_over},
    {"waiting_room/the_urgent_displace_others", the_urgent_displace_others},
    {"waiting_room/a_coroutine_among_threads", a_coroutine_among_threads},
};

}  // namespace
}  // namespace explore
