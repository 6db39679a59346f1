// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/time.hpp>
#include <penstock/policy/sliding_window.hpp>

namespace penstock {

/// How several rules go together.
enum class TripWhen : std::uint8_t { any_rule, all_rules };

/// What a closed breaker has counted, as far as the present call may move a rule: a rule that
/// is not asked has counts of nothing.
struct TripReadings {
  SampleCounts failures{};
  SampleCounts slow{};  ///< `SampleCounts::failures` are the slow ones
  std::uint32_t in_a_row = 0;
};

/// When a closed breaker opens. *Safe from any thread.* (Immutable.)
struct TripRule {
  double failure_rate = 0;              ///< 0: no such rule
  double slow_rate = 0;                 ///< 0: no such rule
  std::uint32_t minimum_calls = 1;      ///< below it a rate says nothing
  std::uint32_t failures_in_a_row = 0;  ///< 0: no such rule
  TripWhen when = TripWhen::any_rule;

  [[nodiscard]] constexpr bool opens(const TripReadings& seen) const noexcept {
    const bool by_failures = reached(seen.failures, failure_rate);
    const bool by_slow = reached(seen.slow, slow_rate);
    const bool by_row = failures_in_a_row != 0 && seen.in_a_row >= failures_in_a_row;
    if (when == TripWhen::any_rule) return by_failures || by_slow || by_row;
    return (by_failures || failure_rate == 0) && (by_slow || slow_rate == 0) &&
           (by_row || failures_in_a_row == 0) && any();
  }
  /// Whether there is a rule at all.
  [[nodiscard]] constexpr bool any() const noexcept {
    return failure_rate > 0 || slow_rate > 0 || failures_in_a_row != 0;
  }

 private:
  [[nodiscard]] constexpr bool reached(SampleCounts counts, double rate) const noexcept {
    return rate > 0 && counts.total >= minimum_calls && counts.total != 0 &&
           counts.failures / static_cast<double>(counts.total) >= rate;
  }
};

}  // namespace penstock
