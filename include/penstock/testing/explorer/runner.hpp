// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <penstock/testing/explorer/engine.hpp>
#include <penstock/testing/explorer/places.hpp>
#include <penstock/testing/explorer/schedule.hpp>

namespace penstock::testing::explorer {

/// Explores one scenario. Seeds alternate between uniform random schedules (odd) and priorities
/// (even).
class Runner {
 public:
  explicit Runner(void (*body)(), Engine::Limits limits = Engine::Limits{})
      : body_(body),
        limits_(limits) {
    // How long it is, whatever the seeds: where priorities may change depends on it.
    FollowSchedule straight;
    static_cast<void>(engine().run(body_, straight, limits_));
    length_ = straight.threads_chosen();
  }

  /// True when it passed.
  [[nodiscard]] bool run(std::uint64_t seed) {
    if (seed % 2 == 1) {
      RandomSchedule schedule{seed};
      return engine().run(body_, schedule, limits_) == Verdict::passed;
    }
    PrioritySchedule schedule{seed, length_};
    return engine().run(body_, schedule, limits_) == Verdict::passed;
  }
  [[nodiscard]] bool follow(const Path& path) {
    FollowSchedule schedule{path};
    return engine().run(body_, schedule, limits_) == Verdict::passed;
  }

  struct Exhaustion {
    std::uint64_t executions = 0;  ///< to their end
    std::uint64_t pruned = 0;      ///< given up in a state that was explored before
    bool exhausted = false;        ///< nothing within the bounds is left
    bool failed = false;
    Path path{};  ///< of the failure
  };
  [[nodiscard]] Exhaustion exhaust(Bounds bounds, std::uint64_t limit) {
    Exhaustion found;
    DepthFirstSchedule schedule{bounds};
    while (found.executions + found.pruned < limit) {
      if (!schedule.next()) {
        found.exhausted = true;
        break;
      }
      switch (engine().run(body_, schedule, limits_)) {
        case Verdict::passed:
          ++found.executions;
          break;
        case Verdict::pruned:
          ++found.pruned;
          break;
        case Verdict::failed:
          ++found.executions;
          found.failed = true;
          found.path = schedule.path();
          return found;
      }
    }
    return found;
  }

  [[nodiscard]] static std::string_view failure() noexcept { return engine().failure(); }

  /// Runs a failing schedule again, `again()` being that run, and says step by step what happened:
  /// the last `most` steps.
  template <class Again>
  static void explain(Again again, std::size_t most, std::FILE* to) {
    engine().keep_trace();
    static_cast<void>(again());
    engine().keep_trace();  // knows now where a race was
    static_cast<void>(again());
    engine().drop_trace();
    const SystemVector<Step>& trace = engine().trace();
    const std::size_t first = trace.size() > most ? trace.size() - most : 0;
    Places places;
    places.want(engine().place());
    places.want(engine().other_place());
    for (std::size_t index = first; index < trace.size(); ++index) places.want(trace[index].place);
    for (std::uint32_t object = 1; object < engine().object_count(); ++object)
      places.want(engine().made_at(object));
    places.find();

    std::fprintf(to, "  %s\n", engine().failure());
    if (engine().place() != nullptr)
      std::fprintf(to, "    at %s\n", places[engine().place()].c_str());
    if (engine().other_place() != nullptr)
      std::fprintf(to, "    the other at %s\n", places[engine().other_place()].c_str());
    if (first != 0) std::fprintf(to, "  ... %zu steps\n", first);
    for (std::size_t index = first; index < trace.size(); ++index) say(trace[index], places, to);
    for (std::uint32_t object = 1; object < engine().object_count(); ++object) {
      if (!mentioned(trace, first, object)) continue;
      std::fprintf(to,
                   "  %s %u: made at %s\n",
                   word(engine().kind_of(object)),
                   object,
                   places[engine().made_at(object)].c_str());
    }
  }

 private:
  static Engine& engine() noexcept { return Engine::instance(); }

  static const char* word(Kind kind) noexcept {
    switch (kind) {
      case Kind::atomic:
        return "atomic";
      case Kind::mutex:
        return "mutex";
      case Kind::condition:
        return "condition variable";
    }
    return "object";
  }
  static bool mentioned(const SystemVector<Step>& trace, std::size_t first, std::uint32_t object) {
    for (std::size_t index = first; index < trace.size(); ++index) {
      if (trace[index].object == object) return true;
    }
    return false;
  }
  static void say(const Step& step, const Places& places, std::FILE* to) {
    std::string what = step.what;
    if (step.object != 0) {
      const Kind kind = engine().kind_of(step.object);
      what.append(" ").append(word(kind)).append(" ").append(std::to_string(step.object));
      if (kind == Kind::atomic)
        what.append(": ").append(std::to_string(static_cast<std::int64_t>(step.value)));
    } else if (step.thread == Candidates::clock || step.value != 0) {
      what.append(" ").append(std::to_string(step.value));
    }
    if (step.thread == Candidates::clock) {
      std::fprintf(to, "  %s\n", what.c_str());
    } else {
      std::fprintf(
          to, "  thread %u  %-44s %s\n", step.thread, what.c_str(), places[step.place].c_str());
    }
  }

  void (*body_)();
  Engine::Limits limits_;
  std::uint32_t length_ = 0;
};

}  // namespace penstock::testing::explorer
