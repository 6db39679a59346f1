// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include <penstock/core/time.hpp>
#include <penstock/policy/stamp.hpp>
#include <penstock/policy/wide.hpp>

namespace penstock {

/// `disabled` lets everything through and counts nothing.
enum class CircuitState : std::uint8_t { closed, open, half_open, disabled };

[[nodiscard]] constexpr std::string_view to_string(CircuitState state) noexcept {
  switch (state) {
    case CircuitState::closed:
      return "closed";
    case CircuitState::open:
      return "open";
    case CircuitState::half_open:
      return "half_open";
    case CircuitState::disabled:
      return "disabled";
  }
  return "unknown";
}

/// The state of a breaker. Each step starts a generation. `until` is when it stops being open;
/// of a closed circuit, when its ramp ends. An open circuit without an end is isolated.
using Circuit = Stamp<CircuitState>;

/// What `now` makes of a circuit: an open one past its time is half open.
[[nodiscard]] constexpr Circuit seen_at(Circuit circuit, Time now) noexcept {
  if (circuit.state != CircuitState::open || now < circuit.until || circuit.until == never) {
    return circuit;
  }
  return circuit.moved(CircuitState::half_open);
}

/// After closing: the share of calls that pass grows from `from` to all of them, evenly in
/// `length`. *Safe from any thread.* (Immutable.)
struct Ramp {
  Duration length{};  ///< 0: no ramp
  double from = 0.1;  ///< 0 to 1

  /// How long a call of this chance, 64 uniform bits, has to stay away at `now` from a circuit
  /// whose ramp ends at `end`; nothing: it passes. The wait ends when the share has grown to the
  /// chance, so those sent away come back spread over the rest of the ramp.
  [[nodiscard]] constexpr Duration wait(Time now, Time end, std::uint64_t chance) const noexcept {
    const Duration left = elapsed_between(now, end);
    // More than a whole ramp is left when there was none, or when the clock went back.
    if (left == Duration::zero() || left - Circuit::unit > length) return {};
    const double place = (static_cast<double>(chance >> 11) * 0x1p-53 - from) / (1 - from);
    if (!(place > 0)) return {};
    const Duration passed = elapsed_between(saturating_add(end, -length), now);
    const auto due =
        Duration{static_cast<std::int64_t>(place * static_cast<double>(length.count()))};
    return due > passed ? due - passed : Duration{};
  }
};

/// What a circuit answers to a call.
enum class CircuitAnswer : std::uint8_t {
  pass,       ///< counted when it ends
  probe,      ///< passes if a probe's place is free
  uncounted,  ///< passes, and its outcome counts for nothing
  refuse,
};

/// One step: the circuit as it is after the call has come, and the answer to it.
struct CircuitStep {
  Circuit circuit;
  CircuitAnswer admission = CircuitAnswer::pass;
  Duration wait = Duration::max();  ///< refused: how long to stay away; `max()`: nobody knows

  friend constexpr bool operator==(const CircuitStep&, const CircuitStep&) noexcept = default;
};

/// A call comes at `now`.
[[nodiscard]] constexpr CircuitStep on_call(Circuit circuit,
                                            Time now,
                                            const Ramp& ramp,
                                            std::uint64_t chance) noexcept {
  const Circuit current = seen_at(circuit, now);
  switch (current.state) {
    case CircuitState::closed: {
      const Duration wait = ramp.wait(now, current.until, chance);
      if (wait == Duration::zero()) break;
      return {current, CircuitAnswer::refuse, wait};
    }
    case CircuitState::open:
      if (current.until == never) return {current, CircuitAnswer::refuse};
      return {current, CircuitAnswer::refuse, elapsed_between(now, current.until)};
    case CircuitState::half_open:
      return {current, CircuitAnswer::probe};
    case CircuitState::disabled:
      return {current, CircuitAnswer::uncounted};
  }
  return {current, CircuitAnswer::pass};
}

/// A rule is met, or the probes have failed: open for a time from `now`.
[[nodiscard]] constexpr Circuit opened(Circuit circuit, Time now, Duration open_for) noexcept {
  return circuit.moved(CircuitState::open, saturating_add(now, open_for));
}

/// The probes have succeeded: closed, with the ramp that starts at `now`.
[[nodiscard]] constexpr Circuit closed_again(Circuit circuit, Time now, const Ramp& ramp) noexcept {
  return circuit.moved(CircuitState::closed,
                       ramp.length == Duration::zero() ? Time{} : saturating_add(now, ramp.length));
}

}  // namespace penstock
