// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>

#include <cli/command_line.hpp>

namespace tuner {

using penstock::Duration;
using penstock::Result;

/// A backend as its owner would describe it, and the traffic that comes to it.
struct Backend {
  std::uint64_t rate = 200;  ///< items per second that arrive
  Duration base = std::chrono::milliseconds{50};
  Duration per_item = std::chrono::milliseconds{2};
  std::uint32_t slots = 4;  ///< requests it serves at once; 0: any number
  std::uint64_t limit = 0;  ///< requests per second, then 429; 0: no limit
  double failures = 0.01;   ///< share of the requests that end with 500
  Duration deadline = std::chrono::seconds{30};
};

struct Options {
  enum class Action : std::uint8_t { run, help };
  Action action = Action::run;
  Backend backend{};
  Duration traffic = std::chrono::seconds{30};  ///< simulated
  std::uint64_t seed = 1;
};

inline constexpr std::string_view help_text =
    R"(penstock-tune: batch size, concurrency and retries for a backend, found in simulated time.

Usage:
  penstock-tune [options]

Describe the backend and the traffic; it tries over a hundred settings on a model
of them, with the library's own batch queue, limiter and retries, and prints
the best as options to compile. The same description and seed give the same
answer.

      --rate N          items per second that arrive (default: 200)
      --base TIME       what a request takes whatever its size (default: 50ms)
      --per-item TIME   and for each item in it (default: 2ms)
      --slots N         requests the backend serves at once; 0: any (default: 4)
      --limit N         requests per second, then 429; 0: none (default: 0)
      --failures SHARE  of the requests end with 500 (default: 0.01)
      --deadline TIME   each item must be answered within (default: 30s)
      --traffic TIME    how much of it is simulated per setting (default: 30s)
      --seed N          of arrivals, latencies and failures (default: 1)
  -h, --help            this text
)";

/// The arguments after the program's name; an error is one sentence for the user.
[[nodiscard]] inline Result<Options> parse_options(std::span<const std::string_view> arguments) {
  using namespace cli;
  constexpr std::array<std::string_view, 10> names{"--rate",
                                                   "--base",
                                                   "--per-item",
                                                   "--slots",
                                                   "--limit",
                                                   "--failures",
                                                   "--deadline",
                                                   "--traffic",
                                                   "--seed",
                                                   "--help"};
  Options options;
  Backend& backend = options.backend;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "-h" || argument == "--help") {
      options.action = Options::Action::help;
      return options;
    }
    const auto equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    if (std::ranges::find(names, name) == names.end()) {
      const std::string_view meant = closest(name, names);
      return usage("there is no flag " + std::string{name} +
                   (meant.empty() ? std::string{"; --help lists them"}
                                  : "; did you mean " + std::string{meant} + "?"));
    }
    if (equals == argument.npos && i + 1 == arguments.size())
      return usage(std::string{name} + " needs a value; --help shows one");
    const std::string_view value =
        equals == argument.npos ? arguments[++i] : argument.substr(equals + 1);
    Result<void> applied;
    const auto number = [&](auto& target, std::uint64_t least, std::uint64_t most) {
      const Result<std::uint64_t> parsed = whole_number<std::uint64_t>(name, value, least, most);
      if (!parsed) {
        applied = parsed.error();
      } else {
        target = static_cast<std::remove_reference_t<decltype(target)>>(*parsed);
      }
    };
    const auto time = [&](Duration& target) {
      const Result<Duration> parsed = duration(name, value);
      if (!parsed) {
        applied = parsed.error();
      } else {
        target = *parsed;
      }
    };
    if (name == "--rate") number(backend.rate, 1, 100'000);
    if (name == "--slots") number(backend.slots, 0, 10'000);
    if (name == "--limit") number(backend.limit, 0, 1'000'000);
    if (name == "--seed") number(options.seed, 0, ~std::uint64_t{0});
    if (name == "--base") time(backend.base);
    if (name == "--per-item") time(backend.per_item);
    if (name == "--deadline") time(backend.deadline);
    if (name == "--traffic") time(options.traffic);
    if (name == "--failures") {
      const auto [end, failure] =
          std::from_chars(value.data(), value.data() + value.size(), backend.failures);
      if (failure != std::errc{} || end != value.data() + value.size() ||
          !(backend.failures >= 0 && backend.failures <= 1))
        return usage("--failures takes a share from 0 to 1, such as 0.01, not " + quoted(value));
    }
    if (!applied) return applied.error();
  }
  return options;
}

}  // namespace tuner
