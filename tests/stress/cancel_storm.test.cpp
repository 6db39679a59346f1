// SPDX-License-Identifier: MIT
// Waits that are cancelled, time out and complete at once, on threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Every waiter ends exactly once, whichever of timer and stop wins.
template <class E>
void storm(E& executor, int rounds, int waiters) {
  std::atomic<int> by_timer{0};
  std::atomic<int> by_stop{0};
  for (int round = 0; round < rounds; ++round) {
    StopSource source;
    Scope scope{executor};
    const auto body = [&](Time when) -> Task<void> {
      const bool came = co_await wait_until(executor, when, source.token());
      ++(came ? by_timer : by_stop);
    };
    for (int waiter = 0; waiter < waiters; ++waiter)
      scope.spawn(body(executor.now() + waiter * 5us));
    std::thread stopper{[&] { source.request_stop(); }};
    scope.wait();
    stopper.join();
  }
  EXPECT_EQ(by_timer + by_stop, rounds * waiters);
}

TEST(cancel_storm, on_a_thread_pool_every_wait_ends_once) {
  ThreadPool pool{4};
  storm(pool, 200, 50);
}

TEST(cancel_storm, on_an_event_loop_every_wait_ends_once) {
  EventLoop loop;
  storm(loop, 200, 50);
}

TEST(cancel_storm, a_loop_stopped_from_another_thread_returns) {
  EventLoop loop;
  std::thread runner{[&] { EXPECT_TRUE(loop.run()); }};
  loop.stop();
  runner.join();
}

}  // namespace
}  // namespace penstock
