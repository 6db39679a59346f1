// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>

#include <penstock/testing/explorer/arena.hpp>
#include <penstock/testing/explorer/clock.hpp>
#include <penstock/testing/explorer/hooks.hpp>

namespace penstock::testing::explorer {

/// The last plain accesses to every eight bytes of the arena: four of them, as the thread
/// sanitizer keeps them (Serebryany, Iskhodzhanov 2009). With up to four threads nothing that
/// matters is forgotten; beyond, an old access may be.
class Shadow {
 public:
  enum class Fault : std::uint8_t { none, race, freed };
  struct Found {
    Fault fault = Fault::none;
    unsigned thread = 0;  // the other one
    bool wrote = false;   // it wrote
  };

  Shadow() noexcept {
    void* const memory = ::mmap(nullptr,
                                Arena::size / granule * sizeof(Cell),
                                PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                -1,
                                0);
    if (memory == MAP_FAILED) {
      std::fputs("penstock: the explorer has no memory\n", stderr);
      std::abort();
    }
    cells_ = static_cast<Cell*>(memory);
  }
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;
  ~Shadow() { ::munmap(cells_, Arena::size / granule * sizeof(Cell)); }

  /// Forgets all: what is of another execution counts for nothing.
  void reset() noexcept {
    if (++execution_ < (std::uint32_t{1} << execution_bits)) return;
    ::madvise(cells_, Arena::size / granule * sizeof(Cell), MADV_DONTNEED);
    execution_ = 1;
  }

  /// `offset` to `offset + bytes` of the arena is read or written by a thread at its `clock`.
  [[nodiscard]] Found access(std::size_t offset,
                             std::size_t bytes,
                             Access access,
                             unsigned thread,
                             const VectorClock& clock) noexcept {
    const std::size_t end = offset + bytes;
    while (offset < end) {
      const std::size_t first = offset % granule;
      const std::size_t count = std::min(granule - first, end - offset);
      const auto mask = static_cast<std::uint8_t>(((1U << count) - 1) << first);
      const Found found = touch(cells_[offset / granule], mask, access, thread, clock);
      if (found.fault != Fault::none) return found;
      offset += count;
    }
    return {};
  }
  /// The same, for good: from now on every access is a fault.
  [[nodiscard]] Found free(std::size_t offset,
                           std::size_t bytes,
                           unsigned thread,
                           const VectorClock& clock) noexcept {
    const Found found = access(offset, bytes, Access::write, thread, clock);
    for (std::size_t at = offset / granule; at * granule < offset + bytes; ++at)
      cells_[at].last[0] = pack(0xFF, Access::write, thread, clock.at[thread]) | freed_bit;
    return found;
  }

 private:
  static constexpr std::size_t granule = 8;
  struct Cell {
    std::uint64_t last[4];
  };
  // mask 8, writes 1, freed 1, thread 4, clock 25, execution 25
  static constexpr unsigned execution_bits = 25;
  static constexpr std::uint64_t freed_bit = std::uint64_t{1} << 9;
  static constexpr std::uint32_t clock_mask = (1U << 25) - 1;

  [[nodiscard]] std::uint64_t pack(std::uint8_t mask,
                                   Access access,
                                   unsigned thread,
                                   std::uint32_t instant) const noexcept {
    return std::uint64_t{mask} | static_cast<std::uint64_t>(access) << 8 |
           std::uint64_t{thread} << 10 | std::uint64_t{instant & clock_mask} << 14 |
           std::uint64_t{execution_} << 39;
  }

  [[nodiscard]] Found touch(Cell& cell,
                            std::uint8_t mask,
                            Access access,
                            unsigned thread,
                            const VectorClock& clock) const noexcept {
    const bool writes = access == Access::write;
    const std::uint64_t mine = pack(mask, access, thread, clock.at[thread]);
    std::uint64_t* place = nullptr;
    for (std::uint64_t& word : cell.last) {
      if (word == mine) return {};
      if (word >> 39 != execution_) {
        if (place == nullptr) place = &word;
        continue;
      }
      const auto other = static_cast<unsigned>(word >> 10 & 0xF);
      const bool wrote = (word >> 8 & 1) != 0;
      const auto their_mask = static_cast<std::uint8_t>(word);
      if ((their_mask & mask) == 0) continue;
      if ((word & freed_bit) != 0) return {Fault::freed, other, true};
      if (other == thread) {
        // Ours: replaced when the new one covers it.
        if ((their_mask & ~mask) == 0 && (writes || !wrote)) place = &word;
        continue;
      }
      const bool before = clock.knows(other, static_cast<std::uint32_t>(word >> 14) & clock_mask);
      if (!before && (writes || wrote)) return {Fault::race, other, wrote};
      // Whoever races with the old one would race with a new write over it as well.
      if (before && writes && (their_mask & ~mask) == 0) place = &word;
    }
    if (place == nullptr) place = &cell.last[clock.at[thread] % 4];
    *place = mine;
    return {};
  }

  Cell* cells_;
  std::uint32_t execution_ = 0;
};

}  // namespace penstock::testing::explorer
