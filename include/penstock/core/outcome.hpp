// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include <penstock/core/error.hpp>
#include <penstock/core/result.hpp>

namespace penstock {

/// What a policy may learn of a finished call. `neutral` says nothing about the other side (we
/// cancelled, we refused): it never moves a breaker and never spends a budget.
enum class Outcome : std::uint8_t {
  success,
  neutral,
  transient,
  unavailable,
  rate_limited,
  timeout,
  permanent,
  not_found,
  too_large,
  credential,
  quota,
  exception,
};

[[nodiscard]] constexpr std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::success:
      return "success";
    case Outcome::neutral:
      return "neutral";
    case Outcome::transient:
      return "transient";
    case Outcome::unavailable:
      return "unavailable";
    case Outcome::rate_limited:
      return "rate_limited";
    case Outcome::timeout:
      return "timeout";
    case Outcome::permanent:
      return "permanent";
    case Outcome::not_found:
      return "not_found";
    case Outcome::too_large:
      return "too_large";
    case Outcome::credential:
      return "credential";
    case Outcome::quota:
      return "quota";
    case Outcome::exception:
      return "exception";
  }
  return "unknown";
}

[[nodiscard]] constexpr Outcome outcome_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::transient:
      return Outcome::transient;
    case ErrorKind::unavailable:
      return Outcome::unavailable;
    case ErrorKind::rate_limited:
      return Outcome::rate_limited;
    case ErrorKind::timeout:
      return Outcome::timeout;
    case ErrorKind::permanent:
      return Outcome::permanent;
    case ErrorKind::not_found:
      return Outcome::not_found;
    case ErrorKind::too_large:
      return Outcome::too_large;
    case ErrorKind::credential:
      return Outcome::credential;
    case ErrorKind::quota:
      return Outcome::quota;
    case ErrorKind::exception:
      return Outcome::exception;
    case ErrorKind::deadline:
    case ErrorKind::cancelled:
    case ErrorKind::circuit_open:
    case ErrorKind::limited:
    case ErrorKind::overloaded:
    case ErrorKind::budget_exhausted:
    case ErrorKind::closed:
      return Outcome::neutral;
  }
  return Outcome::neutral;
}

template <class T>
[[nodiscard]] Outcome outcome_of(const Result<T>& result) noexcept {
  return result ? Outcome::success : outcome_of(result.error().kind());
}

/// Whether the other side may have seen the request of a call that failed so: not where we refused
/// it ourselves, or its time was over, before any attempt.
[[nodiscard]] inline bool may_have_been_sent(const Error& error) noexcept {
  return outcome_of(error.kind()) != Outcome::neutral || error.kind() == ErrorKind::cancelled ||
         !error.history().empty();
}

/// A set of outcomes, in one word: which of them a policy counts as failures, say.
class OutcomeSet {
 public:
  constexpr OutcomeSet() noexcept = default;
  constexpr OutcomeSet(std::initializer_list<Outcome> outcomes) noexcept {
    for (const Outcome outcome : outcomes) bits_ = static_cast<std::uint16_t>(bits_ | bit(outcome));
  }
  [[nodiscard]] constexpr bool contains(Outcome outcome) const noexcept {
    return (bits_ & bit(outcome)) != 0;
  }
  friend constexpr bool operator==(OutcomeSet, OutcomeSet) noexcept = default;

 private:
  static constexpr std::uint16_t bit(Outcome outcome) noexcept {
    return static_cast<std::uint16_t>(1U << static_cast<unsigned>(outcome));
  }
  std::uint16_t bits_ = 0;
};

}  // namespace penstock
