// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/store/connection_pool.hpp>
#include <penstock/testing/simulated_network.hpp>

#include "trial.hpp"

namespace simulate {

/// A connection pool over servers that refuse, cut and crash, with callers that give up while they
/// wait, connect and talk, and a close in the middle of it.
template <class Transport>
class PoolTrial {
 public:
  using Pool = ConnectionPool<Transport>;
  static constexpr bool blocks = ConnectsBlocking<Transport>;

  explicit PoolTrial(Trial& trial)
      : trial_(trial),
        network_(with_servers(trial)),
        options_{.max_per_key = trial.number(1, 3),
                 .max_total = trial.number(1, 6),
                 .max_idle = trial.time(20ms, 5s),
                 .max_lifetime = trial.time(50ms, 10s)},
        pool_(Transport{*network_}, options_) {}

  static void play(Trial& trial) {
    auto world = std::make_unique<PoolTrial>(trial);
    const std::size_t count = trial.number(5, 40);
    for (std::size_t number = 0; number < count; ++number) world->start_caller();
    world->disturb();
    trial.invariant([&world = *world] { world.check(); });
    if (trial.finish()) {
      world->check_end();
      world->recover();
    }
    trial.invariant(nullptr);
    if (trial.broken()) trial.leave(world.release());
  }

 private:
  // The network must be complete before the pool; it does not move.
  static std::unique_ptr<testing::SimulatedNetwork> with_servers(Trial& trial) {
    auto network = std::make_unique<testing::SimulatedNetwork>(trial.simulation);
    for (std::uint64_t server = trial.number(1, 3); server != 0; --server) {
      network->add({.name = "server " + std::to_string(server),
                    .connect = testing::Latency::between(0s, trial.time(0s, 100ms)),
                    .service = testing::Latency::between(0s, trial.time(0s, 200ms)),
                    .refused = trial.share(0.5),
                    .failed = trial.share(0.3),
                    .cut = trial.share(0.4),
                    .lost = trial.share(0.2)});
    }
    return network;
  }

  void start_caller() {
    const std::size_t number = promises_.size();
    promises_.emplace_back();
    const std::size_t key = trial_.number(0, network_->size() - 1);
    const Duration delay = trial_.time(0s, 1s);
    // Lost replies need a deadline to end.
    const Duration limit = trial_.happens(0.5) ? trial_.time(1ms, 1s) : Duration{30s};
    std::string name = "caller " + std::to_string(number);
    if constexpr (blocks) {
      trial_.simulation.spawn(std::move(name), [this, number, key, delay, limit] {
        Call sleeping{.executor = &trial_.simulation};
        static_cast<void>(block_until(sleeping, trial_.simulation.now() + delay));
        Call call = begin(number, limit);
        const Result<void> result = talk(number, key, call);
        end(number, result);
      });
    } else {
      const auto body = [](PoolTrial& world,
                           std::size_t index,
                           std::size_t to,
                           Duration wait,
                           Duration most) -> Task<void> {
        co_await world.trial_.sleep(wait);
        Call call = world.begin(index, most);
        const Result<void> result = co_await world.talk_async(index, to, call);
        world.end(index, result);
      };
      trial_.simulation.spawn(std::move(name), body(*this, number, key, delay, limit));
    }
  }
  Call begin(std::size_t number, Duration limit) {
    Promise& promise = promises_[number];
    promise.begin(trial_, number, trial_.simulation.now() + limit);
    return {
        .deadline = promise.deadline(), .stop = promise.token(), .executor = &trial_.simulation};
  }
  void end(std::size_t number, const Result<void>& result) {
    promises_[number].complete(trial_, result);
    if (!result && result.error().kind() == ErrorKind::closed)
      trial_.must(closed_, "an open pool refused a caller");
  }

  Result<void> talk(std::size_t number, std::size_t key, Call& call) requires blocks {
    auto lease = pool_.acquire(key, call);
    if (!lease) return lease.error();
    promises_[number].sends(trial_);
    const Result<void> answered = (*lease)->ask_blocking(call);
    put_away(std::move(*lease), answered);
    return answered;
  }
  Task<Result<void>> talk_async(std::size_t number, std::size_t key, Call& call) requires(!blocks) {
    auto lease = co_await pool_.acquire(key, call);
    if (!lease) co_return lease.error();
    promises_[number].sends(trial_);
    const Result<void> answered = co_await (*lease)->ask(call);
    put_away(std::move(*lease), answered);
    co_return answered;
  }
  void put_away(typename Pool::Lease lease, const Result<void>& answered) {
    if (answered || answered.error().status() != 0) {
      lease.give_back();
    } else if (trial_.bug == Bug::leaked_lease && answered.error().kind() == ErrorKind::cancelled) {
      leaked_.push_back(std::move(lease));
    }
  }

  void disturb() {
    for (std::size_t server = 0; server < network_->size(); ++server) {
      for (std::uint64_t crash = trial_.number(0, 2); crash != 0; --crash) {
        const Duration when = trial_.time(0s, 1500ms);
        trial_.after(when, [this, server] { (*network_)[server].crash(); });
        trial_.after(when + trial_.time(0s, 500ms),
                     [this, server] { (*network_)[server].restart(); });
      }
      if (trial_.happens(0.5))
        trial_.after(trial_.time(0s, 1500ms), [this, server] { (*network_)[server].cut_all(); });
    }
    for (Promise& promise : promises_) {
      if (trial_.happens(0.3))
        trial_.after(trial_.time(0s, 1500ms), [this, &promise] { promise.cancel(trial_); });
    }
    if (trial_.happens(0.2))
      trial_.after(trial_.time(0s, 2s), [this] {
        closed_ = true;
        pool_.close();
      });
  }

  [[nodiscard]] std::size_t open_connections() {
    std::size_t open = 0;
    for (std::size_t server = 0; server < network_->size(); ++server)
      open += (*network_)[server].stats().connections;
    return open;
  }
  void check() {
    for (std::size_t server = 0; server < network_->size(); ++server)
      trial_.must((*network_)[server].stats().connections <= options_.max_per_key,
                  "more connections to a server than its cap");
    trial_.must(open_connections() <= options_.max_total, "more connections than the cap in all");
  }
  void check_end() {
    for (const Promise& promise : promises_) promise.check_end(trial_);
    const typename Pool::Stats stats = pool_.stats();
    trial_.must(stats.waiting == 0, "somebody still waits for a connection");
    trial_.must(stats.connections == stats.idle, "a lease or a slot leaked");
    trial_.must(open_connections() == stats.connections, "the pool lost count of its connections");
    trial_.must(!closed_ || open_connections() == 0 || trial_.bug != Bug::none,
                "a closed pool keeps connections");
    leaked_.clear();
  }

  // When the faults are over everybody is served again, and a closed pool has nothing open.
  void recover() {
    if (!closed_) {
      for (std::size_t server = 0; server < network_->size(); ++server) {
        (*network_)[server].restart();
        (*network_)[server].set({});
      }
      const std::uint64_t answered = this->answered();
      for (int call = 0; call < 10; ++call) start_caller();
      if (!trial_.finish()) return;
      trial_.must(this->answered() > answered, "nobody is served though all servers are well");
    }
    closed_ = true;
    pool_.close();
    trial_.must(open_connections() == 0 && pool_.stats().connections == 0,
                "a closed pool has connections");
  }
  [[nodiscard]] std::uint64_t answered() {
    std::uint64_t sum = 0;
    for (std::size_t server = 0; server < network_->size(); ++server)
      sum += (*network_)[server].stats().answered;
    return sum;
  }

  Trial& trial_;
  std::unique_ptr<testing::SimulatedNetwork> network_;
  const typename Pool::Options options_;
  Pool pool_;
  std::deque<Promise> promises_;
  std::vector<typename Pool::Lease> leaked_;
  bool closed_ = false;
};

}  // namespace simulate
