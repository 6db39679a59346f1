// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <penstock/core/time.hpp>

namespace penstock {

/// Whether an endpoint is in use, in one word: 40 bits of the time until which it is ejected, in
/// units of 2^20 ns rounded up; 8 of how often it was in a row; 16 of failures in a row.
struct EndpointHealth {
  struct Rules {
    std::uint32_t after = 5;                   ///< failures in a row; 0: never
    Duration base = std::chrono::seconds{30};  ///< times the ejections in a row
    Duration most = std::chrono::minutes{5};
  };
  std::uint64_t until = 0;
  std::uint32_t ejections = 0;
  std::uint32_t failures = 0;

  static constexpr std::uint64_t latest = (std::uint64_t{1} << 40) - 1;  ///< `until`, at most

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return until << 24 | std::uint64_t{ejections} << 16 | failures;
  }
  [[nodiscard]] static constexpr EndpointHealth unpack(std::uint64_t word) noexcept {
    return {word >> 24,
            static_cast<std::uint32_t>(word >> 16) & 0xFFU,
            static_cast<std::uint32_t>(word) & 0xFFFFU};
  }
  [[nodiscard]] constexpr Time back_at() const noexcept {
    return Time{Duration{static_cast<std::int64_t>(until << 20)}};
  }
  [[nodiscard]] constexpr bool ejected(Time now) const noexcept {
    return until != 0 && now < back_at();
  }

  /// After a call that was sent at `started`: one from before an ejection's end changes nothing.
  [[nodiscard]] constexpr EndpointHealth after_failure(const Rules& rules,
                                                       Time started,
                                                       Time now) const noexcept {
    if (rules.after == 0 || ejected(started)) return *this;
    EndpointHealth next = *this;
    if (++next.failures < rules.after) return next;
    next.failures = 0;
    next.ejections = std::min(ejections + 1, 0xFFU);
    const std::int64_t base = rules.base.count();
    const Duration away = base > rules.most.count() / std::int64_t{next.ejections}
                              ? rules.most
                              : Duration{base * std::int64_t{next.ejections}};
    const std::int64_t ticks =
        std::max(saturating_add(now, away).time_since_epoch().count(), std::int64_t{1});
    next.until = std::min((static_cast<std::uint64_t>(ticks) + ((1U << 20) - 1)) >> 20, latest);
    return next;
  }
  /// A success ends a row of failures; one that comes when the longest ejection is as long past
  /// also forgets the ejections.
  [[nodiscard]] constexpr EndpointHealth after_success(const Rules& rules,
                                                       Time started,
                                                       Time now) const noexcept {
    if (ejected(started)) return *this;
    EndpointHealth next = *this;
    next.failures = 0;
    if (elapsed_between(back_at(), now) >= rules.most) next.ejections = 0;
    return next;
  }
};

}  // namespace penstock
