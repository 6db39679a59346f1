// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/result.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/admit.hpp>
#include <penstock/layer/waiting_room.hpp>
#include <penstock/policy/load_shed.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// Protects this program from more work than it can do: calls pass, wait or are refused by
/// `LoadShedRule`, with `call.priority`. *Safe from any thread.* Must outlive its permits and
/// callers. For the cost see `WaitingRoom`.
///
/// The highest priority that waits is served first, by arrival among equals. One that finds no
/// room takes the place of the oldest waiter of a lower priority, who is refused instead: it has
/// waited longest and is the likeliest to come too late anyway.
class LoadShed {
 public:
  struct Options {
    std::uint32_t max_in_flight;                  ///< at once up to here: 1 to 1 000 000
    std::uint32_t max_waiting = 1024;             ///< 0 to 1 000 000
    std::array<double, 3> shares{0.5, 0.8, 1.0};  ///< as in `LoadShedRule`
    /// Who has waited so long is refused: answers that come later are of no use.
    Duration max_wait = std::chrono::seconds{10};
  };
  using Permit = WaitingRoom::Place;

  /// Throws std::invalid_argument for numbers out of range.
  explicit LoadShed(const Options& settings)
      : LoadShed(settings,
                 LoadShedRule{{settings.max_in_flight, settings.max_waiting, settings.shares}}) {}

  /// At once or not at all: `overloaded`.
  [[nodiscard]] Result<Permit> try_acquire(const Call&) noexcept { return room_.try_enter(); }
  /// Waits as the rule says: `overloaded` at once or after `max_wait`, `deadline` or `cancelled`
  /// when the call ends first. Refreshes `call.now` if it waited.
  [[nodiscard]] Task<Result<Permit>> acquire(Call& call) { return room_.enter(call); }
  /// The same, blocking.
  [[nodiscard]] Result<Permit> acquire_and_wait(Call& call) noexcept {
    return room_.enter_and_wait(call);
  }

  [[nodiscard]] std::uint32_t in_flight_approx() const noexcept { return room_.now().in_flight; }
  [[nodiscard]] std::uint32_t waiting_approx() const noexcept { return room_.now().waiting; }

  [[nodiscard]] std::string describe() const {
    const WaitingRoom::Options& options = room_.options();
    return "load_shed(" + std::to_string(options.limit) + ", " + std::to_string(options.room[0]) +
           "/" + std::to_string(options.room[1]) + "/" + std::to_string(options.room[2]) +
           " may wait for " + to_text(options.max_wait) + ")";
  }

 private:
  LoadShed(const Options& settings, const LoadShedRule& rule) noexcept
      : room_({rule.limit(),
               rule.room(),
               WaitOrder::priority,
               WaitingRoom::WhenFull::displace,
               settings.max_wait}) {}

  WaitingRoom room_;
};
static_assert(Limiter<LoadShed>);

/// Sheds load by `call.priority`. Outermost, or inside `deadline`: what is refused here has cost
/// nothing else.
[[nodiscard]] inline AdmitLayer<LoadShed, LayerKind::load_shed> load_shed(LoadShed& shed) {
  return AdmitLayer<LoadShed, LayerKind::load_shed>{AdmitGate{shed}};
}
void load_shed(const LoadShed&&) = delete;  // name it: it is shared

}  // namespace penstock
