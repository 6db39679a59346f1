// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/time.hpp>

namespace penstock {

/// A state, its generation and a time in one 64-bit word, so that an atomic publishes them
/// together: 48 bits of time, 14 of generation, 2 of state.
///
/// The time is kept in units of 65 536 ns, rounded up: all of `Time` fits without wrapping, and a
/// deadline is late by less than 66 us and never early. Generations are modulo 16 384.
template <class State>
struct Stamp {
  State state{};
  std::uint16_t generation = 0;
  Time until{};

  static constexpr Duration unit{std::int64_t{1} << 16};
  static constexpr std::int64_t forever = (std::int64_t{1} << 47) - 1;  ///< the units of `never`
  static constexpr unsigned generation_bits = 14;
  static constexpr std::uint16_t generation_mask = (1U << generation_bits) - 1;

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    const std::int64_t ticks = until.time_since_epoch().count();
    std::int64_t coarse = (ticks >> 16) + ((ticks & 0xFFFF) != 0 ? 1 : 0);
    if (coarse > forever) coarse = forever;
    return static_cast<std::uint64_t>(coarse) << 16 |
           static_cast<std::uint64_t>(generation & generation_mask) << 2 |
           static_cast<std::uint64_t>(state);
  }
  [[nodiscard]] static constexpr Stamp unpack(std::uint64_t word) noexcept {
    const std::int64_t coarse = static_cast<std::int64_t>(word) >> 16;
    return {static_cast<State>(word & 3U),
            static_cast<std::uint16_t>(word >> 2 & generation_mask),
            coarse == forever ? never : Time{Duration{coarse << 16}}};
  }

  /// Whether the stamp in this word has that state and generation.
  [[nodiscard]] static constexpr bool is(std::uint64_t word,
                                         State of,
                                         std::uint16_t generation) noexcept {
    return static_cast<std::uint16_t>(word) ==
           static_cast<std::uint16_t>(Stamp{of, generation, {}}.pack());
  }
  /// The next generation in another state.
  [[nodiscard]] constexpr Stamp moved(State to, Time up_to = Time{}) const noexcept {
    return {to, static_cast<std::uint16_t>((generation + 1U) & generation_mask), up_to};
  }
  /// Before `other`, if they are less than 8192 generations apart.
  [[nodiscard]] constexpr bool older_than(std::uint16_t other) const noexcept {
    const auto ahead = static_cast<std::uint16_t>((other - generation) & generation_mask);
    return ahead != 0 && ahead < (1U << (generation_bits - 1));
  }

  friend constexpr bool operator==(const Stamp&, const Stamp&) noexcept = default;
};

}  // namespace penstock
