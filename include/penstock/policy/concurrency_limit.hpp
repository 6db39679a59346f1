// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <penstock/core/priority.hpp>

namespace penstock {

/// In which order waiting callers are admitted.
enum class WaitOrder : std::uint8_t {
  arrival,   ///< first come, first served, whatever their priority
  priority,  ///< the highest `call.priority` first, by arrival among equals
};

/// How many may wait, by priority: a caller queues while fewer wait in all than its room.
using WaitRoom = std::array<std::uint32_t, 3>;

[[nodiscard]] constexpr std::size_t index_of(Priority priority) noexcept {
  return static_cast<std::size_t>(priority);
}

/// Who is in, who waits and how many may be in, as one 64-bit word: the decisions of a
/// concurrency limit as pure steps, for a compare-exchange loop. *Safe from any thread.*
/// (Values.)
///
/// Nobody overtakes: while someone waits, who comes waits too, and a place that comes free
/// passes to a waiter without ever being free. A limit that is lowered turns nobody out;
/// places are given back until it is met.
struct Admission {
  std::uint32_t in_flight = 0;  ///< admitted and not gone
  std::uint32_t waiting = 0;    ///< queued, and no place is on its way to them
  std::uint32_t limit = 0;

  static constexpr std::uint32_t most = (1U << 21) - 1;  ///< of each of the three

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::uint64_t{limit} << 42 | std::uint64_t{waiting} << 21 | in_flight;
  }
  [[nodiscard]] static constexpr Admission unpack(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word) & most,
            static_cast<std::uint32_t>(word >> 21) & most,
            static_cast<std::uint32_t>(word >> 42)};
  }

  enum class Entry : std::uint8_t { admitted, queued, refused };
  struct Entered;
  struct Left;
  struct Withdrawn;
  struct Resized;

  /// Someone comes who queues only while fewer than `room` wait.
  [[nodiscard]] constexpr Entered enter(std::uint32_t room) const noexcept;
  /// Someone admitted goes; `hands_over`: the place passes to the next waiter.
  [[nodiscard]] constexpr Left leave() const noexcept;
  /// A waiter gives up; refused when a place is on its way to everyone who is left.
  [[nodiscard]] constexpr Withdrawn withdraw() const noexcept;
  /// Another limit; `admitted`: how many waiters it lets in.
  [[nodiscard]] constexpr Resized resize(std::uint32_t to) const noexcept;

  friend constexpr bool operator==(const Admission&, const Admission&) noexcept = default;
};

struct Admission::Entered {
  Admission state;
  Entry entry;
};
struct Admission::Left {
  Admission state;
  bool hands_over;
};
struct Admission::Withdrawn {
  Admission state;
  bool withdrawn;
};
struct Admission::Resized {
  Admission state;
  std::uint32_t admitted;
};

constexpr Admission::Entered Admission::enter(std::uint32_t room) const noexcept {
  Admission next = *this;
  if (waiting == 0 && in_flight < limit) {
    ++next.in_flight;
    return {next, Entry::admitted};
  }
  if (waiting >= room) return {next, Entry::refused};
  ++next.waiting;
  return {next, Entry::queued};
}

constexpr Admission::Left Admission::leave() const noexcept {
  Admission next = *this;
  if (waiting != 0 && in_flight <= limit) {
    --next.waiting;
    return {next, true};
  }
  --next.in_flight;
  return {next, false};
}

constexpr Admission::Withdrawn Admission::withdraw() const noexcept {
  if (waiting == 0) return {*this, false};
  Admission next = *this;
  --next.waiting;
  return {next, true};
}

constexpr Admission::Resized Admission::resize(std::uint32_t to) const noexcept {
  Admission next = *this;
  next.limit = to;
  const std::uint32_t admitted = std::min(to - std::min(to, in_flight), waiting);
  next.in_flight += admitted;
  next.waiting -= admitted;
  return {next, admitted};
}

}  // namespace penstock
