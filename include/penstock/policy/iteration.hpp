// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// Why an iteration towards a goal ended.
enum class IterationEnd : std::uint8_t {
  reached,           ///< a measurement met the target
  iterations_spent,  ///< `max_iterations` measurements did not
  timed_out,         ///< `execution_timeout`, or the caller's deadline, came first
  stopped,           ///< the caller's stop token fired
  failed,            ///< a measurement or an adjustment ended with an error
};

[[nodiscard]] constexpr std::string_view to_string(IterationEnd end) noexcept {
  switch (end) {
    case IterationEnd::reached:
      return "reached";
    case IterationEnd::iterations_spent:
      return "iterations spent";
    case IterationEnd::timed_out:
      return "timed out";
    case IterationEnd::stopped:
      return "stopped";
    case IterationEnd::failed:
      return "failed";
  }
  return "unknown";
}

/// Measure; done when the target is met; else adjust and measure again: the decision of that
/// loop. *Safe from any thread.* (Immutable; the state belongs to one loop.)
class IterationPolicy {
 public:
  struct Options {
    std::uint32_t max_iterations = 10;  ///< measurements, 1 at least
    Duration execution_timeout = std::chrono::seconds{300};
    std::string environment = "default";  ///< what the steps work in, apart from all others
    double target = 0.999;                ///< the score that is enough
  };

  struct State {
    Time deadline{};
    std::uint32_t iterations = 0;  ///< measurements begun
  };
  /// What happened last.
  enum class Event : std::uint8_t { started, missed, adjusted, reached, stopped, failed };
  enum class Step : std::uint8_t { measure, adjust, end };
  struct Decision {
    Step step;
    IterationEnd end = IterationEnd::reached;  ///< of `Step::end` only
    friend constexpr bool operator==(Decision, Decision) noexcept = default;
  };

  IterationPolicy() : IterationPolicy(Options{}) {}
  explicit IterationPolicy(Options settings) : options_(std::move(settings)) {
    if (options_.max_iterations == 0) {
      throw std::invalid_argument(
          "penstock: IterationPolicy needs a measurement to judge by; write .max_iterations = 10");
    }
    if (options_.execution_timeout <= Duration::zero()) {
      throw std::invalid_argument(
          "penstock: IterationPolicy needs time to run in; write .execution_timeout = 300s, or "
          "Duration::max() for no limit");
    }
    if (options_.target != options_.target) {
      throw std::invalid_argument(
          "penstock: IterationPolicy cannot meet a target that is no number; write .target = 0.95");
    }
  }

  /// A loop that starts at `now`, for a caller with a deadline of its own.
  [[nodiscard]] State begin(Time now, Time caller_deadline = never) const noexcept {
    return {std::min(caller_deadline, saturating_add(now, options_.execution_timeout)), 0};
  }
  /// Whether the score is enough.
  [[nodiscard]] bool reached(double score) const noexcept { return score >= options_.target; }

  /// What to do after `event`. A target that is met counts however late it is; an adjustment that
  /// no measurement would follow is not made; an error after the deadline is its fault.
  [[nodiscard]] Decision next(State& state, Event event, Time now) const noexcept {
    if (event == Event::reached) return {Step::end, IterationEnd::reached};
    if (event == Event::stopped) return {Step::end, IterationEnd::stopped};
    if (now >= state.deadline) return {Step::end, IterationEnd::timed_out};
    if (event == Event::failed) return {Step::end, IterationEnd::failed};
    if (event == Event::missed) {
      if (state.iterations >= options_.max_iterations)
        return {Step::end, IterationEnd::iterations_spent};
      return {Step::adjust};
    }
    ++state.iterations;
    return {Step::measure};
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "iterate(until " + to_text(options_.target) + ", at most " +
           std::to_string(options_.max_iterations) + " times, " +
           to_text(options_.execution_timeout) + ", in " + options_.environment + ")";
  }

 private:
  Options options_;
};

}  // namespace penstock
