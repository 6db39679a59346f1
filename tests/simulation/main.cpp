// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/sync.hpp>

#include <cli/command_line.hpp>
#include <cli/flags.hpp>

#include "scenarios.hpp"
#include "trial.hpp"

namespace {

using namespace simulate;

constexpr std::string_view help_text =
    R"(penstock-simulate: the library under random faults in virtual time.

Usage:
  penstock-simulate [options]

Each seed is one world: callers, servers, faults, crashes and cancels drawn from
it, run in an order drawn from it, with the promises of the library checked
after every step. A seed that breaks one is printed with the line that replays
it. Every hundredth seed is run twice and must leave the same trace.

      --seeds N        how many (default: 1000)
      --first S        the first of them (default: 1)
      --scenario NAME  only this one; may be given again (default: all)
      --list           the scenarios, a line each
      --break NAME     plant a fault in the world, to see that it is found:
                       leaked-permit, ignored-deadline, unpaid-retry,
                       extra-probe, exceeded-rate, lost-caller, leaked-lease,
                       swapped-replies, unseeded-chance or unpaid-hedge
  -h, --help           this text

Exit code: 0 all holds, 1 something does not, 2 wrong usage.
)";

struct Options {
  enum class Action : std::uint8_t { run, list, help };
  Action action = Action::run;
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  std::vector<const Scenario*> chosen{};
  Bug bug = Bug::none;
  std::string_view bug_name{};
};

Result<Options> parse(const std::vector<std::string_view>& arguments) {
  using namespace cli;
  Options options;
  const auto scenario = [&](std::string_view, std::string_view value) -> Result<void> {
    const auto found = std::ranges::find(scenarios, value, &Scenario::name);
    if (found == scenarios.end())
      return usage("there is no scenario " + quoted(value) + "; --list lists them");
    options.chosen.push_back(&*found);
    return {};
  };
  const auto fault = [&](std::string_view, std::string_view value) -> Result<void> {
    const auto found = std::ranges::find(bugs, value, &std::pair<std::string_view, Bug>::first);
    if (found == bugs.end())
      return usage("there is no fault " + quoted(value) + " to plant; --help lists them");
    options.bug_name = found->first;
    options.bug = found->second;
    return {};
  };
  const std::array flags{
      Flag{"--seeds", "", "1000", takes_number(options.seeds, 1, 1'000'000'000'000)},
      Flag{"--first", "", "1", takes_number(options.first, 0, ~std::uint64_t{0})},
      Flag{"--scenario", "", "pipeline", scenario},
      Flag{"--list", "", "", means(options.action, Options::Action::list), Flag::Then::stop},
      Flag{"--break", "", "leaked-permit", fault},
      help_flag(options.action),
  };
  if (const auto applied = apply_flags(flags, arguments); !applied) return applied.error();
  if (options.chosen.empty())
    for (const Scenario& each : scenarios) options.chosen.push_back(&each);
  return options;
}

// Worlds in which something did not hold, callers that wait for ever perhaps. Never destroyed, so
// that a search for leaks still finds them held.
std::vector<Trial*>& abandoned() {
  static auto* const trials = new std::vector<Trial*>;
  return *trials;
}

struct Seen {
  std::uint64_t trace = 0;
  std::uint64_t calls = 0;
  std::uint64_t violations = 0;
  std::vector<std::string> sentences{};
};
Seen run_seed(const Scenario& scenario, std::uint64_t seed, Bug bug) {
  auto trial = std::make_unique<Trial>(seed, bug);
  scenario.play(*trial);
  Seen seen{
      trial->simulation.trace_hash(), trial->calls, trial->violation_count(), trial->violations()};
  if (trial->broken()) abandoned().push_back(trial.release());
  return seen;
}

// The number of violations.
std::uint64_t run_scenario(const Scenario& scenario, const Options& options) {
  constexpr std::uint64_t most_shown = 10;
  std::uint64_t calls = 0;
  std::uint64_t violations = 0;
  std::uint64_t failed_seeds = 0;
  std::uint64_t trace = 0;
  const Time start = sync::now();
  for (std::uint64_t index = 0; index < options.seeds; ++index) {
    const std::uint64_t seed = options.first + index;
    Seen seen = run_seed(scenario, seed, options.bug);
    if (index % 100 == 0 && run_seed(scenario, seed, options.bug).trace != seen.trace) {
      ++seen.violations;
      seen.sentences.emplace_back("run twice, it leaves two traces");
    }
    calls += seen.calls;
    violations += seen.violations;
    trace = mix_bits(trace ^ seen.trace) + trace;
    if (seen.violations == 0 || ++failed_seeds > most_shown) continue;
    for (const std::string& sentence : seen.sentences) {
      std::printf("%.*s seed %" PRIu64 ": %s\n",
                  static_cast<int>(scenario.name.size()),
                  scenario.name.data(),
                  seed,
                  sentence.c_str());
    }
    std::string replay = "penstock-simulate --scenario ";
    replay.append(scenario.name).append(" --first ").append(std::to_string(seed));
    replay.append(" --seeds 1");
    if (options.bug != Bug::none) replay.append(" --break ").append(options.bug_name);
    std::printf("  trace %016" PRIx64 ", replay: %s\n", seen.trace, replay.c_str());
  }
  if (failed_seeds > most_shown)
    std::printf("... and %" PRIu64 " seeds more\n", failed_seeds - most_shown);
  const double seconds = std::chrono::duration<double>(sync::now() - start).count();
  std::printf("%-18.*s %9" PRIu64 " seeds %11" PRIu64 " calls %5" PRIu64
              " violations  trace %016" PRIx64 " %9.0f seeds/s\n",
              static_cast<int>(scenario.name.size()),
              scenario.name.data(),
              options.seeds,
              calls,
              violations,
              trace,
              static_cast<double>(options.seeds) / std::max(seconds, 1e-9));
  std::fflush(stdout);
  return violations;
}

}  // namespace

int main(int argc, char** argv) {
  const Result<Options> options = parse({argv + 1, argv + argc});
  if (!options) {
    std::fprintf(stderr, "penstock-simulate: %s\n", std::string{options.error().message()}.c_str());
    return 2;
  }
  if (options->action == Options::Action::help) {
    std::fputs(help_text.data(), stdout);
    return 0;
  }
  if (options->action == Options::Action::list) {
    for (const Scenario& scenario : scenarios) {
      std::printf("%-18.*s %.*s\n",
                  static_cast<int>(scenario.name.size()),
                  scenario.name.data(),
                  static_cast<int>(scenario.what.size()),
                  scenario.what.data());
    }
    return 0;
  }
  std::uint64_t violations = 0;
  for (const Scenario* scenario : options->chosen) violations += run_scenario(*scenario, *options);
  return violations == 0 ? 0 : 1;
}
