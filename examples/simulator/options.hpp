// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>

#include <cli/command_line.hpp>

namespace simulator {

using penstock::Duration;
using penstock::Result;

/// Shares of the requests that meet a fault, each 0..1, together at most 1.
struct Faults {
  double rate_limited = 0;  ///< 429 with retry-after
  double internal = 0;      ///< 500
  double unavailable = 0;   ///< 503
  double overloaded = 0;    ///< 529 at Anthropic, 503 at OpenAI
  double cut = 0;           ///< the connection closes before or within the reply
  double slow = 0;          ///< the reply takes `slow_by` longer
};

struct Options {
  enum class Action : std::uint8_t { run, help };
  Action action = Action::run;
  std::uint16_t port = 8080;
  std::string port_file{};
  Duration least_latency{};
  Duration most_latency{};
  Faults faults{};
  Duration slow_by = std::chrono::seconds{1};
  Duration retry_after = std::chrono::milliseconds{100};  ///< of an injected 429
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> requests_per_minute{};
  std::optional<std::uint64_t> tokens_per_minute{};
  std::string key{};
};

inline constexpr std::string_view help_text =
    R"(penstock-simulator: a model provider on loopback that fails the way real ones do.

Usage:
  penstock-simulator [options]

It speaks the OpenAI (/v1/chat/completions) and the Anthropic (/v1/messages)
protocol, streaming and not, and /v1/models. It answers "echo: " and the last
user message. GET /admin/stats tells what it has seen, as JSON.

      --port N          0 picks a free one (default: 8080)
      --port-file FILE  the port is written there once it listens
      --latency TIME    of each reply: 5ms, or a range 5ms-20ms (default: none)
      --faults LIST     shares of the requests, such as
                        429=0.05,500=0.03,503=0.01,slow=0.01,cut=0.02,overload=0.01
      --slow-by TIME    how much longer a slow reply takes (default: 1s)
      --retry-after T   what an injected 429 asks for (default: 100ms)
      --seed N          of faults and latencies (default: 1)
      --rpm N           requests per minute, then 429 (default: no limit)
      --tpm N           tokens per minute, then 429 (default: no limit)
      --key KEY         the only key let in (default: any, or none, but one
                        that contains "wrong", "invalid" or "bad")
  -h, --help            this text

SIGINT or SIGTERM ends it.
)";

[[nodiscard]] inline Result<Faults> parse_faults(std::string_view text) {
  Faults faults;
  struct Name {
    std::string_view name;
    double Faults::*share;
  };
  constexpr std::array<Name, 6> names{{{"429", &Faults::rate_limited},
                                       {"500", &Faults::internal},
                                       {"503", &Faults::unavailable},
                                       {"overload", &Faults::overloaded},
                                       {"cut", &Faults::cut},
                                       {"slow", &Faults::slow}}};
  const auto refuse = [&] {
    return cli::usage(
        "--faults takes shares such as 429=0.05,500=0.03,503=0.01,slow=0.01,cut=0.02,overload=0.01 "
        "of together at most 1, not " +
        cli::quoted(text));
  };
  double sum = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const auto equals = item.find('=');
    const auto found = std::ranges::find(names, item.substr(0, equals), &Name::name);
    if (found == names.end() || equals == item.npos) return refuse();
    const std::string_view number = item.substr(equals + 1);
    double share = 0;
    const auto [end, failure] =
        std::from_chars(number.data(), number.data() + number.size(), share);
    if (failure != std::errc{} || end != number.data() + number.size() || !(share >= 0))
      return refuse();
    faults.*(found->share) = share;
    sum += share;
  }
  if (sum > 1.0 + 1e-9) return refuse();
  return faults;
}

/// The arguments after the program's name; an error is one sentence for the user.
[[nodiscard]] inline Result<Options> parse_options(std::span<const std::string_view> arguments) {
  using namespace cli;
  constexpr std::array<std::string_view, 11> names{"--port",
                                                   "--port-file",
                                                   "--latency",
                                                   "--faults",
                                                   "--slow-by",
                                                   "--retry-after",
                                                   "--seed",
                                                   "--rpm",
                                                   "--tpm",
                                                   "--key",
                                                   "--help"};
  Options options;
  const auto number = [](auto& target,
                         std::string_view name,
                         std::string_view value,
                         std::uint64_t least,
                         std::uint64_t most) -> Result<void> {
    const Result<std::uint64_t> parsed = whole_number<std::uint64_t>(name, value, least, most);
    if (!parsed) return parsed.error();
    target = static_cast<std::remove_reference_t<decltype(target)>>(*parsed);
    return {};
  };
  const auto time =
      [](Duration& target, std::string_view name, std::string_view value) -> Result<void> {
    if (value == "0" || value == "0ms" || value == "0s") {
      target = Duration::zero();
      return {};
    }
    const Result<Duration> parsed = duration(name, value);
    if (!parsed) return parsed.error();
    target = *parsed;
    return {};
  };
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
    if (name == "--port") applied = number(options.port, name, value, 0, 65535);
    if (name == "--port-file") options.port_file = value;
    if (name == "--seed") applied = number(options.seed, name, value, 0, ~std::uint64_t{0});
    if (name == "--key") options.key = value;
    if (name == "--slow-by") applied = time(options.slow_by, name, value);
    if (name == "--retry-after") applied = time(options.retry_after, name, value);
    if (name == "--rpm")
      applied = number(options.requests_per_minute.emplace(), name, value, 1, 1'000'000'000);
    if (name == "--tpm")
      applied = number(options.tokens_per_minute.emplace(), name, value, 1, 1'000'000'000'000);
    if (name == "--latency") {
      const auto dash = value.find('-');
      applied = time(options.least_latency, name, value.substr(0, dash));
      options.most_latency = options.least_latency;
      if (applied && dash != value.npos)
        applied = time(options.most_latency, name, value.substr(dash + 1));
      if (applied && options.most_latency < options.least_latency)
        applied = usage("--latency takes the shorter time first, not " + quoted(value));
    }
    if (name == "--faults") {
      const Result<Faults> faults = parse_faults(value);
      if (!faults) return faults.error();
      options.faults = *faults;
    }
    if (!applied) return applied.error();
  }
  return options;
}

}  // namespace simulator
