// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/error.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/simulation.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>

/// What the scenarios of `penstock-simulate` share.
namespace simulate {

using namespace std::chrono_literals;
using namespace penstock;

/// Faults planted in the world around the library, to show that the checks see them.
enum class Bug : std::uint8_t {
  none,
  leaked_permit,     ///< a permit is not given back when its call is cancelled
  ignored_deadline,  ///< a leaf goes on after its deadline
  unpaid_retry,      ///< retries are made without asking the budget
  extra_probe,       ///< a breaker admits one probe too many
  exceeded_rate,     ///< a bucket holds one token too many
  lost_caller,       ///< a caller is never answered
  leaked_lease,      ///< a lease is kept when its call is cancelled
  swapped_replies,   ///< two items of a batch get each other's reply
  unseeded_chance,   ///< a decision that is not drawn from the seed
  unpaid_hedge,      ///< hedges are sent without asking the budget
};
inline constexpr std::array<std::pair<std::string_view, Bug>, 10> bugs{{
    {"leaked-permit", Bug::leaked_permit},
    {"ignored-deadline", Bug::ignored_deadline},
    {"unpaid-retry", Bug::unpaid_retry},
    {"extra-probe", Bug::extra_probe},
    {"exceeded-rate", Bug::exceeded_rate},
    {"lost-caller", Bug::lost_caller},
    {"leaked-lease", Bug::leaked_lease},
    {"swapped-replies", Bug::swapped_replies},
    {"unseeded-chance", Bug::unseeded_chance},
    {"unpaid-hedge", Bug::unpaid_hedge},
}};

/// One seed of one scenario: its world's clock and chance, and what did not hold.
class Trial {
 public:
  Trial(std::uint64_t seed, Bug planted) : simulation(seed), bug(planted) {
    simulation.between_steps([this] {
      if (simulation.steps() > most_steps) livelock();
      if (invariant_) invariant_();
    });
  }

  Simulation simulation;
  const Bug bug;
  std::uint64_t calls = 0;

  // --- chance ----------------------------------------------------------------------------------

  [[nodiscard]] std::uint64_t number(std::uint64_t least, std::uint64_t most) noexcept {
    return least + simulation.random() % (most - least + 1);
  }
  [[nodiscard]] Duration time(Duration least, Duration most) noexcept {
    return Duration{least.count() + static_cast<std::int64_t>(
                                        simulation.random() %
                                        (static_cast<std::uint64_t>((most - least).count()) + 1))};
  }
  [[nodiscard]] bool happens(double share) noexcept {
    return static_cast<double>(simulation.random() >> 11U) * 0x1p-53 < share;
  }
  /// 0 in half of all seeds, else up to `most`: faults come alone as well as together.
  [[nodiscard]] double share(double most) noexcept {
    if (happens(0.5)) return 0;
    return static_cast<double>(simulation.random() >> 11U) * 0x1p-53 * most;
  }
  template <class T, std::size_t count>
  [[nodiscard]] T one_of(const std::array<T, count>& choices) noexcept {
    return choices[number(0, count - 1)];
  }

  // --- checks ----------------------------------------------------------------------------------

  /// Says what did not hold, with the instant. The first few count.
  void violation(std::string sentence) {
    if (violations_.size() < most_violations)
      violations_.push_back(since_start() + ": " + std::move(sentence));
    ++violation_count_;
  }
  template <class Text>
  void must(bool holds, const Text& sentence) {
    if (holds) return;
    if constexpr (std::is_invocable_v<const Text&>) {
      violation(sentence());
    } else {
      violation(sentence);
    }
  }
  /// Checked between any two steps of the simulation.
  void invariant(std::function<void()> check) { invariant_ = std::move(check); }

  /// Runs until nothing is left to do; false when some wait without end, and the world must be
  /// left as it is.
  [[nodiscard]] bool finish() {
    if (stuck_) return false;
    if (simulation.run() == SimulationEnd::deadlock) {
      stuck_ = true;
      violation("deadlock:\n" + simulation.who_waits());
      return false;
    }
    must(simulation.timers_armed() == 0, "a timer is still armed");
    return true;
  }
  [[nodiscard]] bool stuck() const noexcept { return stuck_; }
  /// Something did not hold. Then the world is left as it is: those who wait refer to it, and what
  /// the library asserts at the end of its life would keep the violation from being told.
  [[nodiscard]] bool broken() const noexcept { return violation_count_ != 0; }
  void leave(void* world) { left_.push_back(world); }
  [[nodiscard]] const std::vector<std::string>& violations() const noexcept { return violations_; }
  [[nodiscard]] std::uint64_t violation_count() const noexcept { return violation_count_; }

  // --- callers ---------------------------------------------------------------------------------

  [[nodiscard]] Task<void> sleep(Duration time) {
    static_cast<void>(
        co_await wait_until(simulation, saturating_add(simulation.now(), time), StopToken{}));
  }
  /// Runs `action` once, `delay` from now.
  template <class Action>
  void after(Duration delay, Action action) {
    const auto body = [](Trial& trial, Duration wait, Action act) -> Task<void> {
      co_await trial.sleep(wait);
      act();
    };
    simulation.spawn("the world", body(*this, delay, std::move(action)));
  }

 private:
  static constexpr std::uint64_t most_steps = 20'000'000;
  static constexpr std::size_t most_violations = 5;

  [[nodiscard]] std::string since_start() const {
    const Duration since = simulation.now() - Simulation::Options{}.start;
    std::array<char, 32> text{};
    std::snprintf(
        text.data(), text.size(), "at %.9g s", std::chrono::duration<double>(since).count());
    return text.data();
  }
  [[noreturn]] void livelock() const {
    std::fprintf(stderr,
                 "penstock-simulate: seed %llu goes on without end: livelock\n",
                 static_cast<unsigned long long>(simulation.seed()));
    std::_Exit(1);
  }

  std::function<void()> invariant_;
  std::vector<std::string> violations_;
  std::uint64_t violation_count_ = 0;
  bool stuck_ = false;
  std::vector<void*> left_;
};

/// One call of a scenario, and what is promised about it.
class Promise {
 public:
  /// To be called by its caller as it starts.
  void begin(Trial& trial, std::size_t number, Time deadline) {
    number_ = number;
    deadline_ = deadline;
    if (stop_.stop_requested()) stopped_at_ = trial.simulation.now();  // not before it began
    ++trial.calls;
  }
  void cancel(Trial& trial) {
    if (!stop_.stop_requested()) stopped_at_ = trial.simulation.now();
    stop_.request_stop();
  }
  [[nodiscard]] StopToken token() noexcept { return stop_.token(); }
  [[nodiscard]] Time deadline() const noexcept { return deadline_; }
  [[nodiscard]] bool done() const noexcept { return completions_ != 0; }

  /// As something is about to be sent for it.
  void sends(Trial& trial) const {
    const Time now = trial.simulation.now();
    trial.must(now <= deadline_, [&] { return name() + " sent something after its deadline"; });
    trial.must(now <= stopped_at_, [&] { return name() + " sent something after its stop"; });
    trial.must(completions_ == 0, [&] { return name() + " sent something after its end"; });
  }
  template <class Reply>
  void complete(Trial& trial, const Result<Reply>& result) {
    const Time now = trial.simulation.now();
    trial.simulation.fold(result ? 0 : 1 + static_cast<std::uint64_t>(result.error().kind()));
    ++completions_;
    trial.must(completions_ == 1, [&] { return name() + " completed twice"; });
    trial.must(now <= saturating_add(deadline_, tick),
               [&] { return name() + " ended after its deadline"; });
    trial.must(now <= saturating_add(stopped_at_, tick),
               [&] { return name() + " ended after its stop"; });
    if (!result && result.error().kind() == ErrorKind::cancelled)
      trial.must(stop_.stop_requested(), [&] { return name() + " was cancelled by nobody"; });
  }
  void check_end(Trial& trial) const {
    trial.must(completions_ == 1,
               [&] { return name() + " completed " + std::to_string(completions_) + " times"; });
  }
  [[nodiscard]] std::string name() const { return "call " + std::to_string(number_); }

 private:
  static constexpr Duration tick{1};
  std::size_t number_ = 0;
  Time deadline_ = never;
  Time stopped_at_ = never;
  int completions_ = 0;
  StopSource stop_;
};

enum class Flavour : std::uint8_t { coroutines, blocking };

/// A caller that comes after `delay`: `client(request, begin())`, and `end` is told the result.
template <Flavour flavour, class Client, class Request, class Begin, class End>
void spawn_caller(Trial& trial,
                  std::string name,
                  Duration delay,
                  Client& client,
                  Request request,
                  Begin begin,
                  End end) {
  if constexpr (flavour == Flavour::coroutines) {
    const auto body =
        [](Trial& at, Client& ask, Request asked, Duration wait, Begin first, End last)
        -> Task<void> {
      co_await at.sleep(wait);
      const Call call = first();
      const auto result = co_await ask(asked, call);
      last(result);
    };
    trial.simulation.spawn(std::move(name), body(trial, client, request, delay, begin, end));
  } else {
    trial.simulation.spawn(
        std::move(name), [&trial, &client, request, delay, begin, end]() mutable {
          Call sleeping{.executor = &trial.simulation};
          static_cast<void>(block_until(sleeping, trial.simulation.now() + delay));
          const Call call = begin();
          const auto result = client(request, call);
          end(result);
        });
  }
}

/// The rate of a bucket, checked exactly for every window: after each event, what could not have
/// come in yet is at most the burst (the same bound as burst + rate * w for all windows w).
class RateCheck {
 public:
  /// `period` is the whole number of nanoseconds that one token takes.
  RateCheck(Duration period, std::int64_t burst) noexcept : period_(period), burst_(burst) {}
  [[nodiscard]] bool admits(Time now) noexcept {
    full_at_ = std::max(full_at_, now) + period_;
    return full_at_ - now <= burst_ * period_;
  }

 private:
  Duration period_;
  std::int64_t burst_;
  Time full_at_ = Time::min();
};

}  // namespace simulate
