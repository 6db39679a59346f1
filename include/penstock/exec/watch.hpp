// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>

#include <penstock/core/time.hpp>

namespace penstock {

/// Interest in one descriptor of an event loop, an intrusive node: `ready` runs on the loop for
/// every edge, with what happened; errors and hang-ups count as both directions. It must not
/// throw and may unwatch. *One thread at a time*: the loop's.
///
/// An edge is reported where the direction was expected. Both are from the start; once one was
/// reported, say `expect_readable` or `expect_writable` again when an operation would have
/// blocked and before waiting for the next edge. Where the system has edges of its own (epoll)
/// this costs nothing and more may be reported than was expected, never less.
class Watch {
 public:
  using Ready = void (*)(Watch&, bool readable, bool writable) noexcept;
  explicit Watch(Ready action) noexcept : ready_(action) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void expect_readable() noexcept { expected_.readable = true; }
  void expect_writable() noexcept { expected_.writable = true; }

  /// For pollers: both directions are expected again.
  struct Directions {
    bool readable = true;
    bool writable = true;
    [[nodiscard]] bool any() const noexcept { return readable || writable; }
  };
  [[nodiscard]] Directions expected() const noexcept { return expected_; }
  /// For pollers: reports, and forgets that it was expected. The watch may be gone after.
  void report(Directions happened) noexcept {
    if (happened.readable) expected_.readable = false;
    if (happened.writable) expected_.writable = false;
    ready_(*this, happened.readable, happened.writable);
  }
  /// For pollers: where they keep what they know of it.
  std::size_t place = 0;

 protected:
  ~Watch() = default;

 private:
  Ready ready_;
  Directions expected_{};
};

/// Where an event loop sleeps. *One thread at a time*, the loop's, but for `wake`.
///
/// `wait(until)`  sleeps until a wake, an edge, a signal or `until` and collects edges: not at all
///                for `Time::min()`, without end for `never`. May return early. True when there
///                is something to report; at once when there was before.
/// `report()`     calls the watches of what was collected; they may come back to any function.
/// `wake()`       ends the `wait` that is or the next one. *Safe from any thread.*
/// `watch(descriptor, watch)`    starts to collect; edges that lie in the past too. False with
///                errno set when the system refuses.
/// `unwatch(descriptor, watch)`  afterwards nothing is reported, not even what was collected.
template <class P>
concept LoopPoller = std::default_initializable<P> &&
    requires(P& poller, Time until, int descriptor, Watch& watch) {
  { poller.wait(until) }
  noexcept->std::same_as<bool>;
  { poller.report() }
  noexcept->std::same_as<void>;
  { poller.wake() }
  noexcept->std::same_as<void>;
  { poller.watch(descriptor, watch) }
  noexcept->std::same_as<bool>;
  { poller.unwatch(descriptor, watch) }
  noexcept->std::same_as<void>;
};

}  // namespace penstock
