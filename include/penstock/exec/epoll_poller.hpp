// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <penstock/core/sync.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/watch.hpp>

namespace penstock {

/// The poller of Linux: one epoll descriptor, edge-triggered, and an eventfd to wake it. `wait`
/// costs one system call, in O(events); nothing allocates. For the contract of each function
/// see `LoopPoller`. Timeouts have nanoseconds; before Linux 5.11 milliseconds, rounded up.
class EpollPoller {
 public:
  /// Throws std::system_error when the system has no descriptors left.
  EpollPoller()
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (epoll_ < 0 || event_ < 0) fail("penstock: EventLoop cannot open its descriptors");
    ::epoll_event interest{};
    interest.events = EPOLLIN | EPOLLET;
    interest.data.ptr = nullptr;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &interest) != 0)
      fail("penstock: EventLoop cannot watch its own wake-up");
  }
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;
  ~EpollPoller() { close_all(); }

  [[nodiscard]] bool wait(Time until) noexcept {
    if (next_ < collected_) return true;
    ::timespec timeout{};
    ::timespec* limit = nullptr;
    if (until != never) {
      const auto left =
          until == Time::min() ? Duration::zero() : elapsed_between(sync::now(), until);
      timeout.tv_sec = static_cast<decltype(timeout.tv_sec)>(left.count() / 1'000'000'000);
      timeout.tv_nsec = static_cast<decltype(timeout.tv_nsec)>(left.count() % 1'000'000'000);
      limit = &timeout;
    }
    const int count = collect(limit);
    next_ = 0;
    collected_ = std::max(count, 0);
    return collected_ != 0;
  }

  void report() noexcept {
    while (next_ < collected_) {
      const ::epoll_event event = events_[static_cast<std::size_t>(next_++)];
      if (event.data.ptr == nullptr) continue;  // our own wake-up, or unwatched meanwhile
      const bool broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
      static_cast<Watch*>(event.data.ptr)
          ->report({.readable = broken || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0,
                    .writable = broken || (event.events & EPOLLOUT) != 0});
    }
  }

  // Edge-triggered, so the counter is never read: each write is an edge of its own.
  void wake() noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(::write(event_, &one, sizeof one));
  }

  [[nodiscard]] bool watch(int descriptor, Watch& watch) noexcept {
    ::epoll_event interest{};
    interest.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    interest.data.ptr = &watch;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &interest) == 0;
  }
  void unwatch(int descriptor, Watch& watch) noexcept {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
    for (int index = next_; index < collected_; ++index) {
      ::epoll_event& event = events_[static_cast<std::size_t>(index)];
      if (event.data.ptr == &watch) event.data.ptr = nullptr;
    }
  }

 private:
  // epoll_pwait2 has nanoseconds; older kernels, and containers that forbid what they do not know,
  // get milliseconds, rounded up so that a timer never finds the loop spinning just before it is
  // due.
  int collect(const ::timespec* limit) noexcept {
    if (precise_) {
      const int count = ::epoll_pwait2(epoll_, events_.data(), capacity, limit, nullptr);
      if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
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
  int next_ = 0;  // of the events collected, the next to report
  int collected_ = 0;
  bool precise_ = true;
};

static_assert(LoopPoller<EpollPoller>);

}  // namespace penstock
