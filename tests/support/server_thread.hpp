// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/http/server.hpp>

namespace penstock::testing {

/// A server on the event loop of a thread of its own, from construction to destruction.
class ServerThread {
 public:
  explicit ServerThread(http::Server::Handler handler, http::Server::Options options = {}) {
    auto started = http::Server::start(loop_, std::move(options), std::move(handler));
    if (!started) throw std::runtime_error{to_string(started.error())};
    server_ = *std::move(started);
    thread_ = std::thread{[this] { loop_.run(); }};
    // From here on the loop belongs to that thread.
    Started job;
    loop_.post(job);
    static_cast<void>(job.ran.park_until(never));
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;
  ~ServerThread() {
    stop();
    loop_.stop();
    thread_.join();
  }

  [[nodiscard]] http::Origin origin() const { return {"http", "127.0.0.1", server_->port()}; }
  /// Connections accepted so far.
  [[nodiscard]] std::uint64_t connections() {
    const auto ask = [](http::Server& server) -> Task<std::uint64_t> {
      co_return server.connections();
    };
    return sync_wait(loop_, ask(*server_));
  }
  void stop() { sync_wait(loop_, server_->stop()); }

 private:
  struct Started final : Job {
    Started() : Job([](Job& job) noexcept { static_cast<Started&>(job).ran.unpark(); }) {}
    Parker ran;
  };
  EventLoop loop_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

}  // namespace penstock::testing
