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

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/layer/adaptive_limit.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/cache.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/coalesce.hpp>
#include <penstock/layer/concurrency_limit.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/hedge.hpp>
#include <penstock/layer/observe.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/policy/aimd.hpp>

#include "pipeline.hpp"
#include "trial.hpp"

namespace simulate {

/// Every layer that waits or keeps, in the usual order, over a server with random faults and one
/// that stands by. A hedge over a blocking leaf needs threads, which no simulation has: there the
/// stack goes without.
template <Flavour flavour>
class FullPipeline {
 public:
  explicit FullPipeline(Trial& trial)
      : trial_(trial),
        grid_(trial.happens(0.3) ? Duration{50ms} : Duration{1}),
        keys_(trial.number(1, 12)),
        freshness_({.ttl = trial.time(1ms, 2s),
                    .stale_while_revalidate = trial.happens(0.5) ? 0s : trial.time(1ms, 2s),
                    .stale_if_error = trial.happens(0.5) ? 0s : trial.time(1ms, 3s),
                    .negative_ttl = trial.happens(0.7) ? 0s : trial.time(1ms, 200ms),
                    .negative = {ErrorKind::unavailable}}),
        kept_({.max_entries = trial.number(1, 8)}),
        sharing_(trial.happens(0.5) ? CoalescePolicy{} : CoalescePolicy{{.shared_errors = {}}}),
        retries_(draw_retries(trial)),
        floor_tokens_(trial.number(0, 5)),
        budget_thousandths_(trial.one_of(std::array<std::uint32_t, 3>{0, 100, 500})),
        budget_({.ratio = budget_thousandths_ / 1000.0,
                 .floor_tokens = static_cast<double>(floor_tokens_)}),
        hedging_(draw_hedging(trial)),
        breaker_({.failure_rate = 0.3 + 0.1 * static_cast<double>(trial.number(0, 5)),
                  .minimum_calls = static_cast<std::uint32_t>(trial.number(1, 6)),
                  .window = trial.time(500ms, 5s),
                  .open_for = trial.time(50ms, 2s),
                  .probes = static_cast<std::uint32_t>(trial.number(1, 3)),
                  .probe_timeout = trial.time(100ms, 5s)}),
        bucket_({.rate = static_cast<double>(trial.one_of(std::array{2, 5, 20, 100})),
                 .burst = static_cast<double>(trial.number(1, 8))}),
        adaptive_(Aimd{{.range = {.initial = static_cast<std::uint32_t>(trial.number(1, 8)),
                                  .ceiling = static_cast<std::uint32_t>(trial.number(8, 16)),
                                  .samples = static_cast<std::uint32_t>(trial.number(1, 10)),
                                  .window = trial.time(0s, 100ms)},
                        .decrease = 0.5}},
                  {.max_waiting = static_cast<std::uint32_t>(trial.number(0, 20))}),
        highest_limit_(adaptive_.limit_approx()),
        places_({.max_in_flight = static_cast<std::uint32_t>(trial.number(1, 6)),
                 .max_waiting = static_cast<std::uint32_t>(trial.number(0, 20)),
                 .max_wait = trial.happens(0.5) ? Duration::max() : trial.time(0s, 500ms)}),
        attempt_timeout_(time(20ms, 1s)),
        server_(trial.simulation, server_options()),
        standby_(trial.simulation,
                 {.name = "the standby",
                  .service = Latency::between(1ms, 100ms),
                  .failed = trial.share(0.5),
                  .lost = trial.share(0.2)}),
        scope_(trial.simulation) {
    permits_.leaks = trial.bug == Bug::leaked_permit;
  }

  static void play(Trial& trial) {
    auto world = std::make_unique<FullPipeline>(trial);
    auto ask = std::make_unique<decltype(world->client())>(world->client());
    for (std::uint64_t count = trial.number(4, 24); count != 0; --count)
      world->start_caller(
          *ask, trial.number(1, world->keys_), world->time(0s, 6s), world->time(20ms, 4s));
    break_now_and_then(trial, world->server_);
    for (Caller& caller : world->callers_) {
      if (!trial.happens(0.25)) continue;
      trial.after(world->time(0s, 8s), [&trial, &caller] { caller.promise.cancel(trial); });
    }
    trial.invariant([&world = *world] { world.check(); });
    if (trial.finish()) {
      world->check_end();
      world->recover(*ask);
    }
    trial.invariant(nullptr);
    if (!trial.broken()) return;
    trial.leave(world.release());
    trial.leave(ask.release());
  }

 private:
  enum class From : std::uint8_t { server, standby };
  struct Ask {
    std::size_t key;
    std::size_t caller;
  };
  struct Answer {
    std::size_t key;
    Time made;
    From from;
  };
  struct KeyOf {
    std::size_t operator()(const Ask& ask) const noexcept { return ask.key; }
  };
  struct Caller {
    Promise promise;
    Time ended = never;
    std::uint32_t last_attempt = 0;  // that something was sent for
  };
  struct CountSuccesses {
    std::uint64_t* successes;
    void operator()(const Call&, const Error* error) const noexcept {
      if (error == nullptr) ++*successes;
    }
  };

  // In some seeds many things happen in the same instants: calls come, end, are stopped and
  // answered on a grid.
  Duration time(Duration least, Duration most) noexcept {
    const Duration exact = trial_.time(least, most);
    return (exact + grid_ - Duration{1}) / grid_ * grid_;
  }
  SimulatedServer::Options server_options() {
    SimulatedServer::Options options = faulty_server(trial_);
    if (grid_ == Duration{1}) return options;
    options.service = Latency::constant(time(1ms, 200ms));
    options.drip = time(10ms, 2s);
    return options;
  }

  static HedgePolicy::Options draw_hedging(Trial& trial) {
    HedgePolicy::Options options{.max_hedges = static_cast<std::uint32_t>(trial.number(0, 3)),
                                 .min_samples = 5};
    if (trial.happens(0.7)) options.delay = trial.time(1ms, 300ms);
    return options;
  }

  [[nodiscard]] auto client() {
    auto retrying = trial_.bug == Bug::unpaid_retry ? retry(retries_) : retry(retries_, budget_);
    auto outer = [this] {
      if constexpr (flavour == Flavour::coroutines) {
        return cache(kept_, KeyOf{}, freshness_, scope_);
      } else {
        return cache(kept_, KeyOf{}, freshness_);
      }
    };
    const auto around = [&](auto... hedged) {
      return stack(deadline(1h),
                   outer(),
                   coalesce(in_flight_, KeyOf{}, sharing_),
                   fallback([this](const Ask& ask, Call& call) { return stand_by(ask, call); }),
                   observe(CountSuccesses{&successes_}),
                   std::move(retrying),
                   std::move(hedged)...,
                   circuit_breaker(breaker_),
                   rate_limit(bucket_),
                   concurrency_limit(adaptive_),
                   concurrency_limit(places_),
                   attempt_timeout(attempt_timeout_),
                   GateLayer<CountingGate, LayerKind::other>{CountingGate{permits_}}) |
             [this](const Ask& ask, Call& call) { return serve(ask, call); };
    };
    if constexpr (flavour == Flavour::coroutines) {
      return around(trial_.bug == Bug::unpaid_hedge ? hedge(hedging_, scope_)
                                                    : hedge(hedging_, scope_, budget_));
    } else {
      return around();
    }
  }

  auto serve(const Ask& ask, Call& call) {
    if constexpr (flavour == Flavour::coroutines) {
      return served_later(ask, call);
    } else {
      const Ask asked = ask;
      send(asked, call);
      const Result<void> answered = server_.answer_blocking(call);
      return reply(asked, answered, From::server);
    }
  }
  Task<Result<Answer>> served_later(Ask ask, Call& call) {
    send(ask, call);
    const Result<void> answered = co_await server_.answer(call);
    co_return reply(ask, answered, From::server);
  }
  auto stand_by(const Ask& ask, Call& call) {
    if constexpr (flavour == Flavour::coroutines) {
      return stands_by_later(ask, call);
    } else {
      return reply(ask, standby_.answer_blocking(call), From::standby);
    }
  }
  Task<Result<Answer>> stands_by_later(Ask ask, Call& call) {
    const Result<void> answered = co_await standby_.answer(call);
    co_return reply(ask, answered, From::standby);
  }
  Result<Answer> reply(const Ask& ask, const Result<void>& answered, From from) {
    if (from == From::server) --inside_;
    if (!answered) return answered.error();
    return Answer{ask.key, trial_.simulation.now(), from};
  }

  // In the leaf, before the server.
  void send(const Ask& ask, Call& call) {
    const Time now = trial_.simulation.now();
    Caller& caller = callers_[ask.caller];
    const auto says = [&](const char* what) {
      return [&caller, what] { return caller.promise.name() + what; };
    };
    trial_.must(now <= caller.promise.deadline(), says(" sent something after its deadline"));
    // What asks anew for a stale reply has no caller.
    if (flavour == Flavour::blocking || freshness_.options().stale_while_revalidate == 0s)
      trial_.must(now <= caller.ended, says(" sent something after its end"));
    trial_.must(++inside_ <= places_.options().max_in_flight,
                "more are inside than the limit says");
    ++sent_;
    trial_.must(static_cast<double>(sent_) <=
                    bucket_.options().burst + 1e-6 + bucket_.options().rate * since_start(now),
                "more was sent than the rate allows");
    if (call.attempt > 1 || caller.last_attempt != 0) ++extras_;
    caller.last_attempt = call.attempt;
    // One that is cancelled in a retry gives its token back, although it was sent.
    trial_.must((extras_ - std::min(extras_, refunds_)) * 1000 <=
                    floor_tokens_ * 1000 + budget_thousandths_ * successes_,
                "more retries and hedges were sent than the budget allows");
    if (trial_.bug == Bug::ignored_deadline && ask.caller == 3) call.deadline = never;
    if (trial_.bug == Bug::lost_caller && ask.caller == 3) {
      call.deadline = never;
      call.stop = {};
      server_.set({.lost = 1});
    }
  }
  [[nodiscard]] static double since_start(Time now) noexcept {
    return std::chrono::duration<double>(now - Simulation::Options{}.start).count();
  }

  template <class Client>
  void start_caller(Client& ask, std::size_t key, Duration delay, Duration limit) {
    const std::size_t number = callers_.size();
    callers_.emplace_back();
    ++calling_;
    const auto begin = [this, number, limit] {
      Promise& promise = callers_[number].promise;
      promise.begin(trial_, number, trial_.simulation.now() + limit);
      return Call{
          .deadline = promise.deadline(), .stop = promise.token(), .executor = &trial_.simulation};
    };
    const auto end = [this, number, key](const Result<Answer>& result) {
      this->end(number, key, result);
    };
    spawn_caller<flavour>(
        trial_, "caller " + std::to_string(number), delay, ask, Ask{key, number}, begin, end);
  }
  void end(std::size_t number, std::size_t key, const Result<Answer>& result) {
    Caller& caller = callers_[number];
    const Time now = trial_.simulation.now();
    caller.promise.complete(trial_, result);
    caller.ended = now;
    if (!result && result.error().kind() == ErrorKind::cancelled && caller.last_attempt > 1)
      ++refunds_;
    if (result) {
      last_from_ = result->from;
      trial_.must(result->key == key,
                  [&] { return caller.promise.name() + " got the reply of another"; });
      const CachePolicy::Options& ages = freshness_.options();
      trial_.must(now - result->made <=
                      ages.ttl + std::max(ages.stale_while_revalidate, ages.stale_if_error),
                  [&] { return caller.promise.name() + " got a reply that is too old"; });
    }
    if (--calling_ == 0) trial_.simulation.spawn("the last to leave", join());
  }
  // Nobody calls any more: once the scope is joined nothing of a call is left anywhere.
  Task<void> join() {
    co_await scope_.join();
    trial_.must(inside_ == 0, "a call is at the server although its scope was joined");
    trial_.must(permits_.inside == 0, "a permit is held although the scope was joined");
  }

  void check() {
    highest_limit_ = std::max(highest_limit_, adaptive_.limit_approx());
    trial_.must(places_.in_flight_approx() <= places_.options().max_in_flight,
                "more have a place than the limit says");
    trial_.must(adaptive_.in_flight_approx() <= highest_limit_,
                "more have a place than the adaptive limit ever said");
    trial_.must(permits_.inside >= static_cast<std::int64_t>(inside_),
                "a call is at the server without a permit");
    trial_.must(flavour == Flavour::blocking || scope_.running_approx() >= inside_,
                "an attempt runs that its scope does not know");
  }
  void check_end() {
    for (const Caller& caller : callers_) caller.promise.check_end(trial_);
    trial_.must(permits_.inside == 0, "a permit leaked");
    trial_.must(server_.stats().in_flight == 0 && standby_.stats().in_flight == 0,
                "a call is still at a server");
    trial_.must(scope_.running_approx() == 0, "something still runs in the scope");
    trial_.must(in_flight_.leaders_approx() == 0, "somebody still leads");
    check_places(places_, places_.options().max_in_flight);
    check_places(adaptive_, adaptive_.limit_approx());
  }
  // As many permits as the limit says can be had, and not one more.
  template <class Limit>
  void check_places(Limit& limit, std::uint32_t most) {
    const Call call{.executor = &trial_.simulation, .now = trial_.simulation.now()};
    trial_.must(limit.in_flight_approx() == 0 && limit.waiting_approx() == 0,
                "a place is taken or waited for by nobody");
    std::deque<typename Limit::Permit> taken;
    while (auto permit = limit.try_acquire(call)) taken.push_back(std::move(*permit));
    trial_.must(taken.size() == most, "a limit has lost permits, or has too many");
  }

  // When the faults are over calls get through to the server again.
  template <class Client>
  void recover(Client& ask) {
    server_.restart();
    server_.set({.service = Latency::constant(1ms)});
    if (server_.options().rate) return;  // it goes on refusing
    trial_.simulation.run_for(1min);
    trial_.must(bucket_.available_approx(trial_.simulation.now()) + 1e-6 >= bucket_.options().burst,
                "tokens leaked");
    for (std::uint32_t call = 0; call <= breaker_.options().probes + 1; ++call) {
      start_caller(ask, keys_ + 1 + call, 1s, 1h);
      if (!trial_.finish()) return;
    }
    check_end();
    trial_.must(last_from_ == From::server, "the server is well again and is not asked");
    trial_.must(breaker_.state(trial_.simulation.now()) == CircuitState::closed,
                "the breaker did not close when the server was well again");
  }

  Trial& trial_;
  const Duration grid_;
  const std::size_t keys_;
  const CachePolicy freshness_;
  Cache<std::size_t, Answer> kept_;
  InFlight<std::size_t, Answer> in_flight_;
  const CoalescePolicy sharing_;
  const RetryPolicy retries_;
  const std::uint64_t floor_tokens_;
  const std::uint32_t budget_thousandths_;  // per success
  RetryBudget budget_;
  HedgePolicy hedging_;
  CircuitBreaker breaker_;
  TokenBucket bucket_;
  AdaptiveLimit<Aimd> adaptive_;
  std::uint32_t highest_limit_;
  ConcurrencyLimit places_;
  const Duration attempt_timeout_;
  CountingGate::Counts permits_;
  SimulatedServer server_;
  SimulatedServer standby_;
  Scope scope_;
  std::deque<Caller> callers_;
  std::size_t calling_ = 0;
  std::uint64_t inside_ = 0;     // at the server
  std::uint64_t sent_ = 0;       // to it
  std::uint64_t extras_ = 0;     // retries and hedges among those
  std::uint64_t refunds_ = 0;    // at most so many were given back
  std::uint64_t successes_ = 0;  // as the retry layer sees them
  From last_from_ = From::server;
};

}  // namespace simulate
