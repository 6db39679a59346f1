// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/mode.hpp>

#include <batch/help.hpp>
#include <batch/progress.hpp>
#include <cli/command_line.hpp>
#include <cli/flags.hpp>
#include <llm/model_spec.hpp>

namespace batch {

using penstock::Duration;
using penstock::Error;
using penstock::ErrorKind;
using penstock::Mode;
using penstock::Result;

enum class Action : std::uint8_t { run, dry_run, help, version };

/// The whole command line, checked.
struct Options {
  Action action = Action::run;
  std::string input;   ///< "-" is standard input
  std::string output;  ///< never empty once parsed, except for help, version, dry run
  std::vector<llm::ModelSpec> models;  ///< in order of preference
  std::string base_url;                ///< for the models that name none; may be empty
  std::size_t concurrency = 16;        ///< 1..10000
  Mode mode = Mode::async;             ///< where the calls are made
  std::optional<std::uint64_t> requests_per_minute;  ///< none: no limit of ours
  std::optional<std::uint64_t> tokens_per_minute;    ///< none: no limit of ours
  std::uint32_t max_attempts = 8;                    ///< 1..100 for each prompt
  Duration deadline = std::chrono::minutes{5};       ///< total time of one prompt
  std::optional<std::size_t> limit;                  ///< prompts to ask in this run
  ProgressStyle progress = ProgressStyle::bar;
};

/// `answers.jsonl` gives `answers.<word>.jsonl`; any other name gets `.<word>.jsonl` added.
[[nodiscard]] inline std::string sibling_path(std::string_view path, std::string_view word) {
  constexpr std::string_view extension = ".jsonl";
  const bool strip = path.ends_with(extension) && path.size() > extension.size() &&
                     path[path.size() - extension.size() - 1] != '/';
  if (strip) path.remove_suffix(extension.size());
  return std::string{path}.append(".").append(word).append(extension);
}

namespace command_line {

using namespace cli;

[[nodiscard]] inline std::vector<Flag> flags(Options& options) {
  const auto model = [&](std::string_view, std::string_view value) -> Result<void> {
    auto spec = llm::parse_model_spec(value);
    if (!spec) return usage("-m " + std::string{spec.error().message()});
    options.models.push_back(*std::move(spec));
    return {};
  };
  const auto url = [&](std::string_view name, std::string_view value) -> Result<void> {
    if (!is_url(value)) {
      return usage(std::string{name} + " takes a URL that starts with http:// or https://, not " +
                   quoted(value));
    }
    options.base_url = value;
    return {};
  };
  using enum ProgressStyle;
  return {
      {"--input", "-i", "prompts.jsonl", takes_text(options.input)},
      {"--output", "-o", "answers.jsonl", takes_text(options.output)},
      {"--model", "-m", "provider:model", model},
      {"--base-url", "", "http://localhost:8080/v1", url},
      {"--concurrency", "-c", "16", takes_number(options.concurrency, 1, 10'000)},
      {"--mode",
       "",
       "async",
       takes_word(
           options.mode,
           {{"inline", Mode::in_caller}, {"threads", Mode::threads}, {"async", Mode::async}})},
      {"--rpm", "", "500", takes_number(options.requests_per_minute, 1, 1'000'000'000)},
      {"--tpm", "", "200000", takes_number(options.tokens_per_minute, 1, 1'000'000'000'000)},
      {"--max-attempts", "", "8", takes_number(options.max_attempts, 1, 100)},
      {"--deadline", "", "5m", takes_time(options.deadline)},
      {"--limit", "", "10", takes_number(options.limit, 1, 1'000'000'000'000)},
      {"--progress",
       "",
       "plain",
       takes_word(options.progress,
                  {{"none", none}, {"plain", plain}, {"bar", bar}, {"json", json}})},
      {"--dry-run", "", "", means(options.action, Action::dry_run)},
      help_flag(options.action),
      {"--version", "", "", means(options.action, Action::version), Flag::Then::stop},
  };
}

/// Two habits are told what to write here instead.
[[nodiscard]] inline Error refuse(std::span<const Flag> known, std::string_view argument) {
  if (argument.size() < 2 || argument[0] != '-') {
    return usage("nothing is expected at " + quoted(argument) +
                 "; the prompts are given as -i prompts.jsonl");
  }
  const std::string_view name = before_equals(argument);
  if (name.find("key") != name.npos) {
    return usage(
        "there is no flag " + std::string{name} +
        "; keys are read from the environment, such as OPENAI_API_KEY, because other users "
        "can see a command line");
  }
  return unknown_flag(known, argument);
}

/// What only the whole command line can tell: what is missing, and the default output.
[[nodiscard]] inline Result<Options> complete(Options options) {
  if (options.input.empty()) {
    return usage("the prompts are missing; write -i prompts.jsonl, or -i - for standard input");
  }
  const bool asks = options.action == Action::run;
  if (asks && options.models.empty()) {
    return usage("the model is missing; write -m provider:model, such as -m openai:gpt-4.1-nano");
  }
  if (options.output == "-") {
    return usage("answers go to a file, so that a second run can resume; write -o answers.jsonl");
  }
  if (options.output.empty() && options.input != "-") {
    options.output = sibling_path(options.input, "out");
  }
  if (asks && options.output.empty()) {
    return usage(
        "with -i - there is no file name to derive the output from; write -o answers.jsonl");
  }
  if (options.output == options.input) {
    return usage("input and output are both " + quoted(options.input) +
                 "; write another file after -o");
  }
  return options;
}

}  // namespace command_line

/// The arguments after the program's name. Every error is one sentence for the user, without a
/// final stop. `--help` and `--version` need nothing else to be right after them.
[[nodiscard]] inline Result<Options> parse_options(std::span<const std::string_view> arguments) {
  using namespace command_line;
  Options options;
  if (const auto applied = apply_flags(flags(options), arguments, refuse); !applied)
    return applied.error();
  if (options.action == Action::help || options.action == Action::version) return options;
  return complete(std::move(options));
}

}  // namespace batch
