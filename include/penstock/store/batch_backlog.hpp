// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/linked_list.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/policy/release.hpp>

namespace penstock {

/// One item on its way through a `BatchQueue`, in the frame of its caller.
struct BatchEntry {
  /// `outside`, `queued`, `running`: linked; who unlinks it, under the lock, decides how it ends.
  /// `moving`: its item is being moved into the batch; its caller cannot leave before that is
  /// done, and sets `leaves` instead. `settled`: decided; its wake is on the way.
  enum class Place : std::uint8_t { outside, queued, moving, running, settled };

  BatchEntry(const Call& call, Time now) noexcept
      : deadline(call.deadline),
        arrived(now),
        weight(call.weight),
        priority(call.priority),
        can_leave(call.deadline != never || call.stop.stop_possible()) {}

  const Time deadline;
  const Time arrived;
  const std::uint32_t weight;
  const Priority priority;
  const bool can_leave;  ///< its caller may give up
  // Guarded by the queue's lock from here.
  bool leaves = false;
  Place place = Place::outside;
  std::uint64_t number = 0;  ///< in the order of arrival
  std::size_t index = 0;     ///< in its batch
  LinkedList<BatchEntry>* batch = nullptr;
  BatchEntry* previous = nullptr;
  BatchEntry* next = nullptr;
  Waiter* waiter = nullptr;
};

/// The items of a `BatchQueue` that have not left: those accepted, by priority, and outside
/// those that wait for room. *Not synchronized*: it lives under the queue's lock. Every step is
/// O(1).
class BatchBacklog {
 public:
  using Entries = LinkedList<BatchEntry>;
  using Place = BatchEntry::Place;

  explicit BatchBacklog(std::size_t capacity) noexcept : capacity_(capacity) {}

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool empty() const noexcept { return items_ == 0; }
  [[nodiscard]] std::size_t items() const noexcept { return items_; }
  [[nodiscard]] std::size_t outside() const noexcept { return outside_.size(); }

  void enter(BatchEntry& entry) noexcept {
    entry.number = next_number_++;
    outside_.push(entry);
    admit();
  }
  /// An entry that is outside or queued goes; the next from outside gets its room.
  void withdraw(BatchEntry& entry) noexcept {
    if (entry.place == Place::outside) {
      outside_.remove(entry);
    } else {
      unlink(entry);
      give_room(1);
    }
    entry.place = Place::settled;
  }
  /// An entry that is queued leaves in a batch, and keeps its room until `give_room`.
  void take(BatchEntry& entry, Entries& batch) noexcept {
    unlink(entry);
    entry.place = Place::moving;
    entry.batch = &batch;
    batch.push(entry);
  }
  void give_room(std::size_t items) noexcept {
    accepted_ -= items;
    admit();
  }

  /// Those that wait for room, settled.
  [[nodiscard]] Entries take_outside() noexcept { return settled(std::move(outside_)); }
  /// All that has not left, settled.
  [[nodiscard]] Entries take_all() noexcept {
    Entries all = std::move(outside_);
    for (Entries& queue : queued_) {
      accepted_ -= queue.size();
      all.append(std::move(queue));
    }
    items_ = 0;
    weight_ = 0;
    return settled(std::move(all));
  }

  /// What is here now need not wait for company. All of it has numbers below the one returned.
  std::uint64_t flush() noexcept { return flushed_ = next_number_; }
  void close() noexcept { flushed_ = never_reached; }

  /// What the release policy is asked about; not for an empty one. Somebody who waits for room
  /// cannot be waited for, so that flushes too.
  [[nodiscard]] Backlog seen() const noexcept {
    const BatchEntry& first = *oldest();
    return {items_, weight_, first.arrived, first.number < flushed_ || !outside_.empty()};
  }
  /// The number of the oldest that has not left, or else of the next to enter.
  [[nodiscard]] std::uint64_t lowest_number() const noexcept {
    if (!empty()) return oldest()->number;
    return outside_.empty() ? next_number_ : outside_.first()->number;
  }
  /// Null when nothing is queued.
  [[nodiscard]] BatchEntry* oldest() const noexcept {
    BatchEntry* found = nullptr;
    for (const Entries& queue : queued_) {
      BatchEntry* const first = queue.first();
      if (first != nullptr && (found == nullptr || first->number < found->number)) found = first;
    }
    return found;
  }
  /// The oldest of the highest priority; null when nothing is queued.
  [[nodiscard]] BatchEntry* most_urgent() const noexcept {
    for (const Entries& queue : queued_) {
      if (!queue.empty()) return queue.first();
    }
    return nullptr;
  }

 private:
  static constexpr std::uint64_t never_reached = ~std::uint64_t{0};

  void admit() noexcept {
    while (accepted_ < capacity_ && !outside_.empty()) {
      BatchEntry& entry = *outside_.pop();
      ++accepted_;
      ++items_;
      weight_ += entry.weight;
      entry.place = Place::queued;
      queue_of(entry).push(entry);
    }
  }
  void unlink(BatchEntry& entry) noexcept {
    queue_of(entry).remove(entry);
    --items_;
    weight_ -= entry.weight;
  }
  [[nodiscard]] Entries& queue_of(const BatchEntry& entry) noexcept {
    return queued_[queued_.size() - 1 - static_cast<std::size_t>(entry.priority)];
  }
  static Entries settled(Entries entries) noexcept {
    entries.for_each([](BatchEntry& entry) { entry.place = Place::settled; });
    return entries;
  }

  const std::size_t capacity_;
  Entries outside_;
  std::array<Entries, 3> queued_;  // by priority, high first
  std::size_t items_ = 0;          // queued
  std::uint64_t weight_ = 0;       // of them
  std::size_t accepted_ = 0;       // queued, or taken and not given back
  std::uint64_t next_number_ = 0;  // of the next to enter
  std::uint64_t flushed_ = 0;      // numbers below this need not wait
};

}  // namespace penstock
