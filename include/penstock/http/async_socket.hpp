// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <memory>
#include <mutex>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/http/socket.hpp>

namespace penstock::http {

/// A socket watched by an event loop. *One thread at a time*: the loop's, its destruction
/// included; stops may come from any thread.
class AsyncSocket final : private Watch {
 public:
  enum class Direction : unsigned char { read, write };

  /// `unavailable` when the loop cannot watch one more.
  [[nodiscard]] static Result<std::unique_ptr<AsyncSocket>> watch(EventLoop& loop, Socket socket) {
    std::unique_ptr<AsyncSocket> watched{new AsyncSocket{loop, std::move(socket)}};
    if (!loop.watch(watched->socket_.descriptor(), *watched)) {
      const int code = errno;
      watched->socket_ = Socket{};
      return Error{ErrorKind::unavailable, system_message("cannot watch a socket", code)};
    }
    return watched;
  }
  ~AsyncSocket() {
    if (socket_.is_open()) loop_.unwatch(socket_.descriptor(), *this);
  }

  [[nodiscard]] const Socket& socket() const noexcept { return socket_; }
  [[nodiscard]] EventLoop& loop() const noexcept { return loop_; }

  /// Waits for the next readiness; one that came since the last wait counts, so a wait may end
  /// once too early and never too late. `timeout` at the call's deadline, `cancelled` on a stop.
  /// Resumes on the loop. One waiter per direction.
  [[nodiscard]] Task<Result<void>> ready(Direction direction, Call& call) {
    Side& side = direction == Direction::read ? reading_ : writing_;
    SuspendedWaiter waiter{call, Withdrawn{this, &side}};
    {
      const std::lock_guard lock{mutex_};
      if (side.ready) {
        side.ready = false;
        co_return Result<void>{};
      }
      side.waiters.push(waiter);
    }
    direction == Direction::read ? expect_readable() : expect_writable();
    const WaitEnd end = co_await waiter;
    call.now = loop_.now();
    side.ready = false;
    if (end == WaitEnd::stopped) co_return ErrorKind::cancelled;
    if (end == WaitEnd::timed_out) co_return ErrorKind::timeout;
    co_return Result<void>{};
  }

 private:
  struct Side {
    bool ready = false;  // loop thread only
    WaitList waiters;    // guarded by mutex_
  };
  struct Withdrawn {
    AsyncSocket* self;
    Side* side;
    bool operator()(Waiter& waiter) const noexcept {
      const std::lock_guard lock{self->mutex_};
      return side->waiters.remove(waiter);
    }
  };

  AsyncSocket(EventLoop& loop, Socket socket) noexcept
      : Watch([](Watch& watch, bool readable, bool writable) noexcept {
          AsyncSocket& self = static_cast<AsyncSocket&>(watch);
          if (readable) self.signal(self.reading_);
          if (writable) self.signal(self.writing_);
        }),
        loop_(loop),
        socket_(std::move(socket)) {}

  void signal(Side& side) noexcept {
    Waiter* waiter = nullptr;
    {
      const std::lock_guard lock{mutex_};
      waiter = side.waiters.pop();
      side.ready = true;
    }
    if (waiter != nullptr) waiter->wake();
  }

  EventLoop& loop_;
  Socket socket_;
  sync::mutex mutex_;
  Side reading_;
  Side writing_;
};

}  // namespace penstock::http
