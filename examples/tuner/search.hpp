// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include <tuner/model.hpp>
#include <tuner/options.hpp>

namespace tuner {

/// Tries settings on the model and remembers what each gave.
class Search {
 public:
  using Entry = std::pair<Settings, Measured>;

  explicit Search(const Options& options) : options_(options) {}

  /// A grid over the usual ranges (batches of 10 to 50, 3 to 5 retries), then downhill from its
  /// best in ever smaller steps, which may leave the ranges.
  [[nodiscard]] Settings run() {
    using namespace std::chrono_literals;
    for (const std::size_t batch : {1U, 10U, 20U, 30U, 50U})
      for (const Duration age : {Duration{0ms}, Duration{10ms}, Duration{50ms}})
        for (const unsigned concurrency : {1U, 2U, 4U, 8U, 16U, 32U})
          static_cast<void>(try_out({.batch = batch, .age = age, .concurrency = concurrency}));
    for (const Entry& entry : best(3)) {
      for (const std::uint32_t retries : {3U, 4U, 5U}) {
        for (const Duration backoff : {Duration{100ms}, Duration{1s}, Duration{2s}}) {
          Settings settings = entry.first;
          settings.retries = retries;
          settings.backoff = backoff;
          static_cast<void>(try_out(settings));
        }
      }
    }
    for (const int step : {5, 2, 1}) descend(step);
    return best(1).front().first;
  }

  /// The best so far, best first.
  [[nodiscard]] std::vector<Entry> best(std::size_t count) const {
    std::vector<Entry> entries{tried_.begin(), tried_.end()};
    std::ranges::stable_sort(
        entries, [](const Entry& a, const Entry& b) { return rank(a.second) < rank(b.second); });
    entries.resize(std::min(count, entries.size()));
    return entries;
  }
  [[nodiscard]] std::size_t tried() const noexcept { return tried_.size(); }

  const Measured& try_out(const Settings& settings) {
    const auto [place, is_new] = tried_.try_emplace(settings);
    if (is_new) place->second = measure(options_, settings);
    return place->second;
  }

 private:
  void descend(int step) {
    for (int round = 0; round < 20; ++round) {
      const Settings from = best(1).front().first;
      for (const int direction : {-step, step}) {
        Settings near = from;
        near.batch = static_cast<std::size_t>(
            std::max<std::int64_t>(1, static_cast<std::int64_t>(from.batch) + direction));
        static_cast<void>(try_out(near));
        near = from;
        near.concurrency = static_cast<unsigned>(
            std::max<std::int64_t>(1, std::int64_t{from.concurrency} + direction));
        static_cast<void>(try_out(near));
      }
      if (best(1).front().first == from) return;
    }
  }

  Options options_;
  std::map<Settings, Measured> tried_;
};

}  // namespace tuner
