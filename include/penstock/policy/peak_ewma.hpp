// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <penstock/core/time.hpp>
#include <penstock/policy/real.hpp>

namespace penstock {

/// What is known of how long an endpoint takes: an average that jumps up to each longer latency at
/// once and decays towards shorter ones. (Finagle's peak EWMA.) In one word, so that an atomic
/// publishes it: 32 bits of time in units of 2^20 ns, 32 bits of `float`.
struct PeakEwma {
  float nanoseconds = 0;  ///< 0: nothing is known
  std::uint32_t stamp = 0;

  [[nodiscard]] static constexpr std::uint32_t stamp_of(Time now) noexcept {
    return static_cast<std::uint32_t>(now.time_since_epoch().count() >> 20);
  }
  // How far back, in units, a thread may be that comes late. Any other difference is time that has
  // passed: 52 days of it come round.
  static constexpr std::uint32_t late = 0xFFFF;

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::uint64_t{std::bit_cast<std::uint32_t>(nanoseconds)} << 32 | stamp;
  }
  [[nodiscard]] static constexpr PeakEwma unpack(std::uint64_t word) noexcept {
    return {std::bit_cast<float>(static_cast<std::uint32_t>(word >> 32)),
            static_cast<std::uint32_t>(word)};
  }
  /// What is left of it at `now`: an endpoint nobody asks becomes attractive again.
  [[nodiscard]] float at(Time now, Duration decay) const noexcept {
    const std::uint32_t ahead = stamp - stamp_of(now);
    if (ahead <= late) return nanoseconds;
    const std::uint32_t elapsed = 0U - ahead;
    const double constant = static_cast<double>(decay.count()) / (1 << 20);
    return static_cast<float>(nanoseconds * exponential(-(elapsed / constant)));
  }
  [[nodiscard]] PeakEwma after(Duration latency, Time now, Duration decay) const noexcept {
    const auto sample = std::max(static_cast<float>(latency.count()), 1.0F);
    const float left = at(now, decay);
    if (sample >= left) return {sample, stamp_of(now)};
    const float kept = left / nanoseconds;
    return {std::max(left + sample * (1 - kept), 1.0F), stamp_of(now)};
  }
};

}  // namespace penstock
