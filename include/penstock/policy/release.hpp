// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// What waits to leave.
struct Backlog {
  std::size_t items = 0;
  std::uint64_t weight = 0;
  Time oldest{};          ///< when the item waiting longest arrived
  bool flushing = false;  ///< somebody asked for all that waits now
};

/// Whether a batch leaves now, and if not, when to ask again should nothing arrive before.
struct Release {
  Time when;  ///< not after `now`: leave; `never`: only an arrival or a flush can change it

  [[nodiscard]] constexpr bool leaves(Time now) const noexcept { return when <= now; }
  friend constexpr bool operator==(Release, Release) noexcept = default;
};

/// Decides when a batch leaves and what fits into it. Asked by the one that forms batches, once
/// a slot is free; a policy that keeps estimates may change itself.
template <class Policy>
concept ReleasePolicy = requires(
    Policy& policy, const Backlog& backlog, Time now, std::size_t items, std::uint64_t weight) {
  { policy.decide(backlog, now) }
  noexcept->std::same_as<Release>;
  { policy.fits(items, weight, weight) }
  noexcept->std::same_as<bool>;
};

/// A batch leaves when it is full by items or by weight, or when its oldest item is old enough.
/// *Safe from any thread.* (Immutable.)
class SizeWeightAge {
 public:
  using Decision = Release;

  struct Options {
    std::size_t max_items = 32;
    std::uint64_t max_weight = std::numeric_limits<std::uint64_t>::max();
    /// How long an item may wait for company; 0: not at all, so batches form only from what
    /// arrives while every slot is busy.
    Duration max_age = std::chrono::milliseconds{10};
  };

  constexpr SizeWeightAge() : SizeWeightAge(Options{}) {}
  constexpr explicit SizeWeightAge(Options settings) : options_(settings) {
    if (settings.max_items == 0 || settings.max_weight == 0) {
      throw std::invalid_argument(
          "penstock: SizeWeightAge needs room for an item; write SizeWeightAge{{.max_items = 32}} "
          "and leave .max_weight out for no limit");
    }
    if (settings.max_age < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: SizeWeightAge takes no negative age; write .max_age = 0s to leave at once");
    }
  }

  /// The age counts from the oldest item and is never begun anew by a later one. Nothing leaves
  /// an empty backlog.
  [[nodiscard]] constexpr Release decide(const Backlog& backlog, Time now) const noexcept {
    if (backlog.items == 0) return {never};
    if (backlog.flushing || backlog.items >= options_.max_items ||
        backlog.weight >= options_.max_weight) {
      return {now};
    }
    return {saturating_add(backlog.oldest, options_.max_age)};
  }

  /// Whether an item joins a batch of `items` and `weight`. The first always does: one that is
  /// heavier than `max_weight` travels alone.
  [[nodiscard]] constexpr bool fits(std::size_t items,
                                    std::uint64_t weight,
                                    std::uint64_t next_weight) const noexcept {
    if (items == 0) return true;
    return items < options_.max_items && weight <= options_.max_weight &&
           next_weight <= options_.max_weight - weight;
  }

  [[nodiscard]] constexpr const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "release(" + std::to_string(options_.max_items) + " items";
    if (options_.max_weight != std::numeric_limits<std::uint64_t>::max()) {
      text.append(", weight ").append(std::to_string(options_.max_weight));
    }
    return text.append(", age ").append(to_text(options_.max_age)).append(")");
  }

 private:
  Options options_;
};

static_assert(ReleasePolicy<SizeWeightAge>);
static_assert(ReleasePolicy<const SizeWeightAge>);

}  // namespace penstock
