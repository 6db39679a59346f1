// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <poll.h>
#include <time.h>

#include <penstock/core/call.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/http/exchange.hpp>
#include <penstock/http/message.hpp>
#include <penstock/http/pooled_transport.hpp>
#include <penstock/http/socket.hpp>

namespace penstock::http {

/// A connection used by one thread at a time, which blocks in it. *One thread at a time.*
class Connection {
 public:
  explicit Connection(Socket socket) noexcept : socket_(std::move(socket)) {}

  /// Sends the request and reads the reply; `timeout` at the call's deadline, `cancelled` when it
  /// is stopped, `transient` when the connection breaks.
  [[nodiscard]] Result<void> run(Exchange& exchange, Call& call) {
    for (;;) {
      const Result<Exchange::Want> want = exchange.advance(socket_);
      if (!want) return call.stop.stop_requested() ? Error{ErrorKind::cancelled} : want.error();
      if (*want == Exchange::Want::nothing) return {};
      const short events = *want == Exchange::Want::write ? POLLOUT : POLLIN;
      if (const Result<void> ready = await(events, call); !ready) return ready.error();
    }
  }

  /// Blocks until the socket is ready. A stop shuts it down, which wakes the thread that waits.
  [[nodiscard]] Result<void> await(short events, Call& call) noexcept {
    const auto shut_down = [this]() noexcept { socket_.shut_down(); };
    const StopCallback callback{call.stop, shut_down};
    for (;;) {
      ::pollfd poll{socket_.descriptor(), events, 0};
      ::timespec timeout{};
      ::timespec* limit = nullptr;
      if (call.deadline != never) {
        call.now = call.where().now();
        if (call.now >= call.deadline) return ErrorKind::timeout;
        timeout.tv_sec = static_cast<decltype(timeout.tv_sec)>(call.left().count() / 1'000'000'000);
        timeout.tv_nsec =
            static_cast<decltype(timeout.tv_nsec)>(call.left().count() % 1'000'000'000);
        limit = &timeout;
      }
      const int count = ::ppoll(&poll, 1, limit, nullptr);
      if (call.stop.stop_requested()) return ErrorKind::cancelled;
      if (count > 0) return {};
    }
  }

  [[nodiscard]] Socket& socket() noexcept { return socket_; }

 private:
  Socket socket_;
};

/// Opens connections for blocking callers. *Safe from any thread.*
///
/// Plain `http` only: for `https` use a transport over a TLS library, or a local proxy. The
/// addresses of a name are tried in the resolver's order until one answers; looking a name up can
/// block beyond the deadline, a numeric address never does.
class SocketTransport {
 public:
  using Key = Origin;
  using Connection = http::Connection;

  [[nodiscard]] Result<Connection> connect(const Origin& origin, Call& call) const {
    if (const Result<void> plain = refuse_tls(origin); !plain) return plain.error();
    const Result<std::vector<Address>> addresses = resolve(origin, Lookup::names);
    if (!addresses) return addresses.error();
    Error last{ErrorKind::unavailable};
    for (const Address& address : *addresses) {
      Result<Socket> socket = Socket::start_connecting(address);
      if (socket) {
        Connection connection{std::move(*socket)};
        if (const Result<void> ready = connection.await(POLLOUT, call); !ready)
          return ready.error();
        const Result<void> connected = connection.socket().connected();
        if (connected) return connection;
        last = connected.error();
      } else {
        last = std::move(socket).error();
      }
    }
    return last;
  }
  [[nodiscard]] bool usable(Connection& connection) const noexcept {
    return connection.socket().quiet();
  }

  [[nodiscard]] static Result<void> refuse_tls(const Origin& origin) {
    if (origin.scheme == "http") return {};
    return Error{ErrorKind::permanent,
                 "this transport speaks plain http only, not " + origin.scheme +
                     "; use a transport with TLS, or a local proxy"};
  }
};

/// The transport of blocking stacks: HTTP/1.1 with keep-alive.
using BlockingTransport = PooledTransport<SocketTransport>;

}  // namespace penstock::http
