// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <new>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <penstock/core/sync.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/watch.hpp>

namespace penstock {

/// The poller of every POSIX system: `poll`, and a pipe to wake it. `wait` costs one system call,
/// in O(descriptors watched); `watch` may allocate. For the contract of each function see
/// `LoopPoller`. Timeouts are whole milliseconds, rounded up, so a timer is up to one late.
///
/// `poll` reports levels. They become edges because a direction that was reported is not asked
/// for again before somebody expects it; a descriptor of which nothing is expected is left out,
/// as it would otherwise report its hang-up for ever.
class PollPoller {
 public:
  /// Throws std::system_error when the system has no descriptors left, and std::bad_alloc.
  PollPoller() : asked_(1) {  // before there is a pipe to close
    if (::pipe(pipe_.data()) != 0) fail("penstock: EventLoop cannot open its pipe");
    for (const int end : pipe_) {
      const bool made = ::fcntl(end, F_SETFD, FD_CLOEXEC) == 0 &&
                        ::fcntl(end, F_SETFL, ::fcntl(end, F_GETFL) | O_NONBLOCK) == 0;
      if (!made) fail("penstock: EventLoop cannot set up its pipe");
    }
    asked_[0] = {pipe_[0], POLLIN, 0};
  }
  PollPoller(const PollPoller&) = delete;
  PollPoller& operator=(const PollPoller&) = delete;
  ~PollPoller() { close_all(); }

  [[nodiscard]] bool wait(Time until) noexcept {
    if (next_ < collected_.size()) return true;
    for (std::size_t index = 0; index < watched_.size(); ++index)
      asked_[index + 1] = question(watched_[index]);
    const int count = ::poll(asked_.data(), static_cast<::nfds_t>(asked_.size()), timeout(until));
    if (count <= 0) return false;
    if (asked_[0].revents != 0) drain();
    next_ = 0;
    collected_.clear();
    for (std::size_t index = 0; index < watched_.size(); ++index) {
      if (const short happened = asked_[index + 1].revents; happened != 0)
        collected_.push_back({watched_[index].watch, happened});
    }
    return !collected_.empty();
  }

  void report() noexcept {
    while (next_ < collected_.size()) {
      const Collected event = collected_[next_++];
      if (event.watch == nullptr) continue;  // unwatched meanwhile
      const bool broken = (event.happened & (POLLERR | POLLHUP | POLLNVAL)) != 0;
      event.watch->report({.readable = broken || (event.happened & POLLIN) != 0,
                           .writable = broken || (event.happened & POLLOUT) != 0});
    }
  }

  // A full pipe is a wake-up that is still to be seen.
  void wake() noexcept {
    const char byte = 0;
    static_cast<void>(::write(pipe_[1], &byte, 1));
  }

  [[nodiscard]] bool watch(int descriptor, Watch& watch) noexcept {
    if (::fcntl(descriptor, F_GETFD) == -1) return false;  // EBADF, as epoll has it
    try {
      // All that `wait` needs later, so that it never allocates.
      const std::size_t size = watched_.size() + 1;
      watched_.reserve(grown(watched_.capacity(), size));
      asked_.reserve(grown(asked_.capacity(), size + 1));
      collected_.reserve(grown(collected_.capacity(), size));
    } catch (const std::bad_alloc&) {
      errno = ENOMEM;
      return false;
    }
    watch.place = watched_.size();
    watched_.push_back({descriptor, &watch});
    asked_.push_back({});
    return true;
  }
  void unwatch(int, Watch& watch) noexcept {
    watched_[watch.place] = watched_.back();
    watched_[watch.place].watch->place = watch.place;
    watched_.pop_back();
    asked_.pop_back();
    for (std::size_t index = next_; index < collected_.size(); ++index) {
      if (collected_[index].watch == &watch) collected_[index].watch = nullptr;
    }
  }

 private:
  struct Watched {
    int descriptor;
    Watch* watch;
  };
  struct Collected {
    Watch* watch;
    short happened;
  };

  static std::size_t grown(std::size_t capacity, std::size_t needed) noexcept {
    return needed <= capacity ? capacity : std::max<std::size_t>(2 * capacity, needed + 15);
  }

  static ::pollfd question(const Watched& watched) noexcept {
    const Watch::Directions expected = watched.watch->expected();
    const int events = (expected.readable ? POLLIN : 0) | (expected.writable ? POLLOUT : 0);
    return {expected.any() ? watched.descriptor : -1, static_cast<short>(events), 0};
  }

  static int timeout(Time until) noexcept {
    if (until == never) return -1;
    if (until == Time::min()) return 0;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(elapsed_between(sync::now(), until)).count();
    return static_cast<int>(std::min<decltype(left)>(left, 1'000'000));
  }

  void drain() noexcept {
    std::array<char, 64> bytes;
    while (::read(pipe_[0], bytes.data(), bytes.size()) > 0) {
    }
  }

  void close_all() noexcept {
    for (const int end : pipe_) {
      if (end >= 0) ::close(end);
    }
  }
  [[noreturn]] void fail(const char* what) {
    const std::error_code code{errno, std::system_category()};
    close_all();
    throw std::system_error{code, what};
  }

  std::array<int, 2> pipe_{-1, -1};  // read from the first, written to by `wake`
  std::vector<Watched> watched_;
  std::vector<::pollfd> asked_;  // the pipe, then one for each watched
  std::vector<Collected> collected_;
  std::size_t next_ = 0;  // of those collected, the next to report
};

static_assert(LoopPoller<PollPoller>);

}  // namespace penstock
