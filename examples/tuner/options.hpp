// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>

#include <cli/flags.hpp>

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
  Options options;
  Backend& backend = options.backend;
  const std::array flags{
      Flag{"--rate", "", "200", takes_number(backend.rate, 1, 100'000)},
      Flag{"--base", "", "50ms", takes_time(backend.base)},
      Flag{"--per-item", "", "2ms", takes_time(backend.per_item)},
      Flag{"--slots", "", "4", takes_number(backend.slots, 0, 10'000)},
      Flag{"--limit", "", "100", takes_number(backend.limit, 0, 1'000'000)},
      Flag{"--failures", "", "0.01", takes_share(backend.failures)},
      Flag{"--deadline", "", "30s", takes_time(backend.deadline)},
      Flag{"--traffic", "", "30s", takes_time(options.traffic)},
      Flag{"--seed", "", "1", takes_number(options.seed, 0, ~std::uint64_t{0})},
      help_flag(options.action),
  };
  if (const auto applied = apply_flags(flags, arguments); !applied) return applied.error();
  return options;
}

}  // namespace tuner
