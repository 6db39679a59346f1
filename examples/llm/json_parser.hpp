// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <llm/json_value.hpp>
#include <llm/utf8.hpp>
#include <penstock/core/result.hpp>

namespace llm {

using penstock::Error;
using penstock::ErrorKind;
using penstock::Result;

/// Arrays and objects may be nested this deep; deeper text is refused, so no input can exhaust the
/// stack.
inline constexpr int json_depth_limit = 128;

/// Reads one JSON text, exactly as RFC 8259 has it: no comments, no trailing commas, no byte order
/// mark, well-formed UTF-8, surrogates only in pairs. *Not synchronized.*
///
/// Of members with one name the last wins, as in most readers. An integer outside int64 and a
/// number beyond every double keep their spelling; -0 is a double, for its sign.
class JsonParser {
 public:
  explicit JsonParser(std::string_view text) noexcept : text_(text) {}

  [[nodiscard]] Result<Json> run() {
    Json value;
    skip_whitespace();
    if (!read_value(value, 0)) return failure();
    skip_whitespace();
    if (at_ != text_.size()) {
      refuse("expected the end of the text after the value");
      return failure();
    }
    return value;
  }

 private:
  [[nodiscard]] bool starts(char wanted) const noexcept {
    return at_ < text_.size() && text_[at_] == wanted;
  }
  [[nodiscard]] bool digit() const noexcept {
    return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9';
  }
  bool skip(char wanted) noexcept {
    if (!starts(wanted)) return false;
    ++at_;
    return true;
  }
  void skip_whitespace() noexcept {
    while (starts(' ') || starts('\t') || starts('\n') || starts('\r')) ++at_;
  }
  bool refuse(const char* problem) noexcept {
    problem_ = problem;
    return false;
  }

  [[nodiscard]] Error failure() const {
    const std::string_view before = text_.substr(0, at_);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return Error{ErrorKind::permanent,
                 "invalid JSON at line " + std::to_string(lines + 1) + ", column " +
                     std::to_string(at_ - line_start + 1) + " (offset " + std::to_string(at_) +
                     "): " + (at_ == text_.size() ? "the text ends; " : "") + problem_};
  }

  bool read_value(Json& out, int depth) {
    if (at_ == text_.size()) return refuse("expected a value");
    switch (text_[at_]) {
      case '{':
        return read_object(out, depth + 1);
      case '[':
        return read_array(out, depth + 1);
      case '"': {
        std::string value;
        if (!read_string(value)) return false;
        out = std::move(value);
        return true;
      }
      case 't':
        return read_word("true", true, out);
      case 'f':
        return read_word("false", false, out);
      case 'n':
        return read_word("null", nullptr, out);
      default:
        break;
    }
    if (digit() || starts('-')) return read_number(out);
    return refuse("expected a value");
  }

  bool read_word(std::string_view word, Json value, Json& out) {
    if (text_.substr(at_, word.size()) != word) return refuse("expected true, false or null");
    at_ += word.size();
    out = std::move(value);
    return true;
  }

  bool read_array(Json& out, int depth) {
    if (depth > json_depth_limit) return refuse("nested deeper than 128 levels");
    ++at_;
    Json::Array items;
    skip_whitespace();
    if (!skip(']')) {
      do {
        skip_whitespace();
        if (!read_value(items.emplace_back(), depth)) return false;
        skip_whitespace();
      } while (skip(','));
      if (!skip(']')) return refuse("expected ',' or ']' after an array item");
    }
    out = Json::array(std::move(items));
    return true;
  }

  bool read_object(Json& out, int depth) {
    if (depth > json_depth_limit) return refuse("nested deeper than 128 levels");
    ++at_;
    Json::Object members;
    skip_whitespace();
    if (!skip('}')) {
      do {
        skip_whitespace();
        if (!starts('"')) return refuse("expected a member name in double quotes");
        JsonMember& member = members.emplace_back();
        if (!read_string(member.name)) return false;
        skip_whitespace();
        if (!skip(':')) return refuse("expected ':' after a member name");
        skip_whitespace();
        if (!read_value(member.value, depth)) return false;
        skip_whitespace();
      } while (skip(','));
      if (!skip('}')) return refuse("expected ',' or '}' after an object member");
    }
    keep_last_of_each_name(members);
    out = Json::object(std::move(members));
    return true;
  }

  // Sorted once, so that an object of a million members costs no million squared comparisons.
  static void keep_last_of_each_name(Json::Object& members) {
    if (members.size() < 2) return;
    std::vector<std::size_t> order(members.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const int compared = members[a].name.compare(members[b].name);
      return compared != 0 ? compared < 0 : a < b;
    });
    std::vector<std::size_t> replaced;
    for (std::size_t next = 1; next < order.size(); ++next) {
      if (members[order[next - 1]].name == members[order[next]].name) {
        replaced.push_back(order[next - 1]);
      }
    }
    if (replaced.empty()) return;
    std::ranges::sort(replaced);
    Json::Object kept;
    kept.reserve(members.size() - replaced.size());
    auto skipped = replaced.begin();
    for (std::size_t index = 0; index < members.size(); ++index) {
      if (skipped != replaced.end() && *skipped == index) {
        ++skipped;
      } else {
        kept.push_back(std::move(members[index]));
      }
    }
    members = std::move(kept);
  }

  bool read_number(Json& out) {
    const std::size_t start = at_;
    const bool negative = skip('-');
    if (!skip('0')) {
      if (!digit()) return refuse("expected a digit after '-'");
      while (digit()) ++at_;
    } else if (digit()) {
      return refuse("a number has no leading zeros");
    }
    bool whole = true;
    if (skip('.')) {
      whole = false;
      if (!digit()) return refuse("expected a digit after '.'");
      while (digit()) ++at_;
    }
    if (skip('e') || skip('E')) {
      whole = false;
      if (!skip('+')) skip('-');
      if (!digit()) return refuse("expected a digit in the exponent");
      while (digit()) ++at_;
    }
    const std::string_view spelling = text_.substr(start, at_ - start);
    if (negative && spelling == "-0") {
      out = -0.0;
    } else if (std::int64_t integer = 0;
               whole &&
               std::from_chars(spelling.data(), spelling.data() + spelling.size(), integer).ec ==
                   std::errc{}) {
      out = integer;
    } else if (const auto real = to_double(spelling); real && !whole) {
      out = *real;
    } else {
      out = Json::number_as_written(std::string{spelling});
    }
    return true;
  }

  bool read_string(std::string& out) {
    ++at_;
    std::size_t plain = at_;  // start of the bytes not yet copied
    while (at_ < text_.size()) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        out.append(text_, plain, at_ - plain);
        ++at_;
        return true;
      }
      if (byte == '\\') {
        out.append(text_, plain, at_ - plain);
        if (!read_escape(out)) return false;
        plain = at_;
      } else if (byte < 0x20) {
        return refuse("a control character in a string must be escaped");
      } else if (byte < 0x80) {
        ++at_;
      } else {
        const std::size_t length = utf8_sequence(text_.substr(at_));
        if (length == 0) return refuse("a string holds bytes that are not UTF-8");
        at_ += length;
      }
    }
    return refuse("expected '\"' to close the string");
  }

  bool read_escape(std::string& out) {
    ++at_;
    if (at_ == text_.size()) return refuse("expected a character after '\\'");
    switch (text_[at_]) {
      case '"':
      case '\\':
      case '/':
        out.push_back(text_[at_]);
        break;
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u':
        ++at_;
        return read_code_point(out);
      default:
        return refuse("unknown escape in a string");
    }
    ++at_;
    return true;
  }

  bool read_code_point(std::string& out) {
    std::uint32_t point = 0;
    if (!read_four_digits(point)) return false;
    if (point >= 0xDC00 && point <= 0xDFFF) return refuse("a low surrogate without its high one");
    if (point >= 0xD800 && point <= 0xDBFF) {
      std::uint32_t low = 0;
      if (!skip('\\') || !skip('u')) return refuse("a high surrogate without its low one");
      if (!read_four_digits(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return refuse("a high surrogate without its low one");
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(out, static_cast<char32_t>(point));
    return true;
  }

  bool read_four_digits(std::uint32_t& out) {
    if (text_.size() - at_ < 4) {
      at_ = text_.size();
      return refuse("expected four hexadecimal digits after \\u");
    }
    const char* const start = text_.data() + at_;
    const auto [stopped, failed] = std::from_chars(start, start + 4, out, 16);
    if (failed != std::errc{} || stopped != start + 4) {
      return refuse("expected four hexadecimal digits after \\u");
    }
    at_ += 4;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  const char* problem_ = "";
};

/// One JSON text, white space around it allowed. The error names line, column and offset.
[[nodiscard]] inline Result<Json> parse(std::string_view text) {
  return JsonParser{text}.run();
}

}  // namespace llm
