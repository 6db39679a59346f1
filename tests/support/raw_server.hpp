// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include <penstock/http/message.hpp>
#include <penstock/http/socket.hpp>

namespace penstock::testing {

/// A server that does what its script says, byte for byte: for peers that misbehave. The script
/// runs once per connection, in a thread of its own, with the connection's number from 1 on.
class RawServer {
 public:
  /// The server's end of one connection; every call blocks. After the client has gone, reads
  /// give nothing and writes do nothing.
  class Peer {
   public:
    explicit Peer(http::Socket socket) : socket_(std::move(socket)) {}

    /// The bytes up to and with the next empty line; empty when the client has gone.
    std::string read_head() {
      std::size_t end = 0;
      while ((end = bytes_.find("\r\n\r\n")) == std::string::npos)
        if (!read_more()) return {};
      std::string head = bytes_.substr(0, end + 4);
      bytes_.erase(0, end + 4);
      return head;
    }
    /// Reads until the client closes; what it sent.
    std::string read_to_end() {
      while (read_more()) {
      }
      return std::exchange(bytes_, {});
    }
    /// False when the client has gone.
    bool send(std::string_view bytes) {
      while (!bytes.empty()) {
        const http::Transfer sent = socket_.write(bytes);
        if (sent.status == http::Transfer::Status::moved) {
          bytes.remove_prefix(sent.bytes);
        } else if (sent.status != http::Transfer::Status::would_block || !await(POLLOUT)) {
          return false;
        }
      }
      return true;
    }
    /// Blocks until the client has closed; reads nothing.
    void await_close() { static_cast<void>(await(POLLRDHUP)); }
    void close() {
      const std::lock_guard lock{mutex_};
      socket_ = http::Socket{};
    }

   private:
    friend class RawServer;
    bool await(short events) {
      ::pollfd poll{socket_.descriptor(), events, 0};
      while (::poll(&poll, 1, -1) < 0) {
      }
      return (poll.revents & events) != 0;
    }
    bool read_more() {
      std::array<char, 16 * 1024> buffer;
      for (;;) {
        const http::Transfer read = socket_.read(buffer.data(), buffer.size());
        if (read.status == http::Transfer::Status::moved) {
          bytes_.append(buffer.data(), read.bytes);
          return true;
        }
        if (read.status != http::Transfer::Status::would_block) return false;
        static_cast<void>(await(POLLIN));
      }
    }

    void hang_up() {
      const std::lock_guard lock{mutex_};
      if (socket_.is_open()) socket_.shut_down();
    }

    std::mutex mutex_;  // of `socket_`'s being open
    http::Socket socket_;
    std::string bytes_;
  };
  using Script = std::function<void(Peer&, int number)>;

  explicit RawServer(Script script) : script_(std::move(script)), listener_(listen()) {
    acceptor_ = std::thread{[this] { accept(); }};
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  /// Hangs up, which ends what scripts wait for, and waits for them.
  ~RawServer() {
    listener_.shut_down();
    acceptor_.join();
    for (Peer& peer : peers_) peer.hang_up();
    for (std::thread& thread : threads_) thread.join();
  }

  [[nodiscard]] http::Origin origin() const {
    return {"http", "127.0.0.1", listener_.local_port()};
  }
  /// Connections accepted so far.
  [[nodiscard]] int connections() const {
    const std::lock_guard lock{mutex_};
    return accepted_;
  }

 private:
  static http::Socket listen() {
    const auto addresses = http::resolve({"http", "127.0.0.1", 0}, http::Lookup::numeric);
    auto socket = http::Socket::listen(addresses.value().front());
    if (!socket) throw std::runtime_error{to_string(socket.error())};
    return *std::move(socket);
  }
  void accept() {
    for (;;) {
      ::pollfd poll{listener_.descriptor(), POLLIN, 0};
      while (::poll(&poll, 1, -1) < 0) {
      }
      if ((poll.revents & (POLLHUP | POLLERR)) != 0) return;
      http::Socket socket = listener_.accept();
      if (!socket.is_open()) continue;
      int number = 0;
      {
        const std::lock_guard lock{mutex_};
        number = ++accepted_;
      }
      Peer& peer = peers_.emplace_back(std::move(socket));
      threads_.emplace_back([this, number, &peer] {
        script_(peer, number);
        peer.close();
      });
    }
  }

  Script script_;
  http::Socket listener_;
  mutable std::mutex mutex_;
  int accepted_ = 0;       // guarded by mutex_
  std::list<Peer> peers_;  // by the acceptor, as the threads
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace penstock::testing
