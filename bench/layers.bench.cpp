// SPDX-License-Identifier: MIT
// What cache, coalesce, balance, fallback and hedge cost a call that goes well, each beside the
// same by hand over the same leaf.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/balance.hpp>
#include <penstock/layer/cache.hpp>
#include <penstock/layer/coalesce.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/hedge.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using bench::AllocationCounter;

constexpr int keys = 512;

Result<int> leaf(int request) {
  return request + 1;
}
Task<Result<int>> async_leaf(int request) {
  co_return request + 1;
}

// Calls with keys in turn, and checks every reply.
template <class Ask>
void measure(benchmark::State& state, Ask ask) {
  int request = 0;
  std::int64_t wrong = 0;
  for (int key = 0; key < keys; ++key) static_cast<void>(ask(key));
  {
    const AllocationCounter allocations{state};
    for (auto _ : state) {
      benchmark::DoNotOptimize(request);
      if (const Result<int> reply = ask(request); !reply || *reply != request + 1) ++wrong;
      request = (request + 1) % keys;
    }
  }
  if (wrong != 0) state.SkipWithError("a reply is wrong");
}

void bare_clock_read(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(sync::now());
}
BENCHMARK(bare_clock_read);

// --- cache ---

// Least recently used, with a time to live, behind one mutex.
class CacheByHand {
 public:
  Result<int> operator()(int request) {
    const Time now = sync::now();
    {
      const std::lock_guard lock{mutex_};
      if (const auto found = index_.find(request); found != index_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        if (now - found->second->stored < 1h) return found->second->reply;
      }
    }
    Result<int> reply = leaf(request);
    if (!reply) return reply;
    const std::lock_guard lock{mutex_};
    entries_.push_front({request, *reply, now});
    index_[request] = entries_.begin();
    if (entries_.size() > 1000) {
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
    return reply;
  }

 private:
  struct Entry {
    int key;
    int reply;
    Time stored;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<int, std::list<Entry>::iterator> index_;
};

void cache_hit_by_hand(benchmark::State& state) {
  CacheByHand kept;
  measure(state, std::ref(kept));
  bench::count_clock_reads(state, 1);
}
BENCHMARK(cache_hit_by_hand);

void cache_hit(benchmark::State& state) {
  Cache<int, int> kept{{.max_entries = 1000}};
  auto ask = stack(cache(kept, std::identity{}, CachePolicy{{.ttl = 1h}})) | leaf;
  measure(state, [&](int request) { return ask(request); });
  bench::count_clock_reads(state, 1);
  bench::compare_with(state, "cache_hit_by_hand");
}
BENCHMARK(cache_hit);

// --- coalesce ---

// The usual single flight: a map of what is under way, shared with who comes meanwhile.
class CoalesceByHand {
 public:
  Result<int> operator()(int request) {
    std::shared_ptr<Flight> flight;
    {
      std::unique_lock lock{mutex_};
      std::shared_ptr<Flight>& known = flights_[request];
      if (known) {
        flight = known;
        flight->landed.wait(lock, [&] { return flight->reply.has_value(); });
        return *flight->reply;
      }
      flight = known = std::make_shared<Flight>();
    }
    Result<int> reply = leaf(request);
    benchmark::DoNotOptimize(sync::now());
    {
      const std::lock_guard lock{mutex_};
      flight->reply = reply;
      flights_.erase(request);
    }
    flight->landed.notify_all();
    return reply;
  }

 private:
  struct Flight {
    std::condition_variable landed;
    std::optional<Result<int>> reply;
  };
  std::mutex mutex_;
  std::unordered_map<int, std::shared_ptr<Flight>> flights_;
};

void coalesce_alone_by_hand(benchmark::State& state) {
  CoalesceByHand flights;
  measure(state, [&](int request) {
    benchmark::DoNotOptimize(sync::now());
    return flights(request);
  });
  bench::count_clock_reads(state, 2);
}
BENCHMARK(coalesce_alone_by_hand);

void coalesce_alone(benchmark::State& state) {
  InFlight<int, int> in_flight;
  auto ask = stack(coalesce(in_flight)) | leaf;
  measure(state, [&](int request) { return ask(request); });
  bench::count_clock_reads(state, 2);
  bench::compare_with(state, "coalesce_alone_by_hand");
}
BENCHMARK(coalesce_alone);

// --- balance ---

// The better of two by latency times load, behind one mutex, without ejection.
class BalanceByHand {
 public:
  Result<int> operator()(int request) {
    const Time started = sync::now();
    const std::uint64_t random = random_bits();
    std::size_t chosen = random % 8;
    {
      const std::lock_guard lock{mutex_};
      const std::size_t other = (chosen + 1 + (random >> 32U) % 7) % 8;
      if (cost(other) < cost(chosen)) chosen = other;
      ++endpoints_[chosen].load;
    }
    Result<int> reply = leaf(request);
    const Time ended = sync::now();
    const double took = std::chrono::duration<double>(ended - started).count();
    const std::lock_guard lock{mutex_};
    Endpoint& endpoint = endpoints_[chosen];
    --endpoint.load;
    endpoint.average = took > endpoint.average ? took : endpoint.average * 0.99 + took * 0.01;
    return reply;
  }

 private:
  struct Endpoint {
    int load = 0;
    double average = 0;
  };
  [[nodiscard]] double cost(std::size_t index) const {
    return endpoints_[index].average * (endpoints_[index].load + 1);
  }
  std::mutex mutex_;
  std::array<Endpoint, 8> endpoints_{};
};

void balance_by_hand(benchmark::State& state) {
  BalanceByHand balanced;
  measure(state, std::ref(balanced));
  bench::count_clock_reads(state, 2);
}
BENCHMARK(balance_by_hand);

void balance_power_of_two(benchmark::State& state) {
  Balancer balancer{8};
  auto ask = stack() | balance(balancer, std::vector<Result<int> (*)(int)>(8, &leaf));
  measure(state, [&](int request) { return ask(request); });
  bench::count_clock_reads(state, 3);
  bench::compare_with(state, "balance_by_hand");
}
BENCHMARK(balance_power_of_two);

// The decision alone, on threads: nothing is called.
void balance_pick(benchmark::State& state) {
  static Balancer balancer{8};
  const Time now = sync::now();
  std::uint64_t random = 1;
  for (auto _ : state) {
    Balancer::Pick pick = balancer.pick(now, random_bits());
    random += pick.index();
    pick.settle(Outcome::success, now + 1ms);
  }
  if (random == 0) state.SkipWithError("no endpoint was picked");
}
BENCHMARK(balance_pick)->Threads(1)->Threads(2)->UseRealTime();

// --- fallback ---

void fallback_by_hand(benchmark::State& state) {
  measure(state, [](int request) -> Result<int> {
    benchmark::DoNotOptimize(sync::now());
    Result<int> reply = leaf(request);
    benchmark::DoNotOptimize(sync::now());
    if (!reply && reply.error().kind() == ErrorKind::unavailable) return -1;
    return reply;
  });
  bench::count_clock_reads(state, 2);
}
BENCHMARK(fallback_by_hand);

void fallback_not_needed(benchmark::State& state) {
  auto ask = stack(fallback(-1)) | leaf;
  measure(state, [&](int request) { return ask(request); });
  bench::count_clock_reads(state, 2);
  bench::compare_with(state, "fallback_by_hand");
}
BENCHMARK(fallback_not_needed);

// --- hedge ---

// Both benchmarks loop inside a coroutine of the scope's executor.
template <class Loop>
void in_coroutine(benchmark::State& state, Inline& executor, Loop call) {
  const auto loop = [&]() -> Task<void> {
    int request = 0;
    std::int64_t wrong = 0;
    const Result<int> warm = co_await call(request);
    if (!warm) ++wrong;
    {
      const AllocationCounter allocations{state};
      for (auto _ : state) {
        const Result<int> reply = co_await call(request);
        if (!reply || *reply != request + 1) ++wrong;
        ++request;
      }
    }
    if (wrong != 0) state.SkipWithError("a reply is wrong");
  };
  sync_wait(executor, loop());
}

// What any hedge must do at least: run the attempt as a task of its own, and be told by it.
void spawned_by_hand(benchmark::State& state) {
  Inline executor;
  Scope scope{executor};
  const auto attempt = [](int request, std::optional<Result<int>>& reply) -> Task<void> {
    reply = co_await async_leaf(request);
  };
  const auto call = [&](int request) -> Task<Result<int>> {
    std::optional<Result<int>> reply;
    benchmark::DoNotOptimize(sync::now());
    scope.spawn(attempt(request, reply));
    co_await scope.join();
    benchmark::DoNotOptimize(sync::now());
    co_return std::move(*reply);
  };
  in_coroutine(state, executor, call);
  bench::count_clock_reads(state, 2);
}
BENCHMARK(spawned_by_hand);

void hedge_not_needed(benchmark::State& state) {
  Inline executor;
  Scope scope{executor};
  HedgePolicy policy{{.min_samples = 100}};
  auto ask = stack(hedge(policy, scope)) | async_leaf;
  in_coroutine(state, executor, [&](int request) { return ask(int{request}); });
  scope.wait();
  bench::compare_with(state, "spawned_by_hand");
}
BENCHMARK(hedge_not_needed);

}  // namespace
}  // namespace penstock
