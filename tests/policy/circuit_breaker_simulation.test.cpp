// SPDX-License-Identifier: MIT
// The breaker against its own decisions, taken one after another over plain values: what a
// simulation runs, and what the shared form must be when nobody else calls.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include <penstock/policy/circuit_breaker.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Circuit;
using penstock::CircuitAnswer;
using penstock::CircuitBreaker;
using penstock::CircuitBreakerOptions;
using penstock::CircuitStep;
using penstock::Duration;
using penstock::elapsed_between;
using penstock::Lease;
using penstock::LeaseState;
using penstock::Outcome;
using penstock::ProbeTally;
using penstock::ProbeVerdict;
using penstock::SampleCounts;
using penstock::Time;
using penstock::TripReadings;
using State = penstock::CircuitState;

constexpr Time start{1h};

// A circuit, the samples of its closed state in a list, its probes in another.
class Simulated {
 public:
  struct Ticket {
    std::uint16_t generation;
    Time began;
    std::optional<std::size_t> place{};
    Time lapses{};
  };

  explicit Simulated(const CircuitBreakerOptions& options)
      : options_(options),
        places_(options.probes) {}

  std::optional<Ticket> admit(Time now) {
    const CircuitStep step = on_call(circuit_, now, {}, 0);
    move(step.circuit);
    switch (step.admission) {
      case CircuitAnswer::pass:
        return Ticket{circuit_.generation, now};
      case CircuitAnswer::probe:
        break;
      default:
        return std::nullopt;
    }
    for (std::size_t place = 0; place < places_.size(); ++place) {
      if (!leasable(places_[place], circuit_.generation, now)) continue;
      // The breaker keeps times in whole units.
      const Lease lease = Lease::unpack(
          Lease{LeaseState::leased, circuit_.generation, now + options_.probe_timeout}.pack());
      places_[place] = lease;
      return Ticket{circuit_.generation, now, place, lease.until};
    }
    return std::nullopt;
  }

  void settle(const Ticket& ticket, Outcome outcome, Time now) {
    const bool failed = options_.failures.contains(outcome);
    const bool judged = failed || options_.successes.contains(outcome);
    const bool slow = elapsed_between(ticket.began, now) >= options_.slow_after;
    if (ticket.place) {
      settle_probe(ticket, judged && now < ticket.lapses, failed || slow, now);
    } else if (judged && circuit_.state == State::closed &&
               circuit_.generation == ticket.generation) {
      in_a_row_ = failed ? in_a_row_ + 1 : 0;
      samples_.push_back({failed, slow});
      if (samples_.size() > options_.window_calls) samples_.erase(samples_.begin());
      TripReadings seen{.in_a_row = in_a_row_};
      for (const auto& [was_failure, was_slow] : samples_) {
        if (failed) seen.failures.failures += was_failure ? 1 : 0;
        if (failed) ++seen.failures.total;
        if (slow) seen.slow.failures += was_slow ? 1 : 0;
        if (slow) ++seen.slow.total;
      }
      if (options_.trip_rule().opens(seen)) open(now);
    }
  }
  [[nodiscard]] State state(Time now) const { return seen_at(circuit_, now).state; }

 private:
  void settle_probe(const Ticket& ticket, bool has_verdict, bool failed, Time now) {
    Lease& place = places_[*ticket.place];
    const Lease own{LeaseState::leased, ticket.generation, ticket.lapses};
    if (place != own) return;
    if (!has_verdict) {
      place = {};
      return;
    }
    place.state = failed ? LeaseState::failed : LeaseState::succeeded;
    if (circuit_.state != State::half_open || circuit_.generation != ticket.generation) return;
    ProbeTally tally;
    for (const Lease& each : places_) {
      if (each.generation != circuit_.generation) continue;
      tally.succeeded += each.state == LeaseState::succeeded ? 1 : 0;
      tally.failed += each.state == LeaseState::failed ? 1 : 0;
    }
    switch (options_.half_open_rule().judge(tally)) {
      case ProbeVerdict::close:
        return move(closed_again(circuit_, now, {}));
      case ProbeVerdict::open:
        return open(now);
      case ProbeVerdict::undecided:
        return;
    }
  }
  void open(Time now) {
    openings_ = circuit_.state == State::half_open ? openings_ + 1 : 1;
    move(opened(circuit_, now, options_.open_time(openings_, 0)));
  }
  void move(Circuit to) {
    to = Circuit::unpack(to.pack());
    if (to.generation != circuit_.generation) {
      samples_.clear();
      in_a_row_ = 0;
    }
    circuit_ = to;
  }

  CircuitBreakerOptions options_;
  Circuit circuit_{};
  std::vector<std::pair<bool, bool>> samples_{};
  std::vector<Lease> places_;
  std::uint32_t in_a_row_ = 0;
  std::uint32_t openings_ = 0;
};

TEST(circuit_breaker_simulation, the_shared_breaker_takes_the_same_decisions) {
  std::mt19937_64 random{11};
  int opened = 0;
  for (int run = 0; run < 300; ++run) {
    const CircuitBreakerOptions options{.failure_rate = run % 3 == 0 ? 0 : 0.6,
                                        .minimum_calls = 4,
                                        .window_calls = 8,
                                        .slow_after = run % 2 == 0 ? 2s : Duration::max(),
                                        .slow_rate = 0.7,
                                        .consecutive_failures = run % 3 == 0 ? 4U : 0U,
                                        .open_for = 1s,
                                        .open_growth = 1.0 + run % 2,
                                        .open_at_most = 5s,
                                        .probes = static_cast<std::uint32_t>(run % 4 + 1),
                                        .probe_success_rate = run % 5 == 0 ? 0.5 : 1,
                                        .probe_timeout = 3s};
    CircuitBreaker breaker{options};
    Simulated simulated{options};
    std::vector<std::pair<CircuitBreaker::Permit, Simulated::Ticket>> held;
    Time now = start;
    for (int event = 0; event < 400; ++event) {
      now += Duration{static_cast<std::int64_t>(random() % 600'000'000)};
      if (held.size() < 6 && random() % 2 == 0) {
        auto permit = breaker.admit(now);
        const auto ticket = simulated.admit(now);
        ASSERT_EQ(permit.has_value(), ticket.has_value());
        if (!permit) continue;
        ASSERT_EQ(permit->is_probe(), ticket->place.has_value());
        ASSERT_EQ(permit->generation(), ticket->generation);
        held.emplace_back(std::move(*permit), *ticket);
      } else if (!held.empty()) {
        std::swap(held[random() % held.size()], held.back());
        const Outcome outcome = random() % 8 == 0  ? Outcome::neutral
                                : random() % 5 < 2 ? Outcome::success
                                                   : Outcome::timeout;
        held.back().first.settle(outcome, now);
        simulated.settle(held.back().second, outcome, now);
        held.pop_back();
      }
      ASSERT_EQ(breaker.state(now), simulated.state(now));
      if (breaker.state(now) == State::open) ++opened;
    }
  }
  EXPECT_GT(opened, 10'000);
}

}  // namespace
