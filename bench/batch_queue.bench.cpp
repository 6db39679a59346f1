// SPDX-License-Identifier: MIT
// Items through a batch queue, many callers on one thread, beside a vector that its caller fills.
#include <benchmark/benchmark.h>

#include <span>
#include <vector>

#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/store/batch_queue.hpp>

#include "support/allocation_counter.hpp"
#include "support/ratio_reporter.hpp"

namespace penstock {
namespace {

constexpr int callers = 32;

std::vector<Result<int>> doubled(std::span<int> items) {
  std::vector<Result<int>> replies;
  replies.reserve(items.size());
  for (const int item : items) replies.emplace_back(2 * item);
  return replies;
}

void hand_filled_vector(benchmark::State& state) {
  std::vector<int> items;
  for (auto _ : state) {
    items.clear();
    for (int item = 0; item < callers; ++item) items.push_back(item);
    const auto replies = doubled(items);
    if (*replies.back() != 2 * (callers - 1)) state.SkipWithError("wrong reply");
  }
  state.SetItemsProcessed(state.iterations() * callers);
}
BENCHMARK(hand_filled_vector);

void batch_queue(benchmark::State& state) {
  Inline executor;
  BatchQueue<int, int> queue{executor, doubled};
  bool wrong = false;
  const auto caller = [&](int item) -> Task<void> {
    const Result<int> reply = co_await queue.submit(item);
    wrong = wrong || !reply || *reply != 2 * item;
  };
  for (auto _ : state) {
    Scope scope{executor};
    for (int item = 0; item < callers; ++item) scope.spawn(caller(item));
    scope.wait();
  }
  if (wrong) state.SkipWithError("wrong reply");
  state.SetItemsProcessed(state.iterations() * callers);
}
BENCHMARK(batch_queue);

}  // namespace
}  // namespace penstock
