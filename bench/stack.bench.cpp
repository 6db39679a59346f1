// SPDX-License-Identifier: MIT
// What a stack costs over the same decisions written by hand.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/concurrency_limit.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using bench::AllocationCounter;

// The policies of all stacks here. The bucket is never short in the time a benchmark takes.
struct Policies {
  RetryPolicy retrying;
  CircuitBreaker breaker;
  TokenBucket bucket{{.rate = 1e9, .per = 1s, .burst = 1e9}};
  ConcurrencyLimit limit{{.max_in_flight = 16}};

  auto layers(TokenBucket& metered) {
    return stack(deadline(60s),
                 retry(retrying),
                 circuit_breaker(breaker),
                 rate_limit(metered),
                 concurrency_limit(limit),
                 attempt_timeout(20s));
  }
  auto layers() { return layers(bucket); }
};

Result<int> leaf(int request) {
  return request + 1;
}
Task<Result<int>> async_leaf(int request) {
  co_return request + 1;
}

// The same decisions in one function: what somebody writes who knows all of them.
Result<int> by_hand(Policies& policies, int request, StopToken stop) {
  const Time started = sync::now();
  if (stop.stop_requested()) return ErrorKind::cancelled;
  const Time deadline = started + 60s;
  RetryPolicy::State spent;
  for (Time now = started;;) {
    Error failure{ErrorKind::permanent};
    if (auto permit = policies.breaker.admit(now)) {
      const TokenBucket::Take take = policies.bucket.reserve(now, deadline - now);
      if (take.granted) {
        Call call{.deadline = deadline, .stop = stop, .now = now};
        if (take.ready > now && !block_until(call, take.ready)) {
          policies.bucket.give_up(take.ready);
          return ErrorKind::cancelled;
        }
        if (auto place = policies.limit.try_acquire()) {
          call.deadline = std::min(deadline, now + 20s);
          Result<int> reply = leaf(request);
          now = sync::now();
          place->settle(outcome_of(reply), now);
          permit->settle(outcome_of(reply), now);
          if (reply) return reply;
          failure = std::move(reply).error();
        } else {
          policies.bucket.give_up(take.ready);
          failure = std::move(place).error();
        }
      } else {
        failure = Error{ErrorKind::limited};
      }
    } else {
      failure = std::move(permit).error();
    }
    const auto decision =
        policies.retrying.next(spent, failure, started, now, deadline, random_bits());
    if (!decision.again) return failure;
    Call call{.deadline = deadline, .stop = stop, .now = now};
    if (!block_until(call, now + decision.wait)) return ErrorKind::cancelled;
    now = call.now;
  }
}

void check_sum(benchmark::State& state, std::int64_t sum) {
  const std::int64_t calls = state.iterations();
  if (sum != calls * (calls + 1) / 2) state.SkipWithError("a reply is wrong");
}

void bare_clock_read(benchmark::State& state) {
  Time previous = sync::now();
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      const Time now = sync::now();
      if (now < previous) state.SkipWithError("the clock runs backwards");
      previous = now;
    }
  }
}
BENCHMARK(bare_clock_read);

void hand_written_stack(benchmark::State& state) {
  Policies policies;
  int request = 0;
  std::int64_t sum = 0;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      benchmark::DoNotOptimize(request);
      sum += *by_hand(policies, request++, {});
    }
  }
  check_sum(state, sum);
  bench::count_clock_reads(state, 2);
}
BENCHMARK(hand_written_stack);

void blocking_stack(benchmark::State& state) {
  Policies policies;
  auto ask = policies.layers() | leaf;
  int request = 0;
  std::int64_t sum = 0;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      benchmark::DoNotOptimize(request);
      sum += *ask(request++);
    }
  }
  check_sum(state, sum);
  bench::count_clock_reads(state, 2);
  bench::compare_with(state, "hand_written_stack");
}
BENCHMARK(blocking_stack);

// The benchmark's loop is inside the coroutine, so that neither `sync_wait` nor the first
// frames, which come from the heap, are measured.
void coroutine_stack(benchmark::State& state) {
  Policies policies;
  auto ask = policies.layers() | async_leaf;
  std::int64_t sum = 0;
  const auto loop = [&]() -> Task<void> {
    int request = 0;
    const Result<int> warm = co_await ask(request);
    if (!warm) state.SkipWithError("the first call failed");
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      benchmark::DoNotOptimize(request);
      const Result<int> reply = co_await ask(request++);
      sum += *reply;
    }
  };
  sync_wait(loop());
  check_sum(state, sum);
  bench::count_clock_reads(state, 2);
  bench::compare_with(state, "hand_written_stack");
}
BENCHMARK(coroutine_stack);

// Both refusals go through the whole stack. Nobody says when to come back in time, so the retry
// passes them on.
template <class Client>
void refusals(benchmark::State& state, Client& ask, ErrorKind kind) {
  std::int64_t refused = 0;
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      int request = 0;
      benchmark::DoNotOptimize(request);
      const Result<int> reply = ask(request);
      if (!reply && reply.error().kind() == kind) ++refused;
    }
  }
  if (refused != state.iterations()) state.SkipWithError("a call was not refused");
  bench::count_clock_reads(state, 1);
  bench::compare_with(state, "bare_clock_read");
}

void open_breaker_refusal(benchmark::State& state) {
  Policies policies;
  policies.breaker.isolate();
  auto ask = policies.layers() | leaf;
  refusals(state, ask, ErrorKind::circuit_open);
}
BENCHMARK(open_breaker_refusal);

void empty_bucket_refusal(benchmark::State& state) {
  Policies policies;
  TokenBucket empty{{.rate = 1, .per = 1h}};
  auto ask = policies.layers(empty) | leaf;
  if (!ask(0)) state.SkipWithError("the first call took the only token");
  refusals(state, ask, ErrorKind::limited);
}
BENCHMARK(empty_bucket_refusal);

}  // namespace
}  // namespace penstock
