// SPDX-License-Identifier: MIT
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/time.hpp>

#include <batch/latency.hpp>

namespace batch {

enum class ProgressStyle : std::uint8_t {
  none,
  plain,  ///< a line at intervals, without control characters
  bar,    ///< one line, redrawn
  json,   ///< an object per line, for another program
};

/// What became of the prompts so far. *Not synchronized.*
struct Tally {
  std::uint64_t answered = 0;   ///< in this run
  std::uint64_t skipped = 0;    ///< answered by an earlier run
  std::uint64_t failed = 0;     ///< given up in this run
  std::uint64_t malformed = 0;  ///< input lines that are no prompt
  std::uint64_t retried = 0;    ///< attempts after the first, on the same model
  std::uint64_t fell_back = 0;  ///< prompts handed to a later model
  std::uint64_t refused = 0;    ///< attempts that our own limits or breakers did not let out
  std::uint64_t in_flight = 0;
  std::uint64_t total = 0;  ///< lines that need an answer, malformed ones included; 0: not known

  [[nodiscard]] std::uint64_t done() const noexcept {
    return answered + skipped + failed + malformed;
  }
};

/// 12.3, with that many digits after the point, in any locale.
[[nodiscard]] inline std::string fixed(double number, int digits) {
  std::array<char, 400> text{};
  const auto end = std::to_chars(
      text.data(), text.data() + text.size(), number, std::chars_format::fixed, digits);
  return {text.data(), end.ptr};
}

/// For people: "812us", "640ms", "2.41s", "1m21s", "2h05m".
[[nodiscard]] inline std::string brief(Duration time) {
  using namespace std::chrono;
  const auto two_digits = [](std::int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (time < microseconds{1}) return "0s";
  if (time < milliseconds{1})
    return std::to_string(duration_cast<microseconds>(time).count()) + "us";
  if (time < seconds{1}) return std::to_string(duration_cast<milliseconds>(time).count()) + "ms";
  const auto whole = duration_cast<seconds>(time).count();
  if (whole < 10) {
    // Cut, not rounded: 9.999 s must not read "10.00s".
    const auto hundredths = duration_cast<milliseconds>(time).count() / 10;
    if (hundredths % 100 != 0) {
      return std::to_string(whole) + "." + two_digits(hundredths % 100) + "s";
    }
  }
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3600) return std::to_string(whole / 60) + "m" + two_digits(whole % 60) + "s";
  return std::to_string(whole / 3600) + "h" + two_digits(whole / 60 % 60) + "m";
}

/// Prompts finished by this run per second of it.
[[nodiscard]] inline double rate(const Tally& tally, Duration elapsed) noexcept {
  const double seconds = std::chrono::duration<double>{elapsed}.count();
  return seconds > 0 ? static_cast<double>(tally.answered + tally.failed) / seconds : 0.0;
}

/// Time until the rest is done at the mean rate so far; nothing where that cannot be told.
[[nodiscard]] inline std::optional<Duration> time_left(const Tally& tally,
                                                       Duration elapsed) noexcept {
  const double speed = rate(tally, elapsed);
  if (tally.total == 0 || tally.done() > tally.total) return std::nullopt;
  if (tally.done() == tally.total) return Duration::zero();
  if (speed <= 0) return std::nullopt;
  const double seconds = static_cast<double>(tally.total - tally.done()) / speed;
  constexpr double longest = 1e9;  // 31 years: says "never" and still fits
  return std::chrono::seconds{static_cast<std::int64_t>(std::min(seconds, longest) + 0.5)};
}

/// Which counters a text names even when they are zero.
enum class Zeros : std::uint8_t { left_out, of_the_rescues };

/// ", 2 failed, 3 retried": what happened besides answers, each after a comma. The rescues are
/// what the pipe did about trouble: retries, fallbacks, refusals of its own.
[[nodiscard]] inline std::string incidents(const Tally& tally, Zeros zeros = Zeros::left_out) {
  std::string text;
  struct Counter {
    std::uint64_t count;
    std::string_view name;
    bool rescue = false;
  };
  const std::array<Counter, 6> counters{{
      {tally.failed, "failed"},
      {tally.malformed, "malformed"},
      {tally.retried, "retried", true},
      {tally.fell_back, "fell back", true},
      {tally.refused, "refused", true},
      {tally.skipped, "answered before"},
  }};
  for (const auto& [count, name, rescue] : counters)
    if (count != 0 || (rescue && zeros == Zeros::of_the_rescues))
      text.append(", ").append(std::to_string(count)).append(" ").append(name);
  return text;
}

/// "450 of 1000 (45%), 12.3/s, 44s left, 16 in flight, 2 failed".
[[nodiscard]] inline std::string render_plain(const Tally& tally, Duration elapsed) {
  std::string text = std::to_string(tally.done());
  if (tally.total != 0) {
    text += " of " + std::to_string(tally.total) + " (" +
            std::to_string(tally.done() * 100 / tally.total) + "%)";
  }
  text += ", " + fixed(rate(tally, elapsed), 1) + "/s";
  if (const auto left = time_left(tally, elapsed)) text += ", " + brief(*left) + " left";
  return text + ", " + std::to_string(tally.in_flight) + " in flight" + incidents(tally);
}

/// The same within `width` columns less one (a full last column makes some terminals wrap),
/// behind a bar. What does not fit is left out, the least urgent first.
[[nodiscard]] inline std::string render_bar(const Tally& tally,
                                            Duration elapsed,
                                            std::size_t width) {
  constexpr std::size_t narrowest = 10;
  constexpr std::size_t widest = 30;
  const std::size_t columns = width > 1 ? width - 1 : 0;
  const bool bounded = tally.total != 0 && tally.done() <= tally.total;

  std::string text = std::to_string(tally.done());
  if (bounded) {
    text = std::to_string(tally.done() * 100 / tally.total) + "% " + text + "/" +
           std::to_string(tally.total);
  }
  const std::size_t room = columns > narrowest + 3 ? columns - narrowest - 3 : columns;
  const auto add = [&](const std::string& piece) {
    if (!piece.empty() && text.size() + piece.size() <= room) text += piece;
  };
  const auto left = time_left(tally, elapsed);
  add(" " + fixed(rate(tally, elapsed), 1) + "/s");
  add(left ? " ETA " + brief(*left) : std::string{});
  add(tally.failed != 0 ? ", " + std::to_string(tally.failed) + " failed" : std::string{});
  add(", " + std::to_string(tally.in_flight) + " in flight");
  add(tally.retried != 0 ? ", " + std::to_string(tally.retried) + " retried" : std::string{});
  if (!bounded || text.size() + narrowest + 3 > columns) return text.substr(0, columns);

  const std::size_t length = std::min(widest, columns - text.size() - 3);
  const auto filled = static_cast<std::size_t>(tally.done() * length / tally.total);
  return "[" + std::string(filled, '#') + std::string(length - filled, '.') + "] " + text;
}

/// {"answered":…,"elapsed_seconds":…}: every counter, the rate, and the time left or null.
[[nodiscard]] inline std::string render_json(const Tally& tally, Duration elapsed) {
  std::string text = "{";
  const std::array<std::pair<std::string_view, std::uint64_t>, 9> counters{{
      {"answered", tally.answered},
      {"skipped", tally.skipped},
      {"failed", tally.failed},
      {"malformed", tally.malformed},
      {"retried", tally.retried},
      {"fell_back", tally.fell_back},
      {"refused", tally.refused},
      {"in_flight", tally.in_flight},
      {"total", tally.total},
  }};
  for (const auto& [name, count] : counters)
    text.append("\"").append(name).append("\":").append(std::to_string(count)).append(",");
  const auto seconds = [](Duration time) { return std::chrono::duration<double>{time}.count(); };
  const auto left = time_left(tally, elapsed);
  text += "\"elapsed_seconds\":" + fixed(seconds(elapsed), 3);
  text += ",\"per_second\":" + fixed(rate(tally, elapsed), 3);
  text += ",\"seconds_left\":" + (left ? fixed(seconds(*left), 0) : std::string{"null"});
  return text + "}";
}

/// The bytes that show this state, ready to write to the terminal or the log.
[[nodiscard]] inline std::string render(ProgressStyle style,
                                        const Tally& tally,
                                        Duration elapsed,
                                        std::size_t width) {
  switch (style) {
    case ProgressStyle::none:
      return {};
    case ProgressStyle::plain:
      return render_plain(tally, elapsed) + "\n";
    case ProgressStyle::json:
      return render_json(tally, elapsed) + "\n";
    case ProgressStyle::bar:
      break;
  }
  // Blanks, not an escape sequence, wipe what a longer line before left behind.
  std::string line = render_bar(tally, elapsed, width);
  if (line.size() + 1 < width) line.resize(width - 1, ' ');
  return "\r" + line;
}

/// Wipes the bar so that a message can stand on its line.
[[nodiscard]] inline std::string erase_bar(std::size_t width) {
  return "\r" + std::string(width > 1 ? width - 1 : 0, ' ') + "\r";
}

/// A bar is drawn on a terminal only; elsewhere it is plain lines.
[[nodiscard]] inline ProgressStyle style_for(int descriptor, ProgressStyle wanted) {
  return wanted == ProgressStyle::bar && ::isatty(descriptor) == 0 ? ProgressStyle::plain : wanted;
}

/// Columns of the terminal, 80 where there is none to ask.
[[nodiscard]] inline std::size_t terminal_width(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/// What a run says at its end.
struct Summary {
  Tally tally;
  Duration elapsed{};
  const LatencyHistogram* latencies = nullptr;  ///< of answered prompts; may be null
  std::uint64_t requests_made = 0;
  std::uint64_t connections_opened = 0;
  std::string output{};
  std::string errors{};  ///< named only where a prompt failed
};

/// A few lines, the last ended.
[[nodiscard]] inline std::string to_string(const Summary& summary) {
  const Tally& tally = summary.tally;
  std::string text = std::to_string(tally.answered) + " answered" +
                     incidents(tally, Zeros::of_the_rescues) + " in " + brief(summary.elapsed) +
                     "\n";
  if (summary.latencies != nullptr && summary.latencies->count() != 0) {
    text += "latency p50 " + brief(summary.latencies->quantile(0.50)) + ", p99 " +
            brief(summary.latencies->quantile(0.99)) + "\n";
  }
  if (summary.requests_made != 0) {
    const double seconds = std::chrono::duration<double>{summary.elapsed}.count();
    text += std::to_string(summary.requests_made) + " requests over " +
            std::to_string(summary.connections_opened) + " connections";
    if (seconds > 0) {
      text += ", " + fixed(static_cast<double>(summary.requests_made) / seconds, 1) + " requests/s";
    }
    text += "\n";
  }
  if (!summary.output.empty()) text += "answers: " + summary.output + "\n";
  if (tally.failed != 0 && !summary.errors.empty()) {
    text += "errors: " + summary.errors + " (the same command again asks these prompts again)\n";
  }
  return text;
}

}  // namespace batch
