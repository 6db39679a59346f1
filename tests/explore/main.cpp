// SPDX-License-Identifier: MIT
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <penstock/testing/explorer/runner.hpp>
#include <penstock/testing/explorer/runtime.hpp>

#include <explore/options.hpp>
#include <explore/scenario.hpp>

namespace explore {
namespace {

using penstock::testing::explorer::Bounds;
using penstock::testing::explorer::Path;
using penstock::testing::explorer::Runner;

constexpr int all_hold = 0;
constexpr int found = 1;
constexpr int wrong_usage = 2;

struct Subject {
  std::string name;
  void (*body)();
};

bool selected(std::string_view name, std::string_view wanted) {
  return wanted.empty() || name == wanted ||
         (name.starts_with(wanted) && name.substr(wanted.size()).starts_with('/'));
}

// The scenarios that are wanted; bugs and twins only by name.
std::vector<Subject> subjects(std::string_view wanted) {
  std::vector<Subject> chosen;
  for (const Scenario* one = Scenario::first(); one != nullptr; one = one->next()) {
    if (selected(one->name, wanted)) chosen.push_back({std::string{one->name}, one->body});
  }
  for (const Bug* bug = Bug::first(); bug != nullptr && !wanted.empty(); bug = bug->next()) {
    if (wanted == "zoo/" + std::string{bug->name})
      chosen.push_back({std::string{wanted}, bug->body});
    if (wanted == "twin/" + std::string{bug->name})
      chosen.push_back({std::string{wanted}, bug->twin});
  }
  std::sort(chosen.begin(), chosen.end(), [](const Subject& a, const Subject& b) {
    return a.name < b.name;
  });
  return chosen;
}

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::string text_of(const Path& path) {
  std::string text;
  for (const auto& step : path) {
    if (!text.empty()) text += ',';
    text.append(std::to_string(step.position)).append(":").append(std::to_string(step.choice));
  }
  return text.empty() ? "0:0" : text;
}

int run_randomly(const Options& options, const std::vector<Subject>& chosen) {
  std::printf("%-64s %10s %9s %13s\n", "scenario", "runs", "failures", "executions/s");
  std::uint64_t failures = 0;
  std::uint64_t executions = 0;
  const Stopwatch all;
  for (const Subject& subject : chosen) {
    Runner runner{subject.body};
    const Stopwatch own;
    std::uint64_t failed = 0;
    std::uint64_t first_failure = 0;
    for (std::uint64_t run = 0; run < options.runs; ++run) {
      if (runner.run(options.first + run)) continue;
      if (failed++ == 0) first_failure = options.first + run;
    }
    std::printf("%-64s %10llu %9llu %13.0f\n",
                subject.name.c_str(),
                static_cast<unsigned long long>(options.runs),
                static_cast<unsigned long long>(failed),
                static_cast<double>(options.runs) / own.seconds());
    if (failed != 0) {
      Runner::explain([&] { return runner.run(first_failure); }, options.steps, stdout);
      std::printf("  repeat with: penstock-explore --scenario %s --first %llu --runs 1\n",
                  subject.name.c_str(),
                  static_cast<unsigned long long>(first_failure));
    }
    std::fflush(stdout);
    failures += failed;
    executions += options.runs;
  }
  std::printf("%zu scenarios, %llu executions, %llu failures, %.0f executions/s\n",
              chosen.size(),
              static_cast<unsigned long long>(executions),
              static_cast<unsigned long long>(failures),
              static_cast<double>(executions) / all.seconds());
  return failures == 0 ? all_hold : found;
}

void explain_path(Runner& runner, const Path& path, std::string_view name, std::size_t steps) {
  Runner::explain([&] { return runner.follow(path); }, steps, stdout);
  std::printf("  repeat with: penstock-explore --scenario %.*s --path %s\n",
              static_cast<int>(name.size()),
              name.data(),
              text_of(path).c_str());
}

int search(const Options& options, const std::vector<Subject>& chosen) {
  std::printf("%-64s %10s %10s %9s %9s %13s\n",
              "scenario",
              "executions",
              "cut short",
              "exhausted",
              "failures",
              "executions/s");
  bool fine = true;
  std::uint64_t executions = 0;
  std::size_t exhausted = 0;
  const Stopwatch all;
  for (const Subject& subject : chosen) {
    Runner runner{subject.body};
    const Stopwatch own;
    const Runner::Exhaustion result =
        runner.exhaust(Bounds{options.preemptions, options.memory}, options.limit);
    const std::uint64_t count = result.executions + result.pruned;
    std::printf("%-64s %10llu %10llu %9s %9d %13.0f\n",
                subject.name.c_str(),
                static_cast<unsigned long long>(result.executions),
                static_cast<unsigned long long>(result.pruned),
                result.exhausted ? "yes" : "no",
                result.failed ? 1 : 0,
                static_cast<double>(count) / own.seconds());
    if (result.failed) explain_path(runner, result.path, subject.name, options.steps);
    std::fflush(stdout);
    fine = fine && result.exhausted;
    executions += count;
    if (result.exhausted) ++exhausted;
  }
  std::printf(
      "%zu of %zu scenarios exhausted at %u preemptions and %u of memory, %llu executions, %.0f "
      "executions/s\n",
      exhausted,
      chosen.size(),
      options.preemptions,
      options.memory,
      static_cast<unsigned long long>(executions),
      static_cast<double>(executions) / all.seconds());
  return fine ? all_hold : found;
}

int follow(const Options& options, const Subject& subject) {
  Runner runner{subject.body};
  Path path;
  for (const PathStep& step : options.path) path.push_back({step.position, step.choice});
  if (runner.follow(path)) {
    std::printf("%s passes\n", subject.name.c_str());
    return all_hold;
  }
  explain_path(runner, path, subject.name, options.steps);
  return found;
}

// Each bug must be found by a random schedule, and its twin by none, and by no search either.
int visit_zoo(const Options& options) {
  std::size_t bugs = 0;
  std::size_t detected = 0;
  std::size_t twins = 0;
  std::size_t clean = 0;
  std::printf("%-44s %8s %10s  %s\n", "bug", "seed", "dfs", "what was found");
  std::vector<const Bug*> all;
  for (const Bug* bug = Bug::first(); bug != nullptr; bug = bug->next()) all.push_back(bug);
  std::sort(all.begin(), all.end(), [](const Bug* a, const Bug* b) { return a->name < b->name; });
  const Bounds bounds{options.preemptions, options.memory};
  for (const Bug* bug : all) {
    ++bugs;
    Runner broken{bug->body};
    std::uint64_t seed = options.first;
    while (seed < options.first + options.runs && broken.run(seed)) ++seed;
    const bool caught = seed < options.first + options.runs;
    std::string what{caught ? Runner::failure() : "NOT FOUND"};
    if (what.size() > 70) what.resize(70);
    const Runner::Exhaustion searched = broken.exhaust(bounds, options.limit);
    std::printf(
        "%-44.*s %8s %10s  %s\n",
        static_cast<int>(bug->name.size()),
        bug->name.data(),
        caught ? std::to_string(seed).c_str() : "-",
        searched.failed ? std::to_string(searched.executions + searched.pruned).c_str() : "-",
        what.c_str());
    if (caught) ++detected;
    if (bug->twin == nullptr) continue;
    ++twins;
    Runner corrected{bug->twin};
    seed = options.first;
    const std::uint64_t end = options.first + options.runs;
    while (seed < end && corrected.run(seed)) ++seed;
    if (seed < end) {
      Runner::explain([&] { return corrected.run(seed); }, options.steps, stdout);
      std::printf(
          "  a false alarm; repeat with: penstock-explore --scenario twin/%.*s --first %llu "
          "--runs 1\n",
          static_cast<int>(bug->name.size()),
          bug->name.data(),
          static_cast<unsigned long long>(seed));
      continue;
    }
    const Runner::Exhaustion proof = corrected.exhaust(bounds, options.limit);
    if (proof.failed)
      explain_path(corrected, proof.path, "twin/" + std::string{bug->name}, options.steps);
    if (proof.exhausted) ++clean;
  }
  std::printf(
      "zoo: %zu/%zu detected, %zu/%zu corrected twins clean in %llu random schedules and "
      "all depth-first ones\n",
      detected,
      bugs,
      clean,
      twins,
      static_cast<unsigned long long>(options.runs));
  return detected == bugs && clean == twins ? all_hold : found;
}

int list() {
  for (const Subject& subject : subjects({})) std::printf("%s\n", subject.name.c_str());
  for (const Bug* bug = Bug::first(); bug != nullptr; bug = bug->next())
    std::printf("zoo/%.*s\n", static_cast<int>(bug->name.size()), bug->name.data());
  return all_hold;
}

int usage_error(std::string_view sentence) {
  std::fprintf(
      stderr, "penstock-explore: %.*s\n", static_cast<int>(sentence.size()), sentence.data());
  return wrong_usage;
}

int main(std::span<const std::string_view> arguments) {
  const Result<Options> parsed = parse_options(arguments);
  if (!parsed) return usage_error(parsed.error().message());
  const Options& options = *parsed;
  if (options.action == Options::Action::help) {
    std::fwrite(help_text.data(), 1, help_text.size(), stdout);
    return all_hold;
  }
  if (options.action == Options::Action::list) return list();
  penstock::testing::explorer::hook::take_over();
  if (options.action == Options::Action::zoo) return visit_zoo(options);
  const std::vector<Subject> chosen = subjects(options.scenario);
  if (chosen.empty()) {
    std::vector<std::string> known;
    for (const Subject& subject : subjects({})) known.push_back(subject.name);
    const std::string_view meant = cli::closest(options.scenario, known);
    return usage_error("there is no scenario " + options.scenario +
                       (meant.empty() ? std::string{"; --list names them"}
                                      : "; did you mean " + std::string{meant} + "?"));
  }
  switch (options.action) {
    case Options::Action::depth_first:
      return search(options, chosen);
    case Options::Action::path:
      if (chosen.size() != 1) return usage_error("--path is of one scenario; give its whole name");
      return follow(options, chosen.front());
    default:
      return run_randomly(options, chosen);
  }
}

}  // namespace
}  // namespace explore

int main(int count, char** values) {
  const std::vector<std::string_view> arguments(values + 1, values + count);
  return explore::main(arguments);
}
