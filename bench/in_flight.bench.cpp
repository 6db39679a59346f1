// SPDX-License-Identifier: MIT
// Many calls in flight on one loop thread: what each takes of memory, and whether the cost of one
// depends on how many there are.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <penstock/core/stack.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

#if defined(__GLIBC__)
// What this thread's calls hold of the heap; they all run in the main thread.
std::optional<std::size_t> heap_bytes() {
  const auto state = ::mallinfo2();
  return state.uordblks + state.hblkhd;
}
#else
std::optional<std::size_t> heap_bytes() {
  return std::nullopt;
}
#endif

// The other side: answers all calls when everyone waits. A call waits with a deadline, so each has
// a timer pending too.
struct Remote {
  Semaphore replies{0};
  std::int64_t answered = 0;

  Task<Result<int>> operator()(int request, Call& call) {
    Result<Semaphore::Permit> reply = co_await replies.acquire(call);
    if (!reply) co_return std::move(reply).error();
    reply->forget();
    co_return request + 1;
  }
};

Task<void> bare_call(Remote& remote, int request, Time deadline) {
  Call call{.deadline = deadline};
  Task<Result<int>> asked = remote(request, call);
  const Result<int> reply = co_await std::move(asked);
  remote.answered += reply.value_or(-1) == request + 1 ? 1 : 0;
}
template <class Ask>
Task<void> stacked_call(Ask& ask, Remote& remote, int request) {
  const Result<int> reply = co_await ask(request);
  remote.answered += reply.value_or(-1) == request + 1 ? 1 : 0;
}

// As many answers as a socket layer finds in one look.
constexpr int answers_at_once = 64;

// `start(scope, number)` spawns one call. Each round brings `calls` of them in flight, and then
// answers them all, the oldest first.
template <class Start>
void in_flight(benchmark::State& state, const std::string& name, Remote& remote, Start start) {
  static std::map<std::string, double> per_call_at_1000;
  const int calls = static_cast<int>(state.range(0));
  EventLoop loop;
  Scope scope{loop};
  std::int64_t rounds = 0;
  std::optional<std::size_t> bytes;
  const auto answer = [&]() -> Task<void> {
    if (rounds == 0) bytes = heap_bytes();
    for (int left = calls; left > 0; left -= answers_at_once) {
      remote.replies.add(static_cast<std::size_t>(std::min(left, answers_at_once)));
      co_await reschedule(loop);
    }
  };
  const auto round = [&] {
    for (int call = 0; call < calls; ++call) start(scope, call);
    scope.spawn(answer());  // comes behind the others, which all wait by then
    scope.wait();
    ++rounds;
  };
  FrameCache::trim();
  const std::optional<std::size_t> before = heap_bytes();
  round();  // the first one gets its memory from the system
  const Time began = sync::now();
  for (auto _ : state) round();
  const Time ended = sync::now();

  if (remote.answered != rounds * calls) state.SkipWithError("a call was not answered once");
  state.SetItemsProcessed(state.iterations() * calls);
  const double per_call = static_cast<double>((ended - began).count()) /
                          static_cast<double>(state.iterations() * calls);
  state.counters["per_call_ns"] = per_call;
  if (calls == 1000) per_call_at_1000[name] = per_call;
  if (const double at_1000 = per_call_at_1000[name]; at_1000 > 0)
    state.counters["against_1000"] = per_call / at_1000;
  if (before && bytes && *bytes > *before)
    state.counters["new_bytes_per_call"] = static_cast<double>(*bytes - *before) / calls;
}

void bare_calls(benchmark::State& state) {
  Remote remote;
  in_flight(state, "bare", remote, [&](Scope& scope, int number) {
    scope.spawn(bare_call(remote, number, scope.executor().now() + 1h));
  });
}
void stacked_calls(benchmark::State& state) {
  RetryPolicy retrying;
  CircuitBreaker breaker;
  TokenBucket bucket{{.rate = 1e9, .per = 1s, .burst = 1e9}};
  Remote remote;
  auto ask = stack(deadline(60s),
                   retry(retrying),
                   circuit_breaker(breaker),
                   rate_limit(bucket),
                   attempt_timeout(20s)) |
             remote;
  in_flight(state, "stacked", remote, [&](Scope& scope, int number) {
    scope.spawn(stacked_call(ask, remote, number));
  });
}

// What of that is the memory's own: as many bytes for each call are written, and then, when all
// have been, read and given back, the oldest first.
void memory_of_bare_calls(benchmark::State& state) {
  static double per_call_at_1000 = 0;
  constexpr std::size_t bytes = 624;  // what `bare_calls` reports as `new_bytes_per_call`
  struct Block {
    std::array<std::uint64_t, bytes / sizeof(std::uint64_t)> words;
  };
  const auto calls = static_cast<std::size_t>(state.range(0));
  std::vector<Block*> blocks(calls);
  std::uint64_t sum = 0;
  std::uint64_t rounds = 0;
  const auto round = [&] {
    for (std::size_t call = 0; call < calls; ++call) {
      blocks[call] = new (FrameCache::allocate(bytes)) Block;
      blocks[call]->words.fill(call);
    }
    for (Block* const block : blocks) {
      for (const std::uint64_t word : block->words) sum += word;
      FrameCache::release(block, bytes);
    }
    ++rounds;
  };
  FrameCache::trim();
  round();
  const Time began = sync::now();
  for (auto _ : state) round();
  const Time ended = sync::now();
  if (sum != rounds * (calls * (calls - 1) / 2) * (bytes / sizeof(std::uint64_t)))
    state.SkipWithError("a word was lost");
  const double per_call = static_cast<double>((ended - began).count()) /
                          static_cast<double>(static_cast<std::size_t>(state.iterations()) * calls);
  state.counters["per_call_ns"] = per_call;
  if (calls == 1000) per_call_at_1000 = per_call;
  if (per_call_at_1000 > 0) state.counters["against_1000"] = per_call / per_call_at_1000;
}

// From small to large, so that each size needs more memory than the one before.
BENCHMARK(memory_of_bare_calls)->Arg(1000)->Arg(10'000)->Arg(100'000)->UseRealTime();
BENCHMARK(bare_calls)->Arg(1000)->Arg(10'000)->Arg(100'000)->UseRealTime();
BENCHMARK(stacked_calls)->Arg(1000)->Arg(10'000)->Arg(100'000)->UseRealTime();

}  // namespace
}  // namespace penstock
