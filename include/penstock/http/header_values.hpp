// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <penstock/core/time.hpp>
#include <penstock/http/grammar.hpp>
#include <penstock/http/message.hpp>

namespace penstock::http {

/// The sum of two waits that are not negative, at most Duration::max().
[[nodiscard]] constexpr Duration add_waits(Duration a, Duration b) noexcept {
  return b > Duration::max() - a ? Duration::max() : a + b;
}

/// "12", "0.5", "8.64" times the unit, in integer arithmetic: exact, cut below a nanosecond,
/// Duration::max() where it does not fit. Nothing for a sign, an exponent, "nan" or no digit.
[[nodiscard]] constexpr std::optional<Duration> parse_decimal(std::string_view text,
                                                              Duration unit) noexcept {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction =
      point == text.npos ? std::string_view{} : text.substr(point + 1);
  if (whole.empty() && fraction.empty()) return std::nullopt;

  std::int64_t units = 0;
  for (const char c : whole) {
    if (!is_digit(c)) return std::nullopt;
    units = units > (most - 9) / 10 ? most : units * 10 + (c - '0');
  }
  std::int64_t part = 0;
  std::int64_t digit_value = unit.count();
  for (const char c : fraction) {
    if (!is_digit(c)) return std::nullopt;
    digit_value /= 10;
    part += (c - '0') * digit_value;
  }
  if (units > most / unit.count()) return Duration::max();
  return add_waits(Duration{units * unit.count()}, Duration{part});
}

/// "12ms", "6m0s", "1h2m3.5s": decimals with the units h m s ms us µs ns, as Go prints durations
/// and rate-limit reset fields carry them. A bare number is seconds. Nothing for anything else,
/// a negative one included; Duration::max() where it does not fit.
[[nodiscard]] constexpr std::optional<Duration> parse_go_duration(std::string_view text) noexcept {
  using namespace std::chrono;
  constexpr std::array<std::pair<std::string_view, Duration>, 8> units{{
      {"h", hours{1}},
      {"m", minutes{1}},
      {"s", seconds{1}},
      {"ms", milliseconds{1}},
      {"us", microseconds{1}},
      {"\xC2\xB5s", microseconds{1}},  // U+00B5, the micro sign
      {"\xCE\xBCs", microseconds{1}},  // U+03BC, the Greek letter
      {"ns", nanoseconds{1}},
  }};
  constexpr std::string_view number_characters = "0123456789.";
  text = trim_whitespace(text);
  if (text.find_first_not_of(number_characters) == text.npos)
    return parse_decimal(text, seconds{1});

  Duration sum{};
  while (!text.empty()) {
    const std::size_t number_end = text.find_first_not_of(number_characters);
    if (number_end == text.npos) return std::nullopt;
    const std::string_view number = text.substr(0, number_end);
    text.remove_prefix(number_end);
    // The longest run up to the next number, so that "ms" is not read as "m".
    const std::string_view name = text.substr(0, text.find_first_of(number_characters));
    text.remove_prefix(name.size());
    std::optional<Duration> part;
    for (const auto& [unit_name, unit] : units)
      if (name == unit_name) part = parse_decimal(number, unit);
    if (!part) return std::nullopt;
    sum = add_waits(sum, *part);
  }
  return sum;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 §5.6.7), the one form that may be sent.
/// Whether the name of the day fits is not checked.
[[nodiscard]] constexpr std::optional<std::chrono::sys_seconds> parse_http_date(
    std::string_view text) noexcept {
  using namespace std::chrono;
  constexpr std::string_view day_names = "Mon Tue Wed Thu Fri Sat Sun";
  constexpr std::string_view month_names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
  constexpr std::string_view pattern = "aaa, 00 aaa 0000 00:00:00 GMT";
  text = trim_whitespace(text);
  if (text.size() != pattern.size()) return std::nullopt;
  for (std::size_t i = 0; i != pattern.size(); ++i) {
    const bool fits = pattern[i] == '0'   ? is_digit(text[i])
                      : pattern[i] == 'a' ? is_letter(text[i])
                                          : text[i] == pattern[i];
    if (!fits) return std::nullopt;
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    return static_cast<int>(*parse_unsigned(text.substr(at, digits), 10));
  };
  const std::size_t month_at = month_names.find(text.substr(8, 3));
  if (month_at == month_names.npos || day_names.find(text.substr(0, 3)) == day_names.npos)
    return std::nullopt;
  const year_month_day date{year{number(12, 4)},
                            month{static_cast<unsigned>(month_at / 4 + 1)},
                            day{static_cast<unsigned>(number(5, 2))}};
  const int hour = number(17, 2);
  const int minute = number(20, 2);
  const int second = number(23, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return sys_days{date} + hours{hour} + minutes{minute} + seconds{second};
}

/// How long a reply asks to wait: `retry-after-ms`, else `retry-after` in seconds or as a date.
///
/// Fractions are allowed. A date counts from the reply's own `date` field, so that a wrong clock
/// on either side does not matter; without that field it is nothing. Never negative; nothing for
/// what is not understood; Duration::max() where the wait does not fit.
[[nodiscard]] inline std::optional<Duration> parse_retry_after(const Headers& headers) {
  using namespace std::chrono;
  if (const auto field = headers.find("retry-after-ms"))
    if (const auto wait = parse_decimal(trim_whitespace(*field), milliseconds{1})) return wait;
  const auto field = headers.find("retry-after");
  if (!field) return std::nullopt;
  if (const auto wait = parse_decimal(trim_whitespace(*field), seconds{1})) return wait;
  const auto then = parse_http_date(*field);
  const auto sent = headers.find("date");
  const auto now = sent ? parse_http_date(*sent) : std::nullopt;
  if (!then || !now) return std::nullopt;
  if (*then <= *now) return Duration::zero();
  const seconds wait = *then - *now;
  if (wait > duration_cast<seconds>(Duration::max())) return Duration::max();
  return Duration{wait};
}

}  // namespace penstock::http
