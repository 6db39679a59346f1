// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/mode.hpp>

#include <batch/help.hpp>
#include <batch/progress.hpp>
#include <cli/command_line.hpp>
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

/// One flag: what it is called, and what it does to the options.
struct Flag {
  std::string_view name;        ///< "--input"
  std::string_view short_name;  ///< "-i", or empty
  std::string_view value;       ///< what to write after it in a message; empty: it takes none
  Result<void> (*apply)(Options&, std::string_view value);
};

template <auto member, std::uint64_t least, std::uint64_t most>
Result<void> apply_number(Options& options, std::string_view flag, std::string_view text) {
  auto& target = options.*member;
  using Target = std::remove_reference_t<decltype(target)>;
  auto number = whole_number<std::uint64_t>(flag, text, least, most);
  if (!number) return std::move(number).error();
  if constexpr (std::is_integral_v<Target>) {
    target = static_cast<Target>(*number);
  } else {
    target = static_cast<typename Target::value_type>(*number);
  }
  return {};
}

template <class Value, std::size_t count>
Result<void> apply_word(Value& target,
                        std::string_view flag,
                        std::string_view text,
                        const std::array<std::string_view, count>& words,
                        const std::array<Value, count>& values) {
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) {
    return usage(std::string{flag} + " is " + one_of(words) + ", not " + quoted(text));
  }
  target = values[static_cast<std::size_t>(found - words.begin())];
  return {};
}

inline constexpr std::array flags{
    Flag{"--input",
         "-i",
         "prompts.jsonl",
         [](Options& options, std::string_view value) -> Result<void> {
           options.input = value;
           return {};
         }},
    Flag{"--output",
         "-o",
         "answers.jsonl",
         [](Options& options, std::string_view value) -> Result<void> {
           options.output = value;
           return {};
         }},
    Flag{"--model",
         "-m",
         "provider:model",
         [](Options& options, std::string_view value) -> Result<void> {
           auto spec = llm::parse_model_spec(value);
           if (!spec) return usage("-m " + std::string{spec.error().message()});
           options.models.push_back(*std::move(spec));
           return {};
         }},
    Flag{"--base-url",
         "",
         "http://localhost:8080/v1",
         [](Options& options, std::string_view value) -> Result<void> {
           if (!is_url(value)) {
             return usage("--base-url takes a URL that starts with http:// or https://, not " +
                          quoted(value));
           }
           options.base_url = value;
           return {};
         }},
    Flag{"--concurrency",
         "-c",
         "16",
         [](Options& options, std::string_view value) {
           return apply_number<&Options::concurrency, 1, 10'000>(options, "--concurrency", value);
         }},
    Flag{"--mode",
         "",
         "async",
         [](Options& options, std::string_view value) {
           return apply_word<Mode, 3>(options.mode,
                                      "--mode",
                                      value,
                                      {"inline", "threads", "async"},
                                      {Mode::in_caller, Mode::threads, Mode::async});
         }},
    Flag{"--rpm",
         "",
         "500",
         [](Options& options, std::string_view value) {
           return apply_number<&Options::requests_per_minute, 1, 1'000'000'000>(
               options, "--rpm", value);
         }},
    Flag{"--tpm",
         "",
         "200000",
         [](Options& options, std::string_view value) {
           return apply_number<&Options::tokens_per_minute, 1, 1'000'000'000'000>(
               options, "--tpm", value);
         }},
    Flag{"--max-attempts",
         "",
         "8",
         [](Options& options, std::string_view value) {
           return apply_number<&Options::max_attempts, 1, 100>(options, "--max-attempts", value);
         }},
    Flag{"--deadline",
         "",
         "5m",
         [](Options& options, std::string_view value) -> Result<void> {
           auto time = duration("--deadline", value);
           if (!time) return std::move(time).error();
           options.deadline = *time;
           return {};
         }},
    Flag{"--limit",
         "",
         "10",
         [](Options& options, std::string_view value) {
           return apply_number<&Options::limit, 1, 1'000'000'000'000>(options, "--limit", value);
         }},
    Flag{
        "--progress",
        "",
        "plain",
        [](Options& options, std::string_view value) {
          return apply_word<ProgressStyle, 4>(
              options.progress,
              "--progress",
              value,
              {"none", "plain", "bar", "json"},
              {ProgressStyle::none, ProgressStyle::plain, ProgressStyle::bar, ProgressStyle::json});
        }},
    Flag{"--dry-run",
         "",
         "",
         [](Options& options, std::string_view) -> Result<void> {
           options.action = Action::dry_run;
           return {};
         }},
    Flag{"--help",
         "-h",
         "",
         [](Options& options, std::string_view) -> Result<void> {
           options.action = Action::help;
           return {};
         }},
    Flag{"--version",
         "",
         "",
         [](Options& options, std::string_view) -> Result<void> {
           options.action = Action::version;
           return {};
         }},
};

[[nodiscard]] inline const Flag* find_flag(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::ranges::find_if(
      flags, [&](const Flag& flag) { return flag.name == name || flag.short_name == name; });
  return found == flags.end() ? nullptr : &*found;
}

[[nodiscard]] inline Error unknown_flag(std::string_view name) {
  if (name.find("key") != name.npos) {
    return usage(
        "there is no flag " + std::string{name} +
        "; keys are read from the environment, such as OPENAI_API_KEY, because other users "
        "can see a command line");
  }
  std::array<std::string_view, flags.size()> names{};
  std::ranges::transform(flags, names.begin(), &Flag::name);
  const std::string_view meant = name.starts_with("--") ? closest(name, names) : std::string_view{};
  return usage("there is no flag " + std::string{name} +
               (meant.empty() ? std::string{"; --help lists them"}
                              : "; did you mean " + std::string{meant} + "?"));
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
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-') {
      return usage("nothing is expected at " + quoted(argument) +
                   "; the prompts are given as -i prompts.jsonl");
    }
    std::string_view name = argument;
    std::optional<std::string_view> value;
    if (const auto equals = argument.find('='); equals != argument.npos) {
      name = argument.substr(0, equals);
      value = argument.substr(equals + 1);
    } else if (argument[1] != '-' && argument.size() > 2) {
      name = argument.substr(0, 2);
      value = argument.substr(2);
    }
    const Flag* flag = find_flag(name);
    if (flag == nullptr) return unknown_flag(value && name.size() == 2 ? argument : name);
    if (flag->value.empty() && value) {
      return usage(std::string{flag->name} + " takes no value, not " + quoted(*value));
    }
    if (!flag->value.empty() && !value && i + 1 < arguments.size() &&
        find_flag(arguments[i + 1].substr(0, arguments[i + 1].find('='))) == nullptr) {
      value = arguments[++i];
    }
    if (!flag->value.empty() && (!value || value->empty())) {
      return usage(std::string{name} + " needs a value; write " + std::string{name} + " " +
                   std::string{flag->value});
    }
    if (auto applied = flag->apply(options, value.value_or("")); !applied) {
      return std::move(applied).error();
    }
    if (options.action == Action::help || options.action == Action::version) return options;
  }
  return complete(std::move(options));
}

}  // namespace batch
