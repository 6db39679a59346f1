// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <penstock/core/result.hpp>
#include <penstock/http/grammar.hpp>
#include <penstock/http/message.hpp>
#include <penstock/http/url.hpp>

namespace penstock::http {

/// The usual words for a status, or "" where there are none. Nobody should read them.
[[nodiscard]] constexpr std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 425:
      return "Too Early";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 529:
      return "Overloaded";
    default:
      return "";
  }
}

/// The value of the `host` field: IPv6 in brackets, the port only where it is not the default.
[[nodiscard]] inline std::string host_field(const Origin& origin) {
  const bool bare_ipv6 = origin.host.find(':') != std::string::npos;
  std::string text = bare_ipv6 ? "[" + origin.host + "]" : origin.host;
  if (origin.port != default_port(origin.scheme)) text += ":" + std::to_string(origin.port);
  return text;
}

/// `content-length`, `transfer-encoding`: they say how *this* message is cut on *this*
/// connection, so the encoders write their own and drop those of the caller.
[[nodiscard]] constexpr bool is_framing_field(std::string_view name) noexcept {
  return equal_ignoring_case(name, "content-length") ||
         equal_ignoring_case(name, "transfer-encoding");
}

/// Appends the fields of a head other than `omitted` and the framing ones. Refuses what could
/// start a second line or message: a name that is no token, a control byte in a value.
[[nodiscard]] inline Result<void> append_fields(const Headers& headers,
                                                std::string_view omitted,
                                                std::string& out) {
  for (const Header& field : headers) {
    if (!is_token(field.name))
      return Error{ErrorKind::permanent, "a header name holds letters, digits and dashes only"};
    if (!is_field_value(field.value))
      return Error{ErrorKind::permanent,
                   "the value of header \"" + field.name + "\" holds a control byte"};
    if (equal_ignoring_case(field.name, omitted) || is_framing_field(field.name)) continue;
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  return {};
}

/// Appends a whole request (RFC 9112 §3): request line, `Host` first, the caller's fields in
/// order, `Content-Length` where there is a body or the method calls for one, the body.
///
/// A `host` field of the caller replaces the one made from the origin; a `connection` field goes
/// out as it is. `ErrorKind::permanent`, and `out` as it was, for what cannot be sent safely.
[[nodiscard]] inline Result<void> encode(const Request& request, std::string& out) {
  const auto refuse = [](const char* why) { return Error{ErrorKind::permanent, why}; };
  if (!is_token(request.method)) return refuse("a method is one word, such as GET");
  if (request.method == "CONNECT") return refuse("CONNECT opens a tunnel and is not supported");
  const std::string_view target = request.target.empty() ? "/" : std::string_view{request.target};
  if (!is_visible_ascii(target))
    return refuse("a target holds no spaces, control bytes or raw non-ASCII; percent-encode them");
  const bool is_absolute = target.starts_with("http://") || target.starts_with("https://");
  const bool is_asterisk = target == "*" && request.method == "OPTIONS";
  if (!target.starts_with('/') && !is_absolute && !is_asterisk)
    return refuse("a target starts with a slash");

  std::optional<std::string_view> host;
  for (const Header& field : request.headers) {
    if (!equal_ignoring_case(field.name, "host")) continue;
    if (host) return refuse("a request has one host field");
    host = field.value;
  }
  if (!host && !is_host(request.origin.host))
    return refuse("the host of a request is a name, an IPv4 or an IPv6 address without brackets");
  if (host && !is_field_value(*host)) return refuse("the host field holds a control byte");

  const std::size_t before = out.size();
  out.append(request.method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ");
  out.append(host ? std::string{*host} : host_field(request.origin)).append("\r\n");
  if (Result<void> fields = append_fields(request.headers, "host", out); !fields) {
    out.resize(before);
    return fields;
  }
  // RFC 9110 §8.6: a method that anticipates content says so even when there is none.
  const bool anticipates_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (anticipates_body || !request.body.empty())
    out.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
  out.append("\r\n").append(request.body);
  return {};
}

/// Appends the status line and the caller's fields, without the line that ends the head.
[[nodiscard]] inline Result<void> append_response_head(const Response& response, std::string& out) {
  if (response.status < 100 || response.status > 999)
    return Error{ErrorKind::permanent, "a status has three digits, such as 200"};
  if (!is_field_value(response.reason))
    return Error{ErrorKind::permanent, "the reason of a reply holds a control byte"};
  const std::size_t before = out.size();
  const std::string_view reason =
      response.reason.empty() ? reason_phrase(response.status) : std::string_view{response.reason};
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  out.append(reason).append("\r\n");
  Result<void> fields = append_fields(response.headers, {}, out);
  if (!fields) out.resize(before);
  return fields;
}

/// 1xx, 204, 304: the peer reads no body whatever the fields say (RFC 9112 §6.3).
[[nodiscard]] constexpr bool never_has_body(int status) noexcept {
  return status < 200 || status == 204 || status == 304;
}

/// Appends a whole reply to a request of this method; to HEAD it is the head that GET would have
/// had. `ErrorKind::permanent`, and `out` as it was, for what cannot be sent safely.
[[nodiscard]] inline Result<void> encode(const Response& response,
                                         std::string& out,
                                         std::string_view request_method = "GET") {
  const bool bodiless = never_has_body(response.status);
  if (bodiless && !response.body.empty())
    return Error{ErrorKind::permanent, "a reply with this status cannot carry a body"};
  if (Result<void> head = append_response_head(response, out); !head) return head;
  if (!bodiless)
    out.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
  out.append("\r\n");
  if (request_method != "HEAD") out.append(response.body);
  return {};
}

/// Appends the head of a reply whose body follows in chunks (RFC 9112 §7.1). Only for a peer that
/// speaks HTTP/1.1; `response.body` must be empty.
[[nodiscard]] inline Result<void> encode_streamed_head(const Response& response, std::string& out) {
  if (never_has_body(response.status) || !response.body.empty())
    return Error{ErrorKind::permanent,
                 "a streamed reply has a status that allows a body, and its body comes in chunks"};
  if (Result<void> head = append_response_head(response, out); !head) return head;
  out.append("Transfer-Encoding: chunked\r\n\r\n");
  return {};
}

/// Appends one chunk; nothing for no data, because an empty chunk would end the body.
inline void append_chunk(std::string& out, std::string_view data) {
  if (data.empty()) return;
  std::array<char, 16> size{};
  const auto written = std::to_chars(size.data(), size.data() + size.size(), data.size(), 16);
  out.append(size.data(), written.ptr).append("\r\n").append(data).append("\r\n");
}

/// Appends the end of a chunked body, without trailer fields.
inline void append_last_chunk(std::string& out) {
  out.append("0\r\n\r\n");
}

}  // namespace penstock::http
