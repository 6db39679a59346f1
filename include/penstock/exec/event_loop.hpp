// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <penstock/exec/driven.hpp>

namespace penstock {

/// Timers, posts and file descriptors on one thread: the one in `run` or in `wait`.
///
/// Descriptors are watched edge-triggered, once per descriptor, for both directions. A thread
/// that posts wakes the loop only when it sleeps, once per burst. Idle, it costs nothing. *Safe
/// from any thread* except where said. Throws std::system_error when the system has no
/// descriptors left at construction.
class EventLoop final : public Driven {
 public:
  /// Interest in one descriptor. `ready` runs on the loop for every edge, with what happened;
  /// errors and hang-ups count as both directions. It must not throw and may unwatch.
  class Watch {
   public:
    using Ready = void (*)(Watch&, bool readable, bool writable) noexcept;
    explicit Watch(Ready action) noexcept : ready_(action) {}
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   protected:
    ~Watch() = default;

   private:
    friend class EventLoop;
    Ready ready_;
  };

  EventLoop()
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (epoll_ < 0 || event_ < 0) fail("penstock: EventLoop cannot open its descriptors");
    ::epoll_event interest{};
    interest.events = EPOLLIN | EPOLLET;
    interest.data.ptr = nullptr;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &interest) != 0)
      fail("penstock: EventLoop cannot watch its own wake-up");
  }
  ~EventLoop() { close_all(); }

  /// Runs in this thread until `stop`. False: another thread runs it.
  bool run() noexcept {
    if (!enter()) return false;
    RunQueue::Lock lock{queue_.mutex};
    drive(lock, never, [this] { return stopped_; });
    stopped_ = false;
    lock.unlock();
    leave();
    return true;
  }
  /// Makes `run` return after the job it is in; jobs and timers not run stay for the next `run`.
  void stop() noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    stopped_ = true;
    wake();
  }

  /// Starts watching; edges that lie in the past are reported too. On the loop's thread only, as
  /// `unwatch`. False with errno set when the system refuses.
  [[nodiscard]] bool watch(int descriptor, Watch& watch) noexcept {
    ::epoll_event interest{};
    interest.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    interest.data.ptr = &watch;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &interest) == 0;
  }
  /// Afterwards `ready` is not called again, not even for edges already collected.
  void unwatch(int descriptor, Watch& watch) noexcept {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
    for (int index = next_; index < collected_; ++index) {
      ::epoll_event& event = events_[static_cast<std::size_t>(index)];
      if (event.data.ptr == &watch) event.data.ptr = nullptr;
    }
  }

 private:
  void sleep(RunQueue::Lock& lock, Time until) noexcept override {
    lock.unlock();
    collect(until);
    lock.lock();
  }
  void wake_sleeper() noexcept override {
    const std::uint64_t one = 1;
    static_cast<void>(::write(event_, &one, sizeof one));
  }
  void glance() noexcept override { collect(Time::min()); }

  void collect(Time until) noexcept {
    // Ready callbacks can wait and so collect again: what was collected before goes first.
    dispatch();
    ::timespec timeout{};
    ::timespec* limit = nullptr;
    if (until != never) {
      const auto left = until == Time::min() ? Duration::zero() : elapsed_between(now(), until);
      timeout.tv_sec = static_cast<decltype(timeout.tv_sec)>(left.count() / 1'000'000'000);
      timeout.tv_nsec = static_cast<decltype(timeout.tv_nsec)>(left.count() % 1'000'000'000);
      limit = &timeout;
    }
    const int count = wait_for_events(limit);
    next_ = 0;
    collected_ = std::max(count, 0);
    dispatch();
  }

  // epoll_pwait2 has nanoseconds; older kernels get milliseconds, rounded up so that a timer
  // never finds the loop spinning just before it is due.
  int wait_for_events(const ::timespec* limit) noexcept {
    if (precise_) {
      const int count = ::epoll_pwait2(epoll_, events_.data(), capacity, limit, nullptr);
      if (count >= 0 || errno != ENOSYS) return count;
      precise_ = false;
    }
    int milliseconds = -1;
    if (limit != nullptr) {
      const auto whole =
          std::chrono::seconds{limit->tv_sec} + std::chrono::nanoseconds{limit->tv_nsec};
      const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(whole).count();
      milliseconds = static_cast<int>(std::min<decltype(rounded)>(rounded, 1'000'000));
    }
    return ::epoll_wait(epoll_, events_.data(), capacity, milliseconds);
  }

  void dispatch() noexcept {
    while (next_ < collected_) {
      const ::epoll_event event = events_[static_cast<std::size_t>(next_++)];
      if (event.data.ptr == nullptr) continue;  // our own wake-up, or unwatched meanwhile
      Watch& watch = *static_cast<Watch*>(event.data.ptr);
      const bool broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
      watch.ready_(watch,
                   broken || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0,
                   broken || (event.events & EPOLLOUT) != 0);
    }
  }

  void close_all() noexcept {
    if (event_ >= 0) ::close(event_);
    if (epoll_ >= 0) ::close(epoll_);
  }
  [[noreturn]] void fail(const char* what) {
    const std::error_code code{errno, std::system_category()};
    close_all();
    throw std::system_error{code, what};
  }

  static constexpr int capacity = 256;
  int epoll_;
  int event_;
  std::array<::epoll_event, capacity> events_{};
  int next_ = 0;  // loop thread only, as the two around it
  int collected_ = 0;
  bool precise_ = true;
  bool stopped_ = false;  // guarded by queue_.mutex
};

}  // namespace penstock
