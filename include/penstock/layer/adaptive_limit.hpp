// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/admit.hpp>
#include <penstock/layer/waiting_room.hpp>
#include <penstock/policy/gradient2.hpp>
#include <penstock/policy/limit_window.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// A concurrency limit that finds its own number: `Aimd`, `Vegas` or `Gradient2` decides from how
/// the calls fare. *Safe from any thread.* Must outlive its permits and callers.
///
/// One belongs to one kind of call: fast and slow ones in the same limit look like congestion.
/// Costs what a `ConcurrencyLimit` does and one uncontended lock per call that ended; a success
/// that finds the lock taken is left out of the sample, a sign of overload never is.
template <LimitRule Rule = Gradient2>
class AdaptiveLimit {
 public:
  struct Options {
    std::uint32_t max_waiting = 1024;  ///< 0 to 1 000 000; the next is refused with `overloaded`
    WaitOrder order = WaitOrder::arrival;
    Duration max_wait = Duration::max();  ///< besides the call's deadline; 0: nobody waits
  };

  /// The right to one call. Movable; *one thread at a time*. Destroyed unsettled, it is given
  /// back neutrally: what was cancelled teaches the limit nothing.
  class [[nodiscard]] Permit {
   public:
    /// Gives it back and tells how the call went, once.
    void settle(Outcome outcome, Time now) noexcept {
      if (AdaptiveLimit* const limit = std::exchange(limit_, nullptr))
        limit->learn(now, {elapsed_between(started_, now), in_flight_, outcome});
      place_.give_back();
    }
    Permit(Permit&& other) noexcept
        : place_(std::move(other.place_)),
          limit_(std::exchange(other.limit_, nullptr)),
          started_(other.started_),
          in_flight_(other.in_flight_) {}
    Permit& operator=(Permit&& other) noexcept {
      place_ = std::move(other.place_);
      limit_ = std::exchange(other.limit_, nullptr);
      started_ = other.started_;
      in_flight_ = other.in_flight_;
      return *this;
    }
    ~Permit() = default;

   private:
    friend AdaptiveLimit;
    Permit(WaitingRoom::Place place, AdaptiveLimit& limit, Time started) noexcept
        : place_(std::move(place)),
          limit_(&limit),
          started_(started),
          in_flight_(limit.room_.now().in_flight) {}
    WaitingRoom::Place place_;
    AdaptiveLimit* limit_;  // null: settled
    Time started_;
    std::uint32_t in_flight_;
  };

  AdaptiveLimit() : AdaptiveLimit(Rule{}) {}
  explicit AdaptiveLimit(Rule rule, Options settings = {})
      : rule_(std::move(rule)),
        state_(rule_.initial()),
        room_({state_.places(),
               {validated(settings).max_waiting, settings.max_waiting, settings.max_waiting},
               settings.order,
               WaitingRoom::WhenFull::refuse,
               settings.max_wait}) {}

  /// At once or not at all: `overloaded`. Takes `call.now` for its start.
  [[nodiscard]] Result<Permit> try_acquire(const Call& call) noexcept {
    return permit(room_.try_enter(), call.now);
  }
  /// Waits for a permit as `ConcurrencyLimit` does.
  [[nodiscard]] Task<Result<Permit>> acquire(Call& call) {
    Result<WaitingRoom::Place> place = co_await room_.enter(call);
    co_return permit(std::move(place), call.now);
  }
  /// The same, blocking.
  [[nodiscard]] Result<Permit> acquire_and_wait(Call& call) noexcept {
    Result<WaitingRoom::Place> place = room_.enter_and_wait(call);
    return permit(std::move(place), call.now);
  }

  [[nodiscard]] std::uint32_t limit_approx() const noexcept { return room_.now().limit; }
  [[nodiscard]] std::uint32_t in_flight_approx() const noexcept { return room_.now().in_flight; }
  [[nodiscard]] std::uint32_t waiting_approx() const noexcept { return room_.now().waiting; }
  /// What it takes for the time of an unhindered call; zero where it does not know.
  [[nodiscard]] Duration baseline() const noexcept {
    const std::lock_guard lock{mutex_};
    return Duration{static_cast<std::int64_t>(state_.baseline)};
  }

  [[nodiscard]] std::string describe() const {
    std::string text = "concurrency_limit(" + rule_.describe() + ", " +
                       std::to_string(room_.options().room.front()) + " may wait";
    if (room_.options().order == WaitOrder::priority) text += " by priority";
    if (room_.options().max_wait != Duration::max())
      text += " for " + to_text(room_.options().max_wait);
    return text + ")";
  }

 private:
  static const Options& validated(const Options& settings) {
    if (settings.max_waiting > 1'000'000) {
      throw std::invalid_argument(
          "penstock: AdaptiveLimit lets at most 1000000 callers wait; write .max_waiting = 1024, "
          "or 0 to refuse at once");
    }
    return settings;
  }

  Result<Permit> permit(Result<WaitingRoom::Place> place, Time started) noexcept {
    if (!place) return std::move(place).error();
    return Permit{std::move(*place), *this, started};
  }

  void learn(Time now, LimitSample sample) noexcept {
    if (sample.outcome == Outcome::neutral) return;
    std::unique_lock lock{mutex_, std::defer_lock};
    if (rule_.range().drops.contains(sample.outcome)) {
      lock.lock();
    } else if (!lock.try_lock()) {
      return;
    }
    const std::uint32_t before = state_.places();
    state_ = rule_.step(state_, now, sample);
    // Set under the lock, so that of two decisions the later one stands.
    std::uint32_t promised = state_.places() == before ? 0 : room_.resize(state_.places());
    lock.unlock();
    for (; promised != 0; --promised) room_.hand_over();
  }

  const Rule rule_;
  mutable sync::mutex mutex_;
  LimitState state_;  // guarded by mutex_
  WaitingRoom room_;
};
static_assert(Limiter<AdaptiveLimit<>>);

/// Lets no more calls in than the limit has found to be good. Stands where `concurrency_limit`
/// stands for a fixed one, outside `attempt_timeout`, so that a timeout is a sign to it.
template <LimitRule Rule>
[[nodiscard]] AdmitLayer<AdaptiveLimit<Rule>, LayerKind::concurrency_limit> concurrency_limit(
    AdaptiveLimit<Rule>& limit) {
  return AdmitLayer<AdaptiveLimit<Rule>, LayerKind::concurrency_limit>{AdmitGate{limit}};
}
template <LimitRule Rule>
void concurrency_limit(const AdaptiveLimit<Rule>&&) = delete;  // name the limit: it is shared

}  // namespace penstock
