// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/store/batch_queue.hpp>
#include <penstock/store/connection_pool.hpp>
#include <penstock/testing/simulated_network.hpp>

#include "pipeline.hpp"
#include "trial.hpp"

namespace simulate {

/// Everything at once, layers over a pool over a batch queue, and then everybody gives up in one
/// instant, wherever they are: in the limiter, between two attempts, waiting for a connection,
/// connecting, talking, queued, in the handler. Nothing is kept, and the next callers are served.
class Storm {
 public:
  using Pool = ConnectionPool<testing::SimulatedTransport>;
  using Queue = BatchQueue<std::size_t, std::size_t>;
  static constexpr Duration longest_call = 10s;

  explicit Storm(Trial& trial)
      : trial_(trial),
        bucket_({.rate = static_cast<double>(trial.number(20, 500)),
                 .burst = static_cast<double>(trial.number(1, 20))}),
        network_(trial.simulation),
        server_(network_.add({.name = "the server",
                              .connect = Latency::between(0s, 20ms),
                              .service = Latency::between(0s, 50ms),
                              .workers = static_cast<std::uint32_t>(trial.number(0, 4)),
                              .failed = trial.share(0.3),
                              .cut = trial.share(0.3),
                              .lost = trial.share(0.1)})),
        pool_(testing::SimulatedTransport{network_}, {.max_per_key = trial.number(1, 8)}),
        queue_(trial.simulation,
               [this](std::span<std::size_t> items) { return handle(items); },
               {.release = SizeWeightAge{{.max_items = trial.number(1, 16), .max_age = 5ms}},
                .capacity = trial.number(1, 40),
                .max_running = static_cast<unsigned>(trial.number(1, 4))}) {
    permits_.leaks = trial.bug == Bug::leaked_permit;
  }

  [[nodiscard]] auto client() {
    RetryPolicy::Options retries{.max_attempts = 3};
    retries.rules[ErrorKind::transient] = {2, Backoff::exponential(5ms, 1s), Jitter::full};
    return stack(deadline(longest_call),
                 retry(RetryPolicy{retries}, budget_),
                 circuit_breaker(breaker_),
                 rate_limit(bucket_),
                 GateLayer<CountingGate, LayerKind::other>{CountingGate{permits_}}) |
           [this](std::size_t number, Call& call) { return serve(number, call); };
  }

  static void play(Trial& trial) {
    auto world = std::make_unique<Storm>(trial);
    auto ask = std::make_unique<decltype(world->client())>(world->client());
    for (std::uint64_t wave = trial.number(1, 3); wave != 0 && !trial.stuck(); --wave) {
      const std::size_t first = world->promises_.size();
      const std::size_t count = trial.number(10, 80);
      for (std::size_t caller = 0; caller < count; ++caller)
        world->start_caller(*ask, trial.time(0s, 100ms));
      trial.after(trial.time(0s, 300ms), [&world = *world, first] {
        for (std::size_t number = first; number < world.promises_.size(); ++number)
          world.promises_[number].cancel(world.trial_);
        world.trial_.after(Duration{1}, [&world] { world.check_limiter(); });
      });
      if (trial.finish()) world->check_end();
    }
    if (!trial.stuck()) world->recover(*ask);
    if (!trial.broken()) return;
    trial.leave(world.release());
    trial.leave(ask.release());
  }

 private:
  Task<Result<std::size_t>> serve(std::size_t number, Call& call) {
    promises_[number].sends(trial_);
    auto lease = co_await pool_.acquire(server_, call);
    if (!lease) co_return lease.error();
    const Result<void> answered = co_await (*lease)->ask(call);
    if (answered || answered.error().status() != 0) {
      lease->give_back();
    } else if (trial_.bug == Bug::leaked_lease) {
      leaked_.push_back(std::move(*lease));
    }
    if (!answered) co_return answered.error();
    Task<Result<std::size_t>> submitted = queue_.submit(number, call);
    co_return co_await std::move(submitted);
  }
  Task<std::vector<Result<std::size_t>>> handle(std::span<std::size_t> items) {
    co_await trial_.sleep(trial_.time(0s, 20ms));
    std::vector<Result<std::size_t>> replies;
    for (const std::size_t item : items) replies.emplace_back(item);
    co_return replies;
  }

  template <class Client>
  void start_caller(Client& ask, Duration delay) {
    const std::size_t number = promises_.size();
    promises_.emplace_back();
    const auto body =
        [](Storm& world, Client& client, std::size_t index, Duration wait) -> Task<void> {
      co_await world.trial_.sleep(wait);
      Promise& promise = world.promises_[index];
      promise.begin(world.trial_, index, world.trial_.simulation.now() + longest_call);
      const Call call{.stop = promise.token(), .executor = &world.trial_.simulation};
      const Result<std::size_t> result = co_await client(index, call);
      promise.complete(world.trial_, result);
      if (!result) co_return;
      ++world.successes_;
      world.trial_.must(*result == index, [&] { return promise.name() + " got another's reply"; });
    };
    trial_.simulation.spawn("caller " + std::to_string(number), body(*this, ask, number, delay));
  }

  // Those who waited for their turn are gone. Turns that were given up before others may stay
  // unused, but nobody had one later than its deadline.
  void check_limiter() {
    const TokenBucket::Take next = bucket_.look(trial_.simulation.now());
    const std::chrono::duration<double> wait =
        elapsed_between(trial_.simulation.now(), next.ready) - longest_call;
    trial_.must(wait.count() <= 2 / bucket_.options().rate,
                "the limiter still serves callers that have left");
  }
  void check_end() {
    for (const Promise& promise : promises_) promise.check_end(trial_);
    trial_.must(permits_.inside == 0, "a permit leaked");
    const Pool::Stats pool = pool_.stats();
    trial_.must(pool.waiting == 0 && pool.connections == pool.idle, "a lease or a slot leaked");
    trial_.must(network_[server_].stats().connections == pool.connections, "a connection leaked");
    trial_.must(network_[server_].stats().in_flight == 0, "a call is still at the server");
    const Queue::Stats queue = queue_.stats();
    trial_.must(queue.waiting == 0 && queue.queued == 0 && queue.running == 0,
                "something is still in the queue");
  }

  template <class Client>
  void recover(Client& ask) {
    network_[server_].set({.service = Latency::constant(1ms)});
    breaker_.reset();
    trial_.simulation.run_for(1min);
    trial_.must(bucket_.available_approx(trial_.simulation.now()) + 1e-6 >= bucket_.options().burst,
                "tokens leaked");
    const std::uint64_t before = successes_;
    for (int caller = 0; caller < 5; ++caller) start_caller(ask, 0s);
    if (!trial_.finish()) return;
    check_end();
    trial_.must(successes_ == before + 5, "somebody is not served after the storm");
    leaked_.clear();
    pool_.close();
    trial_.must(network_[server_].stats().connections == 0, "a closed pool has connections");
  }

  Trial& trial_;
  RetryBudget budget_;
  CircuitBreaker breaker_;
  TokenBucket bucket_;
  CountingGate::Counts permits_;
  testing::SimulatedNetwork network_;
  const std::size_t server_;
  Pool pool_;
  Queue queue_;
  std::deque<Promise> promises_;
  std::vector<Pool::Lease> leaked_;
  std::uint64_t successes_ = 0;
};

}  // namespace simulate
