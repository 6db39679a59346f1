// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/http/h1.hpp>
#include <penstock/http/message.hpp>
#include <penstock/http/socket.hpp>

namespace penstock::http {

/// One request and its reply on one connection: everything but the waiting, which is all that
/// the blocking and the asynchronous transport do differently. *One thread at a time.*
class Exchange {
 public:
  enum class Want : unsigned char { write, read, nothing };

  /// `permanent` when the request cannot be written as HTTP.
  [[nodiscard]] static Result<Exchange> prepare(const Request& request) {
    Exchange exchange{request};
    if (const Result<void> encoded = encode(request, exchange.out_); !encoded)
      return encoded.error();
    return exchange;
  }

  /// Goes on until the socket would block or the reply is complete; what it wants next, or how
  /// it broke.
  [[nodiscard]] Result<Want> advance(const Socket& socket) {
    while (sent_ < out_.size()) {
      const Transfer sent = socket.write(std::string_view{out_}.substr(sent_));
      if (sent.status == Transfer::Status::would_block) return Want::write;
      if (sent.status != Transfer::Status::moved) {
        // The server may have answered before it stopped reading: that answer counts.
        write_error_ = sent.code;
        break;
      }
      sent_ += sent.bytes;
    }
    std::array<char, 16 * 1024> buffer;
    while (!parser_.done()) {
      const Transfer read = socket.read(buffer.data(), buffer.size());
      switch (read.status) {
        case Transfer::Status::would_block:
          if (write_error_ != 0) return broken("the server closed the connection", write_error_);
          return Want::read;
        case Transfer::Status::failed:
          return broken("the connection broke", read.code);
        case Transfer::Status::closed:
          if (const Result<void> finished = parser_.finish(); !finished) return finished.error();
          break;
        case Transfer::Status::moved:
          if (const Result<void> fed = feed({buffer.data(), read.bytes}); !fed) return fed.error();
          break;
      }
    }
    return Want::nothing;
  }

  /// Any byte of the reply has come: the server has seen the request.
  [[nodiscard]] bool answered() const noexcept { return parser_.started(); }
  /// The connection may carry another request.
  [[nodiscard]] bool reusable() const noexcept {
    return parser_.reusable() && !close_asked_ && !over_read_ && sent_ == out_.size();
  }
  [[nodiscard]] Response take() { return parser_.take(); }

 private:
  explicit Exchange(const Request& request)
      : parser_(request.method),
        on_body_(&request.on_body),
        close_asked_(has_element(request.headers, "connection", "close")) {}

  Result<void> feed(std::string_view bytes) {
    const Result<std::size_t> taken =
        *on_body_ ? parser_.feed(bytes, *on_body_) : parser_.feed(bytes);
    if (!taken) return taken.error();
    over_read_ = *taken != bytes.size();
    return {};
  }
  [[nodiscard]] Error broken(std::string_view what, int code) const {
    return Error{ErrorKind::transient, system_message(what, code)};
  }

  std::string out_;
  std::size_t sent_ = 0;
  int write_error_ = 0;
  bool over_read_ = false;
  ResponseParser parser_;
  const std::function<void(std::string_view)>* on_body_;
  bool close_asked_;  // by the request's own field
};

/// Whether a request whose connection closed without a byte of a reply may be sent again on a new
/// one, unasked: only where asking twice is the same as asking once (RFC 9110 §9.2.2).
[[nodiscard]] inline bool may_send_again(const Request& request) noexcept {
  for (const std::string_view method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
    if (request.method == method) return true;
  return false;
}

}  // namespace penstock::http
