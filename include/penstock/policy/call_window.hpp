// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>

#include <penstock/core/time.hpp>
#include <penstock/policy/count_window.hpp>
#include <penstock/policy/sliding_window.hpp>

namespace penstock {

/// A `SlidingWindow` or a `CountWindow`, whichever was asked for, or none. *Safe from any thread.*
class CallWindow {
 public:
  /// None: records nothing, holds nothing.
  CallWindow() noexcept = default;
  /// The last `calls`, or where that is 0 the last `length`.
  CallWindow(Duration length, std::uint32_t calls, std::uint32_t stripes) {
    if (calls == 0) {
      by_time_.emplace(length, stripes);
    } else {
      by_count_.emplace(calls, stripes);
    }
  }

  void record(Time now, std::uint32_t era, Sample sample) noexcept {
    if (by_time_) return by_time_->record(now, era, sample);
    if (by_count_) by_count_->record(era, sample);
  }
  [[nodiscard]] SampleCounts counts_approx(Time now, std::uint32_t era) const noexcept {
    if (by_time_) return by_time_->counts_approx(now, era);
    return by_count_ ? by_count_->counts_approx(era) : SampleCounts{};
  }

 private:
  std::optional<SlidingWindow> by_time_;
  std::optional<CountWindow> by_count_;
};

}  // namespace penstock
