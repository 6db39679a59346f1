// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <penstock/core/error.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/backoff.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// Whether a failed attempt is worth another one, and when. *Safe from any thread.* (Immutable;
/// what a call has used up is its own `State`.) Deciding costs no allocation.
class RetryPolicy {
 public:
  struct Rule {
    std::uint32_t max_retries = 0;  ///< after errors of this kind; 0: not worth another attempt
    Backoff backoff{};              ///< by the retries after errors of this kind
    Jitter jitter = Jitter::full;
  };

  static constexpr std::size_t kinds = static_cast<std::size_t>(ErrorKind::closed) + 1;
  static_assert(to_string(ErrorKind{kinds}) == "unknown" &&
                    to_string(ErrorKind{kinds - 1}) != "unknown",
                "closed is the last kind");

  /// One rule for each kind of error.
  class Rules {
   public:
    constexpr Rule& operator[](ErrorKind kind) noexcept {
      return rules_[static_cast<std::size_t>(kind)];
    }
    constexpr const Rule& operator[](ErrorKind kind) const noexcept {
      return rules_[static_cast<std::size_t>(kind)];
    }

   private:
    std::array<Rule, kinds> rules_{};
  };

  /// timeout and transient: 3 retries after 2, 4, 8 s; unavailable: 5 after 1 s each;
  /// rate_limited: 10 after 1, 2, … 10 s; all spread by a quarter. Refusals of our own breaker or
  /// limiter: 3, when they say how long to stay away. Nothing else.
  [[nodiscard]] static constexpr Rules standard_rules() noexcept {
    using std::chrono::seconds;
    Rules rules;
    rules[ErrorKind::timeout] = {3, Backoff::exponential(seconds{2}, seconds{60}), Jitter::spread};
    rules[ErrorKind::transient] = rules[ErrorKind::timeout];
    rules[ErrorKind::unavailable] = {5, Backoff::fixed(seconds{1}), Jitter::spread};
    rules[ErrorKind::rate_limited] = {10, Backoff::linear(seconds{1}, seconds{60}), Jitter::spread};
    rules[ErrorKind::circuit_open] = {3, Backoff::none(), Jitter::none};
    rules[ErrorKind::limited] = {3, Backoff::none(), Jitter::none};
    return rules;
  }

  struct Options {
    std::uint32_t max_attempts = 4;                ///< in all, the first included
    Duration max_elapsed = Duration::max();        ///< from the call's start to an attempt's start
    Duration max_hint = std::chrono::seconds{60};  ///< a longer `retry_after` counts as this
    Duration minimum_useful_time{};                ///< what an attempt needs to have a chance
    Rules rules = standard_rules();
  };

  enum class Reason : std::uint8_t {
    again,
    not_retryable,   ///< another attempt would fail the same way, or must not be made
    attempts_spent,  ///< `max_attempts`
    rule_spent,      ///< the `max_retries` of this kind
    elapsed_spent,   ///< `max_elapsed`
    no_time_left,    ///< the next attempt would start at the deadline or too close to it
  };

  struct Decision {
    bool again;
    Duration wait;  ///< before the next attempt; zero when there is none
    Reason reason;
    friend constexpr bool operator==(Decision, Decision) noexcept = default;
  };

  /// What one call has used up. *Not synchronized.*
  struct State {
    std::uint32_t retries = 0;
    std::array<std::uint32_t, kinds> by_kind{};
    Duration previous{};  ///< the last wait
  };

  constexpr RetryPolicy() : RetryPolicy(Options{}) {}
  constexpr explicit RetryPolicy(const Options& settings) : options_(settings) {
    if (settings.max_attempts == 0) {
      throw std::invalid_argument(
          "penstock: RetryPolicy counts the first attempt too; write .max_attempts = 1 for no "
          "retry");
    }
    if (settings.max_elapsed < Duration::zero() || settings.max_hint < Duration::zero() ||
        settings.minimum_useful_time < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: RetryPolicy takes no negative time; leave .max_elapsed out for no limit, "
          "write .max_hint = 0s to ignore what servers ask for");
    }
    for (const ErrorKind kind : {ErrorKind::cancelled,
                                 ErrorKind::deadline,
                                 ErrorKind::closed,
                                 ErrorKind::budget_exhausted}) {
      if (settings.rules[kind].max_retries != 0) {
        throw std::invalid_argument(
            "penstock: RetryPolicy never retries cancelled, deadline, closed or "
            "budget_exhausted; leave their .max_retries at 0");
      }
    }
  }

  /// `standard_rules()` in full: `max_attempts` is what the table itself allows.
  [[nodiscard]] static constexpr RetryPolicy standard() {
    Options options;
    options.max_attempts = 1;
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      options.max_attempts += options.rules[ErrorKind{static_cast<std::uint8_t>(kind)}].max_retries;
    }
    return RetryPolicy{options};
  }

  /// False where `next` refuses whatever the call has used up: by the kind of the error alone, or
  /// because the time its hint asks for does not fit before the deadline.
  [[nodiscard]] constexpr bool may_retry(const Error& error,
                                         Time now,
                                         Time deadline) const noexcept {
    const Duration hint = error.retry_after_or(no_hint);
    return is_retried(error.kind(), hint) && fits(saturating_add(now, clamped(hint)), deadline);
  }

  /// Decides after a failed attempt. `state` moves only when the answer is another attempt.
  [[nodiscard]] constexpr Decision next(State& state,
                                        const Error& error,
                                        Time started,
                                        Time now,
                                        Time deadline,
                                        std::uint64_t random) const noexcept {
    return decide(
        state, error.kind(), error.retry_after_or(no_hint), started, now, deadline, random);
  }

  /// The same on an error's two facts. The other side's `hint` is waited out even where the
  /// backoff is shorter, up to `max_hint`; a negative one is none.
  [[nodiscard]] constexpr Decision next(State& state,
                                        ErrorKind kind,
                                        std::optional<Duration> hint,
                                        Time started,
                                        Time now,
                                        Time deadline,
                                        std::uint64_t random) const noexcept {
    return decide(state, kind, hint.value_or(no_hint), started, now, deadline, random);
  }

  [[nodiscard]] constexpr const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "retry(" + std::to_string(options_.max_attempts) + " attempts";
    if (options_.max_elapsed != Duration::max()) {
      text.append(" in ").append(to_text(options_.max_elapsed));
    }
    for (std::size_t index = 0; index < kinds; ++index) {
      const ErrorKind kind{static_cast<std::uint8_t>(index)};
      const Rule& rule = options_.rules[kind];
      if (rule.max_retries == 0) continue;
      text.append(", ").append(to_string(kind)).append(" ");
      text.append(std::to_string(rule.max_retries)).append("x ").append(rule.backoff.describe());
      if (rule.jitter != Jitter::none) text.append(" ").append(to_string(rule.jitter));
    }
    return text + ")";
  }

 private:
  static constexpr Duration no_hint{-1};

  constexpr Decision decide(State& state,
                            ErrorKind kind,
                            Duration hint,
                            Time started,
                            Time now,
                            Time deadline,
                            std::uint64_t random) const noexcept {
    const Rule& rule = options_.rules[kind];
    std::uint32_t& used = state.by_kind[static_cast<std::size_t>(kind)];
    if (!is_retried(kind, hint)) return stop(Reason::not_retryable);
    if (state.retries >= options_.max_attempts - 1) return stop(Reason::attempts_spent);
    if (used >= rule.max_retries) return stop(Reason::rule_spent);

    const Duration wanted = rule.backoff.wait(used + 1, state.previous, random, rule.jitter);
    const Duration wait = std::max(wanted, clamped(hint));
    const Time start = saturating_add(now, wait);
    if (elapsed_between(started, start) > options_.max_elapsed) return stop(Reason::elapsed_spent);
    if (!fits(start, deadline)) return stop(Reason::no_time_left);
    ++used;
    ++state.retries;
    state.previous = wait;
    return {true, wait, Reason::again};
  }
  static constexpr Decision stop(Reason reason) noexcept {
    return {false, Duration::zero(), reason};
  }
  constexpr bool is_retried(ErrorKind kind, Duration hint) const noexcept {
    const Rule& rule = options_.rules[kind];
    if (rule.max_retries == 0) return false;
    // Our own refusal without a time to come back would be repeated at once, to no use.
    const bool ours = kind == ErrorKind::circuit_open || kind == ErrorKind::limited ||
                      kind == ErrorKind::overloaded;
    return !ours || hint >= Duration::zero() || rule.backoff.kind != Backoff::Kind::none;
  }
  constexpr Duration clamped(Duration hint) const noexcept {
    return std::clamp(hint, Duration::zero(), options_.max_hint);
  }
  constexpr bool fits(Time start, Time deadline) const noexcept {
    return deadline == never ||
           (start < deadline && elapsed_between(start, deadline) >= options_.minimum_useful_time);
  }

  Options options_;
};

[[nodiscard]] constexpr std::string_view to_string(RetryPolicy::Reason reason) noexcept {
  switch (reason) {
    case RetryPolicy::Reason::again:
      return "again";
    case RetryPolicy::Reason::not_retryable:
      return "not_retryable";
    case RetryPolicy::Reason::attempts_spent:
      return "attempts_spent";
    case RetryPolicy::Reason::rule_spent:
      return "rule_spent";
    case RetryPolicy::Reason::elapsed_spent:
      return "elapsed_spent";
    case RetryPolicy::Reason::no_time_left:
      return "no_time_left";
  }
  return "unknown";
}

}  // namespace penstock
