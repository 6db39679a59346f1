// SPDX-License-Identifier: MIT
// Hedged calls on threads: winners, losers, cancels and deadlines at once.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/layer/hedge.hpp>
#include <penstock/policy/latency_quantile.hpp>

#include "support/in_parallel.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Tally {
  std::atomic<int> entered{0};
  std::atomic<int> left{0};
  std::atomic<int> succeeded{0};
  std::atomic<int> failed{0};

  void count(const Result<std::string>& result, const std::string& request) {
    if (result) {
      EXPECT_EQ(*result, request);
      ++succeeded;
    } else {
      ++failed;
    }
  }
};

TEST(hedge_on_threads, coroutine_calls_end_once_each_while_losers_go_on) {
  constexpr int callers = 4;
  constexpr int calls = 300;
  Tally tally;
  HedgePolicy policy{{.max_hedges = 2, .delay = 50us}};
  RetryBudget budget{{.ratio = 0.5, .floor_tokens = 50, .max_tokens = 100}};
  {
    ThreadPool pool{4};
    Scope losers{pool};
    auto ask = stack(hedge(policy, losers, budget)) |
               [&](const std::string& request, Call& call) -> Task<Result<std::string>> {
      ++tally.entered;
      const auto random = call.where().random();
      const StopToken stop = random % 4 == 0 ? StopToken{} : call.stop;
      const bool came =
          co_await wait_until(call.where(), call.where().now() + (random % 200) * 1us, stop);
      ++tally.left;
      if (!came) co_return ErrorKind::cancelled;
      if (random % 8 == 1) co_return ErrorKind::transient;
      co_return request;
    };
    Scope scope{pool};
    const auto caller = [&](int number) -> Task<void> {
      for (int call = 0; call < calls; ++call) {
        const std::string request = std::to_string(number * calls + call) + std::string(40, 'x');
        StopSource source;
        if (call % 7 == 0) source.request_stop();
        const Time limit = call % 5 == 0 ? pool.now() + 100us : never;
        const Result<std::string> result =
            co_await ask(request, Call{.deadline = limit, .stop = source.token()});
        tally.count(result, request);
      }
    };
    for (int number = 0; number < callers; ++number) scope.spawn(caller(number));
    scope.wait();
    losers.wait();
  }
  EXPECT_EQ(tally.succeeded + tally.failed, callers * calls);
  EXPECT_EQ(tally.entered, tally.left);
  EXPECT_GT(tally.succeeded, 0);
}

TEST(hedge_on_threads, blocking_calls_return_while_losers_go_on) {
  constexpr int callers = 3;
  constexpr int calls = 100;
  Tally tally;
  HedgePolicy policy{{.delay = 100us}};
  ThreadPool pool{6};
  PoolScope losers{pool};
  auto ask = stack(hedge(policy, losers)) |
             [&](const std::string& request, Call& call) -> Result<std::string> {
    ++tally.entered;
    const auto random = call.where().random();
    const bool came = block_until(call, call.where().now() + (random % 300) * 1us);
    ++tally.left;
    if (!came) return ErrorKind::cancelled;
    if (random % 8 == 1) return ErrorKind::transient;
    return request;
  };
  std::vector<std::thread> running;
  for (int number = 0; number < callers; ++number) {
    running.emplace_back([&, number] {
      for (int call = 0; call < calls; ++call) {
        const std::string request = std::to_string(number * calls + call) + std::string(40, 'x');
        const Time limit = call % 5 == 0 ? sync::now() + 150us : never;
        tally.count(ask(request, Call{.deadline = limit}), request);
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  losers.wait();
  EXPECT_EQ(tally.succeeded + tally.failed, callers * calls);
  EXPECT_EQ(tally.entered, tally.left);
  EXPECT_GT(tally.succeeded, 0);
}

// trap 33
TEST(hedge_on_threads, a_blocking_winner_does_not_wait_for_a_loser_that_does_not_listen) {
  HedgePolicy policy{{.delay = 1ms}};
  ThreadPool pool{3};
  PoolScope losers{pool};
  std::atomic<int> sent{0};
  Parker release;
  auto ask = stack(hedge(policy, losers)) | [&](int) -> Result<int> {
    const int number = sent++;
    if (number == 0) static_cast<void>(release.park_until(never));
    return number;
  };
  EXPECT_EQ(*ask(1), 1) << "would never return if it waited for the first attempt";
  release.unpark();
  losers.wait();
}

TEST(latency_quantile_on_threads, an_estimate_never_exceeds_what_was_measured) {
  LatencyQuantile quantile{{.min_samples = 10, .window = 32}};
  std::atomic<int> above{0};
  testing::in_parallel([&](std::uint64_t) {
    for (int sample = 0; sample < 5'000; ++sample) {
      quantile.record(1ms);
      if (quantile.value_approx().value_or(1ms) > 1125us) ++above;
    }
  });
  EXPECT_EQ(above, 0);
}

}  // namespace
}  // namespace penstock
