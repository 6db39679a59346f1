// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include <penstock/core/stack.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/simulated_network.hpp>

#include "trial.hpp"

namespace simulate {

using testing::Latency;
using testing::SimulatedServer;

/// A server with enough workers for its load fails, stalls or crashes for some seconds, while all
/// callers retry. The budget bounds what the retries add, and the storm is over when the fault is.
class Brownout {
 public:
  explicit Brownout(Trial& trial)
      : trial_(trial),
        ratio_thousandths_(trial.number(0, 200)),
        floor_(trial.number(0, 20)),
        gap_(trial.time(8ms, 30ms)),
        budget_({.ratio = static_cast<double>(ratio_thousandths_) / 1000,
                 .floor_tokens = static_cast<double>(floor_),
                 .max_tokens = most_tokens}),
        server_(trial.simulation, healthy()) {}

  [[nodiscard]] auto client() {
    auto retrying = trial_.bug == Bug::unpaid_retry ? retry(eager()) : retry(eager(), budget_);
    return stack(deadline(2s), std::move(retrying), attempt_timeout(400ms)) |
               [this](int, Call& call) -> Task<Result<int>> {
      ++sent_;
      if (call.attempt > 1) ++retries_;
      if (in_fault()) ++sent_in_fault_;
      trial_.must(retries_ * 1000 <= floor_ * 1000 + ratio_thousandths_ * answered_,
                  "more retries were sent than the budget allows");
      const Result<void> answered = co_await server_.answer(call);
      if (!answered) co_return answered.error();
      ++answered_;
      co_return 0;
    };
  }

  static void play(Trial& trial) {
    auto world = std::make_unique<Brownout>(trial);
    auto ask = std::make_unique<decltype(world->client())>(world->client());
    trial.simulation.spawn("the traffic", world->traffic(*ask));
    trial.after(fault_begins, [&world = *world] { world.break_down(); });
    trial.after(fault_ends, [&world = *world] {
      world.server_.restart();
      world.server_.set(healthy());
    });
    if (trial.finish()) world->check_end();
    if (!trial.broken()) return;
    trial.leave(world.release());
    trial.leave(ask.release());
  }

 private:
  static constexpr Duration fault_begins = 3s;
  static constexpr Duration fault_ends = 6s;
  static constexpr Duration calm_again = 9s;
  static constexpr Duration end_of_traffic = 12s;
  static constexpr double most_tokens = 30;

  static SimulatedServer::Options healthy() {
    return {.name = "the server",
            .service = Latency::between(10ms, 30ms),
            .workers = 4,  // 200 a second
            .max_queueing = 300ms};
  }
  static RetryPolicy eager() {
    RetryPolicy::Options options{.max_attempts = 4};
    for (const ErrorKind kind : {ErrorKind::transient, ErrorKind::timeout, ErrorKind::unavailable})
      options.rules[kind] = {3, Backoff::exponential(20ms, 1s), Jitter::full};
    return RetryPolicy{options};
  }

  template <class Client>
  Task<void> traffic(Client& ask) {
    const Time start = trial_.simulation.now();
    while (since_start(start) < end_of_traffic) {
      const auto body =
          [](Brownout& world, Client& client, std::size_t number, bool calm) -> Task<void> {
        Promise& promise = world.promises_[number];
        promise.begin(world.trial_, number, world.trial_.simulation.now() + 2s);
        const Result<int> result = co_await client(0, Call{.executor = &world.trial_.simulation});
        promise.complete(world.trial_, result);
        if (calm && result) ++world.calm_successes_;
      };
      const bool calm = since_start(start) >= calm_again;
      if (calm) ++calm_calls_;
      if (in_fault()) ++calls_in_fault_;
      promises_.emplace_back();
      trial_.simulation.spawn("a caller", body(*this, ask, promises_.size() - 1, calm));
      co_await trial_.sleep(trial_.time(0s, 2 * gap_));
    }
  }
  [[nodiscard]] Duration since_start(Time start) const {
    return elapsed_between(start, trial_.simulation.now());
  }
  [[nodiscard]] bool in_fault() const noexcept { return fault_; }

  void break_down() {
    fault_ = true;
    trial_.after(fault_ends - fault_begins, [this] { fault_ = false; });
    SimulatedServer::Options options = healthy();
    switch (trial_.number(0, 3)) {
      case 0:
        options.failed = 1;
        break;
      case 1:
        options.service = Latency::between(200ms, 2s);
        break;
      case 2:
        options.lost = 1;
        break;
      default:
        server_.crash();
    }
    server_.set(options);
  }

  void check_end() {
    for (const Promise& promise : promises_) promise.check_end(trial_);
    const std::uint64_t calls = promises_.size();
    trial_.must(sent_ * 1000 <= calls * (1000 + ratio_thousandths_) + floor_ * 1000,
                "all retries together added more than the budget's ratio");
    // What was saved before may be spent in the fault, and successes hardly pay in.
    trial_.must(static_cast<double>(sent_in_fault_) <=
                    static_cast<double>(calls_in_fault_) *
                            (1 + static_cast<double>(ratio_thousandths_) / 1000) +
                        most_tokens + 50,
                "the retry storm of the fault was not bounded");
    trial_.must(calm_successes_ * 100 >= calm_calls_ * 95,
                "the service did not come back when the fault was over");
  }

  Trial& trial_;
  const std::uint64_t ratio_thousandths_;
  const std::uint64_t floor_;
  const Duration gap_;  // between two calls, on average
  RetryBudget budget_;
  SimulatedServer server_;
  std::deque<Promise> promises_;
  bool fault_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t retries_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t sent_in_fault_ = 0;
  std::uint64_t calls_in_fault_ = 0;
  std::uint64_t calm_calls_ = 0;
  std::uint64_t calm_successes_ = 0;
};

}  // namespace simulate
