// SPDX-License-Identifier: MIT
#include <chrono>
#include <memory>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::AsyncMutex;
using penstock::Call;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::Result;
using penstock::Semaphore;
using penstock::StopSource;
using penstock::Task;
using penstock::ThreadPool;
namespace sync = penstock::sync;

void one_permit_goes_round() {
  Semaphore semaphore{1};
  int inside = 0;
  const auto use = [&] {
    const Result<Semaphore::Permit> permit = semaphore.acquire_and_wait();
    check(permit.has_value(), "a wait without an end ended");
    ++inside;  // races where two are let in
  };
  sync::thread one{use};
  sync::thread two{use};
  use();
  one.join();
  two.join();
  check(inside == 3 && semaphore.free_approx() == 1, "a permit was lost or made");
}

void a_grant_meets_stop() {
  Semaphore semaphore{0};
  StopSource source;
  sync::thread giver{[&] { semaphore.add(1); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  {
    const auto permit = semaphore.acquire_and_wait({.stop = source.token()});
    check(permit || permit.error().kind() == ErrorKind::cancelled, "ended by neither");
  }
  giver.join();
  stopper.join();
  check(semaphore.free_approx() == 1, "a permit was lost or made");
}

void a_grant_meets_a_deadline() {
  Semaphore semaphore{0};
  sync::thread giver{[&] { semaphore.add(1); }};
  {
    const auto permit = semaphore.acquire_and_wait({.deadline = sync::now() + 1s});
    check(permit || permit.error().kind() == ErrorKind::deadline, "ended by neither");
  }
  giver.join();
  check(semaphore.free_approx() == 1, "a permit was lost or made");
}

void a_grant_meets_close() {
  Semaphore semaphore{0};
  sync::thread giver{[&] { semaphore.add(1); }};
  sync::thread closer{[&] { semaphore.close(); }};
  {
    const auto permit = semaphore.acquire_and_wait();
    check(permit || permit.error().kind() == ErrorKind::closed, "ended by neither");
  }
  giver.join();
  closer.join();
  check(semaphore.free_approx() == 1, "a permit was lost or made");
}

void who_wants_many_leaves_and_lets_others_through() {
  Semaphore semaphore{1};
  StopSource source;
  sync::thread greedy{[&] {
    const auto permits = semaphore.acquire_and_wait({.stop = source.token()}, 2);
    check(!permits, "more permits than there are");
  }};
  sync::thread modest{[&] {
    const auto permit = semaphore.acquire_and_wait();
    check(permit.has_value(), "a wait without an end ended");
  }};
  source.request_stop();
  greedy.join();
  modest.join();
  check(semaphore.free_approx() == 1, "a permit was lost or made");
}

void coroutines_and_a_thread() {
  Inline executor;
  Semaphore semaphore{1};
  int inside = 0;
  sync::thread other{[&] {
    const auto permit = semaphore.acquire_and_wait();
    ++inside;
  }};
  const auto body = [&]() -> Task<void> {
    auto acquire = semaphore.acquire({.executor = &executor});
    const auto permit = co_await acquire;
    ++inside;
  };
  sync_wait(executor, body());
  other.join();
  check(inside == 2 && semaphore.free_approx() == 1, "a permit was lost or made");
}

void a_coroutine_is_stopped_as_it_is_granted() {
  Inline executor;
  Semaphore semaphore{0};
  StopSource source;
  sync::thread giver{[&] { semaphore.add(1); }};
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto body = [&]() -> Task<void> {
    auto acquire = semaphore.acquire({.stop = source.token(), .executor = &executor});
    const auto permit = co_await acquire;
    check(permit || permit.error().kind() == ErrorKind::cancelled, "ended by neither");
  };
  sync_wait(executor, body());
  giver.join();
  stopper.join();
  check(semaphore.free_approx() == 1, "a permit was lost or made");
}

void a_mutex_that_is_given_back_elsewhere() {
  AsyncMutex mutex;
  int inside = 0;
  auto held = std::make_unique<Result<AsyncMutex::Lock>>(mutex.lock_and_wait());
  sync::thread giver{[&] {
    ++inside;
    held.reset();
  }};
  {
    const auto mine = mutex.lock_and_wait();
    ++inside;
  }
  giver.join();
  check(inside == 2, "two inside");
}

// The deadline comes in one thread of the pool, and the grant from outside of it.
void a_coroutine_on_a_pool_is_granted_at_its_deadline() {
  ThreadPool pool{2};
  Semaphore semaphore{0};
  sync::thread giver{[&] { semaphore.add(1); }};
  const auto body = [&]() -> Task<void> {
    const Call call{.deadline = pool.now(), .executor = &pool};
    auto acquire = semaphore.acquire(call);
    const Result<Semaphore::Permit> permit = co_await acquire;
    check(permit || permit.error().kind() == ErrorKind::deadline, "ended by neither");
  };
  sync_wait(pool, body());
  giver.join();
  check(semaphore.free_approx() == 1, "a permit was lost or made");
}

const Scenario scenarios[] = {
    {"semaphore/a_coroutine_on_a_pool_is_granted_at_its_deadline",
     a_coroutine_on_a_pool_is_granted_at_its_deadline},

    {"semaphore/one_permit_goes_round", one_permit_goes_round},
    {"semaphore/a_grant_meets_stop", a_grant_meets_stop},
    {"semaphore/a_grant_meets_a_deadline", a_grant_meets_a_deadline},
    {"semaphore/a_grant_meets_close", a_grant_meets_close},
    {"semaphore/who_wants_many_leaves_and_lets_others_through",
     who_wants_many_leaves_and_lets_others_through},
    {"semaphore/coroutines_and_a_thread", coroutines_and_a_thread},
    {"semaphore/a_coroutine_is_stopped_as_it_is_granted", a_coroutine_is_stopped_as_it_is_granted},
    {"semaphore/a_mutex_that_is_given_back_elsewhere", a_mutex_that_is_given_back_elsewhere},
};

}  // namespace
}  // namespace explore
