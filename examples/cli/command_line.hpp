// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>

/// What the command lines of the programs share.
namespace cli {

using penstock::Duration;
using penstock::Error;
using penstock::ErrorKind;
using penstock::Result;

[[nodiscard]] inline Error usage(std::string sentence) {
  return Error{ErrorKind::permanent, std::move(sentence)};
}

[[nodiscard]] inline std::string quoted(std::string_view text) {
  return std::string{'"'}.append(text).append("\"");
}

/// Levenshtein's distance: insertions, deletions and substitutions of one character.
[[nodiscard]] inline std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t column = 0; column <= to.size(); ++column) row[column] = column;
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t substituted = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row[to.size()];
}

/// The known word a misspelt one was meant to be, or nothing where none is near.
template <class Words>
[[nodiscard]] std::string_view closest(std::string_view word, const Words& known) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 2);
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

/// "a, b or c".
template <class Words>
[[nodiscard]] std::string one_of(const Words& words) {
  std::string text;
  for (std::size_t i = 0; i < std::size(words); ++i) {
    if (i != 0) text += i + 1 == std::size(words) ? " or " : ", ";
    text += words[i];
  }
  return text;
}

template <class Number>
[[nodiscard]] Result<Number> whole_number(std::string_view flag,
                                          std::string_view text,
                                          std::uint64_t least,
                                          std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size() || number < least ||
      number > most) {
    return usage(std::string{flag} + " takes a whole number from " + std::to_string(least) +
                 " to " + std::to_string(most) + ", not " + quoted(text));
  }
  return static_cast<Number>(number);
}

inline constexpr std::chrono::hours longest_duration{24 * 365};

[[nodiscard]] inline Result<Duration> duration(std::string_view flag, std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Duration>, 4> units{{
      {"ms", std::chrono::milliseconds{1}},
      {"s", std::chrono::seconds{1}},
      {"m", std::chrono::minutes{1}},
      {"h", std::chrono::hours{1}},
  }};
  std::int64_t count = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, length] : units) {
    if (failure != std::errc{} || unit != name) continue;
    if (count < 1 || count > longest_duration / length) break;
    return count * length;
  }
  return usage(std::string{flag} +
               " takes a time such as 500ms, 60s, 5m or 2h, at most 8760h, not " + quoted(text));
}

[[nodiscard]] inline bool is_url(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (text.starts_with(scheme) && text.size() > scheme.size()) {
      return text[scheme.size()] != '/' && text.find_first_of(" \t\r\n") == text.npos;
    }
  }
  return false;
}

}  // namespace cli
