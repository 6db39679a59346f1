// SPDX-License-Identifier: MIT
#include <chrono>
#include <mutex>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/waiter.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::block_until;
using penstock::BlockingWaiter;
using penstock::Call;
using penstock::Executor;
using penstock::Inline;
using penstock::never;
using penstock::Scope;
using penstock::StopSource;
using penstock::StopToken;
using penstock::SuspendedWaiter;
using penstock::sync_wait;
using penstock::Task;
using penstock::ThreadPool;
using penstock::WaitEnd;
using penstock::Waiter;
using penstock::WaitList;
namespace sync = penstock::sync;

Task<bool> wait_a_second(Executor& executor, StopToken stop) {
  co_return co_await wait_until(executor, executor.now() + 1s, stop);
}

void timer_meets_stop() {
  Inline executor;
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  const bool came = sync_wait(executor, wait_a_second(executor, source.token()));
  stopper.join();
  check(came || source.stop_requested(), "the wait ended by neither");
}

void timer_meets_stop_on_a_pool() {
  ThreadPool pool{1};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  const bool came = sync_wait(pool, wait_a_second(pool, source.token()));
  stopper.join();
  check(came || source.stop_requested(), "the wait ended by neither");
}

// The awaiter suspends in one thread of the pool and resumes, maybe, in the other.
void timer_meets_stop_on_two_threads() {
  ThreadPool pool{2};
  StopSource source;
  Scope scope{pool};
  bool came = false;
  const auto body = [&]() -> Task<void> {
    came = co_await wait_until(pool, pool.now() + 1s, source.token());
  };
  scope.spawn(body());
  source.request_stop();
  scope.wait();
  check(came || source.stop_requested(), "the wait ended by neither");
}

// Its timer may have fired in the pool before it is suspended here.
void the_awaiter_goes_on_where_its_timer_is() {
  Inline here;
  ThreadPool pool{1};
  const auto body = [&]() -> Task<void> {
    const bool came = co_await wait_until(pool, pool.now(), StopToken{});
    check(came, "stopped by nothing");
    check(&Executor::current() == &pool, "it went on elsewhere");
  };
  sync_wait(here, body());
}

void a_wait_that_only_a_stop_can_end() {
  Inline executor;
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto body = [&]() -> Task<bool> {
    co_return co_await wait_until(executor, never, source.token());
  };
  check(!sync_wait(executor, body()), "the time came that never comes");
  stopper.join();
}

void a_blocking_wait_meets_stop() {
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  Call call{.stop = source.token()};
  const bool came = block_until(call, sync::now() + 1s);
  stopper.join();
  check(came || source.stop_requested(), "the wait ended by neither");
}

// The smallest store: permits, and who waits for one.
class Permits {
 public:
  explicit Permits(int count) noexcept : free_(count) {}

  [[nodiscard]] WaitEnd take_and_wait(Call& call) {
    BlockingWaiter<Withdraw> waiter{Withdraw{this}};
    if (enter(waiter)) return WaitEnd::granted;
    return waiter.wait(call);
  }
  [[nodiscard]] Task<WaitEnd> take(Call call) {
    SuspendedWaiter<Withdraw> waiter{call, Withdraw{this}};
    if (enter(waiter)) co_return WaitEnd::granted;
    co_return co_await waiter;
  }
  void give() {
    Waiter* next = nullptr;
    {
      const std::lock_guard lock{mutex_};
      next = waiting_.pop();
      if (next == nullptr) ++free_;
    }
    if (next != nullptr) next->wake();
  }
  [[nodiscard]] int free() {
    const std::lock_guard lock{mutex_};
    check(waiting_.empty(), "somebody waits who has left");
    return free_;
  }

 private:
  struct Withdraw {
    Permits* permits;
    bool operator()(Waiter& waiter) const noexcept {
      const std::lock_guard lock{permits->mutex_};
      return permits->waiting_.remove(waiter);
    }
  };
  bool enter(Waiter& waiter) {
    const std::lock_guard lock{mutex_};
    if (free_ != 0) {
      --free_;
      return true;
    }
    waiting_.push(waiter);
    return false;
  }
  sync::mutex mutex_;
  WaitList waiting_;
  int free_;
};

void a_grant_meets_stop() {
  Permits permits{0};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  sync::thread giver{[&] { permits.give(); }};
  Call call{.stop = source.token()};
  const WaitEnd end = permits.take_and_wait(call);
  stopper.join();
  giver.join();
  check(end != WaitEnd::timed_out, "a wait without a deadline timed out");
  check(permits.free() == (end == WaitEnd::granted ? 0 : 1), "a permit was lost or made");
}

void a_grant_meets_a_deadline() {
  Permits permits{0};
  sync::thread giver{[&] { permits.give(); }};
  Call call{.deadline = sync::now() + 1s};
  const WaitEnd end = permits.take_and_wait(call);
  giver.join();
  check(end != WaitEnd::stopped, "a wait without a token was stopped");
  check(permits.free() == (end == WaitEnd::granted ? 0 : 1), "a permit was lost or made");
}

void a_grant_meets_stop_in_a_coroutine() {
  Inline executor;
  Permits permits{0};
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  sync::thread giver{[&] { permits.give(); }};
  const WaitEnd end =
      sync_wait(executor, permits.take({.stop = source.token(), .executor = &executor}));
  stopper.join();
  giver.join();
  check(permits.free() == (end == WaitEnd::granted ? 0 : 1), "a permit was lost or made");
}

void a_grant_meets_a_deadline_in_a_coroutine() {
  Inline executor;
  Permits permits{0};
  sync::thread giver{[&] { permits.give(); }};
  const WaitEnd end =
      sync_wait(executor, permits.take({.deadline = executor.now() + 1s, .executor = &executor}));
  giver.join();
  check(permits.free() == (end == WaitEnd::granted ? 0 : 1), "a permit was lost or made");
}

void the_permit_goes_round() {
  Permits permits{1};
  int inside = 0;
  const auto use = [&] {
    Call call;
    check(permits.take_and_wait(call) == WaitEnd::granted, "a wait ended by nothing");
    ++inside;  // races where two are let in
    permits.give();
  };
  sync::thread one{use};
  sync::thread two{use};
  use();
  one.join();
  two.join();
  check(inside == 3 && permits.free() == 1, "a permit was lost or made");
}

const Scenario scenarios[] = {
    {"wait/timer_meets_stop", timer_meets_stop},
    {"wait/timer_meets_stop_on_a_pool", timer_meets_stop_on_a_pool},
    {"wait/timer_meets_stop_on_two_threads", timer_meets_stop_on_two_threads},
    {"wait/the_awaiter_goes_on_where_its_timer_is", the_awaiter_goes_on_where_its_timer_is},
    {"wait/a_wait_that_only_a_stop_can_end", a_wait_that_only_a_stop_can_end},
    {"wait/a_blocking_wait_meets_stop", a_blocking_wait_meets_stop},
    {"wait/a_grant_meets_stop", a_grant_meets_stop},
    {"wait/a_grant_meets_a_deadline", a_grant_meets_a_deadline},
    {"wait/a_grant_meets_stop_in_a_coroutine", a_grant_meets_stop_in_a_coroutine},
    {"wait/a_grant_meets_a_deadline_in_a_coroutine", a_grant_meets_a_deadline_in_a_coroutine},
    {"wait/the_permit_goes_round", the_permit_goes_round},
};

}  // namespace
}  // namespace explore
