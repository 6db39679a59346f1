// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include <penstock/core/outcome.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/latency_quantile.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// When a call that takes long is sent once more, and what its latency teaches. *Safe from any
/// thread.* (Dean and Barroso, "The Tail at Scale", 2013.)
///
/// Each hedge starts one delay after the attempt before it. The delay is fixed, or the measured
/// quantile of what earlier attempts took: 0.95 sends about one call in twenty twice. Before there
/// are enough samples there is no hedge.
class HedgePolicy {
 public:
  struct Options {
    std::uint32_t max_hedges = 1;     ///< beside the first attempt; at most `most_hedges`
    std::optional<Duration> delay{};  ///< leave out to measure it
    double quantile = 0.95;           ///< of the latency, where it is measured
    std::uint32_t min_samples = 100;  ///< before the first hedge, where it is measured
    std::uint32_t window = 1000;      ///< samples that are remembered
    Duration min_delay = std::chrono::milliseconds{1};  ///< of a measured delay
  };
  static constexpr std::uint32_t most_hedges = 9;

  HedgePolicy() : HedgePolicy(Options{}) {}
  explicit HedgePolicy(Options settings)
      : options_(settings),
        latency_({settings.quantile, settings.min_samples, settings.window}) {
    if (settings.max_hedges > most_hedges) {
      throw std::invalid_argument(
          "penstock: HedgePolicy sends a call at most nine times more; write .max_hedges = 1");
    }
    if (settings.delay.value_or(Duration::zero()) < Duration::zero() ||
        settings.min_delay < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: HedgePolicy needs a delay that is not negative; write .delay = 50ms, or "
          "leave it out to measure it");
    }
  }

  /// How long after one attempt the next is sent; nothing: not at all.
  [[nodiscard]] std::optional<Duration> delay() const noexcept {
    if (options_.max_hedges == 0) return std::nullopt;
    if (options_.delay) return options_.delay;
    const std::optional<Duration> measured = latency_.value_approx();
    if (!measured) return std::nullopt;
    return std::max(*measured, options_.min_delay);
  }

  /// An attempt ended. Only a success and a timeout say how long the other side takes: an error
  /// comes early, and a cancelled attempt ends when we say so.
  void on_end(Outcome outcome, Duration elapsed) noexcept {
    if (options_.delay) return;
    if (outcome == Outcome::success || outcome == Outcome::timeout) latency_.record(elapsed);
  }
  /// The first attempt was overtaken by a hedge and cancelled after `elapsed`: it would have
  /// taken at least that long, which is at least the delay. Not counting it would take the slowest
  /// calls out of the measure, and each delay would come out shorter than the one before. A
  /// cancelled *hedge* is never counted: it says nothing.
  void on_overtaken(Duration elapsed) noexcept {
    if (!options_.delay) latency_.record(elapsed);
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "hedge(" + std::to_string(options_.max_hedges) + " after ";
    if (options_.delay) return text + to_text(*options_.delay) + ")";
    return text + "the " + to_text(options_.quantile) + " quantile of " +
           std::to_string(options_.window) + ", at least " + std::to_string(options_.min_samples) +
           " samples and " + to_text(options_.min_delay) + ")";
  }

 private:
  const Options options_;
  LatencyQuantile latency_;
};

}  // namespace penstock
