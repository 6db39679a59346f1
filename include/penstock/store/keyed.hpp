// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <penstock/core/linked_list.hpp>
#include <penstock/core/mix.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

/// Whether a policy may be forgotten: a new one in its place would decide the same. By its own
/// `idle(now)`; specialise it for a policy without one.
template <class Policy>
struct Idle;
template <class Policy>
requires requires(const Policy& policy, Time now) {
  { policy.idle(now) } -> std::same_as<bool>;
}
struct Idle<Policy> {
  static bool at(const Policy& policy, Time now) noexcept { return policy.idle(now); }
};

/// One policy for each key, a breaker per host or a bucket per customer, in bounded memory.
/// *Safe from any thread.*
///
/// A policy is made at the first use of its key. Where there is room for no more, the one unused
/// longest is forgotten, but never one in use, and never one that is not idle: an open breaker, one
/// that counts failures, a bucket that owes. Is there none to forget, the new key gets nothing:
/// what fails is remembered, whoever else comes.
///
/// Keys are spread over shards with a lock each, held to look a key up and never while a policy
/// decides for a call. A new key costs an allocation, and a look at each policy of its shard where
/// all of them are busy.
template <class PolicyType>
class Keyed {
 public:
  using Policy = PolicyType;
  using Key = std::uint64_t;

  struct Options {
    std::size_t capacity = 1024;  ///< policies at most, over all shards; 1 at least
    std::size_t shards = 8;       ///< at most; each has room for 32 policies or is the only one
  };

 private:
  struct Entry {
    Entry(Key own_key, const typename Policy::Options& settings) : key(own_key), policy(settings) {}
    Key key;
    Policy policy;
    Entry* previous = nullptr;
    Entry* next = nullptr;
    // Pins that live. Moved up under the shard's lock, down by whoever drops a pin; so under the
    // lock a 0 stays 0. Release and acquire: what a caller did with the policy happens before it
    // is forgotten.
    sync::atomic<std::uint32_t> pins{0};
  };

 public:
  /// Keeps a key's policy from being forgotten, and is the way to it. It must outlive what the
  /// policy gave, permits above all. Movable; *one thread at a time*.
  class [[nodiscard]] Pin {
   public:
    Pin() noexcept = default;
    Pin(Pin&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~Pin() {
      if (entry_ != nullptr) entry_->pins.fetch_sub(1, std::memory_order_release);
    }
    /// False: there was no room.
    [[nodiscard]] explicit operator bool() const noexcept { return entry_ != nullptr; }
    [[nodiscard]] Policy& operator*() const noexcept { return entry_->policy; }
    [[nodiscard]] Policy* operator->() const noexcept { return &entry_->policy; }

   private:
    friend Keyed;
    explicit Pin(Entry& entry) noexcept : entry_(&entry) {}
    Entry* entry_ = nullptr;
  };

  /// Each policy is made of `policy_settings`; throws what its constructor throws.
  explicit Keyed(Options settings, typename Policy::Options policy_settings = {})
      : options_(settings),
        policy_options_(std::move(policy_settings)),
        shards_(shards_of(settings)) {
    [[maybe_unused]] const Policy prototype{policy_options_};  // refuses bad settings here and now
  }
  Keyed(const Keyed&) = delete;
  Keyed& operator=(const Keyed&) = delete;
  ~Keyed() = default;

  /// The policy of a key, made if there is none; empty without room for it, or memory.
  [[nodiscard]] Pin pin(Key key, Time now) noexcept {
    const std::uint64_t hash = mix_bits(key);
    const std::size_t place = hash % shards_.size();
    Shard& shard = shards_[place];
    typename Shard::Map::node_type forgotten;  // destroyed when the lock is gone
    try {
      const std::lock_guard lock{shard.mutex};
      auto found = shard.entries.find(key);
      if (found == shard.entries.end()) {
        if (shard.entries.size() >= room_in(place)) {
          Entry* const oldest = shard.oldest_idle(now);
          if (oldest == nullptr) return {};
          shard.by_use.remove(*oldest);
          forgotten = shard.entries.extract(oldest->key);
        }
        found = shard.entries.try_emplace(key, key, policy_options_).first;
      } else {
        shard.by_use.remove(found->second);
      }
      shard.by_use.push(found->second);
      found->second.pins.fetch_add(1, std::memory_order_relaxed);
      return Pin{found->second};
    } catch (...) {
      return {};
    }
  }

  /// Policies kept now; old as soon as it is returned.
  [[nodiscard]] std::size_t size_approx() const {
    std::size_t sum = 0;
    for (const Shard& shard : shards_) {
      const std::lock_guard lock{shard.mutex};
      sum += shard.entries.size();
    }
    return sum;
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const typename Policy::Options& policy_options() const noexcept {
    return policy_options_;
  }
  [[nodiscard]] std::string describe() const {
    return "for each of at most " + std::to_string(options_.capacity) + " keys";
  }

 private:
  struct alignas(64) Shard {
    using Map = std::unordered_map<Key, Entry>;

    Entry* oldest_idle(Time now) const noexcept {
      for (Entry* entry = by_use.first(); entry != nullptr; entry = entry->next) {
        const bool unused = entry->pins.load(std::memory_order_acquire) == 0;
        if (unused && Idle<Policy>::at(entry->policy, now)) return entry;
      }
      return nullptr;
    }

    mutable sync::mutex mutex;
    Map entries{};
    LinkedList<Entry> by_use{};  // the one unused longest is first
  };

  static std::size_t shards_of(const Options& settings) {
    if (settings.capacity == 0 || settings.shards == 0) {
      throw std::invalid_argument(
          "penstock: Keyed needs room for a policy; write {.capacity = 1024, .shards = 8}");
    }
    return std::clamp<std::size_t>(settings.capacity / 32, 1, settings.shards);
  }
  // The capacity is shared out to the last place.
  [[nodiscard]] std::size_t room_in(std::size_t shard) const noexcept {
    return options_.capacity / shards_.size() +
           (shard < options_.capacity % shards_.size() ? 1 : 0);
  }

  const Options options_;
  const typename Policy::Options policy_options_;
  std::vector<Shard> shards_;
};

}  // namespace penstock
