// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/stamp.hpp>

namespace penstock {

/// The right to be one of the probes of a half-open circuit, until it lapses.
enum class LeaseState : std::uint8_t { free, leased, succeeded, failed };
using Lease = Stamp<LeaseState>;

/// What becomes of a probe that has not come back in its time. `neutral`: its place is free
/// for another. `failure`: it has failed.
enum class LapsedProbe : std::uint8_t { neutral, failure };

[[nodiscard]] constexpr bool lapsed(Lease lease, Time now) noexcept {
  return lease.until <= now && lease.until != never;
}

/// Whether a probe of `generation` may take this place. A verdict stays for its generation, so
/// no generation admits more probes than it has places; a lease of an older generation or past
/// its time is void. A thread that is behind, by up to 255 generations, cannot void what a newer
/// one holds.
[[nodiscard]] constexpr bool leasable(Lease lease, std::uint16_t generation, Time now) noexcept {
  if (lease.state == LeaseState::free) return true;
  if (lease.generation == generation)
    return lease.state == LeaseState::leased && lapsed(lease, now);
  const std::uint32_t ahead =
      (lease.generation - std::uint32_t{generation}) & Lease::generation_mask;
  return lapsed(lease, now) || ahead > 255;
}

/// What the probes of one generation have found so far.
struct ProbeTally {
  std::uint32_t succeeded = 0;
  std::uint32_t failed = 0;
};

enum class ProbeVerdict : std::uint8_t { undecided, close, open };

/// How many probes there are and how many must succeed. *Safe from any thread.* (Immutable.)
struct HalfOpenRule {
  std::uint32_t probes = 1;
  double success_rate = 1;  ///< above 0, at most 1

  /// Successes that close; less than a billionth above a whole number is that number.
  [[nodiscard]] constexpr std::uint32_t needed() const noexcept {
    const double exact = success_rate * probes - 1e-9;
    const auto whole = static_cast<std::uint32_t>(std::max(exact, 0.0));
    return std::clamp(whole < exact ? whole + 1 : whole, 1U, probes);
  }
  /// Decides as soon as nothing that is still to come can change it; when all probes have a
  /// verdict it is decided.
  [[nodiscard]] constexpr ProbeVerdict judge(ProbeTally tally) const noexcept {
    if (tally.succeeded >= needed()) return ProbeVerdict::close;
    if (tally.failed > probes - needed()) return ProbeVerdict::open;
    return ProbeVerdict::undecided;
  }
};

/// The places of the probes, one word each. *Safe from any thread.*
class ProbePlaces {
 public:
  explicit ProbePlaces(std::uint32_t count) : places_(count) {}

  struct Taken {
    std::uint64_t lease = 0;  ///< 0: no place was to be had
    std::uint32_t place = 0;
    bool found_failure = false;  ///< a lapsed lease has become a failure
    Time lapses = never;         ///< no place: when the first lease that is out lapses
  };

  /// A place for a probe of `generation`, if one is free or has lapsed.
  [[nodiscard]] Taken take(std::uint16_t generation,
                           Time now,
                           Duration timeout,
                           LapsedProbe policy) noexcept {
    const std::uint64_t mine =
        Lease{LeaseState::leased, generation, saturating_add(now, timeout)}.pack();
    Taken taken;
    for (std::uint32_t place = 0; place < places_.size(); ++place) {
      std::uint64_t seen = places_[place].load();
      while (leasable(Lease::unpack(seen), generation, now)) {
        Lease held = Lease::unpack(seen);
        const bool fails = policy == LapsedProbe::failure && held.state == LeaseState::leased &&
                           held.generation == generation;
        if (fails) held.state = LeaseState::failed;
        if (!places_[place].compare_exchange_weak(seen, fails ? held.pack() : mine)) continue;
        if (!fails) {
          taken.lease = mine;
          taken.place = place;
          return taken;
        }
        taken.found_failure = true;
        seen = held.pack();
      }
      const Lease held = Lease::unpack(seen);
      if (held.state == LeaseState::leased) taken.lapses = std::min(taken.lapses, held.until);
    }
    return taken;
  }

  /// The holder's verdict; false when the place is no longer its own.
  [[nodiscard]] bool settle(std::uint32_t place, std::uint64_t lease, LeaseState verdict) noexcept {
    const Lease mine = Lease::unpack(lease);
    return places_[place].compare_exchange_strong(
        lease, Lease{verdict, mine.generation, mine.until}.pack());
  }
  /// Gives a place back without a verdict, if it is still the holder's. Never inlined, and takes
  /// values: a permit that holds no place can live in registers.
  [[gnu::noinline]] void free(std::uint32_t place, std::uint64_t lease) noexcept {
    places_[place].compare_exchange_strong(lease, Lease{}.pack());
  }

  [[nodiscard]] ProbeTally tally(std::uint16_t generation) const noexcept {
    ProbeTally tally;
    for (const sync::atomic<std::uint64_t>& place : places_) {
      const Lease seen = Lease::unpack(place.load());
      if (seen.generation != generation) continue;
      if (seen.state == LeaseState::succeeded) ++tally.succeeded;
      if (seen.state == LeaseState::failed) ++tally.failed;
    }
    return tally;
  }

 private:
  // Lease::pack(). Free to leased: who is admitted. Leased to free or to a verdict: the holder,
  // if the word is still its own, or, to failed, whoever finds it lapsed. An unsettled lease never
  // comes again, because one that replaces it after its time ends later. Sequentially consistent:
  // of two probes that give the last two verdicts, each marks its place and then looks for the
  // other's; and a probe takes its place and then sees whether the circuit has moved.
  std::vector<sync::atomic<std::uint64_t>> places_;
};

}  // namespace penstock
