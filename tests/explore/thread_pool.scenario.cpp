// SPDX-License-Identifier: MIT
#include <chrono>
#include <memory>
#include <optional>

#include <penstock/core/executor.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::Job;
using penstock::never;
using penstock::Parker;
using penstock::Result;
using penstock::StopSource;
using penstock::StopToken;
using penstock::Task;
using penstock::ThreadPool;
namespace sync = penstock::sync;

void a_submission_brings_its_outcome() {
  ThreadPool pool{1};
  auto submission = pool.submit([] { return 7; });
  check(submission.has_value(), "refused");
  const Result<int> outcome = submission->wait();
  check(outcome && *outcome == 7, "the outcome was lost");
}

void a_submission_is_dropped_before_it_ran() {
  int ran = 0;
  {
    ThreadPool pool{1};
    const auto work = [&] { ++ran; };
    auto dropped = pool.try_submit(work);
    check(dropped.has_value(), "refused");
  }
  check(ran == 1, "dropped work did not run, or ran twice");
}

void a_function_waits_for_the_next() {
  ThreadPool pool{2};
  Parker ran;
  const auto waits = [&] { static_cast<void>(pool.wait(ran, never)); };
  const auto runs = [&] { ran.unpark(); };
  auto first = pool.try_submit(waits);
  auto second = pool.try_submit(runs);  // must not be left to the thread that is blocked
  check(first && second && first->wait() && second->wait(), "refused");
}

void a_function_waits_for_a_task_as_its_pool_goes() {
  bool ran = false;
  {
    ThreadPool pool{2};
    const auto body = [&]() -> Task<void> {
      ran = true;
      co_return;
    };
    const auto waits = [&] { sync_wait(pool, body()); };  // a thread for each, to the end
    check(pool.try_submit(waits).has_value(), "refused");
  }
  check(ran, "the pool went before it had run");
}

void stop_meets_a_submission() {
  ThreadPool pool{1};
  sync::thread stopper{[&] { static_cast<void>(pool.stop()); }};
  auto submission = pool.try_submit([] { return 7; });
  if (submission) {
    const Result<int> outcome = submission->wait();
    check(outcome || outcome.error().kind() == ErrorKind::closed, "neither ran nor closed");
  } else {
    check(submission.error().kind() == ErrorKind::closed, "refused for nothing");
  }
  stopper.join();
}

void drain_lets_what_was_submitted_finish() {
  ThreadPool pool{1};
  int ran = 0;
  const auto work = [&] { ++ran; };
  auto submission = pool.try_submit(work);
  sync::thread other{[&] { static_cast<void>(pool.drain()); }};
  static_cast<void>(pool.drain());
  check(submission && submission->ready() && ran == 1, "drained before its end");
  other.join();
}

void cancel_meets_the_start() {
  ThreadPool pool{1};
  int ran = 0;
  const auto work = [&] { ++ran; };
  auto submission = pool.try_submit(work);
  submission->cancel();
  const Result<void> outcome = submission->wait();
  check(ran == (outcome ? 1 : 0), "cancelled and run, or neither");
}

void who_waits_for_room_is_closed_out_or_runs() {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  sync::thread closer{[&] { pool.close(); }};
  int accepted = 0;
  sync::atomic<int> ran{0};
  const auto work = [&] { ++ran; };
  for (int index = 0; index < 3; ++index) {
    if (pool.submit(work)) ++accepted;
  }
  static_cast<void>(pool.drain());
  closer.join();
  check(accepted == ran.load(), "accepted and lost, or refused and run");
}

void who_waits_for_room_is_stopped() {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  int accepted = 0;
  sync::atomic<int> ran{0};
  const auto work = [&] { ++ran; };
  for (int index = 0; index < 3; ++index) {
    if (pool.submit(work, {.stop = source.token()})) ++accepted;
  }
  static_cast<void>(pool.drain());
  stopper.join();
  check(accepted == ran.load(), "accepted and lost, or refused and run");
}

void the_outcome_comes_as_its_waiter_is_stopped() {
  ThreadPool pool{1};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  auto submission = pool.try_submit([] { return std::make_unique<int>(7); });
  Result<std::unique_ptr<int>> outcome = submission->wait({.stop = source.token()});
  if (!outcome) {
    check(outcome.error().kind() == ErrorKind::cancelled, "ended by neither");
    outcome = submission->wait();
  }
  check(outcome && **outcome == 7, "the outcome was lost");
  stopper.join();
}

void a_coroutine_runs_a_function_there() {
  Inline executor;
  ThreadPool pool{1};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto body = [&]() -> Task<Result<int>> {
    auto run = pool.run([] { return 7; }, {.stop = source.token(), .executor = &executor});
    co_return co_await std::move(run);
  };
  const Result<int> outcome = sync_wait(executor, body());
  stopper.join();
  check(outcome ? *outcome == 7 : outcome.error().kind() == ErrorKind::cancelled,
        "ended by neither");
}

void a_coroutine_in_line_for_room_is_stopped_or_runs() {
  Inline executor;
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  StopSource source;
  sync::atomic<int> ran{0};
  const auto work = [&] { ++ran; };
  check(pool.try_submit(work).has_value(), "refused");
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto body = [&]() -> Task<Result<void>> {
    auto run = pool.run(work, {.stop = source.token(), .executor = &executor});
    co_return co_await std::move(run);
  };
  const Result<void> outcome = sync_wait(executor, body());
  stopper.join();
  static_cast<void>(pool.drain());
  const int least = outcome ? 2 : 1;
  check(ran.load() >= least && ran.load() <= 2, "lost, or run twice");
}

void stop_and_drain_meet_a_submitter_that_waits_for_room() {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  sync::atomic<int> ran{0};
  const auto work = [&] { ++ran; };
  int refused = 0;
  int dropped = 0;
  sync::thread stopper{[&] { check(pool.stop().has_value(), "it did not end"); }};
  for (int index = 0; index < 2; ++index) {
    auto submission = pool.submit(work);
    if (!submission) {
      ++refused;
    } else if (!submission->wait()) {
      ++dropped;
    }
  }
  check(pool.drain().has_value(), "it did not end");
  stopper.join();
  check(ran.load() + refused + dropped == 2, "a submission was lost");
}

void a_cancel_meets_the_stop_of_its_pool() {
  ThreadPool pool{1};
  int ran = 0;
  const auto work = [&] { ++ran; };
  auto submission = pool.try_submit(work);
  check(submission.has_value(), "refused");
  sync::thread stopper{[&] { static_cast<void>(pool.stop()); }};
  submission->cancel();
  const Result<void> outcome = submission->wait();
  stopper.join();
  check(ran == (outcome ? 1 : 0), "dropped and run, or neither");
}

void a_function_waits_for_a_timer_as_its_pool_goes() {
  bool came = false;
  {
    ThreadPool pool{2};
    const auto body = [&]() -> Task<bool> {
      co_return co_await wait_until(pool, pool.now() + 1s, StopToken{});
    };
    const auto waits = [&] { came = sync_wait(pool, body()); };
    check(pool.try_submit(waits).has_value(), "refused");
  }
  check(came, "the pool went before its time had come");
}

void a_job_brings_another_to_a_pool_that_goes() {
  struct Bring final : Job {
    explicit Bring(ThreadPool& to) noexcept
        : Job([](Job& job) noexcept {
            Bring& self = static_cast<Bring&>(job);
            if (++self.ran < 3) self.pool.post(self);
          }),
          pool(to) {}
    ThreadPool& pool;
    int ran = 0;  // plain: one run after the other
  };
  std::optional<Bring> bring;
  {
    ThreadPool pool{2};
    bring.emplace(pool);
    pool.post(*bring);
  }
  check(bring->ran == 3, "the pool went before all had run");
}

const Scenario scenarios[] = {
    {"thread_pool/a_function_waits_for_a_timer_as_its_pool_goes",
     a_function_waits_for_a_timer_as_its_pool_goes},
    {"thread_pool/a_job_brings_another_to_a_pool_that_goes",
     a_job_brings_another_to_a_pool_that_goes},

    {"thread_pool/a_coroutine_in_line_for_room_is_stopped_or_runs",
     a_coroutine_in_line_for_room_is_stopped_or_runs},
    {"thread_pool/stop_and_drain_meet_a_submitter_that_waits_for_room",
     stop_and_drain_meet_a_submitter_that_waits_for_room},
    {"thread_pool/a_cancel_meets_the_stop_of_its_pool", a_cancel_meets_the_stop_of_its_pool},

    {"thread_pool/a_submission_brings_its_outcome", a_submission_brings_its_outcome},
    {"thread_pool/a_submission_is_dropped_before_it_ran", a_submission_is_dropped_before_it_ran},
    {"thread_pool/a_function_waits_for_the_next", a_function_waits_for_the_next},
    {"thread_pool/a_function_waits_for_a_task_as_its_pool_goes",
     a_function_waits_for_a_task_as_its_pool_goes},
    {"thread_pool/stop_meets_a_submission", stop_meets_a_submission},
    {"thread_pool/drain_lets_what_was_submitted_finish", drain_lets_what_was_submitted_finish},
    {"thread_pool/cancel_meets_the_start", cancel_meets_the_start},
    {"thread_pool/who_waits_for_room_is_closed_out_or_runs",
     who_waits_for_room_is_closed_out_or_runs},
    {"thread_pool/who_waits_for_room_is_stopped", who_waits_for_room_is_stopped},
    {"thread_pool/the_outcome_comes_as_its_waiter_is_stopped",
     the_outcome_comes_as_its_waiter_is_stopped},
    {"thread_pool/a_coroutine_runs_a_function_there", a_coroutine_runs_a_function_there},
};

}  // namespace
}  // namespace explore
