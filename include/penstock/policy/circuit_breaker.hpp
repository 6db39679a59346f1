// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/error.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/sliding_window.hpp>
#include <penstock/policy/stamp.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

enum class CircuitState : std::uint8_t { closed, open, half_open };

[[nodiscard]] constexpr std::string_view to_string(CircuitState state) noexcept {
  switch (state) {
    case CircuitState::closed:
      return "closed";
    case CircuitState::open:
      return "open";
    case CircuitState::half_open:
      return "half_open";
  }
  return "unknown";
}

/// The state of a breaker; `until` is when it stops being open. Each step starts a generation.
using Circuit = Stamp<CircuitState>;

/// What `now` makes of a circuit: an open one past its time is half open.
[[nodiscard]] constexpr Circuit seen_at(Circuit circuit, Time now) noexcept {
  if (circuit.state != CircuitState::open || now < circuit.until || circuit.until == never) {
    return circuit;
  }
  return circuit.moved(CircuitState::half_open);
}

/// The right to be one of the probes of a half-open circuit, until it lapses.
enum class LeaseState : std::uint8_t { free, leased, succeeded };
using Lease = Stamp<LeaseState>;

/// Whether a probe of `generation` may take this place. A success stays for its generation, so
/// no generation admits more probes than it has places; a lease of an older generation or past
/// its time is void. A thread that is behind cannot void what a newer generation holds.
[[nodiscard]] constexpr bool leasable(Lease lease, std::uint16_t generation, Time now) noexcept {
  if (lease.state == LeaseState::free) return true;
  const bool lapsed = lease.until <= now && lease.until != never;
  if (lease.generation == generation) return lease.state == LeaseState::leased && lapsed;
  return lapsed || lease.older_than(generation);
}

/// Stops calls to a target that fails too often. *Safe from any thread.*
///
/// Closed: calls pass and their outcomes are counted. Opens when, at a failure, the failure rate
/// of the window has reached `failure_rate` over at least `minimum_calls`. Open: refuses for
/// `open_for`. Half open: `probes` calls pass; when all of them have succeeded it closes, at the
/// first failure it opens again. A cancelled or lapsed probe decides nothing and frees its place.
///
/// A closed call costs one load, and one compare-exchange when it settles. Nothing allocates after
/// construction; nothing throws.
class CircuitBreaker {
 public:
  using State = CircuitState;

  struct Options {
    double failure_rate = 0.5;         ///< above 0, at most 1
    std::uint32_t minimum_calls = 10;  ///< 1 to 32767
    Duration window = std::chrono::seconds{10};
    Duration open_for = std::chrono::seconds{30};
    std::uint32_t probes = 3;                           ///< 1 to 1000
    Duration probe_timeout = std::chrono::seconds{60};  ///< 1 ms at least
    OutcomeSet failures = {
        Outcome::transient, Outcome::unavailable, Outcome::timeout, Outcome::exception};
    /// Answers: the target is there, whatever it thinks of the request. What is in neither set
    /// is neutral.
    OutcomeSet successes = {Outcome::success,
                            Outcome::rate_limited,
                            Outcome::permanent,
                            Outcome::not_found,
                            Outcome::too_large,
                            Outcome::credential,
                            Outcome::quota};
  };

  /// The right to make one call. *One thread at a time.* The breaker must outlive it. Destroyed
  /// before `settle`, it is given back neutrally.
  class [[nodiscard]] Permit {
   public:
    Permit(Permit&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)),
          lease_(other.lease_),
          place_(other.place_),
          generation_(other.generation_) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        give_back();
        breaker_ = std::exchange(other.breaker_, nullptr);
        lease_ = other.lease_;
        place_ = other.place_;
        generation_ = other.generation_;
      }
      return *this;
    }
    ~Permit() { give_back(); }

    /// Reports how the call ended, once; a second report is ignored, and so is the report of a
    /// call that was admitted in an earlier state of the breaker.
    void settle(Outcome outcome, Time now) noexcept {
      CircuitBreaker* const breaker = std::exchange(breaker_, nullptr);
      if (breaker == nullptr) return;
      if (lease_ == 0) {
        breaker->settle_call(generation_, outcome, now);
      } else {
        breaker->settle_probe(place_, lease_, outcome, now);
      }
    }
    [[nodiscard]] bool is_probe() const noexcept { return lease_ != 0; }
    [[nodiscard]] std::uint16_t generation() const noexcept { return generation_; }

   private:
    friend CircuitBreaker;
    Permit(CircuitBreaker& breaker,
           std::uint16_t generation,
           std::uint64_t lease,
           std::uint32_t place) noexcept
        : breaker_(&breaker),
          lease_(lease),
          place_(place),
          generation_(generation) {}
    void give_back() noexcept {
      if (breaker_ != nullptr && lease_ != 0) breaker_->free_place(place_, lease_);
    }

    CircuitBreaker* breaker_;
    std::uint64_t lease_;  // 0: admitted while closed
    std::uint32_t place_;
    std::uint16_t generation_;
  };

  CircuitBreaker() : CircuitBreaker(Options{}) {}
  explicit CircuitBreaker(const Options& settings)
      : options_(validated(settings)),
        window_(settings.window),
        places_(settings.probes) {}

  /// A permit, or `circuit_open` with the time to stay away: what is left of the open time, or,
  /// while all probes are out, until one lapses but no longer than `open_for`. An isolated
  /// breaker gives no time.
  [[nodiscard]] Result<Permit> admit(Time now) noexcept {
    for (;;) {
      std::uint64_t word = circuit_.load();
      const Circuit circuit = Circuit::unpack(word);
      if (circuit.state == State::closed) return Permit{*this, circuit.generation, 0, 0};
      const Circuit current = seen_at(circuit, now);
      if (current.state == State::open) return refusal(current.until, now);
      if (current != circuit && !circuit_.compare_exchange_strong(word, current.pack())) continue;
      word = current.pack();
      Time lapse = saturating_add(now, options_.open_for);
      for (std::uint32_t place = 0; place < places_.size(); ++place) {
        const std::uint64_t lease = take_place(place, current.generation, now, lapse);
        if (lease == 0) continue;
        if (circuit_.load() == word) return Permit{*this, current.generation, lease, place};
        free_place(place, lease);
        break;
      }
      if (circuit_.load() == word) return refusal(lapse, now);
    }
  }

  /// As `now` makes it; old as soon as it is returned.
  [[nodiscard]] State state(Time now) const noexcept {
    return seen_at(Circuit::unpack(circuit_.load()), now).state;
  }
  /// What the window holds of the present closed state.
  [[nodiscard]] SampleCounts counts_approx(Time now) const noexcept {
    return window_.counts_approx(now, Circuit::unpack(circuit_.load()).generation);
  }

  /// Opens until `reset`.
  void isolate() noexcept { move_to(State::open, never); }
  /// Closes and forgets all that was counted.
  void reset() noexcept { move_to(State::closed, Time{}); }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "circuit_breaker(" + to_text(options_.failure_rate * 100) + "% of at least " +
           std::to_string(options_.minimum_calls) + " calls in " + to_text(options_.window) +
           ", open " + to_text(options_.open_for) + ", " + std::to_string(options_.probes) +
           " probes of " + to_text(options_.probe_timeout) + ")";
  }

 private:
  static const Options& validated(const Options& settings) {
    if (!(settings.failure_rate > 0 && settings.failure_rate <= 1)) {
      throw std::invalid_argument(
          "penstock: CircuitBreaker needs a failure rate above 0 and at most 1; write "
          "CircuitBreaker{{.failure_rate = 0.5}}");
    }
    if (settings.minimum_calls == 0 || settings.minimum_calls > WindowSlice::most / 2) {
      throw std::invalid_argument(
          "penstock: CircuitBreaker judges at least 1 and at most 32767 calls; write "
          ".minimum_calls = 10");
    }
    if (settings.probes == 0 || settings.probes > 1000) {
      throw std::invalid_argument(
          "penstock: CircuitBreaker needs 1 to 1000 probes to close again; write .probes = 3");
    }
    if (settings.window <= Duration::zero() || settings.open_for <= Duration::zero() ||
        settings.probe_timeout < std::chrono::milliseconds{1}) {
      throw std::invalid_argument(
          "penstock: CircuitBreaker needs positive times and at least 1 ms for a probe; write "
          "{.window = 10s, .open_for = 30s, .probe_timeout = 60s}");
    }
    return settings;
  }

  static Error refusal(Time until, Time now) noexcept {
    Error error{ErrorKind::circuit_open};
    if (until != never) error.set_retry_after(elapsed_between(now, until));
    return error;
  }

  void settle_call(std::uint16_t generation, Outcome outcome, Time now) noexcept {
    const bool failed = options_.failures.contains(outcome);
    if (!failed && !options_.successes.contains(outcome)) return;
    const Circuit closed{State::closed, generation, {}};
    std::uint64_t word = closed.pack();
    if (circuit_.load() != word) return;
    // A late thread that passes the test above and is then overtaken counts in the era of its
    // own generation, where nobody looks any more.
    window_.record(now, generation, failed ? Sample::failure : Sample::success);
    if (!failed) return;
    const SampleCounts counts = window_.counts_approx(now, generation);
    if (counts.total < options_.minimum_calls ||
        counts.failures / static_cast<double>(counts.total) < options_.failure_rate) {
      return;
    }
    circuit_.compare_exchange_strong(
        word, closed.moved(State::open, saturating_add(now, options_.open_for)).pack());
  }

  void settle_probe(std::uint32_t place, std::uint64_t lease, Outcome outcome, Time now) noexcept {
    const Lease mine = Lease::unpack(lease);
    const Circuit half_open{State::half_open, mine.generation, {}};
    std::uint64_t word = half_open.pack();
    const bool lapsed = mine.until <= now && mine.until != never;
    if (!lapsed && options_.failures.contains(outcome)) {
      // The place stays taken: freed first, it could admit one probe more before this opens.
      if (places_[place].load() != lease) return;
      circuit_.compare_exchange_strong(
          word, half_open.moved(State::open, saturating_add(now, options_.open_for)).pack());
      return;
    }
    if (lapsed || !options_.successes.contains(outcome)) {
      free_place(place, lease);
      return;
    }
    const std::uint64_t done = Lease{LeaseState::succeeded, mine.generation, mine.until}.pack();
    if (!places_[place].compare_exchange_strong(lease, done)) return;
    for (const sync::atomic<std::uint64_t>& other : places_) {
      const Lease seen = Lease::unpack(other.load());
      if (seen.state != LeaseState::succeeded || seen.generation != mine.generation) return;
    }
    circuit_.compare_exchange_strong(word, half_open.moved(State::closed).pack());
  }

  // The new lease, or 0 with `lapse` moved up to when the present one ends.
  std::uint64_t take_place(std::uint32_t place,
                           std::uint16_t generation,
                           Time now,
                           Time& lapse) noexcept {
    const std::uint64_t mine =
        Lease{LeaseState::leased, generation, saturating_add(now, options_.probe_timeout)}.pack();
    std::uint64_t seen = places_[place].load();
    while (leasable(Lease::unpack(seen), generation, now)) {
      if (places_[place].compare_exchange_weak(seen, mine)) return mine;
    }
    const Lease held = Lease::unpack(seen);
    if (held.state == LeaseState::leased) lapse = std::min(lapse, held.until);
    return 0;
  }

  void free_place(std::uint32_t place, std::uint64_t lease) noexcept {
    places_[place].compare_exchange_strong(lease, Lease{}.pack());
  }

  void move_to(State state, Time until) noexcept {
    std::uint64_t word = circuit_.load();
    while (
        !circuit_.compare_exchange_weak(word, Circuit::unpack(word).moved(state, until).pack())) {
    }
  }

  const Options options_;
  SlidingWindow window_;
  // Circuit::pack(): state, generation and end of the open time change together or not at all,
  // and only by a compare-exchange from the very word the decision was made on. A permit that is
  // exactly 16 384 transitions old would pass for a new one.
  //
  // This word and the places are sequentially consistent, because two steps need one order of
  // both: a probe takes its place and then sees whether the circuit has moved, and the last two
  // successes each mark their place and then look for the other's. On the closed path that
  // is one plain load on x86 and one acquire load on ARM.
  sync::atomic<std::uint64_t> circuit_{Circuit{}.pack()};
  // Lease::pack(), one per probe. Free to leased: who is admitted. Leased to free or succeeded:
  // the holder, if the word is still its own; an unsettled lease never comes again, because one
  // that replaces it after its time ends later.
  std::vector<sync::atomic<std::uint64_t>> places_;
};

}  // namespace penstock
