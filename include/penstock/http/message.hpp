// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

/// ASCII letters compared without case, as field names are (RFC 9110 §5.1).
[[nodiscard]] constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  constexpr auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

struct Header {
  std::string name;
  std::string value;
  friend bool operator==(const Header&, const Header&) = default;
};

/// Header fields in the order they were added; names compare without case. *Not synchronized.*
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> fields) : fields_(fields) {}

  void add(std::string name, std::string value) {
    fields_.push_back({std::move(name), std::move(value)});
  }
  /// Replaces every field of this name by one.
  void set(std::string name, std::string value) {
    remove(name);
    add(std::move(name), std::move(value));
  }
  void remove(std::string_view name) {
    std::erase_if(fields_,
                  [&](const Header& field) { return equal_ignoring_case(field.name, name); });
  }
  /// The first field of this name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept {
    for (const Header& field : fields_)
      if (equal_ignoring_case(field.name, name)) return std::string_view{field.value};
    return std::nullopt;
  }
  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return find(name).has_value();
  }
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
  [[nodiscard]] auto end() const noexcept { return fields_.end(); }

 private:
  std::vector<Header> fields_;
};

/// Where connections go: the key under which they are reused.
struct Origin {
  std::string scheme = "http";
  std::string host;
  std::uint16_t port = 80;
  friend auto operator<=>(const Origin&, const Origin&) = default;
  friend bool operator==(const Origin&, const Origin&) = default;
};

/// "http://host:8080".
[[nodiscard]] inline std::string to_string(const Origin& origin) {
  const bool bare_ipv6 = origin.host.find(':') != std::string::npos;
  return origin.scheme + "://" + (bare_ipv6 ? "[" + origin.host + "]" : origin.host) + ":" +
         std::to_string(origin.port);
}

struct Request {
  std::string method = "GET";
  Origin origin{};
  std::string target = "/";  ///< path and query, percent-encoded: "/v1/models?limit=2"
  Headers headers{};         ///< `host` and the framing fields are added when it is sent
  std::string body{};
  /// When set, the body of a 2xx reply is handed over piece by piece as it arrives, in the
  /// thread that reads it, instead of being gathered in `Response::body`. It must not throw.
  std::function<void(std::string_view)> on_body{};
};

struct Response {
  int status = 0;
  std::string reason{};
  Headers headers{};
  std::string body{};
};

}  // namespace penstock::http
