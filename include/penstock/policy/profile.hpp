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

#include <penstock/core/atomic.hpp>
#include <penstock/core/error.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/backoff.hpp>
#include <penstock/policy/release.hpp>
#include <penstock/policy/retry_policy.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

enum class ProfileName : std::uint8_t { conservative, balanced, aggressive };

[[nodiscard]] constexpr std::string_view to_string(ProfileName name) noexcept {
  switch (name) {
    case ProfileName::conservative:
      return "conservative";
    case ProfileName::balanced:
      return "balanced";
    case ProfileName::aggressive:
      return "aggressive";
  }
  return "unknown";
}

/// Settings that suit a load. A plain value; those of `profile` stay within what tuning may
/// change: batches of 10 to 50, 3 to 5 retries, 30 to 60 s for a request, at most two calls for
/// each core, 5 to 15 min in a cache.
struct Profile {
  ProfileName name = ProfileName::balanced;
  std::size_t batch_size = 25;
  Duration batch_age = std::chrono::milliseconds{20};
  std::uint32_t max_retries = 4;
  Backoff backoff = Backoff::exponential(std::chrono::milliseconds{200}, std::chrono::seconds{10});
  std::size_t max_concurrent = 1;
  Duration request_timeout = std::chrono::seconds{45};
  Duration cache_expiry = std::chrono::minutes{10};

  [[nodiscard]] SizeWeightAge release() const {
    return SizeWeightAge{{.max_items = batch_size, .max_age = batch_age}};
  }
  /// The standard rules, with the waits and counts of this profile for what may pass by itself.
  [[nodiscard]] RetryPolicy retry() const {
    RetryPolicy::Options options{.max_attempts = max_retries + 1};
    for (const ErrorKind kind : {ErrorKind::transient, ErrorKind::timeout, ErrorKind::unavailable})
      options.rules[kind] = {max_retries, backoff, Jitter::full};
    return RetryPolicy{options};
  }
};

/// The profile of that name on a machine of `cores`.
[[nodiscard]] constexpr Profile profile(ProfileName name, unsigned cores) noexcept {
  using namespace std::chrono_literals;
  const std::size_t count = std::max(cores, 1U);
  switch (name) {
    case ProfileName::conservative:
      return {name, 10, 10ms, 3, Backoff::exponential(1s, 30s), (count + 1) / 2, 60s, 5min};
    case ProfileName::balanced:
      break;
    case ProfileName::aggressive:
      return {name, 50, 50ms, 5, Backoff::exponential(50ms, 2s), 2 * count, 30s, 15min};
  }
  return {ProfileName::balanced, 25, 20ms, 4, Backoff::exponential(200ms, 10s), count, 45s, 10min};
}

/// Chooses a profile by the measured rate, and does not flap: the rate must pass a threshold by
/// the margin, and a choice is kept for a while. *Safe from any thread.*
class ProfileSwitch {
 public:
  struct Options {
    double balanced_from = 100;     ///< requests per second
    double aggressive_from = 1000;  ///< requests per second
    double margin = 0.1;            ///< of the threshold, on either side of it; 0 to below 1
    Duration keep = std::chrono::seconds{10};         ///< how long a choice stands at least
    ProfileName initial = ProfileName::conservative;  ///< before the first rate
  };

  struct State {
    ProfileName name = ProfileName::conservative;
    Time since = Time::min();  ///< of the choice; `Time::min()` before the first
    friend constexpr bool operator==(State, State) noexcept = default;
  };

  ProfileSwitch() : ProfileSwitch(Options{}) {}
  explicit ProfileSwitch(Options settings)
      : options_(settings),
        word_(static_cast<std::uint64_t>(settings.initial)) {
    if (!(settings.balanced_from > 0 && settings.aggressive_from > settings.balanced_from)) {
      throw std::invalid_argument(
          "penstock: ProfileSwitch needs thresholds that rise; write .balanced_from = 100, "
          ".aggressive_from = 1000");
    }
    if (!(settings.margin >= 0 && settings.balanced_from * (1 + settings.margin) <
                                      settings.aggressive_from * (1 - settings.margin))) {
      throw std::invalid_argument(
          "penstock: ProfileSwitch needs margins that leave the balanced profile a place; write "
          ".margin = 0.1");
    }
    if (settings.keep < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: ProfileSwitch cannot keep a choice for a negative time; write .keep = 10s");
    }
  }

  /// The pure step. The first rate decides by the thresholds alone.
  [[nodiscard]] constexpr State step(State state, Time now, double per_second) const noexcept {
    const bool first = state.since == Time::min();
    if (!first && elapsed_between(state.since, now) < options_.keep) return state;
    const auto passed = [&](double threshold, ProfileName above) {
      const double margin = first ? 0 : state.name >= above ? -options_.margin : options_.margin;
      return per_second >= threshold * (1 + margin);
    };
    const ProfileName wanted =
        passed(options_.aggressive_from, ProfileName::aggressive) ? ProfileName::aggressive
        : passed(options_.balanced_from, ProfileName::balanced)   ? ProfileName::balanced
                                                                  : ProfileName::conservative;
    if (!first && wanted == state.name) return state;
    return {wanted, now};
  }

  /// Takes in a rate; what is in force from then on. One load, and one compare-exchange when it
  /// changes.
  ProfileName update(Time now, double per_second) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      const State next = step(unpack(seen), now, per_second);
      const std::uint64_t word = pack(next);
      if (word == seen || word_.compare_exchange_weak(seen, word, std::memory_order_relaxed))
        return next.name;
    }
  }
  [[nodiscard]] ProfileName current() const noexcept {
    return unpack(word_.load(std::memory_order_relaxed)).name;
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "profile(balanced from " + to_text(options_.balanced_from) + "/s, aggressive from " +
           to_text(options_.aggressive_from) + "/s, margin " + to_text(options_.margin) +
           ", keeps " + to_text(options_.keep) + ")";
  }

 private:
  // The name in two bits, whether there was a choice in one, the rest its time in units of 8 ns.
  [[nodiscard]] static constexpr std::uint64_t pack(State state) noexcept {
    const auto name = static_cast<std::uint64_t>(state.name);
    const auto ticks = static_cast<std::uint64_t>(state.since.time_since_epoch().count());
    return (ticks & ~std::uint64_t{7}) | 4 | name;
  }
  [[nodiscard]] static constexpr State unpack(std::uint64_t word) noexcept {
    const auto name = static_cast<ProfileName>(word & 3);
    if ((word & 4) == 0) return {name, Time::min()};
    return {name, Time{Duration{static_cast<std::int64_t>(word & ~std::uint64_t{7})}}};
  }

  const Options options_;
  // `pack` of the state, changed by `update` alone. Relaxed: it guards no other memory.
  sync::atomic<std::uint64_t> word_;
};

/// A release policy whose batches follow the profile in force: give it to a `BatchQueue`, and
/// the switch the measured rate. *Safe from any thread.* The switch must outlive it.
class ProfiledRelease {
 public:
  using Decision = Release;

  explicit ProfiledRelease(const ProfileSwitch& chosen) noexcept : switch_(&chosen) {}

  [[nodiscard]] Release decide(const Backlog& backlog, Time now) const noexcept {
    return rule().decide(backlog, now);
  }
  [[nodiscard]] bool fits(std::size_t items,
                          std::uint64_t weight,
                          std::uint64_t next_weight) const noexcept {
    return rule().fits(items, weight, next_weight);
  }
  [[nodiscard]] std::string describe() const {
    return switch_->describe() + ", now " + rule().describe();
  }

 private:
  // Cores do not matter to a batch.
  [[nodiscard]] SizeWeightAge rule() const noexcept {
    return profile(switch_->current(), 1).release();
  }
  const ProfileSwitch* switch_;
};

static_assert(ReleasePolicy<ProfiledRelease>);

}  // namespace penstock
