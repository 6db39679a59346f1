// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/http/grammar.hpp>
#include <penstock/http/h1_reader.hpp>
#include <penstock/http/message.hpp>
#include <penstock/http/status.hpp>
#include <penstock/http/url.hpp>

namespace penstock::http {

/// Bytes in, one reply out (RFC 9112). Does no input of its own. *Not synchronized.*
///
/// 1xx replies before the final one are skipped; 101 is refused. Chunks are undone; any other
/// transfer coding, which no peer may use unasked, is left on the body and in the headers.
class ResponseParser {
 public:
  /// The method decides whether a body follows: none does after HEAD.
  explicit ResponseParser(std::string_view request_method, MessageLimits limits = {})
      : reader_(MessageReader::Side::reply, limits),
        head_only_(request_method == "HEAD"),
        connect_(request_method == "CONNECT") {}

  /// Consumes up to the end of the reply and returns how many bytes that took. Bytes left over
  /// belong to no request: a connection that delivers them must not be used again.
  ///
  /// A broken reply is `ErrorKind::transient`, one beyond the limits `ErrorKind::too_large`; the
  /// same error comes back from every later call.
  Result<std::size_t> feed(std::string_view bytes) { return feed_to(bytes, Gather{}); }

  /// The same, but the body of a 2xx reply goes to `on_body(std::string_view)` piece by piece, is
  /// not kept and is not limited. Use one form of `feed` for the whole reply. `on_body` must not
  /// throw.
  template <class Sink>
  Result<std::size_t> feed(std::string_view bytes, Sink&& on_body) {
    return feed_to(bytes, on_body);
  }

  /// The connection was closed by the peer. An error unless the reply was or now is whole.
  Result<void> finish() {
    return reader_.finish(started() ? "connection closed in the middle of a reply"
                                    : "connection closed before a reply");
  }

  /// Whether any byte of the reply was seen: if so, sending the request again on another
  /// connection is no longer the cure for a stale one.
  [[nodiscard]] bool started() const noexcept { return reader_.started(); }
  [[nodiscard]] bool head_done() const noexcept { return head_done_; }
  [[nodiscard]] bool done() const noexcept { return reader_.done(); }
  /// Whether the peer will take another request on this connection: the reply is whole, says
  /// itself where it ends, and nothing in it speaks for closing. What only the
  /// caller knows forbids reuse as well: over-read bytes, and a request that said
  /// `connection: close`, which some servers do not repeat.
  [[nodiscard]] bool reusable() const noexcept { return done() && persistent_; }
  /// Status, reason and headers from `head_done()` on, the body as far as it was gathered.
  [[nodiscard]] const Response& response() const noexcept { return response_; }
  /// Fields after a chunked body; never mixed into the headers (RFC 9110 §6.5.1).
  [[nodiscard]] const Headers& trailers() const noexcept { return reader_.trailers(); }
  /// The reply, moved out. The other questions keep their answers.
  [[nodiscard]] Response take() { return std::move(response_); }

 private:
  struct Gather {};

  template <class Sink>
  Result<std::size_t> feed_to(std::string_view bytes, Sink&& sink) {
    constexpr bool streams = !std::is_same_v<std::remove_cvref_t<Sink>, Gather>;
    return reader_.feed(
        bytes,
        [this](std::string_view line) { return read_status_line(line); },
        [this] { return read_head(streams); },
        [&](std::string_view piece) {
          if constexpr (streams) {
            if (is_success(response_.status)) return static_cast<void>(sink(piece));
          }
          response_.body.append(piece);
        });
  }

  // RFC 9112 §4; the space before an empty reason is often left out.
  Result<void> read_status_line(std::string_view line) {
    const std::optional<int> minor = parse_version(line.substr(0, 8));
    const std::string_view rest = line.substr(std::min<std::size_t>(8, line.size()));
    const std::string_view digits = rest.substr(std::min<std::size_t>(1, rest.size()), 3);
    const std::optional<std::uint64_t> status = parse_unsigned(digits, 10);
    if (!minor || !rest.starts_with(' ') || digits.size() != 3 || !status || *status < 100 ||
        (rest.size() > 4 && rest[4] != ' '))
      return reader_.malformed(502, "it does not start with an HTTP/1 status line");
    const std::string_view reason = rest.substr(std::min<std::size_t>(5, rest.size()));
    if (!is_field_value(reason))
      return reader_.malformed(502, "its status line holds a control byte");
    minor_version_ = *minor;
    response_.status = static_cast<int>(*status);
    response_.reason = reason;
    return {};
  }

  Result<void> read_head(bool streams) {
    const int status = response_.status;
    if (status == 101)
      return Error{ErrorKind::permanent, "the peer switched protocols, which is not supported"};
    if (status < 200) {
      reader_.await_next_head();
      return {};
    }
    response_.headers = std::move(reader_.headers());
    head_done_ = true;
    persistent_ = wants_persistence(minor_version_, response_.headers);
    const std::uint64_t limit = streams && is_success(response_.status)
                                    ? std::numeric_limits<std::uint64_t>::max()
                                    : reader_.limits().body;
    return choose_framing(limit);
  }

  // The rules of RFC 9112 §6.3 in their order.
  Result<void> choose_framing(std::uint64_t limit) {
    const Headers& headers = response_.headers;
    const bool tunnel = connect_ && is_success(response_.status);
    if (head_only_ || tunnel || response_.status == 204 || response_.status == 304) {
      persistent_ = persistent_ && !tunnel;
      reader_.begin_body(Framing::none, 0, limit);
    } else if (headers.contains("transfer-encoding")) {
      const TransferCodings codings = transfer_codings(headers);
      if (!codings.valid) return reader_.malformed(502, "its transfer-encoding makes no sense");
      // A 1.0 sender, or a second opinion about the length: framing that someone else on the way
      // may have read differently.
      if (minor_version_ == 0 || headers.contains("content-length")) persistent_ = false;
      if (!codings.chunked_last) persistent_ = false;
      reader_.begin_body(codings.chunked_last ? Framing::chunked : Framing::until_close, 0, limit);
    } else if (headers.contains("content-length")) {
      const std::optional<std::uint64_t> length = content_length(headers);
      if (!length) return reader_.malformed(502, "its content-length is not one number");
      reader_.begin_body(Framing::length, *length, limit);
    } else {
      persistent_ = false;
      reader_.begin_body(Framing::until_close, 0, limit);
    }
    return {};
  }

  MessageReader reader_;
  Response response_;
  int minor_version_ = 1;
  bool head_only_;
  bool connect_;
  bool head_done_ = false;
  bool persistent_ = false;
};

/// Bytes in, requests out: the server's side (RFC 9112). Does no input of its own.
/// *Not synchronized.*
///
/// Strict where a lenient server lets requests be smuggled past a proxy: `transfer-encoding`
/// together with `content-length`, in HTTP/1.0 or not ending in `chunked` is refused.
class RequestParser {
 public:
  explicit RequestParser(MessageLimits limits = {})
      : reader_(MessageReader::Side::request, limits) {}

  /// Consumes up to the end of one request and returns how many bytes that took; those of a
  /// pipelined next one stay with the caller until `take()`. An error carries the status to
  /// answer with (400, 413, 431, 501, 505); then the connection must be closed.
  Result<std::size_t> feed(std::string_view bytes) {
    return reader_.feed(
        bytes,
        [this](std::string_view line) { return read_request_line(line); },
        [this] { return read_head(); },
        [this](std::string_view piece) { request_.body.append(piece); });
  }

  /// The peer closed the connection: fine between two requests, an error within one.
  Result<void> finish() {
    if (!started()) return {};
    return reader_.finish("connection closed in the middle of a request");
  }

  [[nodiscard]] bool started() const noexcept { return reader_.started(); }
  [[nodiscard]] bool head_done() const noexcept { return head_done_; }
  [[nodiscard]] bool done() const noexcept { return reader_.done(); }
  /// The client holds the body back until it is sent "100 Continue" (RFC 9110 §10.1.1).
  [[nodiscard]] bool expects_continue() const noexcept {
    return expects_continue_ && head_done_ && !done();
  }
  /// Whether the client wants another exchange on this connection. Ask before `take()`.
  [[nodiscard]] bool keep_alive() const noexcept { return done() && persistent_; }
  /// A 1.0 client understands no chunks: send it a reply with a length.
  [[nodiscard]] bool understands_chunks() const noexcept { return minor_version_ >= 1; }
  /// Method, target and headers from `head_done()` on.
  [[nodiscard]] const Request& request() const noexcept { return request_; }
  [[nodiscard]] const Headers& trailers() const noexcept { return reader_.trailers(); }

  /// The request, moved out; the parser is ready for the next one.
  [[nodiscard]] Request take() {
    Request taken = std::move(request_);
    request_ = {};
    reader_.restart();
    minor_version_ = 1;
    head_done_ = expects_continue_ = persistent_ = false;
    return taken;
  }

 private:
  // RFC 9112 §3: exactly one space between the three parts.
  Result<void> read_request_line(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == line.npos || first == last)
      return reader_.malformed(400, "its first line is not method, target and version");
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(method) || !is_visible_ascii(target))
      return reader_.malformed(400, "its method or target holds a byte that is not allowed");
    const std::optional<int> minor = parse_version(version);
    if (!minor) {
      const bool other_version = version.size() == 8 && version.starts_with("HTTP/") &&
                                 is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
      return reader_.malformed(other_version ? 505 : 400, "it does not speak HTTP/1");
    }
    if (method == "CONNECT") return reader_.malformed(501, "tunnels are not supported");
    minor_version_ = *minor;
    request_.method = method;
    request_.target = target;
    return {};
  }

  Result<void> read_head() {
    request_.headers = std::move(reader_.headers());
    if (Result<void> origin = read_origin(); !origin) return origin;
    head_done_ = true;
    persistent_ = wants_persistence(minor_version_, request_.headers);
    expects_continue_ =
        minor_version_ >= 1 && has_element(request_.headers, "expect", "100-continue");
    return choose_framing();
  }

  // RFC 9112 §3.2: one valid host field, unless 1.0; a target in absolute form outranks it.
  Result<void> read_origin() {
    std::size_t hosts = 0;
    for (const Header& field : request_.headers) {
      if (!equal_ignoring_case(field.name, "host")) continue;
      ++hosts;
      request_.origin = Origin{"http", {}, default_port("http")};
      if (field.value.empty()) continue;
      Result<Origin> origin = parse_authority(field.value, "http");
      if (!origin) return reader_.malformed(400, "its host field is not a host");
      request_.origin = *std::move(origin);
    }
    if (hosts > 1 || (hosts == 0 && minor_version_ >= 1))
      return reader_.malformed(400, "it must have one host field");
    if (request_.target.starts_with('/')) return {};
    if (request_.target == "*" && request_.method == "OPTIONS") return {};
    Result<Url> url = parse_url(request_.target);
    if (!url) return reader_.malformed(400, "its target is neither a path nor a URL");
    request_.origin = std::move(url->origin);
    request_.target = std::move(url->target);
    return {};
  }

  Result<void> choose_framing() {
    const Headers& headers = request_.headers;
    const std::uint64_t limit = reader_.limits().body;
    const bool has_length = headers.contains("content-length");
    if (headers.contains("transfer-encoding")) {
      const TransferCodings codings = transfer_codings(headers);
      if (!codings.valid || has_length || minor_version_ == 0)
        return reader_.malformed(400, "its transfer-encoding leaves its length in doubt");
      if (codings.others) return reader_.malformed(501, "its transfer coding is not supported");
      reader_.begin_body(Framing::chunked, 0, limit);
    } else if (has_length) {
      const std::optional<std::uint64_t> length = content_length(headers);
      if (!length) return reader_.malformed(400, "its content-length is not one number");
      reader_.begin_body(Framing::length, *length, limit);
    } else {
      reader_.begin_body(Framing::none, 0, limit);
    }
    return {};
  }

  MessageReader reader_;
  Request request_;
  int minor_version_ = 1;
  bool head_done_ = false;
  bool expects_continue_ = false;
  bool persistent_ = false;
};

}  // namespace penstock::http
