// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/result.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/admit.hpp>
#include <penstock/layer/waiting_room.hpp>
#include <penstock/policy/concurrency_limit.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// A bulkhead: no more than so many calls at once, the others wait their turn. *Safe from any
/// thread.* Must outlive its permits and callers. For the cost see `WaitingRoom`.
class ConcurrencyLimit {
 public:
  struct Options {
    std::uint32_t max_in_flight;       ///< 1 to 1 000 000
    std::uint32_t max_waiting = 1024;  ///< 0 to 1 000 000; the next is refused with `overloaded`
    WaitOrder order = WaitOrder::arrival;
    Duration max_wait = Duration::max();  ///< besides the call's deadline; 0: nobody waits
  };
  /// The right to one call. Movable; *one thread at a time*. Given back when it is destroyed.
  using Permit = WaitingRoom::Place;

  /// Throws std::invalid_argument for numbers out of range.
  explicit ConcurrencyLimit(Options settings)
      : room_({validated(settings).max_in_flight,
               {settings.max_waiting, settings.max_waiting, settings.max_waiting},
               settings.order,
               WaitingRoom::WhenFull::refuse,
               settings.max_wait}),
        options_(settings) {}

  /// At once or not at all: `overloaded`.
  [[nodiscard]] Result<Permit> try_acquire() noexcept { return room_.try_enter(); }
  [[nodiscard]] Result<Permit> try_acquire(const Call&) noexcept { return room_.try_enter(); }

  /// Waits for a permit, until `call.deadline` (`deadline`), a stop (`cancelled`) or `max_wait`
  /// (`overloaded`). Refuses at once where there is no room to wait or the call is over already.
  /// Refreshes `call.now` if it waited. A coroutine resumes on `call.where()`.
  [[nodiscard]] Task<Result<Permit>> acquire(Call& call) { return room_.enter(call); }
  /// The same, blocking.
  [[nodiscard]] Result<Permit> acquire_and_wait(Call& call) noexcept {
    return room_.enter_and_wait(call);
  }

  [[nodiscard]] std::uint32_t in_flight_approx() const noexcept { return room_.now().in_flight; }
  [[nodiscard]] std::uint32_t waiting_approx() const noexcept { return room_.now().waiting; }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "concurrency_limit(" + std::to_string(options_.max_in_flight) + ", " +
                       std::to_string(options_.max_waiting) + " may wait";
    if (options_.order == WaitOrder::priority) text += " by priority";
    if (options_.max_wait != Duration::max()) text += " for " + to_text(options_.max_wait);
    return text + ")";
  }

 private:
  static const Options& validated(const Options& settings) {
    if (settings.max_in_flight == 0 || settings.max_in_flight > 1'000'000) {
      throw std::invalid_argument(
          "penstock: ConcurrencyLimit admits 1 to 1000000 calls at once; write "
          "ConcurrencyLimit{{.max_in_flight = 16}}");
    }
    if (settings.max_waiting > 1'000'000) {
      throw std::invalid_argument(
          "penstock: ConcurrencyLimit lets at most 1000000 callers wait; write .max_waiting = "
          "1024, or 0 to refuse at once");
    }
    return settings;
  }

  WaitingRoom room_;
  const Options options_;
};
static_assert(Limiter<ConcurrencyLimit>);

/// Lets no more calls in than `limit` admits; the others wait inside it. Stands inside `retry`,
/// so that no place is held while a retry waits, and inside `rate_limit` and `circuit_breaker`,
/// so that none is held while those wait or refuse.
[[nodiscard]] inline AdmitLayer<ConcurrencyLimit, LayerKind::concurrency_limit> concurrency_limit(
    ConcurrencyLimit& limit) {
  return AdmitLayer<ConcurrencyLimit, LayerKind::concurrency_limit>{AdmitGate{limit}};
}
void concurrency_limit(const ConcurrencyLimit&&) = delete;  // name the limit: it is shared

}  // namespace penstock
