// SPDX-License-Identifier: MIT
// What is used after it is gone, ended twice, or never.
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
namespace sync = penstock::sync;

// A coroutine that frees itself at its end.
struct Detached {
  struct promise_type {
    [[nodiscard]] Detached get_return_object() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};

namespace awaiter_touched_after_publication {
template <bool right>
struct Awaiter {
  sync::atomic<void*>& slot;
  int touched = 0;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  [[gnu::noinline]] void await_suspend(std::coroutine_handle<> awaiter) noexcept {
    if (right) ++touched;
    slot.store(awaiter.address());
    if (!right) ++touched;  // the frame may be gone
  }
  void await_resume() const noexcept {}
};
template <bool right>
Detached wait_for(sync::atomic<void*>& slot) {
  Awaiter<right> awaiter{slot};
  co_await awaiter;
}
template <bool right>
void run() {
  sync::atomic<void*> slot{nullptr};
  sync::thread resumer{[&] {
    if (void* const frame = slot.exchange(nullptr))
      std::coroutine_handle<>::from_address(frame).resume();
  }};
  wait_for<right>(slot);
  resumer.join();
  if (void* const frame = slot.exchange(nullptr))
    std::coroutine_handle<>::from_address(frame).resume();
}
const Bug bug{"awaiter_touched_after_publication", run<false>, run<true>};
}  // namespace awaiter_touched_after_publication

namespace event_touched_after_it_is_set {
// Sleeps on a word, and sets it in one step with seeing whether somebody sleeps: the sleeper, which
// need not be woken for it, may see it in between and end with the event.
template <bool right>
struct Event {
  sync::atomic<std::uint32_t> state{0};
  bool watched = false;
  void set() noexcept {
    const auto* const word = &state;
    if (state.exchange(2) == 1) sync::wake_on(word);
    if (!right) watched = false;
  }
  void wait() noexcept {
    std::uint32_t seen = 0;
    if (!state.compare_exchange_strong(seen, 1)) return;
    while (state.load() != 2) static_cast<void>(sync::sleep_on(state, 1, penstock::never));
  }
};
template <bool right>
void run() {
  auto event = std::make_unique<Event<right>>();
  sync::thread other{[set = event.get()] { set->set(); }};
  event->wait();
  event.reset();
  other.join();
}
const Bug bug{"event_touched_after_it_is_set", run<false>, run<true>};
}  // namespace event_touched_after_it_is_set

namespace resumed_twice {
// The timer and the stop both believe to be the one that resumes.
struct Suspend {
  std::coroutine_handle<>& out;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiter) const noexcept { out = awaiter; }
  void await_resume() const noexcept {}
};
inline Detached sleep(std::coroutine_handle<>& out) {
  Suspend suspend{out};
  co_await suspend;
}
template <bool right>
void run() {
  std::coroutine_handle<> sleeper;
  sleep(sleeper);
  sync::atomic<bool> woken{false};
  const auto wake = [&] {
    if (right) {
      if (woken.exchange(true)) return;
    } else {
      if (woken.load()) return;
      woken.store(true);
    }
    sleeper.resume();
  };
  sync::thread timer{wake};
  wake();
  timer.join();
}
const Bug bug{"resumed_by_timer_and_stop", run<false>, run<true>};
}  // namespace resumed_twice

namespace frame_freed_by_both_sides {
template <bool right>
void run() {
  auto* const frame = new int{0};
  sync::atomic<int> left{2};
  const auto leave = [&] {
    if (right ? left.fetch_sub(1) == 1 : (left.store(left.load() - 1), left.load() == 0))
      delete frame;
  };
  sync::thread other{leave};
  leave();
  other.join();
}
const Bug bug{"frame_freed_by_both_or_neither", run<false>, run<true>};
}  // namespace frame_freed_by_both_sides

namespace completed_twice {
template <bool right>
void run() {
  sync::atomic<bool> done{false};
  sync::atomic<int> completions{0};
  const auto complete = [&] {
    if (right ? !done.exchange(true) : !done.load()) {
      done.store(true);
      ++completions;
    }
  };
  sync::thread other{complete};
  complete();
  other.join();
  check(completions.load() == 1, "an item was completed twice");
}
const Bug bug{"completed_twice", run<false>, run<true>};
}  // namespace completed_twice

namespace waker_touches_what_the_woken_destroys {
// The notification comes after the lock is released: the woken may be gone by then.
template <bool right>
void run() {
  struct Event {
    sync::mutex mutex;
    sync::condition_variable changed;
    bool set = false;
  };
  auto event = std::make_unique<Event>();
  sync::thread waker{[raw = event.get()] {
    std::unique_lock lock{raw->mutex};
    raw->set = true;
    if (right) {
      raw->changed.notify_one();
    } else {
      lock.unlock();
      raw->changed.notify_one();
    }
  }};
  {
    std::unique_lock lock{event->mutex};
    event->changed.wait(lock, [&] { return event->set; });
  }
  event.reset();
  waker.join();
}
const Bug bug{"waker_touches_what_the_woken_destroys", run<false>, run<true>};
}  // namespace waker_touches_what_the_woken_destroys

namespace callback_destroyed_while_it_runs {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable finished;
  auto callback = std::make_unique<Var<int>>(0);
  bool linked = true;
  bool running = false;
  sync::thread stopper{[&] {
    std::unique_lock lock{mutex};
    if (!linked) return;
    linked = false;
    running = true;
    lock.unlock();
    callback->set(1);
    lock.lock();
    running = false;
    finished.notify_all();
  }};
  {
    std::unique_lock lock{mutex};
    linked = false;
    if (right) finished.wait(lock, [&] { return !running; });
  }
  callback.reset();
  stopper.join();
}
const Bug bug{"callback_destroyed_while_it_runs", run<false>, run<true>};
}  // namespace callback_destroyed_while_it_runs

namespace disarm_does_not_wait_for_the_firing_thread {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable fired;
  struct Timer {
    int count = 0;
  };
  auto timer = std::make_unique<Timer>();
  bool armed = true;
  bool firing = false;
  sync::thread loop{[&, raw = timer.get()] {
    std::unique_lock lock{mutex};
    static_cast<void>(fired.wait_until(lock, sync::now() + 1s, [&] { return !armed; }));
    if (!armed) return;
    armed = false;
    firing = true;
    lock.unlock();
    ++raw->count;
    lock.lock();
    firing = false;
    fired.notify_all();
  }};
  {
    std::unique_lock lock{mutex};
    armed = false;
    if (right) fired.wait(lock, [&] { return !firing; });
    fired.notify_all();
  }
  timer.reset();
  loop.join();
}
const Bug bug{"disarm_does_not_wait_for_the_firing_thread", run<false>, run<true>};
}  // namespace disarm_does_not_wait_for_the_firing_thread

namespace thread_outlives_what_it_uses {
template <bool right>
void run() {
  sync::thread worker;
  {
    const auto data = std::make_unique<int>(0);
    worker = sync::thread{[raw = data.get()] { ++*raw; }};
    if (right) worker.join();
  }
  if (!right) worker.join();
}
const Bug bug{"thread_outlives_what_it_uses", run<false>, run<true>};
}  // namespace thread_outlives_what_it_uses

namespace waiter_woken_outside_the_lock_in_a_list {
// A granted waiter is kept linked until it is woken: a cancel takes it for one that waits.
template <bool right>
void run() {
  sync::mutex mutex;
  bool linked = true;
  sync::atomic<int> ends{0};
  sync::thread granter{[&] {
    {
      const std::lock_guard lock{mutex};
      if (!linked) return;
      if (right) linked = false;
    }
    ++ends;
    if (!right) {
      const std::lock_guard lock{mutex};
      linked = false;
    }
  }};
  {
    std::unique_lock lock{mutex};
    if (linked) {
      linked = false;
      lock.unlock();
      ++ends;
    }
  }
  granter.join();
  check(ends.load() == 1, "a wait ended by a grant and by a cancel");
}
const Bug bug{"grant_meets_cancel", run<false>, run<true>};
}  // namespace waiter_woken_outside_the_lock_in_a_list

namespace permit_leaked_by_a_cancel {
template <bool right>
void run() {
  sync::atomic<int> free{1};
  sync::atomic<bool> cancelled{false};
  sync::thread canceller{[&] { cancelled.store(true); }};
  int seen = 1;
  if (free.compare_exchange_strong(seen, 0)) {
    if (cancelled.load()) {
      if (right) free.store(1);
    } else {
      free.store(1);
    }
  }
  canceller.join();
  check(free.load() == 1, "a permit was leaked by the cancelled");
}
const Bug bug{"permit_leaked_by_a_cancel", run<false>, run<true>};
}  // namespace permit_leaked_by_a_cancel

namespace permit_moved_by_two_threads {
template <bool right>
void run() {
  sync::mutex mutex;
  auto permit = std::make_unique<int>(1);
  sync::atomic<int> holders{0};
  const auto take = [&] {
    std::unique_lock lock{mutex, std::defer_lock};
    if (right) lock.lock();
    const std::unique_ptr<int> mine = std::move(permit);
    if (mine != nullptr) ++holders;
  };
  sync::thread other{take};
  take();
  other.join();
  check(holders.load() == 1, "one permit in two hands");
}
const Bug bug{"permit_moved_by_two_threads", run<false>, run<true>};
}  // namespace permit_moved_by_two_threads

namespace list_read_while_another_erases {
template <bool right>
void run() {
  struct Node {
    int value = 1;
    Node* next = nullptr;
  };
  sync::mutex mutex;
  Node* first = new Node;
  sync::thread eraser{[&] {
    const std::lock_guard lock{mutex};
    delete std::exchange(first, nullptr);
  }};
  Node* found = nullptr;
  {
    const std::lock_guard lock{mutex};
    found = first;
    if (right && found != nullptr) check(found->value == 1, "not the node");
  }
  if (!right && found != nullptr) check(found->value == 1, "not the node");
  eraser.join();
}
const Bug bug{"list_read_while_another_erases", run<false>, run<true>};
}  // namespace list_read_while_another_erases

namespace stack_without_generation {
// The head is the same node again, and what comes after it is not.
struct Head {
  std::uint8_t top;
  std::uint8_t generation;
};
template <bool right>
void run() {
  constexpr std::uint8_t none = 9;
  sync::atomic<Head> head{Head{0, 0}};  // 0, then 1
  sync::atomic<std::uint8_t> next[2] = {1, none};
  sync::atomic<int> taken[2] = {0, 0};
  const auto pop = [&]() -> std::uint8_t {
    Head seen = head.load();
    for (;;) {
      if (seen.top == none) return none;
      const std::uint8_t after = next[seen.top].load();
      const auto generation = static_cast<std::uint8_t>(seen.generation + (right ? 1 : 0));
      if (head.compare_exchange_strong(seen, {after, generation})) break;
    }
    check(taken[seen.top].fetch_add(1) == 0, "one node in two hands");
    return seen.top;
  };
  const auto push = [&](std::uint8_t node) {
    taken[node].fetch_sub(1);
    Head seen = head.load();
    do {
      next[node].store(seen.top);
    } while (!head.compare_exchange_strong(
        seen, {node, static_cast<std::uint8_t>(seen.generation + (right ? 1 : 0))}));
  };
  sync::thread other{[&] {
    const std::uint8_t a = pop();
    const std::uint8_t b = pop();
    if (a != none) push(a);
    static_cast<void>(b);  // stays out
  }};
  static_cast<void>(pop());
  static_cast<void>(pop());
  other.join();
}
const Bug bug{"stack_without_generation", run<false>, run<true>};
}  // namespace stack_without_generation

namespace batch_taken_by_two {
template <bool right>
void run() {
  sync::mutex mutex;
  int queued = 2;
  sync::atomic<int> handled{0};
  const auto flush = [&] {
    int taken = 0;
    {
      const std::lock_guard lock{mutex};
      taken = queued;
      if (right) queued = 0;
    }
    handled.fetch_add(taken);
    if (!right) {
      const std::lock_guard lock{mutex};
      queued = 0;
    }
  };
  sync::thread other{flush};
  flush();
  other.join();
  check(handled.load() == 2, "a batch was handled twice");
}
const Bug bug{"batch_taken_by_two", run<false>, run<true>};
}  // namespace batch_taken_by_two

}  // namespace
}  // namespace explore
