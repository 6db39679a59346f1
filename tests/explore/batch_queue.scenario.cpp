// SPDX-License-Identifier: MIT
#include <chrono>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/store/batch_queue.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::BatchQueue;
using penstock::Call;
using penstock::Duration;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::Parker;
using penstock::Result;
using penstock::Scope;
using penstock::SizeWeightAge;
using penstock::StopSource;
using penstock::Task;
using penstock::ThreadPool;
namespace sync = penstock::sync;

using Queue = BatchQueue<int, int>;
using Replies = std::vector<Result<int>>;

Replies doubled(std::span<int> items) {
  Replies replies;
  for (const int item : items) replies.emplace_back(item * 2);
  return replies;
}

Queue::Options at_once(std::size_t capacity = 10) {
  return {.release = SizeWeightAge{{.max_items = 2, .max_age = Duration::zero()}},
          .capacity = capacity};
}
Queue::Options patient(std::size_t capacity = 10) {
  return {.release = SizeWeightAge{{.max_items = 2, .max_age = 1s}}, .capacity = capacity};
}

bool is(const Result<int>& result, ErrorKind kind) {
  return !result && result.error().kind() == kind;
}
bool is_reply(const Result<int>& result, int item) {
  return result && *result == item * 2;
}

void each_caller_gets_its_own_reply() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, at_once()};
  sync::thread other{[&] { check(is_reply(queue.submit_and_wait(1), 1), "not its reply"); }};
  check(is_reply(queue.submit_and_wait(2), 2), "not its reply");
  other.join();
  static_cast<void>(queue.drain_and_wait());
  check(queue.stats().completed == 2, "an item was handled twice or never");
}

void the_age_of_an_item_meets_a_full_batch() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient()};
  sync::thread other{[&] { check(is_reply(queue.submit_and_wait(1), 1), "not its reply"); }};
  check(is_reply(queue.submit_and_wait(2), 2), "not its reply");
  other.join();
}

void submit_meets_close() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient()};
  sync::thread closer{[&] { queue.close(); }};
  const Result<int> result = queue.submit_and_wait(1);
  closer.join();
  check(is_reply(result, 1) || is(result, ErrorKind::closed), "neither replied nor closed");
  check(is(queue.submit_and_wait(2), ErrorKind::closed), "a closed queue took an item");
}

void submit_meets_cancel() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, at_once()};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  const Result<int> result = queue.submit_and_wait(1, {.stop = source.token()});
  stopper.join();
  check(is_reply(result, 1) || is(result, ErrorKind::cancelled), "neither replied nor cancelled");
}

void submit_meets_its_deadline() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient()};
  const Result<int> result = queue.submit_and_wait(1, {.deadline = pool.now() + 1s});
  check(is_reply(result, 1) || is(result, ErrorKind::deadline) || is(result, ErrorKind::timeout),
        "neither replied nor in time");
  const auto stats = queue.stats();
  check(stats.queued == 0 && stats.waiting == 0, "an item was left behind");
}

void submit_meets_abort() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient()};
  sync::thread closer{[&] { queue.abort(); }};
  const Result<int> result = queue.submit_and_wait(1);
  closer.join();
  check(is_reply(result, 1) || is(result, ErrorKind::closed), "neither replied nor closed");
}

void flush_meets_submit() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient()};
  sync::thread flusher{[&] { queue.flush(); }};
  check(is_reply(queue.submit_and_wait(1), 1), "not its reply");
  flusher.join();
}

void drain_waits_for_what_was_there() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient()};
  bool replied = false;
  sync::thread other{[&] { replied = queue.submit_and_wait(1).has_value(); }};
  check(queue.drain_and_wait().has_value(), "a drain without an end");
  const auto stats = queue.stats();
  check(stats.completed + stats.queued + stats.waiting + stats.running <= 1, "an item too many");
  other.join();
  check(replied, "not its reply");
}

void who_waits_for_room_may_leave() {
  ThreadPool pool{1};
  Queue queue{pool, doubled, patient(1)};
  StopSource source;
  sync::thread first{[&] { check(is_reply(queue.submit_and_wait(1), 1), "not its reply"); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  const Result<int> result = queue.submit_and_wait(2, {.stop = source.token()});
  first.join();
  stopper.join();
  check(is_reply(result, 2) || is(result, ErrorKind::cancelled), "neither replied nor cancelled");
}

void a_cancelled_caller_never_waits_for_the_handler() {
  ThreadPool pool{1};
  Parker caller_left;
  const auto handle = [&](std::span<int> items) {
    static_cast<void>(pool.wait(caller_left, penstock::never));
    return doubled(items);
  };
  Queue queue{pool, handle, at_once()};
  StopSource source;
  sync::thread caller{[&] {
    const Result<int> result = queue.submit_and_wait(1, {.stop = source.token()});
    check(is(result, ErrorKind::cancelled), "a reply from a handler that waits for the caller");
    caller_left.unpark();
  }};
  source.request_stop();
  caller.join();
}

void it_ends_while_a_cancelled_item_is_in_the_handler() {
  ThreadPool pool{1};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  {
    Queue queue{pool, doubled, at_once()};
    static_cast<void>(queue.submit_and_wait(1, {.stop = source.token()}));
  }
  stopper.join();
}

void coroutines_on_one_thread() {
  Inline executor;
  Queue queue{executor, doubled, patient()};
  sync::thread flusher{[&] { queue.flush(); }};
  Scope scope{executor};
  int sum = 0;
  const auto caller = [&](int item) -> Task<void> {
    const Result<int> result = co_await queue.submit(item, {.executor = &executor});
    check(is_reply(result, item), "not its reply");
    sum += *result;
  };
  scope.spawn(caller(1));
  scope.spawn(caller(2));
  scope.wait();
  flusher.join();
  check(sum == 6, "a reply was lost");
}

void a_coroutine_is_cancelled_from_outside() {
  Inline executor;
  Queue queue{executor, doubled, patient()};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  sync::thread flusher{[&] { queue.flush(); }};
  const Result<int> result =
      sync_wait(executor, queue.submit(1, {.stop = source.token(), .executor = &executor}));
  stopper.join();
  flusher.join();
  check(is_reply(result, 1) || is(result, ErrorKind::cancelled), "neither replied nor cancelled");
}

// The timer of its age is disarmed, or fires meanwhile, while the queue goes.
void an_item_leaves_and_the_queue_ends() {
  ThreadPool pool{1};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  {
    Queue queue{pool, doubled, patient()};
    const Result<int> result = queue.submit_and_wait(1, {.stop = source.token()});
    check(is_reply(result, 1) || is(result, ErrorKind::cancelled), "neither replied nor cancelled");
  }
  stopper.join();
}

void a_cancelled_drain_leaves_nothing_behind() {
  ThreadPool pool{1};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  {
    Queue queue{pool, doubled, patient()};
    sync::thread other{[&] { check(is_reply(queue.submit_and_wait(1), 1), "not its reply"); }};
    const Result<void> drained = queue.drain_and_wait({.stop = source.token()});
    check(drained || drained.error().kind() == ErrorKind::cancelled, "ended by neither");
    other.join();
    check(queue.drain_and_wait().has_value(), "a drain without an end");
  }
  stopper.join();
}

void two_batches_run_at_once() {
  ThreadPool pool{2};
  Queue queue{pool,
              doubled,
              {.release = SizeWeightAge{{.max_items = 1, .max_age = Duration::zero()}},
               .capacity = 1,
               .max_running = 2}};
  sync::thread other{[&] { check(is_reply(queue.submit_and_wait(1), 1), "not its reply"); }};
  check(is_reply(queue.submit_and_wait(2), 2), "not its reply");
  other.join();
}

const Scenario scenarios[] = {
    {"batch_queue/each_caller_gets_its_own_reply", each_caller_gets_its_own_reply},
    {"batch_queue/the_age_of_an_item_meets_a_full_batch", the_age_of_an_item_meets_a_full_batch},
    {"batch_queue/submit_meets_close", submit_meets_close},
    {"batch_queue/submit_meets_cancel", submit_meets_cancel},
    {"batch_queue/submit_meets_its_deadline", submit_meets_its_deadline},
    {"batch_queue/submit_meets_abort", submit_meets_abort},
    {"batch_queue/flush_meets_submit", flush_meets_submit},
    {"batch_queue/drain_waits_for_what_was_there", drain_waits_for_what_was_there},
    {"batch_queue/who_waits_for_room_may_leave", who_waits_for_room_may_leave},
    {"batch_queue/a_cancelled_caller_never_waits_for_the_handler",
     a_cancelled_caller_never_waits_for_the_handler},
    {"batch_queue/it_ends_while_a_cancelled_item_is_in_the_handler",
     it_ends_while_a_cancelled_item_is_in_the_handler},
    {"batch_queue/an_item_leaves_and_the_queue_ends", an_item_leaves_and_the_queue_ends},
    {"batch_queue/a_cancelled_drain_leaves_nothing_behind",
     a_cancelled_drain_leaves_nothing_behind},
    {"batch_queue/two_batches_run_at_once", two_batches_run_at_once},
    {"batch_queue/coroutines_on_one_thread", coroutines_on_one_thread},
    {"batch_queue/a_coroutine_is_cancelled_from_outside", a_coroutine_is_cancelled_from_outside},
};

}  // namespace
}  // namespace explore
