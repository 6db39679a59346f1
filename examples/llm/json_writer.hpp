// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <llm/json_value.hpp>
#include <llm/utf8.hpp>

namespace llm {

/// Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD, so the result is always
/// valid; U+2028 and U+2029 are escaped because some line splitters break at them.
inline void write_string(std::string& out, std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  out.push_back('"');
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto byte = static_cast<unsigned char>(rest[0]);
    if (byte >= 0x80) {
      const std::size_t length = utf8_sequence(rest);
      if (length == 0) {
        out += "\xEF\xBF\xBD";
      } else if (rest.starts_with("\xE2\x80\xA8")) {
        out += "\\u2028";
      } else if (rest.starts_with("\xE2\x80\xA9")) {
        out += "\\u2029";
      } else {
        out.append(rest, 0, length);
      }
      at += length == 0 ? 1 : length;
      continue;
    }
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out.push_back(digits[byte >> 4]);
          out.push_back(digits[byte & 15]);
        } else {
          out.push_back(static_cast<char>(byte));
        }
    }
    ++at;
  }
  out.push_back('"');
}

/// The shortest spelling that reads back as the same double, with a fraction or an exponent so that
/// it reads back as a double. JSON has no NaN and no infinity: those become null.
inline void write_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[32];
  const char* const end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  const std::string_view spelling{buffer, static_cast<std::size_t>(end - buffer)};
  out += spelling;
  if (spelling.find_first_of(".e") == std::string_view::npos) out += ".0";
}

/// Appends `value` as compact JSON on one line. Recursive: as deep as the value.
inline void write(std::string& out, const Json& value) {
  switch (value.kind()) {
    case Json::Kind::null:
      out += "null";
      break;
    case Json::Kind::boolean:
      out += *value.as_bool() ? "true" : "false";
      break;
    case Json::Kind::integer: {
      char buffer[24];
      out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, *value.as_integer()).ptr);
      break;
    }
    case Json::Kind::number:
      if (!value.spelling().empty()) {
        out += value.spelling();
      } else {
        write_double(out, *value.as_double());
      }
      break;
    case Json::Kind::string:
      write_string(out, value.text());
      break;
    case Json::Kind::array: {
      char separator = '[';
      for (const Json& item : value.items()) {
        out.push_back(separator);
        write(out, item);
        separator = ',';
      }
      out += value.size() == 0 ? "[]" : "]";
      break;
    }
    case Json::Kind::object: {
      char separator = '{';
      for (const JsonMember& member : value.members()) {
        out.push_back(separator);
        write_string(out, member.name);
        out.push_back(':');
        write(out, member.value);
        separator = ',';
      }
      out += value.size() == 0 ? "{}" : "}";
      break;
    }
  }
}

[[nodiscard]] inline std::string to_string(const Json& value) {
  std::string out;
  write(out, value);
  return out;
}

}  // namespace llm
