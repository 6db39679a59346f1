// SPDX-License-Identifier: MIT
// One breaker for all threads, its windows in stripes, beside the same breaker behind a mutex
// and beside one that all threads count in one stripe of. Time is an argument here, so no clock
// is read; `rate_per_thread` is what a thread keeps of its rate when there are as many.
#include <benchmark/benchmark.h>
#include <time.h>

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <penstock/core/sync.hpp>
#include <penstock/policy/circuit_breaker.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using bench::AllocationCounter;

// What each thread keeps of the rate that one thread had in the run before: in real time, and in
// processor time, which leaves out what others on the machine took, and waits for a lock.
class RateKept {
 public:
  RateKept(benchmark::State& state, std::string name) : state_(state), name_(std::move(name)) {}
  RateKept(const RateKept&) = delete;
  RateKept& operator=(const RateKept&) = delete;
  ~RateKept() {
    report("rate_per_thread", CLOCK_MONOTONIC, real_);
    report("processor_rate_per_thread", CLOCK_THREAD_CPUTIME_ID, processor_);
  }

 private:
  static double seconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  void report(const std::string& counter, clockid_t clock, double began) {
    const double rate = static_cast<double>(state_.iterations()) / (seconds(clock) - began);
    static std::mutex mutex;
    static std::map<std::string, double> of_one_thread;
    const std::lock_guard lock{mutex};
    double& baseline = of_one_thread[name_ + counter];
    if (state_.threads() == 1) baseline = rate;
    state_.counters[counter] = benchmark::Counter(rate / baseline, benchmark::Counter::kAvgThreads);
  }

  benchmark::State& state_;
  std::string name_;
  double real_ = seconds(CLOCK_MONOTONIC);
  double processor_ = seconds(CLOCK_THREAD_CPUTIME_ID);
};

// A call that succeeds; a microsecond passes with each.
template <class Admit, class Settle>
void calls(benchmark::State& state, const char* name, Admit admit, Settle settle) {
  Time now = sync::now();
  const RateKept kept{state, name};
  const AllocationCounter allocations{state};
  for (auto _ : state) {
    Result<CircuitBreaker::Permit> permit = admit(now);
    if (!permit) return state.SkipWithError("refused");
    settle(*permit, now += 1us);
  }
}
void free_calls(benchmark::State& state, const char* name, CircuitBreaker& breaker) {
  calls(
      state,
      name,
      [&](Time now) { return breaker.admit(now); },
      [](CircuitBreaker::Permit& permit, Time now) { permit.settle(Outcome::success, now); });
}

// A lock cannot be held while the call is out, so it is taken twice.
void mutex_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{.stripes = 1}};
  static std::mutex mutex;
  calls(
      state,
      "mutex_breaker",
      [&](Time now) {
        const std::lock_guard lock{mutex};
        return breaker.admit(now);
      },
      [&](CircuitBreaker::Permit& permit, Time now) {
        const std::lock_guard lock{mutex};
        permit.settle(Outcome::success, now);
      });
}
BENCHMARK(mutex_breaker)->Threads(1)->Threads(2)->UseRealTime();

void circuit_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{}};
  free_calls(state, "circuit_breaker", breaker);
  bench::compare_with(state, "mutex_breaker");
}
BENCHMARK(circuit_breaker)->Threads(1)->Threads(2)->UseRealTime();

void one_stripe_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{.stripes = 1}};
  free_calls(state, "one_stripe_breaker", breaker);
  bench::compare_with(state, "mutex_breaker");
}
BENCHMARK(one_stripe_breaker)->Threads(1)->Threads(2)->UseRealTime();

void count_window_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{.window_calls = 1000}};
  free_calls(state, "count_window_breaker", breaker);
  bench::compare_with(state, "mutex_breaker");
}
BENCHMARK(count_window_breaker)->Threads(1)->Threads(2)->UseRealTime();

void every_rule_breaker(benchmark::State& state) {
  static CircuitBreaker breaker{{.slow_after = 1s, .consecutive_failures = 5}};
  free_calls(state, "every_rule_breaker", breaker);
  bench::compare_with(state, "mutex_breaker");
}
BENCHMARK(every_rule_breaker)->Threads(1)->Threads(2)->UseRealTime();

// One call in ten fails: a failure sums all stripes.
void failing_calls(benchmark::State& state) {
  static CircuitBreaker breaker{{}};
  int turn = 0;
  calls(
      state,
      "failing_calls",
      [&](Time now) { return breaker.admit(now); },
      [&](CircuitBreaker::Permit& permit, Time now) {
        permit.settle(++turn % 10 == 0 ? Outcome::timeout : Outcome::success, now);
      });
  bench::compare_with(state, "mutex_breaker");
}
BENCHMARK(failing_calls)->Threads(1)->Threads(2)->UseRealTime();

void refusal(benchmark::State& state) {
  static CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 24h}};
  Time now = sync::now();
  if (state.thread_index() == 0 && breaker.state(now) == CircuitState::closed) {
    if (auto permit = breaker.admit(now)) permit->settle(Outcome::timeout, now);
  }
  const RateKept kept{state, "refusal"};
  const AllocationCounter allocations{state};
  for (auto _ : state) {
    const auto permit = breaker.admit(now += 1us);
    if (permit || !permit.error().retry_after()) return state.SkipWithError("not refused");
  }
}
BENCHMARK(refusal)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace penstock
