// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/http/async_socket.hpp>
#include <penstock/http/h1.hpp>
#include <penstock/http/message.hpp>
#include <penstock/http/socket.hpp>

namespace penstock::http {

/// A request that a server received, and the ways to answer it. Lives while its handler runs.
/// *One thread at a time*: the loop's. Whatever waits resumes on the loop; a failed write or a
/// stop of the server is an error, after which nothing more can be sent.
class ServerExchange {
 public:
  ServerExchange(AsyncSocket& socket, Request request, Call& call, bool keep_alive, bool chunks)
      : socket_(socket),
        request_(std::move(request)),
        call_(call),
        keep_alive_(keep_alive),
        chunks_(chunks) {}

  [[nodiscard]] const Request& request() const noexcept { return request_; }
  /// The stop token and the clock to wait with.
  [[nodiscard]] Call& call() const noexcept { return call_; }

  /// Sends a whole reply; success means that the system took every byte of it.
  [[nodiscard]] Task<Result<void>> reply(Response response) {
    if (!keep_alive_) response.headers.set("connection", "close");
    std::string bytes;
    if (const Result<void> encoded = encode(response, bytes, request_.method); !encoded)
      co_return encoded.error();
    replied_ = true;
    co_return co_await write(bytes);
  }

  /// Sends the head of a reply whose body follows by `stream`, and ends with `finish`.
  [[nodiscard]] Task<Result<void>> start(Response head) {
    if (!chunks_) keep_alive_ = false;  // HTTP/1.0: the body ends with the connection
    if (!keep_alive_) head.headers.set("connection", "close");
    std::string bytes;
    const Result<void> encoded =
        chunks_ ? encode_streamed_head(head, bytes) : append_response_head(head, bytes);
    if (!encoded) co_return encoded.error();
    if (!chunks_) bytes += "\r\n";
    replied_ = true;
    co_return co_await write(bytes);
  }
  [[nodiscard]] Task<Result<void>> stream(std::string_view data) {
    std::string bytes;
    if (chunks_) {
      append_chunk(bytes, data);
    } else {
      bytes = data;
    }
    co_return co_await write(bytes);
  }
  [[nodiscard]] Task<Result<void>> finish() {
    std::string bytes;
    if (chunks_) append_last_chunk(bytes);
    co_return co_await write(bytes);
  }

  /// Sends bytes as they are: for servers that misbehave on purpose.
  [[nodiscard]] Task<Result<void>> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const Transfer sent = socket_.socket().write(bytes);
      if (sent.status == Transfer::Status::moved) {
        bytes.remove_prefix(sent.bytes);
      } else if (sent.status == Transfer::Status::would_block) {
        const Result<void> ready = co_await socket_.ready(AsyncSocket::Direction::write, call_);
        if (!ready) co_return ready.error();
      } else {
        keep_alive_ = false;
        co_return Error{ErrorKind::transient, system_message("the client has gone", sent.code)};
      }
    }
    co_return Result<void>{};
  }
  /// Closes the connection when the handler returns, in the middle of a reply or without one.
  void cut() noexcept {
    keep_alive_ = false;
    replied_ = true;
  }

  [[nodiscard]] bool replied() const noexcept { return replied_; }
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }

 private:
  AsyncSocket& socket_;
  Request request_;
  Call& call_;
  bool keep_alive_;
  bool chunks_;
  bool replied_ = false;
};

/// A small HTTP/1.1 server on an event loop: for simulators, tests and metrics, not for the open
/// internet. *One thread at a time*: the loop's. Call `stop` and let it return before it goes.
///
/// Each connection is served in order, one request at a time, in turn with the others; malformed
/// requests are answered with their status and closed. A handler that returns without a reply is
/// answered for with 500.
class Server {
 public:
  using Handler = std::function<Task<void>(ServerExchange&)>;

  struct Options {
    Origin address{"http", "127.0.0.1", 0};  ///< numeric host; port 0: the system chooses
    MessageLimits limits{};
    Duration idle_timeout = std::chrono::minutes{5};  ///< for a whole request to arrive
  };

  /// Listens at once; `unavailable` when it cannot. The handler is called on the loop, for many
  /// connections at a time.
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(EventLoop& loop,
                                                             Options options,
                                                             Handler handler) {
    const Result<std::vector<Address>> addresses = resolve(options.address, Lookup::numeric);
    if (!addresses) return addresses.error();
    Result<Socket> socket = Socket::listen(addresses->front());
    if (!socket) return std::move(socket).error();
    const std::uint16_t port = socket->local_port();
    Result<std::unique_ptr<AsyncSocket>> listener = AsyncSocket::watch(loop, std::move(*socket));
    if (!listener) return std::move(listener).error();
    std::unique_ptr<Server> server{
        new Server{loop, std::move(options), std::move(handler), std::move(*listener), port}};
    server->scope_.spawn(server->accept());
    return server;
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// Connections accepted since the start.
  [[nodiscard]] std::uint64_t connections() const noexcept { return connections_; }

  /// Takes no more connections, ends what waits, and returns when the last handler has.
  [[nodiscard]] Task<void> stop() {
    stop_.request_stop();
    co_await scope_.join();
  }

 private:
  Server(EventLoop& loop,
         Options options,
         Handler handler,
         std::unique_ptr<AsyncSocket> listener,
         std::uint16_t port)
      : loop_(loop),
        options_(std::move(options)),
        handler_(std::move(handler)),
        listener_(std::move(listener)),
        port_(port),
        scope_(loop) {}

  Task<void> accept() {
    Call call{.stop = stop_.token(), .executor = &loop_};
    for (;;) {
      Socket socket = listener_->socket().accept();
      if (!socket.is_open()) {
        const bool no_descriptors = errno == EMFILE || errno == ENFILE;
        if (no_descriptors) {
          // The connection stays in the backlog and gives no new edge: ask again in a while.
          if (!co_await wait_until(loop_, loop_.now() + std::chrono::milliseconds{50}, call.stop))
            co_return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
          const Result<void> ready = co_await listener_->ready(AsyncSocket::Direction::read, call);
          if (!ready) co_return;
        }
        continue;
      }
      Result<std::unique_ptr<AsyncSocket>> watched = AsyncSocket::watch(loop_, std::move(socket));
      if (!watched) continue;
      ++connections_;
      scope_.spawn(serve(std::move(*watched)));
    }
  }

  Task<void> serve(std::unique_ptr<AsyncSocket> socket) {
    Call call{.stop = stop_.token(), .executor = &loop_};
    RequestParser parser{options_.limits};
    std::string bytes;
    bool more = true;
    while (more) {
      call.deadline = loop_.now() + options_.idle_timeout;
      const Result<void> read = co_await read_request(*socket, parser, bytes, call);
      call.deadline = never;
      if (!read) {
        if (read.error().status() != 0) co_await refuse(*socket, read.error(), call);
        co_return;
      }
      const bool chunks = parser.understands_chunks();
      const bool keep_alive = parser.keep_alive();
      ServerExchange exchange{*socket, parser.take(), call, keep_alive, chunks};
      bool threw = false;
      try {
        co_await handler_(exchange);
      } catch (...) {
        threw = true;
      }
      if (threw || !exchange.replied()) {
        if (exchange.replied()) co_return;
        const Result<void> sent =
            co_await exchange.reply(plain_text(500, "the handler gave no reply"));
        if (!sent) co_return;
      }
      more = exchange.keep_alive() && !call.stop.stop_requested();
      // A client that always has its next request here already must not keep the loop from others.
      if (more && !bytes.empty()) co_await reschedule(loop_);
    }
  }

  // Success when a whole request is there; an error without a status when the client is done.
  Task<Result<void>> read_request(AsyncSocket& socket,
                                  RequestParser& parser,
                                  std::string& bytes,
                                  Call& call) {
    bool continued = false;
    for (;;) {
      const Result<std::size_t> taken = parser.feed(bytes);
      if (!taken) co_return taken.error();
      bytes.erase(0, *taken);
      if (parser.done()) co_return Result<void>{};
      if (parser.expects_continue() && !continued) {
        continued = true;
        static_cast<void>(socket.socket().write("HTTP/1.1 100 Continue\r\n\r\n"));
      }
      const Transfer::Status read = read_some(socket, bytes);
      if (read == Transfer::Status::would_block) {
        const Result<void> ready = co_await socket.ready(AsyncSocket::Direction::read, call);
        if (!ready) co_return ready.error();
      } else if (read != Transfer::Status::moved) {
        co_return ErrorKind::transient;
      }
    }
  }

  static Response plain_text(int status, std::string_view sentence) {
    return {status, "", {{"content-type", "text/plain"}}, std::string{sentence} + "\n"};
  }

  // Not in the coroutine: its frame stays small.
  static Transfer::Status read_some(const AsyncSocket& socket, std::string& bytes) {
    std::array<char, 16 * 1024> buffer;
    const Transfer read = socket.socket().read(buffer.data(), buffer.size());
    if (read.status == Transfer::Status::moved) bytes.append(buffer.data(), read.bytes);
    return read.status;
  }

  Task<void> refuse(AsyncSocket& socket, Error error, Call& call) {
    ServerExchange exchange{socket, Request{}, call, false, true};
    [[maybe_unused]] const Result<void> sent =
        co_await exchange.reply(plain_text(error.status(), error.message()));
  }

  EventLoop& loop_;
  Options options_;
  Handler handler_;
  std::unique_ptr<AsyncSocket> listener_;
  std::uint16_t port_;
  std::uint64_t connections_ = 0;
  StopSource stop_;
  Scope scope_;
};

}  // namespace penstock::http
