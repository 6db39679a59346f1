// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/simulation.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/policy/token_bucket.hpp>

namespace penstock::testing {

/// A distribution of times, given by what everybody measures: its quantiles, with a straight line
/// between each two. Ascending.
struct Latency {
  Duration least{};
  Duration median{};
  Duration p90{};
  Duration p99{};
  Duration most{};

  [[nodiscard]] static constexpr Latency constant(Duration time) noexcept {
    return {time, time, time, time, time};
  }
  [[nodiscard]] static constexpr Latency between(Duration least, Duration most) noexcept {
    const Duration width = most - least;
    return {least, least + width / 2, least + width / 10 * 9, least + width / 100 * 99, most};
  }
  /// By 64 uniform bits. IEEE products and sums only: the same on every machine.
  [[nodiscard]] constexpr Duration draw(std::uint64_t random) const noexcept {
    const double rank = static_cast<double>(random >> 11U) * 0x1p-53;
    if (rank < 0.5) return on_line(least, median, rank / 0.5);
    if (rank < 0.9) return on_line(median, p90, (rank - 0.5) / 0.4);
    if (rank < 0.99) return on_line(p90, p99, (rank - 0.9) / 0.09);
    return on_line(p99, most, (rank - 0.99) / 0.01);
  }

 private:
  static constexpr Duration on_line(Duration from, Duration to, double part) noexcept {
    return from +
           Duration{static_cast<std::int64_t>(static_cast<double>((to - from).count()) * part)};
  }
};

/// A server that is slow, metered and unreliable, in simulated time. *One thread at a time.*
///
/// A call takes a worker, as soon as one is free, for a service time drawn from the seed, whether
/// its caller is still there or not. On the way it may meet a fault; each share is of all
/// requests and drawn independently. What is changed by `set`, `crash` and `restart` holds from
/// that instant on. Faults come as the errors that a protocol's classification makes of them.
class SimulatedServer {
 public:
  struct Options {
    std::string name = "server";
    Latency connect{};
    Latency service = Latency::constant(std::chrono::milliseconds{10});
    Duration per_weight{};      ///< added to the service time for each unit of the call's weight
    std::uint32_t workers = 0;  ///< requests served at once; 0: any number
    Duration max_queueing = Duration::max();     ///< a longer wait for a worker: 503, `unavailable`
    std::optional<TokenBucket::Options> rate{};  ///< beyond: 429, `rate_limited`, retry_after
    double refused = 0;                          ///< connection refused: `unavailable` at once
    double failed = 0;                           ///< 500, `transient`, after the service time
    double cut = 0;       ///< the connection breaks during the service: `transient`
    double lost = 0;      ///< no answer ever comes: the caller's deadline ends it
    double dripping = 0;  ///< the answer trickles in, and takes `drip` longer
    Duration drip = std::chrono::seconds{5};
  };
  struct Stats {
    std::uint64_t received = 0;  ///< calls, refused ones included
    std::uint64_t answered = 0;  ///< successes whose caller was still there
    std::uint64_t refused = 0;
    std::uint64_t rate_limited = 0;
    std::uint64_t shed = 0;
    std::uint64_t failed = 0;
    std::uint64_t cut = 0;
    std::uint64_t abandoned = 0;  ///< callers that left early: deadline or stop
    std::size_t in_flight = 0;    ///< now
    std::size_t connections = 0;  ///< open now
    std::size_t most_connections = 0;
  };

  /// Throws std::invalid_argument for shares outside 0 to 1.
  SimulatedServer(Simulation& simulation, Options options)
      : simulation_(simulation),
        options_(validated(std::move(options))),
        who_("a call to " + options_.name),
        workers_(options_.workers, Time::min()) {
    if (options_.rate) bucket_.emplace(*options_.rate);
  }
  SimulatedServer(const SimulatedServer&) = delete;
  SimulatedServer& operator=(const SimulatedServer&) = delete;
  ~SimulatedServer() {
    assert(stats_.in_flight == 0 && stats_.connections == 0 &&
           "penstock: a SimulatedServer outlives its calls and connections");
  }

  /// One call, without a connection of its own. Refreshes `call.now`.
  [[nodiscard]] Task<Result<void>> answer(Call& call) {
    const Visit visit = begin(call.weight);
    const Simulation::Waiting waiting{simulation_, who_, "its reply"};
    const Call bounded = until(visit, call);
    SuspendedWaiter<Leave> waiter{bounded, Leave{this}};
    in_flight_.push(waiter);
    const WaitEnd end = co_await waiter;
    call.now = simulation_.now();
    co_return finish(visit, end, call.now);
  }
  /// The same for a caller that blocks.
  [[nodiscard]] Result<void> answer_blocking(Call& call) {
    const Visit visit = begin(call.weight);
    const Simulation::Waiting waiting{simulation_, who_, "its reply"};
    Call bounded = until(visit, call);
    BlockingWaiter<Leave> waiter{Leave{this}};
    in_flight_.push(waiter);
    const WaitEnd end = waiter.wait(bounded);
    call.now = bounded.now;
    return finish(visit, end, call.now);
  }

  /// Leaves for a stack: `handler(request)` makes the reply of a call that got through.
  template <class Handler>
  [[nodiscard]] auto leaf(Handler handler) {
    return AsyncLeaf<Handler>{this, std::move(handler)};
  }
  template <class Handler>
  [[nodiscard]] auto blocking_leaf(Handler handler) {
    return BlockingLeaf<Handler>{this, std::move(handler)};
  }

  /// Everything at it breaks; until `restart` it refuses.
  void crash() noexcept {
    down_ = true;
    std::fill(workers_.begin(), workers_.end(), Time::min());
    cut_all();
  }
  void restart() noexcept { down_ = false; }
  [[nodiscard]] bool down() const noexcept { return down_; }
  /// Every connection breaks, idle ones and those with calls; the server goes on.
  void cut_all() noexcept {
    ++epoch_;
    while (Waiter* const waiter = in_flight_.pop()) waiter->wake();
  }

  /// Other latencies and shares from now on: a brown-out, or its end. Keeps the name, the workers
  /// and the rate.
  void set(Options options) {
    options.name = options_.name;
    options.workers = options_.workers;
    options.rate = options_.rate;
    options_ = validated(std::move(options));
  }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const Stats& stats() const noexcept { return stats_; }

  /// An open connection to it. *One thread at a time*; the server outlives it.
  class [[nodiscard]] Connection {
   public:
    Connection(Connection&& other) noexcept
        : server_(std::exchange(other.server_, nullptr)),
          epoch_(other.epoch_),
          broken_(other.broken_) {}
    Connection& operator=(Connection&& other) noexcept {
      std::swap(server_, other.server_);
      std::swap(epoch_, other.epoch_);
      std::swap(broken_, other.broken_);
      return *this;
    }
    ~Connection() {
      if (server_ != nullptr) --server_->stats_.connections;
    }
    /// One call over it. After an error other than the server's own answer it is of no more use.
    [[nodiscard]] Task<Result<void>> ask(Call& call) {
      if (!usable()) co_return cut_off();
      Result<void> result = co_await server_->answer(call);
      note(result);
      co_return result;
    }
    [[nodiscard]] Result<void> ask_blocking(Call& call) {
      if (!usable()) return cut_off();
      Result<void> result = server_->answer_blocking(call);
      note(result);
      return result;
    }
    [[nodiscard]] bool usable() const noexcept { return !broken_ && epoch_ == server_->epoch_; }

   private:
    friend class SimulatedServer;
    explicit Connection(SimulatedServer& server) noexcept
        : server_(&server),
          epoch_(server.epoch_) {
      const std::size_t open = ++server.stats_.connections;
      server.stats_.most_connections = std::max(server.stats_.most_connections, open);
    }
    static Error cut_off() { return Error{ErrorKind::transient}; }
    void note(const Result<void>& result) noexcept {
      if (!result && result.error().status() == 0) broken_ = true;
    }
    SimulatedServer* server_;
    std::uint64_t epoch_;
    bool broken_ = false;
  };

  [[nodiscard]] Task<Result<Connection>> connect(Call& call) {
    const Visit visit = begin_connecting();
    const Simulation::Waiting waiting{simulation_, who_, "its connection"};
    const Call bounded = until(visit, call);
    SuspendedWaiter<Leave> waiter{bounded, Leave{this}};
    in_flight_.push(waiter);
    const WaitEnd end = co_await waiter;
    call.now = simulation_.now();
    const Result<void> connected = finish(visit, end, call.now);
    if (!connected) co_return connected.error();
    co_return Connection{*this};
  }
  [[nodiscard]] Result<Connection> connect_blocking(Call& call) {
    const Visit visit = begin_connecting();
    const Simulation::Waiting waiting{simulation_, who_, "its connection"};
    Call bounded = until(visit, call);
    BlockingWaiter<Leave> waiter{Leave{this}};
    in_flight_.push(waiter);
    const WaitEnd end = waiter.wait(bounded);
    call.now = bounded.now;
    const Result<void> connected = finish(visit, end, call.now);
    if (!connected) return connected.error();
    return Connection{*this};
  }

 private:
  enum class Fate : std::uint8_t { success, refused, rate_limited, shed, failed, cut, lost };
  // What will become of a call, decided as it arrives.
  struct Visit {
    Fate fate = Fate::success;
    Time end{};  // when its caller hears of it
    Duration retry_after{};
    bool counts = true;  // among the answers
  };
  struct Leave {
    SimulatedServer* server;
    bool operator()(Waiter& waiter) const noexcept { return server->in_flight_.remove(waiter); }
  };
  template <class Handler>
  struct AsyncLeaf {
    SimulatedServer* server;
    Handler handler;
    template <class Request>
    Task<Result<std::invoke_result_t<Handler&, const Request&>>> operator()(const Request& request,
                                                                            Call& call) {
      const Result<void> answered = co_await server->answer(call);
      if (!answered) co_return answered.error();
      co_return handler(request);
    }
  };
  template <class Handler>
  struct BlockingLeaf {
    SimulatedServer* server;
    Handler handler;
    template <class Request>
    Result<std::invoke_result_t<Handler&, const Request&>> operator()(const Request& request,
                                                                      Call& call) {
      const Result<void> answered = server->answer_blocking(call);
      if (!answered) return answered.error();
      return handler(request);
    }
  };

  static Options validated(Options options) {
    for (const double share :
         {options.refused, options.failed, options.cut, options.lost, options.dripping}) {
      if (!(share >= 0 && share <= 1))
        throw std::invalid_argument{
            "penstock: SimulatedServer takes shares of its requests from 0 to 1; write .failed = "
            "0.05"};
    }
    return options;
  }
  [[nodiscard]] bool happens(double share) noexcept {
    if (share <= 0) return false;
    return static_cast<double>(simulation_.random() >> 11U) * 0x1p-53 < share;
  }

  Visit begin(std::uint32_t weight) noexcept {
    const Time now = simulation_.now();
    ++stats_.received;
    ++stats_.in_flight;
    if (down_ || happens(options_.refused)) return {Fate::refused, now, {}};
    if (bucket_) {
      const TokenBucket::Take take = bucket_->try_take(now);
      if (!take.granted) return {Fate::rate_limited, now, elapsed_between(now, take.ready)};
    }
    Time start = now;
    const auto worker = std::min_element(workers_.begin(), workers_.end());
    if (worker != workers_.end()) start = std::max(now, *worker);
    if (elapsed_between(now, start) > options_.max_queueing) return {Fate::shed, now, {}};
    const Duration service =
        options_.service.draw(simulation_.random()) + options_.per_weight * weight;
    Visit visit{Fate::success, saturating_add(start, service), {}};
    if (worker != workers_.end()) *worker = visit.end;
    if (happens(options_.dripping)) visit.end = saturating_add(visit.end, options_.drip);
    if (happens(options_.lost)) return {Fate::lost, never, {}};
    if (happens(options_.cut))
      return {Fate::cut,
              Latency::between(start - now, visit.end - now).draw(simulation_.random()) + now,
              {}};
    if (happens(options_.failed)) visit.fate = Fate::failed;
    return visit;
  }
  Visit begin_connecting() noexcept {
    const Time now = simulation_.now();
    ++stats_.in_flight;
    if (down_ || happens(options_.refused)) return {Fate::refused, now, {}, false};
    return {
        Fate::success, saturating_add(now, options_.connect.draw(simulation_.random())), {}, false};
  }
  static Call until(const Visit& visit, const Call& call) noexcept {
    Call bounded = call;
    bounded.deadline = std::min(call.deadline, visit.end);
    return bounded;
  }

  Result<void> finish(const Visit& visit, WaitEnd end, Time now) noexcept {
    --stats_.in_flight;
    const Fate fate = end == WaitEnd::granted ? Fate::cut : visit.fate;
    if (end == WaitEnd::stopped || (end == WaitEnd::timed_out && now < visit.end)) {
      ++stats_.abandoned;
      return end == WaitEnd::stopped ? ErrorKind::cancelled : ErrorKind::timeout;
    }
    switch (fate) {
      case Fate::success:
        if (visit.counts) ++stats_.answered;
        return {};
      case Fate::refused:
        ++stats_.refused;
        return ErrorKind::unavailable;
      case Fate::rate_limited:
        ++stats_.rate_limited;
        return Error{ErrorKind::rate_limited}.set_status(429).set_retry_after(visit.retry_after);
      case Fate::shed:
        ++stats_.shed;
        return Error{ErrorKind::unavailable}.set_status(503);
      case Fate::failed:
        ++stats_.failed;
        return Error{ErrorKind::transient}.set_status(500);
      case Fate::cut:
      case Fate::lost:
        break;
    }
    ++stats_.cut;
    return ErrorKind::transient;
  }

  Simulation& simulation_;
  Options options_;
  const std::string who_;
  std::vector<Time> workers_;  // when each is free again
  std::optional<TokenBucket> bucket_;
  WaitList in_flight_;
  std::uint64_t epoch_ = 0;  // connections of an earlier one are broken
  bool down_ = false;
  Stats stats_;
};

/// Servers by number. *One thread at a time.*
class SimulatedNetwork {
 public:
  explicit SimulatedNetwork(Simulation& simulation) noexcept : simulation_(simulation) {}
  /// Its number: 0 for the first.
  std::size_t add(SimulatedServer::Options options) {
    servers_.emplace_back(simulation_, std::move(options));
    return servers_.size() - 1;
  }
  [[nodiscard]] SimulatedServer& operator[](std::size_t number) noexcept {
    assert(number < servers_.size());
    return servers_[number];
  }
  [[nodiscard]] std::size_t size() const noexcept { return servers_.size(); }

 private:
  Simulation& simulation_;
  std::deque<SimulatedServer> servers_;
};

/// Opens connections of a `ConnectionPool` in a simulated network; the key is a server's number.
class SimulatedTransport {
 public:
  using Key = std::size_t;
  using Connection = SimulatedServer::Connection;
  explicit SimulatedTransport(SimulatedNetwork& network) noexcept : network_(&network) {}
  [[nodiscard]] Task<Result<Connection>> connect(Key key, Call& call) {
    return (*network_)[key].connect(call);
  }
  [[nodiscard]] bool usable(const Connection& connection) const noexcept {
    return connection.usable();
  }

 private:
  SimulatedNetwork* network_;
};

/// The same for callers that block.
class BlockingSimulatedTransport {
 public:
  using Key = std::size_t;
  using Connection = SimulatedServer::Connection;
  explicit BlockingSimulatedTransport(SimulatedNetwork& network) noexcept : network_(&network) {}
  [[nodiscard]] Result<Connection> connect(Key key, Call& call) {
    return (*network_)[key].connect_blocking(call);
  }
  [[nodiscard]] bool usable(const Connection& connection) const noexcept {
    return connection.usable();
  }

 private:
  SimulatedNetwork* network_;
};

}  // namespace penstock::testing
