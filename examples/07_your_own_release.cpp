// SPDX-License-Identifier: MIT
// Recipe: a release policy. When does a batch leave, and what fits into it? A plain value that
// is asked with the time and the backlog, and is tested as one.
#include <penstock/penstock.hpp>
#include <penstock/testing/manual_executor.hpp>

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Leaves at the full minute, or when it holds a thousand items.
struct EveryMinute {
  using Decision = penstock::Release;
  [[nodiscard]] Decision decide(const penstock::Backlog& backlog,
                                penstock::Time now) const noexcept {
    if (backlog.items == 0) return {penstock::never};
    if (backlog.flushing || backlog.items >= 1000) return {now};
    const auto minutes = (backlog.oldest.time_since_epoch() + 1min - 1ns) / 1min;
    return {penstock::Time{minutes * 1min}};
  }
  [[nodiscard]] bool fits(std::size_t items, std::uint64_t, std::uint64_t) const noexcept {
    return items < 1000;
  }
};
static_assert(penstock::ReleasePolicy<EveryMinute>);

using Queue = penstock::BatchQueue<int, int, EveryMinute>;

penstock::Task<void> submit(Queue& queue, int number, int& sum) {
  const penstock::Result<int> reply = co_await queue.submit(number);
  sum += reply.value_or(0);
}

}  // namespace

int main() {
  penstock::testing::ManualExecutor executor;
  const penstock::Time started = executor.now();
  int batches = 0;
  const auto same = [&batches](std::span<int> items) {
    ++batches;
    return std::vector<int>(items.begin(), items.end());
  };
  Queue queue{executor, same};
  penstock::Scope scope{executor};
  int sum = 0;
  for (const int number : {1, 2, 3, 4}) scope.spawn(submit(queue, number, sum));
  scope.wait();
  const bool whole = executor.now().time_since_epoch() % 1min == 0s && executor.now() > started;
  std::printf("%d batch, at the full minute: %s\n", batches, whole ? "yes" : "no");
  return batches == 1 && sum == 10 && whole ? 0 : 1;
}
