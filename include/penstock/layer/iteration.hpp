// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/policy/iteration.hpp>

namespace penstock {

/// What the steps of a loop are told.
struct Iteration {
  std::uint32_t number = 0;      ///< of the measurement: 1 for the first
  std::string_view environment;  ///< `IterationPolicy::Options::environment`
};

/// How a loop ended.
template <class Score>
struct IterationReport {
  IterationEnd end = IterationEnd::failed;
  std::uint32_t iterations = 0;  ///< measurements begun
  std::optional<Score> last;     ///< the latest measurement that succeeded
  std::optional<Error> error;    ///< of the step that ended it, where one did
  Duration elapsed{};

  [[nodiscard]] bool reached() const noexcept { return end == IterationEnd::reached; }
};

/// One loop and its decisions: the blocking and the coroutine form differ only in how they wait.
/// *One thread at a time.*
template <class Score>
class IterationProgress {
 public:
  using Event = IterationPolicy::Event;
  using Step = IterationPolicy::Step;

  IterationProgress(const IterationPolicy& policy, const Call& call) noexcept
      : policy_(policy),
        call_(call) {
    call_.executor = &call.where();
    started_ = call_.now = call_.executor->now();
    state_ = policy.begin(started_, call.deadline);
    call_.deadline = state_.deadline;
    decide(Event::started);
  }

  [[nodiscard]] Step step() const noexcept { return decision_.step; }
  /// For one step: what it narrows ends with it.
  [[nodiscard]] Call call() const noexcept { return call_; }
  [[nodiscard]] Iteration iteration() const noexcept {
    return {state_.iterations, policy_.options().environment};
  }
  [[nodiscard]] const Score& last() const noexcept { return *report_.last; }

  template <class Reached>
  void measured(Result<Score> score, Reached& reached) {
    if (!score) return failed(std::move(score).error());
    report_.last.emplace(*std::move(score));
    try {
      decide(std::invoke(reached, std::as_const(*report_.last)) ? Event::reached : Event::missed);
    } catch (...) {
      failed(Error::from_exception(std::current_exception()));
    }
  }
  void adjusted(Result<void> done) {
    if (!done) return failed(std::move(done).error());
    decide(Event::adjusted);
  }
  [[nodiscard]] IterationReport<Score> finish() {
    report_.end = decision_.end;
    report_.iterations = state_.iterations;
    report_.elapsed = elapsed_between(started_, call_.now);
    return std::move(report_);
  }

 private:
  void failed(Error error) {
    report_.error.emplace(std::move(error));
    decide(Event::failed);
  }
  void decide(Event event) noexcept {
    call_.now = call_.executor->now();
    if (event != Event::reached && call_.stop.stop_requested()) event = Event::stopped;
    decision_ = policy_.next(state_, event, call_.now);
  }

  const IterationPolicy& policy_;
  Call call_;
  Time started_{};
  IterationPolicy::State state_{};
  IterationPolicy::Decision decision_{};
  IterationReport<Score> report_{};
};

/// `measure(iteration, call)` gives a `Result<Score>` or a `Task` of one, and
/// `adjust(score, iteration, call)` a `Result<void>` or a `Task` of one, as `measure` does.
template <class Measure>
using measured_t = result_t<Measure, const Iteration&>;
template <class Measure>
using score_t = typename measured_t<Measure>::value_type;

namespace exec {
template <class Step>
auto carry_exceptions(Step step) -> std::invoke_result_t<Step&> {
  try {
    return step();
  } catch (...) {
    return Error::from_exception(std::current_exception());
  }
}
}  // namespace exec

/// Measures, and while `reached(score)` is false adjusts and measures again, within the policy's
/// count and time and the call's deadline and stop. The steps are told the deadline by their call
/// and are not cut short otherwise. What they throw ends the loop as an error. Blocks.
template <class Measure, class Reached, class Adjust>
requires BlockingService<Measure, const Iteration&> IterationReport<score_t<Measure>> iterate(
    const IterationPolicy& policy,
    Measure&& measure,
    Reached&& reached,
    Adjust&& adjust,
    Call call = {}) {
  using Progress = IterationProgress<score_t<Measure>>;
  Progress progress{policy, call};
  for (;;) {
    Call own = progress.call();
    const Iteration iteration = progress.iteration();
    switch (progress.step()) {
      case Progress::Step::measure:
        progress.measured(
            exec::carry_exceptions([&] { return std::invoke(measure, iteration, own); }), reached);
        break;
      case Progress::Step::adjust:
        progress.adjusted(exec::carry_exceptions([&]() -> Result<void> {
          return std::invoke(adjust, progress.last(), iteration, own);
        }));
        break;
      case Progress::Step::end:
        return progress.finish();
    }
  }
}

/// The same with steps that are awaited. The policy and the steps must outlive it; the caller
/// resumes where the last step finished.
template <class Measure, class Reached, class Adjust>
requires AsyncService<Measure, const Iteration&> Task<IterationReport<score_t<Measure>>> iterate(
    const IterationPolicy& policy,
    Measure& measure,
    Reached& reached,
    Adjust& adjust,
    Call call = {}) {
  using Score = score_t<Measure>;
  using Progress = IterationProgress<Score>;
  Progress progress{policy, call};
  while (progress.step() != Progress::Step::end) {
    Call own = progress.call();
    const Iteration iteration = progress.iteration();
    std::optional<Error> thrown;
    try {
      if (progress.step() == Progress::Step::measure) {
        Task<Result<Score>> measuring = std::invoke(measure, iteration, own);
        Result<Score> score = co_await std::move(measuring);
        progress.measured(std::move(score), reached);
      } else {
        Task<Result<void>> adjusting = std::invoke(adjust, progress.last(), iteration, own);
        Result<void> done = co_await std::move(adjusting);
        progress.adjusted(std::move(done));
      }
    } catch (...) {
      thrown.emplace(Error::from_exception(std::current_exception()));
    }
    if (thrown) progress.adjusted(std::move(*thrown));
  }
  co_return progress.finish();
}

}  // namespace penstock
