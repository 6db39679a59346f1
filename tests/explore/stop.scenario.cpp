// SPDX-License-Identifier: MIT
#include <optional>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using penstock::LinkedStopSource;
using penstock::StopCallback;
using penstock::StopSource;
namespace sync = penstock::sync;

void a_callback_never_runs_after_its_end() {
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  int calls = 0;
  {
    const auto count = [&]() noexcept { ++calls; };
    const StopCallback callback{source.token(), count};
  }
  const int then = calls;
  calls = 0;  // races with a callback that still runs
  stopper.join();
  check(then <= 1 && calls == 0, "a callback ran twice, or after its end");
}

void one_of_two_requests_stops_it() {
  StopSource source;
  int calls = 0;
  const auto count = [&]() noexcept { ++calls; };
  const StopCallback callback{source.token(), count};
  bool first = false;
  sync::thread other{[&] { first = source.request_stop(); }};
  const bool second = source.request_stop();
  other.join();
  check(first != second, "two requests stopped it, or none");
  check(calls == 1 && source.stop_requested(), "the callback ran not just once");
}

void a_callback_may_end_itself() {
  StopSource source;
  struct End {
    std::optional<StopCallback<End>>* self;
    int* calls;
    void operator()() const noexcept {
      ++*calls;
      self->reset();
    }
  };
  int calls = 0;
  std::optional<StopCallback<End>> callback;
  callback.emplace(source.token(), End{&callback, &calls});
  sync::thread stopper{[&] { source.request_stop(); }};
  stopper.join();
  check(calls == 1, "the callback ran not just once");
}

void one_ends_while_another_runs() {
  StopSource source;
  int first = 0;
  int second = 0;
  const auto count_first = [&]() noexcept { ++first; };
  const auto count_second = [&]() noexcept { ++second; };
  std::optional<StopCallback<decltype(count_first)>> one;
  one.emplace(source.token(), count_first);
  const StopCallback two{source.token(), count_second};
  sync::thread stopper{[&] { source.request_stop(); }};
  one.reset();
  first += 10;
  stopper.join();
  check(first >= 10 && first <= 11 && second == 1, "a callback ran not just once");
}

void a_linked_source_ends_while_its_parent_stops() {
  StopSource parent;
  sync::thread stopper{[&] { parent.request_stop(); }};
  int calls = 0;
  {
    LinkedStopSource child{parent.token()};
    const auto count = [&]() noexcept { ++calls; };
    const StopCallback callback{child.token(), count};
    if (child.stop_requested()) check(parent.stop_requested(), "the child stopped by itself");
  }
  stopper.join();
  check(calls <= 1, "the callback ran twice");
}

void what_was_written_before_a_stop_is_seen_with_it() {
  StopSource source;
  int reason = 0;
  sync::thread stopper{[&] {
    reason = 7;
    source.request_stop();
  }};
  if (source.token().stop_requested()) check(reason == 7, "the stop came before its reason");
  stopper.join();
}

void a_linked_source_is_stopped_from_both_sides() {
  StopSource parent;
  int calls = 0;
  {
    LinkedStopSource child{parent.token()};
    const auto count = [&]() noexcept { ++calls; };
    const StopCallback callback{child.token(), count};
    sync::thread stopper{[&] { parent.request_stop(); }};
    const bool by_me = child.request_stop();
    stopper.join();
    check(child.stop_requested() && (by_me || parent.stop_requested()), "stopped by nobody");
  }
  check(calls == 1, "the callback ran not just once");
}

const Scenario scenarios[] = {
    {"stop/a_linked_source_is_stopped_from_both_sides", a_linked_source_is_stopped_from_both_sides},

    {"stop/a_callback_never_runs_after_its_end", a_callback_never_runs_after_its_end},
    {"stop/one_of_two_requests_stops_it", one_of_two_requests_stops_it},
    {"stop/a_callback_may_end_itself", a_callback_may_end_itself},
    {"stop/one_ends_while_another_runs", one_ends_while_another_runs},
    {"stop/a_linked_source_ends_while_its_parent_stops",
     a_linked_source_ends_while_its_parent_stops},
    {"stop/what_was_written_before_a_stop_is_seen_with_it",
     what_was_written_before_a_stop_is_seen_with_it},
};

}  // namespace
}  // namespace explore
