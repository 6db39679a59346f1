// SPDX-License-Identifier: MIT
#include <chrono>
#include <memory>
#include <utility>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/channel.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/exec/when_any.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Channel;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::LinkedStopSource;
using penstock::OneShot;
using penstock::Result;
using penstock::StopSource;
using penstock::StopToken;
using penstock::Task;
using penstock::ThreadPool;
namespace sync = penstock::sync;

template <std::size_t capacity>
void values_keep_their_order() {
  Channel<std::unique_ptr<int>> channel{capacity};
  sync::thread sender{[&] {
    for (int value = 1; value <= 2; ++value)
      check(channel.send_and_wait(std::make_unique<int>(value)).has_value(), "not sent");
  }};
  for (int value = 1; value <= 2; ++value) {
    const auto received = channel.receive_and_wait();
    check(received && **received == value, "a value was lost or overtaken");
  }
  sender.join();
}

void a_cancelled_send_keeps_its_value() {
  Channel<std::unique_ptr<int>> channel{0};
  StopSource source;
  bool sent = false;
  sync::thread sender{[&] {
    auto value = std::make_unique<int>(1);
    sent = channel.send_and_wait(std::move(value), {.stop = source.token()}).has_value();
    check(sent == (value == nullptr), "sent and kept, or neither");
  }};
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto received = channel.receive_and_wait({.deadline = sync::now() + 1s});
  sender.join();
  stopper.join();
  check(sent == received.has_value(), "a value was lost or doubled");
}

void a_receiver_leaves_as_it_is_served() {
  Channel<std::unique_ptr<int>> channel{1};
  StopSource source;
  bool received = false;
  sync::thread receiver{
      [&] { received = channel.receive_and_wait({.stop = source.token()}).has_value(); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  check(channel.send_and_wait(std::make_unique<int>(1)).has_value(), "not sent");
  receiver.join();
  stopper.join();
  check(channel.size_approx() == (received ? 0U : 1U), "a value was lost or doubled");
}

void close_meets_both_sides() {
  Channel<int> channel{0};
  bool sent = false;
  bool received = false;
  sync::thread sender{[&] { sent = channel.send_and_wait(1).has_value(); }};
  sync::thread receiver{[&] { received = channel.receive_and_wait().has_value(); }};
  channel.close();
  sender.join();
  receiver.join();
  check(sent == received, "a value was lost or doubled at the close");
}

void what_was_accepted_is_received_after_close() {
  Channel<int> channel{1};
  bool sent = false;
  sync::thread sender{[&] {
    sent = channel.send_and_wait(1).has_value();
    channel.close();
  }};
  const auto first = channel.receive_and_wait();
  const auto second = channel.receive_and_wait();
  sender.join();
  check(sent && first && *first == 1 && !second, "an accepted value was lost at the close");
}

void a_coroutine_receives_from_a_thread() {
  Inline executor;
  Channel<int> channel{1};
  sync::thread sender{[&] {
    for (int value = 1; value <= 2; ++value)
      check(channel.send_and_wait(value).has_value(), "not sent");
    channel.close();
  }};
  int sum = 0;
  const auto body = [&]() -> Task<void> {
    for (;;) {
      auto receive = channel.receive({.executor = &executor});
      const Result<int> value = co_await receive;
      if (!value) co_return;
      sum += *value;
    }
  };
  sync_wait(executor, body());
  sender.join();
  check(sum == 3, "a value was lost");
}

void the_first_setter_decides() {
  OneShot<int> done;
  const auto bring = [](OneShot<int>::Setter setter, int value) { setter.set(value); };
  sync::thread one{bring, done.setter(), 1};
  sync::thread two{bring, done.setter(), 2};
  const Result<int> result = done.wait_and_take();
  one.join();
  two.join();
  check(result && (*result == 1 || *result == 2), "no result, or a mixed one");
  check(!done.wait_and_take(), "a result was given twice");
}

void the_receiver_leaves_before_the_setter() {
  sync::thread bringer;
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  {
    OneShot<std::unique_ptr<int>> done;
    bringer = sync::thread{
        [](OneShot<std::unique_ptr<int>>::Setter setter) { setter.set(std::make_unique<int>(1)); },
        done.setter()};
    const auto result = done.wait_and_take({.stop = source.token()});
    check(result || result.error().kind() == ErrorKind::cancelled, "ended by neither");
  }
  bringer.join();
  stopper.join();
}

void a_setter_that_goes_without_a_word() {
  OneShot<int> done;
  sync::thread forgetful{[](const OneShot<int>::Setter&) {}, done.setter()};
  const Result<int> result = done.wait_and_take();
  forgetful.join();
  check(!result && result.error().kind() == ErrorKind::closed, "an answer out of nothing");
}

void when_any_joins_its_losers() {
  Inline executor;
  Channel<int> fast{1};
  sync::thread sender{[&] { check(fast.send_and_wait(1).has_value(), "not sent"); }};
  const auto ask = [&](Channel<int>& from, StopToken stop) -> Task<Result<int>> {
    auto receive = from.receive({.stop = stop, .executor = &executor});
    co_return co_await receive;
  };
  Channel<int> slow{1};
  StopSource losers;
  const auto winner =
      sync_wait(executor, when_any(losers, ask(slow, losers.token()), ask(fast, losers.token())));
  sender.join();
  check(winner.index == 1 && winner.value && *winner.value == 1, "a loser won");
}

void when_all_takes_what_two_threads_bring() {
  Inline executor;
  OneShot<int> first;
  OneShot<int> second;
  const auto take = [&](OneShot<int>& from) -> Task<int> {
    auto wait = from.wait({.executor = &executor});
    const Result<int> result = co_await wait;
    co_return result ? *result : 0;
  };
  sync::thread one{[](OneShot<int>::Setter setter) { setter.set(1); }, first.setter()};
  sync::thread two{[](OneShot<int>::Setter setter) { setter.set(2); }, second.setter()};
  const auto [a, b] = sync_wait(executor, when_all(take(first), take(second)));
  one.join();
  two.join();
  check(a == 1 && b == 2, "a value was lost");
}

void a_result_comes_at_the_deadline_of_who_waits_on_a_pool() {
  ThreadPool pool{2};
  OneShot<int> done;
  const auto body = [&]() -> Task<void> {
    auto wait = done.wait({.deadline = pool.now(), .executor = &pool});
    Result<int> result = co_await wait;
    if (!result) {
      check(result.error().kind() == ErrorKind::deadline, "ended by neither");
      auto again = done.wait({.executor = &pool});
      result = co_await again;
    }
    check(result && *result == 1, "the result was lost");
  };
  sync::thread bringer{[](OneShot<int>::Setter setter) { setter.set(1); }, done.setter()};
  sync_wait(pool, body());
  bringer.join();
}

void a_failure_stops_the_others_of_when_all() {
  ThreadPool pool{2};
  StopSource group;
  Channel<int> silent{1};
  const auto fails = [&]() -> Task<Result<int>> {
    co_await reschedule(pool);
    co_return ErrorKind::timeout;
  };
  const auto waits = [&]() -> Task<Result<int>> {
    auto receive = silent.receive({.stop = group.token(), .executor = &pool});
    co_return co_await receive;
  };
  const auto [a, b] = sync_wait(pool, when_all(group, waits(), fails()));
  check(!a && a.error().kind() == ErrorKind::cancelled && !b, "a failure stopped nobody");
}

void a_send_and_a_receive_at_their_deadlines() {
  Channel<int> channel{0};
  bool sent = false;
  sync::thread sender{
      [&] { sent = channel.send_and_wait(1, {.deadline = sync::now() + 1s}).has_value(); }};
  const auto received = channel.receive_and_wait({.deadline = sync::now() + 1s});
  sender.join();
  check(sent == received.has_value(), "a value was lost or doubled");
}

const Scenario scenarios[] = {
    {"channel/one_shot_a_result_comes_at_the_deadline_of_who_waits_on_a_pool",
     a_result_comes_at_the_deadline_of_who_waits_on_a_pool},
    {"channel/a_failure_stops_the_others_of_when_all", a_failure_stops_the_others_of_when_all},
    {"channel/a_send_and_a_receive_at_their_deadlines", a_send_and_a_receive_at_their_deadlines},

    {"channel/values_keep_their_order", values_keep_their_order<1>},
    {"channel/values_keep_their_order_at_a_rendezvous", values_keep_their_order<0>},
    {"channel/a_cancelled_send_keeps_its_value", a_cancelled_send_keeps_its_value},
    {"channel/a_receiver_leaves_as_it_is_served", a_receiver_leaves_as_it_is_served},
    {"channel/close_meets_both_sides", close_meets_both_sides},
    {"channel/what_was_accepted_is_received_after_close",
     what_was_accepted_is_received_after_close},
    {"channel/a_coroutine_receives_from_a_thread", a_coroutine_receives_from_a_thread},
    {"channel/one_shot_the_first_setter_decides", the_first_setter_decides},
    {"channel/one_shot_the_receiver_leaves_before_the_setter",
     the_receiver_leaves_before_the_setter},
    {"channel/one_shot_a_setter_that_goes_without_a_word", a_setter_that_goes_without_a_word},
    {"channel/when_any_joins_its_losers", when_any_joins_its_losers},
    {"channel/when_all_takes_what_two_threads_bring", when_all_takes_what_two_threads_bring},
};

}  // namespace
}  // namespace explore
