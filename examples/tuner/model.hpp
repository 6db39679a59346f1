// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/simulation.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/store/batch_queue.hpp>
#include <penstock/testing/simulated_network.hpp>

#include <tuner/options.hpp>

namespace tuner {

using namespace penstock;

/// What is looked for.
struct Settings {
  std::size_t batch = 20;
  Duration age{};            ///< how long an item may wait for company
  unsigned concurrency = 4;  ///< batches under way at once
  std::uint32_t retries = 4;
  Duration backoff = std::chrono::seconds{1};  ///< before the first retry; doubled for each more
  friend auto operator<=>(const Settings&, const Settings&) = default;
};

[[nodiscard]] inline RetryPolicy retry_policy(const Settings& settings) {
  RetryPolicy::Options options{.max_attempts = settings.retries + 1};
  const Backoff backoff = Backoff::exponential(settings.backoff, std::chrono::seconds{60});
  for (const ErrorKind kind :
       {ErrorKind::transient, ErrorKind::timeout, ErrorKind::unavailable, ErrorKind::rate_limited})
    options.rules[kind] = {settings.retries, backoff, Jitter::spread};
  return RetryPolicy{options};
}

/// What some traffic met under some settings.
struct Measured {
  std::uint64_t items = 0;
  std::uint64_t answered = 0;  ///< within their deadline
  std::uint64_t requests = 0;  ///< retries included
  Duration median{};
  Duration p99{};
  [[nodiscard]] double answered_share() const noexcept {
    return items == 0 ? 0 : static_cast<double>(answered) / static_cast<double>(items);
  }
  [[nodiscard]] double requests_per_item() const noexcept {
    return items == 0 ? 0 : static_cast<double>(requests) / static_cast<double>(items);
  }
};

/// By what a setting is judged, the smaller the better: first the share that is answered, in tenths
/// of a percent; then the p99, in steps of a twentieth; then the requests; then the p99 itself.
[[nodiscard]] inline auto rank(const Measured& measured) noexcept {
  int step = 0;
  for (double p99 = 1e6; p99 < static_cast<double>(measured.p99.count()); p99 *= 1.05) ++step;
  return std::tuple{-static_cast<int>(measured.answered_share() * 1000 + 0.5),
                    step,
                    measured.requests,
                    measured.p99};
}

/// The library itself over a simulated backend: a batch queue whose handler retries and keeps to
/// the limit. A minute of traffic takes milliseconds.
class Model {
  using Replies = std::vector<Result<int>>;

  auto handler(const Settings& settings) {
    auto ask = stack(retry(retry_policy(settings)), rate_limit(bucket_, Cost::request)) |
               [this](std::size_t, Call& call) { return server_.answer(call); };
    return [ask](std::span<int> items, Call& call) mutable -> Task<Result<Replies>> {
      const Result<void> answered = co_await ask(items.size(), call);
      if (!answered) co_return answered.error();
      co_return Replies(items.size(), Result<int>{0});
    };
  }

 public:
  Model(const Options& options, const Settings& settings)
      : options_(options),
        simulation_(options.seed),
        server_(simulation_, server_options(options.backend)),
        bucket_(limit(options.backend)),
        queue_(simulation_,
               handler(settings),
               {.release = SizeWeightAge{{.max_items = settings.batch, .max_age = settings.age}},
                .capacity = 1'000'000,
                .max_running = settings.concurrency}) {}

  [[nodiscard]] Measured run() {
    simulation_.spawn("the traffic", traffic());
    static_cast<void>(simulation_.run());
    std::ranges::sort(latencies_);
    measured_.requests = server_.stats().received;
    if (!latencies_.empty()) {
      measured_.median = latencies_[latencies_.size() / 2];
      measured_.p99 = latencies_[latencies_.size() * 99 / 100];
    }
    return measured_;
  }

 private:
  using Latency = penstock::testing::Latency;

  static penstock::testing::SimulatedServer::Options server_options(const Backend& backend) {
    penstock::testing::SimulatedServer::Options options{.name = "the backend",
                                                        .service = {backend.base - backend.base / 4,
                                                                    backend.base,
                                                                    backend.base + backend.base / 2,
                                                                    backend.base * 2,
                                                                    backend.base * 4},
                                                        .per_weight = backend.per_item,
                                                        .workers = backend.slots,
                                                        .failed = backend.failures};
    if (backend.limit != 0)
      options.rate = TokenBucket::Options{.rate = static_cast<double>(backend.limit)};
    return options;
  }
  static TokenBucket::Options limit(const Backend& backend) {
    return {.rate = backend.limit != 0 ? static_cast<double>(backend.limit) : 1e9};
  }

  // Arrivals nearly as a Poisson process has them: the quantiles of the exponential
  // distribution, scaled to the mean.
  Task<void> traffic() {
    const Duration mean{
        static_cast<std::int64_t>(1e9 / 1.151 / static_cast<double>(options_.backend.rate))};
    const Latency gaps{
        Duration{}, mean * 693 / 1000, mean * 2303 / 1000, mean * 4605 / 1000, mean * 9};
    const Time end = simulation_.now() + options_.traffic;
    while (simulation_.now() < end) {
      simulation_.spawn("an item", item());
      const Time next = simulation_.now() + gaps.draw(simulation_.random());
      static_cast<void>(co_await wait_until(simulation_, next, StopToken{}));
    }
  }
  Task<void> item() {
    ++measured_.items;
    const Time start = simulation_.now();
    const Call call{.deadline = start + options_.backend.deadline, .executor = &simulation_};
    Task<Result<int>> submitted = queue_.submit(0, call);
    const Result<int> result = co_await std::move(submitted);
    if (!result) co_return;
    ++measured_.answered;
    latencies_.push_back(simulation_.now() - start);
  }

  const Options options_;
  Simulation simulation_;
  penstock::testing::SimulatedServer server_;
  TokenBucket bucket_;
  Measured measured_;
  std::vector<Duration> latencies_;
  BatchQueue<int, int> queue_;
};

[[nodiscard]] inline Measured measure(const Options& options, const Settings& settings) {
  Model model{options, settings};
  return model.run();
}

}  // namespace tuner
