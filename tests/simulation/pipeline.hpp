// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/layer.hpp>
#include <penstock/core/stack.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/gate.hpp>
#include <penstock/layer/observe.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/testing/simulated_network.hpp>

#include "trial.hpp"

namespace simulate {

using testing::Latency;
using testing::SimulatedServer;

/// Any mixture of faults, each alone as well as together.
inline SimulatedServer::Options faulty_server(Trial& trial) {
  const Duration median = trial.time(1ms, 100ms);
  SimulatedServer::Options server{
      .name = "the server",
      .service = {median / 2, median, median * 2, median * 5, median * 20},
      .workers = static_cast<std::uint32_t>(trial.number(0, 4)),
      .max_queueing = trial.time(10ms, 2s),
      .refused = trial.share(0.5),
      .failed = trial.share(0.5),
      .cut = trial.share(0.5),
      .lost = trial.share(0.3),
      .dripping = trial.share(0.3),
      .drip = trial.time(10ms, 2s)};
  if (trial.happens(0.3))
    server.rate = TokenBucket::Options{.rate = static_cast<double>(trial.number(1, 20))};
  return server;
}

/// Crashes, restarts and cuts within the first seconds.
inline void break_now_and_then(Trial& trial, SimulatedServer& server) {
  for (std::uint64_t crash = trial.number(0, 2); crash != 0; --crash) {
    const Duration when = trial.time(0s, 6s);
    trial.after(when, [&server] { server.crash(); });
    trial.after(when + trial.time(0s, 2s), [&server] { server.restart(); });
  }
  if (trial.happens(0.3)) trial.after(trial.time(0s, 6s), [&server] { server.cut_all(); });
}

inline RetryPolicy draw_retries(Trial& trial) {
  RetryPolicy::Options retries{.max_attempts = static_cast<std::uint32_t>(trial.number(1, 6))};
  const Backoff backoff = Backoff::exponential(trial.time(1ms, 200ms), 2s);
  for (const ErrorKind kind :
       {ErrorKind::transient, ErrorKind::timeout, ErrorKind::unavailable, ErrorKind::rate_limited})
    retries.rules[kind] = {5, backoff, trial.happens(0.5) ? Jitter::full : Jitter::none};
  return RetryPolicy{retries};
}

/// A gate that admits all and counts who is inside: whoever comes in must go out again.
class CountingGate {
 public:
  struct Counts {
    std::int64_t inside = 0;
    bool leaks = false;  // planted
  };
  class [[nodiscard]] Permit {
   public:
    explicit Permit(Counts& counts) noexcept : counts_(&counts) { ++counts.inside; }
    Permit(Permit&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(counts_, other.counts_);
      return *this;
    }
    ~Permit() {
      if (counts_ != nullptr) --counts_->inside;
    }
    [[nodiscard]] Time ready(Time now) const noexcept { return now; }
    void settle(Outcome outcome, Time) noexcept {
      if (counts_->leaks && outcome == Outcome::neutral) counts_ = nullptr;
    }

   private:
    Counts* counts_;
  };
  explicit CountingGate(Counts& counts) noexcept : counts_(&counts) {}
  [[nodiscard]] Result<Permit> admit(const Call&) noexcept { return Permit{*counts_}; }
  [[nodiscard]] const void* shared() const noexcept { return counts_; }
  [[nodiscard]] std::string describe() const { return "count"; }

 private:
  Counts* counts_;
};

/// What stands right inside a breaker: never more probes at once than it may admit, those apart
/// that have lapsed, and nobody while it is open.
class ProbeCheck {
 public:
  ProbeCheck(Trial& trial,
             CircuitBreaker& breaker,
             std::uint32_t probes,
             Duration probe_timeout) noexcept
      : trial_(&trial),
        breaker_(&breaker),
        most_(probes),
        timeout_(probe_timeout) {}

  class [[nodiscard]] Permit {
   public:
    Permit(ProbeCheck* check, std::uint64_t number) noexcept : check_(check), number_(number) {}
    Permit(Permit&& other) noexcept
        : check_(std::exchange(other.check_, nullptr)),
          number_(other.number_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(check_, other.check_);
      std::swap(number_, other.number_);
      return *this;
    }
    ~Permit() {
      if (check_ != nullptr) check_->leave(number_, Outcome::neutral);
    }
    [[nodiscard]] Time ready(Time now) const noexcept { return now; }
    void settle(Outcome outcome, Time) noexcept {
      if (ProbeCheck* const check = std::exchange(check_, nullptr); check != nullptr)
        check->leave(number_, outcome);
    }

   private:
    ProbeCheck* check_;  // null: admitted while closed
    std::uint64_t number_;
  };

  [[nodiscard]] Permit enter() noexcept {
    const CircuitState state = look();
    trial_->must(state != CircuitState::open, "an open breaker admitted a call");
    if (state != CircuitState::half_open) return {nullptr, 0};
    probes_.push_back(
        {++entered_, saturating_add(trial_->simulation.now(), timeout_), Probe::State::out});
    trial_->must(places_taken() <= most_, "a half-open breaker admitted more than its probes");
    return {this, entered_};
  }
  /// The breaker refused a call: only for want of a place.
  void refused() noexcept {
    if (look() == CircuitState::half_open)
      trial_->must(places_taken() >= most_, "a half-open breaker refused with a free place");
  }
  /// Between any two steps: a half-open time that is over is not mixed up with the next.
  CircuitState look() noexcept {
    const CircuitState state = breaker_->state(trial_->simulation.now());
    if (std::exchange(seen_, state) != state) probes_.clear();
    return state;
  }

 private:
  struct Probe {
    enum class State : std::uint8_t { out, succeeded };
    std::uint64_t number;
    Time lapses;
    State state;
  };
  [[nodiscard]] std::int64_t places_taken() const noexcept {
    return std::ranges::count_if(probes_, [now = trial_->simulation.now()](const Probe& probe) {
      return probe.state == Probe::State::succeeded || now < probe.lapses;
    });
  }
  void leave(std::uint64_t number, Outcome outcome) noexcept {
    const auto probe = std::ranges::find(probes_, number, &Probe::number);
    if (probe == probes_.end()) return;  // of an earlier half-open time
    const bool counts =
        trial_->simulation.now() < probe->lapses && breaker_->options().successes.contains(outcome);
    if (counts) {
      probe->state = Probe::State::succeeded;
    } else {
      probes_.erase(probe);
    }
  }
  Trial* trial_;
  CircuitBreaker* breaker_;
  std::int64_t most_;
  Duration timeout_;
  CircuitState seen_ = CircuitState::closed;
  std::uint64_t entered_ = 0;
  std::vector<Probe> probes_;  // of the present half-open time
};
struct ToldOfRefusals {
  ProbeCheck* check;
  void operator()(const Call&, const Error* error) const noexcept {
    if (error != nullptr && error->kind() == ErrorKind::circuit_open) check->refused();
  }
};
class ProbeGate {
 public:
  using Permit = ProbeCheck::Permit;
  explicit ProbeGate(ProbeCheck& check) noexcept : check_(&check) {}
  [[nodiscard]] Result<Permit> admit(const Call&) noexcept { return check_->enter(); }
  [[nodiscard]] const void* shared() const noexcept { return check_; }
  [[nodiscard]] std::string describe() const { return "probe check"; }

 private:
  ProbeCheck* check_;
};

/// deadline > retry with a budget > breaker > limiter > attempt timeout, over a server with random
/// faults that crashes and comes back, by callers that come, wait and give up at random.
class Pipeline {
 public:
  explicit Pipeline(Trial& trial)
      : trial_(trial),
        settings_(draw(trial)),
        budget_({.ratio = settings_.budget_thousandths / 1000.0,
                 .floor_tokens = static_cast<double>(settings_.floor_tokens)}),
        breaker_({.failure_rate = settings_.failure_rate,
                  .minimum_calls = settings_.minimum_calls,
                  .window = settings_.window,
                  .open_for = settings_.open_for,
                  .probes = settings_.probes + (trial.bug == Bug::extra_probe ? 1U : 0U),
                  .probe_timeout = settings_.probe_timeout}),
        bucket_({.rate = static_cast<double>(settings_.rate),
                 .burst = static_cast<double>(settings_.burst +
                                              (trial.bug == Bug::exceeded_rate ? 1 : 0))}),
        server_(trial.simulation, settings_.server),
        probes_(trial, breaker_, settings_.probes, settings_.probe_timeout),
        rate_(Duration{1s} / settings_.rate, settings_.burst) {
    permits_.leaks = trial.bug == Bug::leaked_permit;
  }

  /// The whole stack over this world's server.
  template <Flavour flavour>
  [[nodiscard]] auto client() {
    auto retrying = trial_.bug == Bug::unpaid_retry ? retry(settings_.policy)
                                                    : retry(settings_.policy, budget_);
    auto layers = stack(deadline(1h),
                        std::move(retrying),
                        observe(ToldOfRefusals{&probes_}),
                        circuit_breaker(breaker_),
                        GateLayer<ProbeGate, LayerKind::other>{ProbeGate{probes_}},
                        rate_limit(bucket_),
                        attempt_timeout(settings_.attempt_timeout),
                        GateLayer<CountingGate, LayerKind::other>{CountingGate{permits_}});
    if constexpr (flavour == Flavour::coroutines) {
      return std::move(layers) | [this](std::size_t number, Call& call) -> Task<Result<int>> {
        send(number, call);
        const Result<void> answered = co_await server_.answer(call);
        co_return reply(number, call, answered);
      };
    } else {
      return std::move(layers) | [this](std::size_t number, Call& call) -> Result<int> {
        send(number, call);
        const Result<void> answered = server_.answer_blocking(call);
        return reply(number, call, answered);
      };
    }
  }

  /// One seed. The client and the world live as long as somebody waits in them.
  template <Flavour flavour>
  static void play(Trial& trial) {
    auto world = std::make_unique<Pipeline>(trial);
    auto ask = std::make_unique<decltype(world->client<flavour>())>(world->client<flavour>());
    const std::size_t count = trial.number(4, 24);
    for (std::size_t number = 0; number < count; ++number) {
      world->promises_.emplace_back();
      world->start_caller<flavour>(*ask, trial.time(0s, 6s), trial.time(20ms, 4s));
    }
    world->disturb();
    trial.invariant([&world = *world] { world.check(); });
    if (trial.finish()) {
      world->check_end();
      world->recover<flavour>(*ask);
    }
    trial.invariant(nullptr);
    if (!trial.broken()) return;
    trial.leave(world.release());
    trial.leave(ask.release());
  }

 private:
  struct Settings {
    RetryPolicy policy;
    std::uint32_t floor_tokens;
    std::uint32_t budget_thousandths;  // per success
    double failure_rate;
    std::uint32_t minimum_calls;
    Duration window;
    Duration open_for;
    std::uint32_t probes;
    Duration probe_timeout;
    std::int64_t rate;  // per second, a divisor of 10^9
    std::int64_t burst;
    Duration attempt_timeout;
    SimulatedServer::Options server;
  };

  static Settings draw(Trial& trial) {
    return {draw_retries(trial),
            static_cast<std::uint32_t>(trial.number(0, 5)),
            trial.one_of(std::array<std::uint32_t, 3>{0, 100, 500}),
            0.3 + 0.1 * static_cast<double>(trial.number(0, 5)),
            static_cast<std::uint32_t>(trial.number(1, 6)),
            trial.time(500ms, 5s),
            trial.time(50ms, 2s),
            static_cast<std::uint32_t>(trial.number(1, 3)),
            trial.time(100ms, 5s),
            trial.one_of(std::array<std::int64_t, 6>{2, 5, 10, 20, 50, 100}),
            static_cast<std::int64_t>(trial.number(1, 8)),
            trial.time(20ms, 1s),
            faulty_server(trial)};
  }
  void disturb() {
    break_now_and_then(trial_, server_);
    for (Promise& promise : promises_) {
      if (!trial_.happens(0.25)) continue;
      trial_.after(trial_.time(0s, 8s), [this, &promise] { promise.cancel(trial_); });
    }
  }

  template <Flavour flavour, class Client>
  void start_caller(Client& ask, Duration delay, Duration limit) {
    const std::size_t number = promises_.size() - 1;
    spawn_caller<flavour>(
        trial_,
        "caller " + std::to_string(number),
        delay,
        ask,
        number,
        [this, number, limit] { return begin(number, limit); },
        [this, number](const Result<int>& result) { end(number, result); });
  }
  Call begin(std::size_t number, Duration limit) {
    Promise& promise = promises_[number];
    promise.begin(trial_, number, trial_.simulation.now() + limit);
    return {
        .deadline = promise.deadline(), .stop = promise.token(), .executor = &trial_.simulation};
  }
  void end(std::size_t number, const Result<int>& result) {
    promises_[number].complete(trial_, result);
    if (!result) return;
    ++successes_;
    trial_.must(*result == static_cast<int>(number),
                [&] { return promises_[number].name() + " got the reply of another"; });
  }

  // In the leaf, before and after the server.
  void send(std::size_t number, Call& call) {
    promises_[number].sends(trial_);
    trial_.must(rate_.admits(trial_.simulation.now()), "more was sent than the rate allows");
    if (call.attempt > 1) ++retries_;
    trial_.must(retries_ * 1000 <= std::uint64_t{settings_.floor_tokens} * 1000 +
                                       settings_.budget_thousandths * answered_,
                "more retries were sent than the budget allows");
    if (trial_.bug == Bug::ignored_deadline && number == 3) call.deadline = never;
    if (trial_.bug == Bug::lost_caller && number == 3) {
      call.deadline = never;
      call.stop = {};
      server_.set({.lost = 1});
    }
    if (trial_.bug == Bug::unseeded_chance) {
      static std::uint64_t ever = 0;
      if (++ever % 7 == 0) static_cast<void>(trial_.simulation.random());
    }
  }
  Result<int> reply(std::size_t number, const Call& call, const Result<void>& answered) {
    if (!answered) {
      // What its caller cancelled spends nothing.
      if (call.attempt > 1 && outcome_of(answered) == Outcome::neutral) --retries_;
      return answered.error();
    }
    ++answered_;
    return static_cast<int>(number);
  }

  void check() {
    static_cast<void>(probes_.look());
    trial_.must(permits_.inside >= static_cast<std::int64_t>(server_.stats().in_flight),
                "a call is at the server without a permit");
  }
  void check_end() {
    for (const Promise& promise : promises_) promise.check_end(trial_);
    trial_.must(permits_.inside == 0, "a permit leaked");
    trial_.must(server_.stats().in_flight == 0, "a call is still at the server");
  }

  // When the faults are over, calls get through again: nothing is stuck, and nothing is missing.
  template <Flavour flavour, class Client>
  void recover(Client& ask) {
    server_.restart();
    server_.set({.service = Latency::constant(1ms)});
    if (server_.options().rate) return;  // it goes on refusing
    trial_.simulation.run_for(1min);
    for (std::uint32_t call = 0; call <= settings_.probes + 1; ++call) {
      promises_.emplace_back();
      start_caller<flavour>(ask, 1s, 1h);  // slower than any rate: no probe lapses in the limiter
      if (!trial_.finish()) return;
    }
    promises_.back().check_end(trial_);
    trial_.must(breaker_.state(trial_.simulation.now()) == CircuitState::closed,
                "the breaker did not close when the server was well again");
  }

  Trial& trial_;
  const Settings settings_;
  RetryBudget budget_;
  CircuitBreaker breaker_;
  TokenBucket bucket_;
  SimulatedServer server_;
  CountingGate::Counts permits_;
  ProbeCheck probes_;
  RateCheck rate_;
  std::deque<Promise> promises_;
  std::uint64_t retries_ = 0;    // sent
  std::uint64_t answered_ = 0;   // successes as the retry layer sees them
  std::uint64_t successes_ = 0;  // as the callers see them
};

}  // namespace simulate
