// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/http/grammar.hpp>
#include <penstock/http/message.hpp>

namespace penstock::http {

struct Url {
  Origin origin;
  std::string target = "/";  ///< path and query; never empty, never with a fragment
  friend bool operator==(const Url&, const Url&) = default;
};

/// 443 for "https", otherwise 80.
[[nodiscard]] constexpr std::uint16_t default_port(std::string_view scheme) noexcept {
  return scheme == "https" ? 443 : 80;
}

/// A name or IPv4 address as RFC 3986 §3.2.2 spells it, or an IPv6 address without brackets.
[[nodiscard]] constexpr bool is_host(std::string_view host) noexcept {
  if (host.empty()) return false;
  if (std::count(host.begin(), host.end(), ':') >= 2)
    return std::all_of(host.begin(), host.end(), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
             c == '.';
    });
  constexpr std::string_view marks = "-._~%!$&'()*+,;=";
  return std::all_of(host.begin(), host.end(), [&](char c) {
    return is_letter(c) || is_digit(c) || marks.find(c) != marks.npos;
  });
}

/// "host", "host:8080", "[::1]:8080" as in a URL or a `host` field. The host comes back in lower
/// case and without brackets, so that equal origins compare equal.
[[nodiscard]] inline Result<Origin> parse_authority(std::string_view authority,
                                                    std::string_view scheme) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorKind::permanent,
                 "bad host \"" + std::string{authority} + "\": " + std::string{why}};
  };
  if (authority.find('@') != authority.npos)
    return Error{ErrorKind::permanent,
                 "a user name or password in a URL is refused; send it in a header field"};
  const bool bracketed = authority.starts_with('[');
  const std::size_t host_end = bracketed ? authority.find(']') : authority.find(':');
  if (bracketed && host_end == authority.npos) return refuse("the bracket is not closed");
  const std::string_view host =
      bracketed ? authority.substr(1, host_end - 1) : authority.substr(0, host_end);
  std::string_view port;
  if (host_end != authority.npos) port = authority.substr(host_end + (bracketed ? 1 : 0));

  const bool has_colon = host.find(':') != host.npos;
  if (!is_host(host) || bracketed != has_colon)
    return refuse("write a name, an IPv4 address or an IPv6 address in brackets");

  Origin origin{std::string{scheme}, std::string{host}, default_port(scheme)};
  for (char& c : origin.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (port.empty() || port == ":") return origin;
  const auto number = parse_unsigned(port.substr(1), 10);
  if (port.front() != ':' || !number || *number == 0 || *number > 65535)
    return refuse("the port is a number from 1 to 65535");
  origin.port = static_cast<std::uint16_t>(*number);
  return origin;
}

/// An absolute http or https URL (RFC 3986 §3, RFC 9110 §4.2). A fragment is dropped; user
/// information, spaces and bytes that need percent-encoding are refused (`ErrorKind::permanent`).
[[nodiscard]] inline Result<Url> parse_url(std::string_view text) {
  const std::size_t scheme_end = text.find("://");
  std::string_view scheme;
  if (scheme_end != text.npos) {
    if (equal_ignoring_case(text.substr(0, scheme_end), "http")) scheme = "http";
    if (equal_ignoring_case(text.substr(0, scheme_end), "https")) scheme = "https";
  }
  if (scheme.empty()) return Error{ErrorKind::permanent, "a URL starts with http:// or https://"};

  std::string_view rest = text.substr(scheme_end + 3);
  if (!rest.empty() && !is_visible_ascii(rest))
    return Error{ErrorKind::permanent,
                 "a URL holds no spaces, control bytes or raw non-ASCII; percent-encode them"};
  rest = rest.substr(0, rest.find('#'));
  const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());

  Result<Origin> origin = parse_authority(rest.substr(0, authority_end), scheme);
  if (!origin) return std::move(origin).error();
  rest.remove_prefix(authority_end);
  std::string target{rest.starts_with('/') ? "" : "/"};
  target += rest;
  return Url{*std::move(origin), std::move(target)};
}

/// `path` below `base`: ("/v1/", "chat/completions") is "/v1/chat/completions". A query of the
/// base stays behind the longer path, before a query of `path`.
[[nodiscard]] inline std::string join_target(std::string_view base, std::string_view path) {
  const auto split = [](std::string_view text) {
    const std::size_t mark = std::min(text.find('?'), text.size());
    return std::pair{text.substr(0, mark), text.substr(std::min(mark + 1, text.size()))};
  };
  auto [head, head_query] = split(base);
  auto [tail, tail_query] = split(path);
  while (head.ends_with('/')) head.remove_suffix(1);
  while (tail.starts_with('/')) tail.remove_prefix(1);

  std::string target;
  if (!head.starts_with('/')) target += '/';
  target += head;
  if (!tail.empty()) {
    if (!target.ends_with('/')) target += '/';
    target += tail;
  }
  for (const std::string_view query : {head_query, tail_query}) {
    if (query.empty()) continue;
    target += target.find('?') == target.npos ? '?' : '&';
    target += query;
  }
  return target;
}

}  // namespace penstock::http
