// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/circuit.hpp>

namespace penstock {

/// A circuit has moved.
struct Transition {
  CircuitState from{};  ///< of the one delivered before
  CircuitState to{};
  std::uint16_t generation = 0;  ///< of `to`; each transition is one more, modulo 16 384
  Time at{};                     ///< to 65.5 us; `Time{}` where whoever moved it gave no time
  std::uint32_t missed = 0;      ///< transitions before this one that were overwritten

  friend constexpr bool operator==(const Transition&, const Transition&) noexcept = default;
};

/// The last transitions of a circuit, handed out in order, each once, without a lock.
/// *Safe from any thread.*
///
/// `deliver` runs the receiver in the calling thread, which holds nothing: a receiver may use
/// the breaker, and may be slow. At most one thread delivers at a time; one that comes meanwhile
/// returns at once, and the one at work delivers for it. A log of no capacity keeps nothing.
class TransitionLog {
 public:
  static constexpr std::size_t most = 1024;

  /// `capacity` is rounded up to a power of two; 0 to 1024. 8 bytes each.
  explicit TransitionLog(std::size_t capacity) : slots_(checked(capacity)) {
    // The first slot comes last: generation 0 is that of a circuit that has never moved.
    for (std::size_t index = 1; index < slots_.size(); ++index) {
      const auto generation = static_cast<std::uint16_t>(index);
      slots_[index].store(Circuit{{}, turn_before(generation), {}}.pack());
    }
  }

  [[nodiscard]] bool keeps_any() const noexcept { return !slots_.empty(); }

  /// Once for each generation, by the thread that has moved the circuit.
  void add(CircuitState to, std::uint16_t generation, Time at) noexcept {
    if (slots_.empty()) return;
    const Circuit entry{to, generation, at};
    sync::atomic<std::uint64_t>& slot = slots_[generation & (slots_.size() - 1)];
    std::uint64_t seen = slot.load();
    while (Circuit::unpack(seen).older_than(generation) &&
           !slot.compare_exchange_weak(seen, entry.pack())) {
    }
  }

  /// Something is there for `deliver`, perhaps already in another thread's hands.
  [[nodiscard]] bool pending_approx() const noexcept {
    if (slots_.empty()) return false;
    const auto next = static_cast<std::uint16_t>((delivered_.load() + 1U) & mask);
    return Circuit::unpack(slot_of(next).load()).generation != turn_before(next);
  }

  /// `receiver(transition)` for each transition that was not delivered yet. Must not throw.
  template <class Receiver>
  void deliver(Receiver&& receiver) noexcept {
    // The flag is dropped before the last look, and an entry is written before its thread tries
    // the flag, all in one order: so either that thread gets the flag or this one sees the entry.
    while (pending_approx()) {
      if (delivering_.exchange(true)) return;
      while (pending_approx()) deliver_next(receiver);
      delivering_.store(false);
    }
  }

 private:
  static constexpr std::uint16_t mask = Circuit::generation_mask;

  static std::size_t checked(std::size_t capacity) {
    if (capacity > most) {
      throw std::invalid_argument(
          "penstock: a breaker keeps at most 1024 transitions until they are delivered; write "
          ".keep_transitions = 64");
    }
    return capacity == 0 ? 0 : std::bit_ceil(capacity);
  }
  // What the slot of a generation holds until that generation comes.
  [[nodiscard]] std::uint16_t turn_before(std::uint16_t generation) const noexcept {
    return static_cast<std::uint16_t>((generation - slots_.size()) & mask);
  }
  [[nodiscard]] const sync::atomic<std::uint64_t>& slot_of(
      std::uint16_t generation) const noexcept {
    return slots_[generation & (slots_.size() - 1)];
  }

  template <class Receiver>
  void deliver_next(Receiver& receiver) noexcept {
    const auto next = static_cast<std::uint16_t>((delivered_.load() + 1U) & mask);
    const Circuit entry = Circuit::unpack(slot_of(next).load());
    if (entry.generation != next) {  // overwritten by one a whole ring later
      ++missed_;
      delivered_.store(next);
      return;
    }
    const Transition transition{std::exchange(from_, entry.state),
                                entry.state,
                                next,
                                entry.until,
                                std::exchange(missed_, 0)};
    delivered_.store(next);
    receiver(transition);
  }

  // Stamps of {state, generation, when it came}; only a newer one replaces an older one.
  std::vector<sync::atomic<std::uint64_t>> slots_;
  // The generation that was delivered last; written by the thread that delivers.
  sync::atomic<std::uint16_t> delivered_{0};
  sync::atomic<bool> delivering_{false};
  CircuitState from_ = CircuitState::closed;  // this and the next: of the thread that delivers
  std::uint32_t missed_ = 0;
};

}  // namespace penstock
