// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>

#include <cli/command_line.hpp>
#include <cli/flags.hpp>

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
    const std::optional<double> share = cli::share(item.substr(equals + 1));
    if (!share) return refuse();
    faults.*(found->share) = *share;
    sum += *share;
  }
  if (sum > 1.0 + 1e-9) return refuse();
  return faults;
}

/// A time as `cli::duration` takes, or none.
[[nodiscard]] inline Result<Duration> time_or_zero(std::string_view name, std::string_view value) {
  if (value == "0" || value == "0ms" || value == "0s") return Duration::zero();
  return cli::duration(name, value);
}

[[nodiscard]] inline cli::Apply takes_time_or_zero(Duration& target) {
  return [&target](std::string_view name, std::string_view value) -> Result<void> {
    const Result<Duration> time = time_or_zero(name, value);
    if (!time) return time.error();
    target = *time;
    return {};
  };
}

/// The arguments after the program's name; an error is one sentence for the user.
[[nodiscard]] inline Result<Options> parse_options(std::span<const std::string_view> arguments) {
  using namespace cli;
  Options options;
  const auto latency = [&](std::string_view name, std::string_view value) -> Result<void> {
    const auto dash = value.find('-');
    const Result<Duration> least = time_or_zero(name, value.substr(0, dash));
    if (!least) return least.error();
    const Result<Duration> most =
        dash == value.npos ? least : time_or_zero(name, value.substr(dash + 1));
    if (!most) return most.error();
    if (*most < *least)
      return usage("--latency takes the shorter time first, not " + quoted(value));
    options.least_latency = *least;
    options.most_latency = *most;
    return {};
  };
  const auto faults = [&](std::string_view, std::string_view value) -> Result<void> {
    const Result<Faults> parsed = parse_faults(value);
    if (!parsed) return parsed.error();
    options.faults = *parsed;
    return {};
  };
  const std::array flags{
      Flag{"--port", "", "8080", takes_number(options.port, 0, 65535)},
      Flag{"--port-file", "", "port.txt", takes_text(options.port_file)},
      Flag{"--latency", "", "5ms-20ms", latency},
      Flag{"--faults", "", "429=0.05,500=0.03", faults},
      Flag{"--slow-by", "", "1s", takes_time_or_zero(options.slow_by)},
      Flag{"--retry-after", "", "100ms", takes_time_or_zero(options.retry_after)},
      Flag{"--seed", "", "1", takes_number(options.seed, 0, ~std::uint64_t{0})},
      Flag{"--rpm", "", "500", takes_number(options.requests_per_minute, 1, 1'000'000'000)},
      Flag{"--tpm", "", "200000", takes_number(options.tokens_per_minute, 1, 1'000'000'000'000)},
      Flag{"--key", "", "secret", takes_text(options.key)},
      help_flag(options.action),
  };
  if (const auto applied = apply_flags(flags, arguments); !applied) return applied.error();
  return options;
}

}  // namespace simulator
