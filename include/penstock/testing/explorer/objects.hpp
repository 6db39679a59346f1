// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include <penstock/testing/explorer/clock.hpp>
#include <penstock/testing/explorer/hooks.hpp>

namespace penstock::testing::explorer {

/// One store to an atomic, and who may still be ignorant of it.
struct Store {
  std::uint64_t value;
  VectorClock release;                          // what an acquire load of it learns
  std::array<std::uint32_t, max_threads> seen;  // by thread: its clock at its first look
  std::uint32_t instant;                        // the writer's clock
  std::uint8_t writer;
  bool sequential;
  std::uint64_t past;  // of the writer
};

/// What the engine knows of a mutex, condition variable or atomic.
///
/// Atomics keep their last stores. A load may see any of them that coherence and happens-before
/// allow: none older than one whose writer, or one of whose readers, happened before the load;
/// and a sequentially consistent load none older than the last sequentially consistent store.
/// A read-modify-write sees the newest and carries on its release sequence.
///
/// Simpler than the standard: the modification order is the order of the steps, and the single
/// order of sequentially consistent operations too; a failed compare-exchange sees the newest
/// store; no load sees a store that is yet to come (no load buffering); no fences, no consume.
/// All of this leaves executions out and adds none.
struct Object {
  static constexpr std::uint32_t history = 6;

  const Controlled* address;
  const void* made_at;
  Kind kind;
  bool alive;
  bool everybodys;       // made outside of the execution
  std::uint8_t maker;    // thread
  std::uint8_t owner;    // of a mutex: thread + 1
  std::uint32_t made;    // the maker's clock
  std::uint64_t key;     // the same in executions that differ by the order of independent steps
  std::uint64_t past;    // the chain of steps that changed it
  VectorClock released;  // of a mutex: what its last owner knew
  VectorClock used;      // by thread: its clock at the last use
  std::uint32_t stores;  // since it was made, the initial one included
  std::array<Store, history> last;

  [[nodiscard]] Store& newest() noexcept { return last[(stores - 1) % history]; }
  /// 0 is the newest.
  [[nodiscard]] Store& recent(std::uint32_t age) noexcept {
    return last[(stores - 1 - age) % history];
  }

  /// How many older stores than the newest a load of `thread`, which knows `clock`, may see.
  [[nodiscard]] std::uint32_t older_visible(const VectorClock& clock,
                                            std::memory_order order) noexcept {
    const std::uint32_t kept = std::min(stores, history) - 1;
    for (std::uint32_t age = 0; age < kept; ++age) {
      const Store& store = recent(age);
      if (clock.knows(store.writer, store.instant)) return age;
      if (store.sequential && order == std::memory_order_seq_cst) return age;
      for (unsigned reader = 0; reader < max_threads; ++reader) {
        if (store.seen[reader] != 0 && clock.knows(reader, store.seen[reader])) return age;
      }
    }
    return kept;
  }
};

[[nodiscard]] constexpr bool acquires(std::memory_order order) noexcept {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst || order == std::memory_order_consume;
}
[[nodiscard]] constexpr bool releases(std::memory_order order) noexcept {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

}  // namespace penstock::testing::explorer
