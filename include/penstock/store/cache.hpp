// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/core/time.hpp>
#include <penstock/store/in_flight.hpp>

namespace penstock {

/// The weight of a reply whose size does not matter.
struct WeighOne {
  template <class Reply>
  [[nodiscard]] constexpr std::uint64_t operator()(const Reply&) const noexcept {
    return 1;
  }
};

/// Keeps replies by key and drops those used longest ago: bounded by number and by weight.
/// *Safe from any thread.* Knows no time to live: what a kept reply is good for is the
/// `CachePolicy`'s to say.
///
/// Sharded: keys of different shards never meet at a lock. Under a shard's lock only keys are
/// compared; replies are made, weighed, copied and destroyed outside of it. A hit costs one lock
/// and allocates nothing. `weigh(reply)` is called once for each reply that is put.
template <StoreKey Key, std::copy_constructible Reply, class Weigh = WeighOne>
class Cache {
 public:
  struct Options {
    std::size_t max_entries = 1024;
    std::uint64_t max_weight = std::numeric_limits<std::uint64_t>::max();
    /// A power of two, each with its part of the bounds; 0: sixteen from 1024 entries on, else
    /// one, which is exact about what was used longest ago.
    std::size_t shards = 0;
  };
  /// What is kept; shared with whoever reads it, so that dropping it harms nobody.
  struct Entry {
    Entry(const Result<Reply>& given, Time at, std::uint64_t heavy)
        : result(given),
          stored(at),
          weight(heavy) {}
    const Result<Reply> result;
    const Time stored;
    const std::uint64_t weight;
    /// Set by the one caller that asks anew, and cleared by it. Relaxed: it guards nothing else.
    sync::atomic<bool> refreshing{false};
  };

  Cache() : Cache(Options{}) {}
  explicit Cache(Options settings, Weigh weigh = {}) : weigh_(std::move(weigh)) {
    if (settings.shards == 0) settings.shards = settings.max_entries < 1024 ? 1 : 16;
    if (settings.max_entries < settings.shards || settings.max_weight < settings.shards ||
        !std::has_single_bit(settings.shards)) {
      throw std::invalid_argument(
          "penstock: Cache needs a power of two of shards, and room for an entry in each; write "
          ".max_entries = 1024 and leave .shards out");
    }
    options_ = settings;
    entries_per_shard_ = settings.max_entries / settings.shards;
    weight_per_shard_ = settings.max_weight / settings.shards;
    shards_ = std::make_unique<Shard[]>(settings.shards);
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// What is kept for `key`, or null. It is now the last to be dropped.
  [[nodiscard]] std::shared_ptr<Entry> find(const Key& key) {
    const View view{spread(std::hash<Key>{}(key)), &key};
    Shard& shard = shard_of(view);
    const std::lock_guard lock{shard.mutex};
    const auto found = shard.index.find(view);
    if (found == shard.index.end()) return nullptr;
    shard.nodes.splice(shard.nodes.begin(), shard.nodes, found->second);
    return found->second->entry;
  }

  /// Keeps a result as of `stored`, unless a newer one is there. One too heavy for a shard is not
  /// kept, and neither is what it would have replaced.
  void put(const Key& key, const Result<Reply>& result, Time stored) {
    const std::uint64_t weight = result ? weigh_(*result) : 1;
    Nodes gone;  // destroyed after the lock is released
    Nodes fresh;
    fresh.push_front(
        Node{spread(std::hash<Key>{}(key)), key, std::make_shared<Entry>(result, stored, weight)});
    const View view{fresh.front().hash, &fresh.front().key};
    Shard& shard = shard_of(view);
    const std::lock_guard lock{shard.mutex};
    if (const auto found = shard.index.find(view); found != shard.index.end()) {
      if (found->second->entry->stored > stored) return;
      drop(shard, found, gone);
    }
    if (weight > weight_per_shard_) return;
    shard.index.emplace(view, fresh.begin());
    shard.nodes.splice(shard.nodes.begin(), fresh);
    shard.weight += weight;
    while (shard.index.size() > entries_per_shard_ || shard.weight > weight_per_shard_)
      drop(shard, shard.index.find(View{shard.nodes.back().hash, &shard.nodes.back().key}), gone);
  }

  /// Forgets a key; true when there was something.
  bool erase(const Key& key) {
    Nodes gone;
    const View view{spread(std::hash<Key>{}(key)), &key};
    Shard& shard = shard_of(view);
    const std::lock_guard lock{shard.mutex};
    const auto found = shard.index.find(view);
    if (found == shard.index.end()) return false;
    drop(shard, found, gone);
    return true;
  }
  void clear() {
    for (std::size_t index = 0; index < options_.shards; ++index) {
      Nodes gone;
      const std::lock_guard lock{shards_[index].mutex};
      shards_[index].index.clear();
      shards_[index].weight = 0;
      gone.swap(shards_[index].nodes);
    }
  }

  [[nodiscard]] std::size_t size_approx() const {
    return sum([](const Shard& shard) { return shard.index.size(); });
  }
  [[nodiscard]] std::uint64_t weight_approx() const {
    return sum([](const Shard& shard) { return shard.weight; });
  }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = std::to_string(options_.max_entries) + " entries";
    if (options_.max_weight != std::numeric_limits<std::uint64_t>::max())
      text += " of weight " + std::to_string(options_.max_weight);
    if (options_.shards != 1) text += " in " + std::to_string(options_.shards) + " shards";
    return text;
  }

 private:
  struct Node {
    std::size_t hash;
    Key key;
    std::shared_ptr<Entry> entry;
  };
  using Nodes = std::list<Node>;
  // A key where it stands: in a node, or in a caller's hands.
  struct View {
    std::size_t hash;
    const Key* key;
    friend bool operator==(const View& a, const View& b) {
      return a.hash == b.hash && *a.key == *b.key;
    }
  };
  struct HashOfView {
    std::size_t operator()(const View& view) const noexcept { return view.hash; }
  };
  using Index = std::unordered_map<View, typename Nodes::iterator, HashOfView>;
  // `index` refers into `nodes`, the one used last at the front; both guarded by mutex.
  struct alignas(64) Shard {
    mutable sync::mutex mutex;
    Nodes nodes;
    Index index;
    std::uint64_t weight = 0;
  };

  // The bits that choose the shard are other ones than those that choose the index's bucket.
  static constexpr std::size_t spread(std::size_t hash) noexcept {
    return static_cast<std::size_t>(std::uint64_t{hash} * 0x9E3779B97F4A7C15U);
  }
  [[nodiscard]] Shard& shard_of(const View& view) const noexcept {
    return shards_[(view.hash >> 48U) & (options_.shards - 1)];
  }
  static void drop(Shard& shard, typename Index::iterator found, Nodes& gone) {
    const auto node = found->second;
    shard.index.erase(found);
    shard.weight -= node->entry->weight;
    gone.splice(gone.begin(), shard.nodes, node);
  }
  template <class Of>
  [[nodiscard]] auto sum(Of of) const -> std::invoke_result_t<Of, const Shard&> {
    std::invoke_result_t<Of, const Shard&> total = 0;
    for (std::size_t index = 0; index < options_.shards; ++index) {
      const std::lock_guard lock{shards_[index].mutex};
      total += of(shards_[index]);
    }
    return total;
  }

  Options options_;
  Weigh weigh_;
  std::size_t entries_per_shard_ = 0;
  std::uint64_t weight_per_shard_ = 0;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace penstock
