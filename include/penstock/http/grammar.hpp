// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include <penstock/http/message.hpp>

namespace penstock::http {

[[nodiscard]] constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

[[nodiscard]] constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// What methods and field names are made of (RFC 9110 §5.6.2); never empty.
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || is_digit(c) || marks.find(c) != marks.npos;
  });
}

/// Free of control bytes other than the tab (RFC 9110 §5.5); bytes from 0x80 up are data.
[[nodiscard]] constexpr bool is_field_value(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  });
}

/// Printable ASCII without spaces: what a percent-encoded target consists of; never empty.
[[nodiscard]] constexpr bool is_visible_ascii(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

/// Without the spaces and tabs at both ends (OWS, RFC 9110 §5.6.3).
[[nodiscard]] constexpr std::string_view trim_whitespace(std::string_view text) noexcept {
  constexpr std::string_view whitespace = " \t";
  const std::size_t first = text.find_first_not_of(whitespace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(whitespace) - first + 1);
}

/// Digits of the base and nothing else: no sign, no space, no prefix. Nothing where the number
/// does not fit 63 bits, so that sums of two of them cannot wrap.
[[nodiscard]] constexpr std::optional<std::uint64_t> parse_unsigned(std::string_view text,
                                                                    std::uint64_t base) noexcept {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    std::uint64_t digit = base;
    if (is_digit(c)) digit = static_cast<std::uint64_t>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<std::uint64_t>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') digit = static_cast<std::uint64_t>(c - 'A') + 10;
    if (digit >= base || value > (most - digit) / base) return std::nullopt;
    value = value * base + digit;
  }
  return value;
}

/// Calls `visit(element)` for each comma-separated element of all fields of this name, in order
/// (RFC 9110 §5.3, §5.6.1); empty elements are visited too.
template <class Visit>
constexpr void for_each_element(const Headers& headers, std::string_view name, Visit&& visit) {
  for (const Header& field : headers) {
    if (!equal_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    for (;;) {
      const std::size_t comma = rest.find(',');
      visit(trim_whitespace(rest.substr(0, comma)));
      if (comma == rest.npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
}

/// Whether a list field such as `connection` names this token, in any case.
[[nodiscard]] inline bool has_element(const Headers& headers,
                                      std::string_view name,
                                      std::string_view token) {
  bool found = false;
  for_each_element(headers, name, [&](std::string_view element) {
    found = found || equal_ignoring_case(element, token);
  });
  return found;
}

}  // namespace penstock::http
