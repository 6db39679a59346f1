// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <penstock/core/result.hpp>

#include <cli/command_line.hpp>
#include <cli/flags.hpp>

namespace explore {

using penstock::Result;

/// One choice of a depth-first search that was not the first: at which position, and which.
struct PathStep {
  std::uint32_t position;
  std::uint32_t choice;
};

struct Options {
  enum class Action : std::uint8_t { random, depth_first, path, zoo, list, help };
  Action action = Action::random;
  std::uint64_t runs = 20'000;
  std::uint64_t first = 1;
  std::string scenario{};
  unsigned preemptions = 2;
  unsigned memory = 1;
  std::uint64_t limit = 5'000'000;
  std::size_t steps = 60;
  std::vector<PathStep> path{};
};

inline constexpr std::string_view help_text =
    R"(penstock-explore: runs the library's concurrent code in schedules of its choice.

Usage:
  penstock-explore [options]         random schedules of every scenario
  penstock-explore --dfs [options]   every schedule within bounds
  penstock-explore --zoo             finds hand-made bugs; their corrected twins pass
  penstock-explore --list            names the scenarios and the bugs

      --scenario NAME   only this one, or all of one primitive: token_bucket;
                        a bug of the zoo is zoo/NAME, its twin twin/NAME
      --runs N          random schedules of each scenario (default: 20000)
      --first S         the seed of the first (default: 1); odd seeds choose
                        uniformly, even ones by priorities
      --preemptions N   with --dfs: switches from a thread that could go on, and
                        times that pass while one could (default: 2)
      --memory N        with --dfs: loads of old values and weak exchanges that
                        fail for nothing (default: 1)
      --limit N         with --dfs: gives up after so many executions of one
                        scenario, and says so (default: 5000000)
      --path CHOICES    repeats one execution of --dfs
      --steps N         how many last steps of a failure are shown (default: 60)
  -h, --help            this text

A failure prints the line that repeats it. Exit status: 0 when all hold, every
search was exhausted and every bug found; 1 when not; 2 for a wrong command line.
)";

[[nodiscard]] inline Result<std::vector<PathStep>> parse_path(std::string_view text) {
  std::vector<PathStep> path;
  const auto number = [&](std::uint32_t& value) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  };
  const auto take = [&](char expected) {
    if (text.empty() || text.front() != expected) return false;
    text.remove_prefix(1);
    return true;
  };
  const std::string_view whole = text;
  while (!text.empty()) {
    PathStep step{};
    if ((!path.empty() && !take(',')) || !number(step.position) || !take(':') ||
        !number(step.choice))
      return cli::usage("--path takes choices as a failure prints them, such as 12:1,30:2, not " +
                        cli::quoted(whole));
    path.push_back(step);
  }
  return path;
}

/// The arguments after the program's name; an error is one sentence for the user.
[[nodiscard]] inline Result<Options> parse_options(std::span<const std::string_view> arguments) {
  using namespace cli;
  Options options;
  using Action = Options::Action;
  const auto acts = [&](Action action) {
    return [&options, action](std::string_view, std::string_view) -> Result<void> {
      if (options.action != Action::random)
        return usage("--dfs, --zoo, --list and --path exclude each other");
      options.action = action;
      return {};
    };
  };
  const auto path = [&](std::string_view name, std::string_view value) -> Result<void> {
    Result<std::vector<PathStep>> parsed = parse_path(value);
    if (!parsed) return parsed.error();
    options.path = *std::move(parsed);
    return acts(Action::path)(name, value);
  };
  constexpr std::uint64_t most = 1'000'000'000'000;
  const std::array flags{
      Flag{"--scenario", "", "token_bucket", takes_text(options.scenario)},
      Flag{"--runs", "", "20000", takes_number(options.runs, 1, most)},
      Flag{"--first", "", "1", takes_number(options.first, 0, ~std::uint64_t{0})},
      Flag{"--preemptions", "", "2", takes_number(options.preemptions, 0, 1000)},
      Flag{"--memory", "", "1", takes_number(options.memory, 0, 1000)},
      Flag{"--limit", "", "5000000", takes_number(options.limit, 1, most)},
      Flag{"--path", "", "12:1,30:2", path},
      Flag{"--steps", "", "60", takes_number(options.steps, 1, 100'000)},
      Flag{"--dfs", "", "", acts(Action::depth_first)},
      Flag{"--zoo", "", "", acts(Action::zoo)},
      Flag{"--list", "", "", acts(Action::list)},
      help_flag(options.action),
  };
  if (const auto applied = apply_flags(flags, arguments); !applied) return applied.error();
  if (options.action == Action::path && options.scenario.empty())
    return usage("--path needs the --scenario that it is of");
  return options;
}

}  // namespace explore
