// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>

#include <penstock/core/priority.hpp>
#include <penstock/policy/concurrency_limit.hpp>

namespace penstock {

/// Decides by what is in flight, what waits and how important a call is: at once, later or not at
/// all. *Safe from any thread.* (Immutable.)
///
/// Low load: everyone passes at once. High: everyone waits, the important ones served first.
/// Overload: the less important find no room to wait while the more important still do.
class LoadShedRule {
 public:
  struct Options {
    std::uint32_t max_in_flight;       ///< at once up to here: 1 to 1 000 000
    std::uint32_t max_waiting = 1024;  ///< 0 to 1 000 000
    /// Of the room to wait, what low, normal and high priority may fill: 0 to 1 each, not falling.
    std::array<double, 3> shares{0.5, 0.8, 1.0};
  };

  explicit constexpr LoadShedRule(const Options& options) : limit_(options.max_in_flight) {
    if (options.max_in_flight == 0 || options.max_in_flight > 1'000'000 ||
        options.max_waiting > 1'000'000) {
      throw std::invalid_argument(
          "penstock: LoadShed admits 1 to 1000000 calls at once and lets 0 to 1000000 wait; write "
          "LoadShed{{.max_in_flight = 16, .max_waiting = 100}}");
    }
    double before = 0;
    for (std::size_t priority = 0; priority < options.shares.size(); ++priority) {
      const double share = options.shares[priority];
      if (!(share >= before && share <= 1)) {
        throw std::invalid_argument(
            "penstock: LoadShed gives each priority a share of the waiting room, no smaller than "
            "the one below it; write .shares = {0.5, 0.8, 1.0}");
      }
      room_[priority] = static_cast<std::uint32_t>(share * options.max_waiting);
      before = share;
    }
  }

  [[nodiscard]] constexpr Admission::Entry decide(std::uint32_t in_flight,
                                                  std::uint32_t waiting,
                                                  Priority priority) const noexcept {
    return Admission{in_flight, waiting, limit_}.enter(room_[index_of(priority)]).entry;
  }
  [[nodiscard]] constexpr std::uint32_t limit() const noexcept { return limit_; }
  [[nodiscard]] constexpr const WaitRoom& room() const noexcept { return room_; }

 private:
  std::uint32_t limit_;
  WaitRoom room_{};
};

}  // namespace penstock
