// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/http/async_socket.hpp>
#include <penstock/http/exchange.hpp>
#include <penstock/http/pooled_transport.hpp>
#include <penstock/http/socket.hpp>
#include <penstock/http/socket_transport.hpp>

namespace penstock::http {

/// A connection whose caller is suspended while it waits. *One thread at a time*: the loop's.
class AsyncConnection {
 public:
  explicit AsyncConnection(std::unique_ptr<AsyncSocket> socket) noexcept
      : socket_(std::move(socket)) {}

  /// As `Connection::run`; resumes on the loop.
  [[nodiscard]] Task<Result<void>> run(Exchange& exchange, Call& call) {
    for (;;) {
      const Result<Exchange::Want> want = exchange.advance(socket_->socket());
      if (!want) co_return want.error();
      if (*want == Exchange::Want::nothing) co_return Result<void>{};
      const auto direction = *want == Exchange::Want::write ? AsyncSocket::Direction::write
                                                            : AsyncSocket::Direction::read;
      const Result<void> ready = co_await socket_->ready(direction, call);
      if (!ready) co_return ready.error();
    }
  }

  [[nodiscard]] AsyncSocket& socket() const noexcept { return *socket_; }

 private:
  std::unique_ptr<AsyncSocket> socket_;
};

/// Opens connections for coroutines on one event loop. *One thread at a time*: the loop's.
///
/// As `SocketTransport`, but names are looked up on a thread of their own, so that the loop never
/// waits for a resolver.
class AsyncSocketTransport {
 public:
  using Key = Origin;
  using Connection = AsyncConnection;

  explicit AsyncSocketTransport(EventLoop& loop) : loop_(&loop) {}

  [[nodiscard]] Task<Result<Connection>> connect(const Origin& origin, Call& call) {
    if (const Result<void> plain = SocketTransport::refuse_tls(origin); !plain)
      co_return plain.error();
    Result<std::vector<Address>> addresses = resolve(origin, Lookup::numeric);
    if (!addresses) {
      if (!resolver_) resolver_ = std::make_unique<ThreadPool>(1U);
      co_await reschedule(*resolver_);
      addresses = resolve(origin, Lookup::names);
      co_await reschedule(*loop_);
    }
    if (!addresses) co_return std::move(addresses).error();
    Error last{ErrorKind::unavailable};
    for (const Address& address : *addresses) {
      Result<Socket> started = Socket::start_connecting(address);
      if (!started) {
        last = std::move(started).error();
        continue;
      }
      Result<std::unique_ptr<AsyncSocket>> socket = AsyncSocket::watch(*loop_, std::move(*started));
      if (!socket) co_return std::move(socket).error();
      const Result<void> ready = co_await (*socket)->ready(AsyncSocket::Direction::write, call);
      if (!ready) co_return ready.error();
      const Result<void> connected = (*socket)->socket().connected();
      if (connected) co_return Connection{std::move(*socket)};
      last = connected.error();
    }
    co_return last;
  }
  [[nodiscard]] bool usable(Connection& connection) const noexcept {
    return connection.socket().socket().quiet();
  }

 private:
  EventLoop* loop_;
  std::unique_ptr<ThreadPool> resolver_;  // started by the first name
};

/// The transport of coroutine stacks: HTTP/1.1 with keep-alive on one event loop.
using AsyncTransport = PooledTransport<AsyncSocketTransport>;

}  // namespace penstock::http
