// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include <penstock/core/atomic.hpp>
#include <penstock/core/error.hpp>
#include <penstock/core/mix.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/breaker_options.hpp>
#include <penstock/policy/call_window.hpp>
#include <penstock/policy/circuit.hpp>
#include <penstock/policy/half_open.hpp>
#include <penstock/policy/sliding_window.hpp>
#include <penstock/policy/streak.hpp>
#include <penstock/policy/transition_log.hpp>

namespace penstock {

/// Stops calls to a target that fails too often. *Safe from any thread.*
///
/// Closed: calls pass and their outcomes are counted; it opens at the failure or slow call that
/// meets its rules (`TripRule`). Open: refuses, for a time that may grow and spread. Half open:
/// `probes` calls pass; it closes or opens again as soon as their verdicts decide it
/// (`HalfOpenRule`; a slow probe has failed). A cancelled probe decides nothing and frees its
/// place, so does one that lapses unless `lapsed_probe` says otherwise. Closed again, the share of
/// calls let through may grow (`Ramp`).
///
/// A closed call costs one load, and one load and one compare-exchange when it settles, in a
/// stripe of its own thread; a slow-call rule adds one compare-exchange, a consecutive rule a load.
/// A failure sums the window. Nothing allocates after construction; nothing throws.
///
/// Exact: who is admitted as a probe, failures in a row, one transition at a time. Approximate: a
/// window is summed while others count; a failure sees all that was counted before it by its own
/// thread and by every thread whose counting happened before it.
///
/// Where chance is asked for, `chance` is any number, mixed with `now`; without one, `now` alone
/// decides, so a simulation repeats itself and machines differ.
class CircuitBreaker {
 public:
  using State = CircuitState;
  using Options = CircuitBreakerOptions;

  /// The right to make one call. *One thread at a time.* The breaker must outlive it. Destroyed
  /// before `settle`, it is given back neutrally.
  class [[nodiscard]] Permit {
   public:
    Permit(Permit&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)),
          lease_(other.lease_),
          started_(other.started_),
          place_(other.place_),
          generation_(other.generation_),
          refused_(other.refused_) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this == &other) return *this;
      give_back();
      breaker_ = std::exchange(other.breaker_, nullptr);
      lease_ = other.lease_;
      started_ = other.started_;
      place_ = other.place_;
      generation_ = other.generation_;
      refused_ = other.refused_;
      return *this;
    }
    [[gnu::always_inline]] ~Permit() { give_back(); }

    /// Reports how the call ended, once, and that it took from `admit` until `now`. A second
    /// report is ignored, and so is the report of a call that was admitted in an earlier state of
    /// the breaker.
    [[gnu::always_inline]] void settle(Outcome outcome,
                                       Time now,
                                       std::uint64_t chance = 0) noexcept {
      CircuitBreaker* const breaker = std::exchange(breaker_, nullptr);
      if (breaker == nullptr) return;
      if (lease_ == 0) {
        breaker->settle_call({started_, generation_}, outcome, now, chance);
      } else {
        breaker->settle_probe({started_, place_, lease_}, outcome, now, chance);
      }
    }
    [[nodiscard]] bool is_probe() const noexcept { return lease_ != 0; }
    /// Only a dry run lets a call pass that it would refuse; its outcome counts for nothing.
    [[nodiscard]] bool would_be_refused() const noexcept { return refused_; }
    [[nodiscard]] std::uint16_t generation() const noexcept { return generation_; }

   private:
    friend CircuitBreaker;
    Permit(CircuitBreaker* breaker, std::uint16_t generation, Time now) noexcept
        : breaker_(breaker),
          started_(now),
          generation_(generation) {}
    [[gnu::always_inline]] void give_back() noexcept {
      if (breaker_ != nullptr && lease_ != 0) breaker_->places_.free(place_, lease_);
    }

    CircuitBreaker* breaker_;  // null: settled, or not counted
    std::uint64_t lease_ = 0;  // 0: no probe
    Time started_;
    std::uint32_t place_ = 0;
    std::uint16_t generation_;
    bool refused_ = false;
  };

  CircuitBreaker() : CircuitBreaker(Options{}) {}
  explicit CircuitBreaker(const Options& settings)
      : options_(validated(settings)),
        failures_(window_of(settings)),
        slow_(settings.judges_slowness() ? window_of(settings) : CallWindow{}),
        places_(settings.probes),
        log_(settings.keep_transitions) {}

  /// A permit, or `circuit_open` with the time to stay away: what is left of the open time; while
  /// all probes are out, until one lapses but no longer than `open_for`; in a ramp, until the
  /// share has grown to this call. An isolated breaker gives no time.
  [[nodiscard]] Result<Permit> admit(Time now, std::uint64_t chance = 0) noexcept {
    const Circuit circuit = Circuit::unpack(circuit_.load());
    if (circuit.state == State::closed && options_.ramp == Duration::zero()) [[likely]] {
      return Permit{this, circuit.generation, now};
    }
    return admit_by_step(now, chance);
  }

  /// As `now` makes it, whether or not a call has come since; old as soon as it is returned.
  [[nodiscard]] State state(Time now) const noexcept {
    return seen_at(Circuit::unpack(circuit_.load()), now).state;
  }
  /// What the window holds of the present closed state.
  [[nodiscard]] SampleCounts counts_approx(Time now) const noexcept {
    return failures_.counts_approx(now, Circuit::unpack(circuit_.load()).generation);
  }
  /// The same of slow calls, as `SampleCounts::failures`; nothing without a slow-call rule.
  [[nodiscard]] SampleCounts slow_counts_approx(Time now) const noexcept {
    return slow_.counts_approx(now, Circuit::unpack(circuit_.load()).generation);
  }
  /// Calls that a dry run has let through though it would have refused them.
  [[nodiscard]] std::uint64_t would_have_refused_approx() const noexcept {
    return let_through_.load(std::memory_order_relaxed);
  }
  /// Closed with nothing held against the target: to forget it changes no decision but for the
  /// successes that a rate is a share of.
  [[nodiscard]] bool idle(Time now) const noexcept {
    const Circuit circuit = Circuit::unpack(circuit_.load());
    return circuit.state == State::closed &&
           (options_.ramp == Duration::zero() || circuit.until <= now) &&
           failures_.counts_approx(now, circuit.generation).failures == 0 &&
           slow_.counts_approx(now, circuit.generation).failures == 0 &&
           streak_.length_approx(circuit.generation) == 0;
  }

  /// Opens until `reset`. This and the next two: `now` only dates the transition.
  void isolate(Time now = {}) noexcept { force(State::open, never, now); }
  /// Closes, without a ramp, and forgets all that was counted.
  void reset(Time now = {}) noexcept { force(State::closed, {}, now); }
  /// Lets everything through and counts nothing, until `reset`.
  void disable(Time now = {}) noexcept { force(State::disabled, {}, now); }

  /// `receiver(const Transition&)` for each transition not yet delivered, in order, in this
  /// thread (`TransitionLog`). Nothing without `keep_transitions`.
  template <class Receiver>
  void deliver(Receiver&& receiver) noexcept {
    log_.deliver(std::forward<Receiver>(receiver));
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const { return penstock::describe(options_); }

 private:
  static CallWindow window_of(const Options& settings) {
    return {settings.window, settings.window_calls, settings.stripes};
  }

  // What a permit says of its call, as values: so it can live in registers.
  struct CountedCall {
    Time started;
    std::uint16_t generation;
  };
  struct Probe {
    Time started;
    std::uint32_t place;
    std::uint64_t lease;
  };

  Result<Permit> admit_by_step(Time now, std::uint64_t chance) noexcept {
    for (;;) {
      std::uint64_t word = circuit_.load();
      const Ramp ramp = options_.ramp_rule();
      const std::uint64_t drawn = ramp.length == Duration::zero() ? 0 : mixed(now, chance);
      const CircuitStep step = on_call(Circuit::unpack(word), now, ramp, drawn);
      const std::uint16_t generation = step.circuit.generation;
      switch (step.admission) {
        case CircuitAnswer::pass:
          return Permit{this, generation, now};
        case CircuitAnswer::uncounted:
          return Permit{nullptr, generation, now};
        case CircuitAnswer::refuse:
          return refuse(generation, step.wait, now);
        case CircuitAnswer::probe:
          break;
      }
      if (step.circuit.pack() != word && !move(word, step.circuit, now)) continue;
      word = step.circuit.pack();
      const ProbePlaces::Taken taken =
          places_.take(generation, now, options_.probe_timeout, options_.lapsed_probe);
      if (taken.found_failure) judge_probes(generation, now, chance);
      const bool stands = circuit_.load() == word;
      if (taken.lease == 0) {
        if (!stands) continue;
        return refuse(
            generation, std::min(options_.open_for, elapsed_between(now, taken.lapses)), now);
      }
      Permit permit{this, generation, now};
      permit.lease_ = taken.lease;
      permit.place_ = taken.place;
      if (stands) return permit;  // else it gives the place back: the circuit has moved
    }
  }

  Result<Permit> refuse(std::uint16_t generation, Duration wait, Time now) noexcept {
    if (options_.mode == BreakerMode::dry_run) {
      Permit permit{nullptr, generation, now};
      permit.refused_ = true;
      let_through_.fetch_add(1, std::memory_order_relaxed);
      return permit;
    }
    Error error{ErrorKind::circuit_open};
    if (wait != Duration::max()) error.set_retry_after(wait);
    return error;
  }

  [[nodiscard]] bool was_slow(Time started, Time now) const noexcept {
    return options_.judges_slowness() && elapsed_between(started, now) >= options_.slow_after;
  }

  [[gnu::always_inline]] void settle_call(CountedCall call,
                                          Outcome outcome,
                                          Time now,
                                          std::uint64_t chance) noexcept {
    const bool failed = options_.failures.contains(outcome);
    if (!failed && !options_.successes.contains(outcome)) return;
    const std::uint64_t word = circuit_.load();
    if (!Circuit::is(word, State::closed, call.generation)) return;
    // A late thread that passes the test above and is then overtaken counts in the era of its
    // own generation, where nobody looks any more.
    failures_.record(now, call.generation, failed ? Sample::failure : Sample::success);
    if (failed || more_rules_) [[unlikely]]
      judge_call(call, failed, word, now, chance);
  }

  [[gnu::noinline]] void judge_call(
      CountedCall call, bool failed, std::uint64_t word, Time now, std::uint64_t chance) noexcept {
    const std::uint16_t generation = call.generation;
    const bool slow = was_slow(call.started, now);
    if (options_.judges_slowness()) {
      slow_.record(now, generation, slow ? Sample::failure : Sample::success);
    }
    std::uint32_t in_a_row = 0;
    if (options_.consecutive_failures != 0) {
      if (failed) {
        in_a_row = streak_.on_failure(generation);
      } else {
        streak_.on_success(generation);
      }
    }
    if (!failed && !slow) return;
    // A rule that this call cannot have moved is not asked, unless all must hold.
    const bool all = options_.trip_when == TripWhen::all_rules;
    TripReadings seen{.in_a_row = in_a_row};
    if (failed || all) seen.failures = failures_.counts_approx(now, generation);
    if (slow || all) seen.slow = slow_.counts_approx(now, generation);
    if (options_.trip_rule().opens(seen)) open(word, now, chance);
  }

  [[gnu::noinline]] void settle_probe(Probe probe,
                                      Outcome outcome,
                                      Time now,
                                      std::uint64_t chance) noexcept {
    const bool failed = options_.failures.contains(outcome);
    const bool judged = failed || options_.successes.contains(outcome);
    const Lease mine = Lease::unpack(probe.lease);
    const bool late = lapsed(mine, now);
    if (late ? options_.lapsed_probe == LapsedProbe::neutral : !judged) {
      return places_.free(probe.place, probe.lease);
    }
    const bool fails = late || failed || was_slow(probe.started, now);
    const LeaseState verdict = fails ? LeaseState::failed : LeaseState::succeeded;
    if (!places_.settle(probe.place, probe.lease, verdict)) return;
    judge_probes(mine.generation, now, chance);
  }

  void judge_probes(std::uint16_t generation, Time now, std::uint64_t chance) noexcept {
    const std::uint64_t word = circuit_.load();
    const Circuit circuit = Circuit::unpack(word);
    if (!Circuit::is(word, State::half_open, generation)) return;
    switch (options_.half_open_rule().judge(places_.tally(generation))) {
      case ProbeVerdict::undecided:
        return;
      case ProbeVerdict::close:
        static_cast<void>(move(word, closed_again(circuit, now, options_.ramp_rule()), now));
        return;
      case ProbeVerdict::open:
        open(word, now, chance);
    }
  }

  // How often it has opened in a row is published before the opening it belongs to. Whoever
  // competes for one opening publishes the same; one that no opening followed is of a
  // generation that was never half open, so nobody asks for it.
  void open(std::uint64_t word, Time now, std::uint64_t chance) noexcept {
    const Circuit circuit = Circuit::unpack(word);
    std::uint32_t times = 1;
    if (options_.open_growth > 1) {
      const Circuit next = circuit.moved(State::open);
      std::uint64_t last = openings_.load();
      const auto generation = static_cast<std::uint16_t>(last >> 32);
      if (generation == next.generation) {
        times = static_cast<std::uint32_t>(last);
      } else {
        const auto before =
            static_cast<std::uint16_t>((circuit.generation - 1U) & Circuit::generation_mask);
        if (circuit.state == State::half_open && generation == before) {
          times = static_cast<std::uint32_t>(last) + 1;
        }
        openings_.compare_exchange_strong(last, std::uint64_t{next.generation} << 32 | times);
      }
    }
    const Duration time = options_.open_time(times, mixed(now, chance));
    static_cast<void>(move(word, opened(circuit, now, time), now));
  }

  void force(State state, Time until, Time now) noexcept {
    std::uint64_t word = circuit_.load();
    while (!move(word, Circuit::unpack(word).moved(state, until), now)) word = circuit_.load();
  }

  bool move(std::uint64_t from, Circuit to, Time now) noexcept {
    if (!circuit_.compare_exchange_strong(from, to.pack())) return false;
    log_.add(to.state, to.generation, now);
    return true;
  }

  static std::uint64_t mixed(Time now, std::uint64_t chance) noexcept {
    const auto ticks = static_cast<std::uint64_t>(now.time_since_epoch().count());
    return mix_bits(mix_bits(chance) ^ ticks);
  }

  const Options options_;
  const bool more_rules_ = options_.judges_slowness() || options_.consecutive_failures != 0;
  CallWindow failures_;
  CallWindow slow_;
  ProbePlaces places_;
  TransitionLog log_;
  // Only counted up; guards nothing.
  sync::atomic<std::uint64_t> let_through_{0};
  // Generation and number of the last opening, 32 bits each.
  sync::atomic<std::uint64_t> openings_{0};
  Streak streak_;
  // Circuit::pack(): state, generation and end of the open time change together or not at all,
  // and only by a compare-exchange from the very word the decision was made on. A permit that is
  // exactly 16 384 transitions old would pass for a new one.
  //
  // This word and the places are sequentially consistent, because two steps need one order of
  // both: a probe takes its place and then sees whether the circuit has moved, and the last two
  // verdicts each mark their place and then look for the other's. On the closed path that
  // is one plain load on x86 and one acquire load on ARM.
  //
  // On a line of its own: every call reads it, hardly anyone writes it.
  alignas(64) sync::atomic<std::uint64_t> circuit_{Circuit{}.pack()};
};

}  // namespace penstock
