// SPDX-License-Identifier: MIT
// Threads that wait for each other, and for ever.
#include <chrono>
#include <cstdint>
#include <mutex>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
namespace sync = penstock::sync;

namespace if_for_while {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int items = 0;
  const auto take = [&] {
    std::unique_lock lock{mutex};
    if (right) {
      while (items == 0) changed.wait(lock);
    } else {
      if (items == 0) changed.wait(lock);
    }
    check(items > 0, "took from an empty queue");
    --items;
  };
  sync::thread one{take};
  sync::thread two{take};
  for (int item = 0; item < 2; ++item) {
    const std::lock_guard lock{mutex};
    ++items;
    changed.notify_all();
  }
  one.join();
  two.join();
}
const Bug bug{"if_for_while", run<false>, run<true>};
}  // namespace if_for_while

// Two consumers and a producer; how the producer tells them differs.
struct Queue {
  sync::mutex mutex;
  sync::condition_variable changed;
  int items = 0;
  bool closed = false;

  bool take() {
    std::unique_lock lock{mutex};
    changed.wait(lock, [this] { return items != 0 || closed; });
    if (items == 0) return false;
    --items;
    return true;
  }
};

namespace notify_only_when_it_was_empty {
template <bool right>
void run() {
  Queue queue;
  const auto consume = [&] { static_cast<void>(queue.take()); };
  sync::thread one{consume};
  sync::thread two{consume};
  for (int item = 0; item < 2; ++item) {
    const std::lock_guard lock{queue.mutex};
    if (queue.items++ == 0 || right) queue.changed.notify_one();
  }
  one.join();
  two.join();
}
const Bug bug{"notify_only_when_it_was_empty", run<false>, run<true>};
}  // namespace notify_only_when_it_was_empty

namespace close_wakes_only_one {
template <bool right>
void run() {
  Queue queue;
  const auto consume = [&] { check(!queue.take(), "an item out of nothing"); };
  sync::thread one{consume};
  sync::thread two{consume};
  {
    const std::lock_guard lock{queue.mutex};
    queue.closed = true;
    if (right) {
      queue.changed.notify_all();
    } else {
      queue.changed.notify_one();
    }
  }
  one.join();
  two.join();
}
const Bug bug{"close_wakes_only_one", run<false>, run<true>};
}  // namespace close_wakes_only_one

namespace close_outside_the_lock {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  sync::atomic<bool> closed{false};
  sync::thread consumer{[&] {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return closed.load(); });
  }};
  if (right) {
    const std::lock_guard lock{mutex};
    closed.store(true);
  } else {
    closed.store(true);
  }
  changed.notify_all();
  consumer.join();
}
const Bug bug{"close_outside_the_lock", run<false>, run<true>};
}  // namespace close_outside_the_lock

namespace lost_between_look_and_sleep {
// The flag is looked at under one lock, the sleep is under the next.
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  bool ready = false;
  sync::thread sleeper{[&] {
    if (right) {
      std::unique_lock lock{mutex};
      while (!ready) changed.wait(lock);
      return;
    }
    {
      const std::lock_guard lock{mutex};
      if (ready) return;
    }
    std::unique_lock lock{mutex};
    changed.wait(lock);
  }};
  {
    const std::lock_guard lock{mutex};
    ready = true;
    changed.notify_one();
  }
  sleeper.join();
}
const Bug bug{"lost_between_look_and_sleep", run<false>, run<true>};
}  // namespace lost_between_look_and_sleep

namespace one_signal_for_two_wishes {
// A producer that waits for room and a consumer that waits for an item sleep on the same
// condition variable, and one of them is woken.
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int items = 0;
  const auto tell = [&] {
    if (right) {
      changed.notify_all();
    } else {
      changed.notify_one();
    }
  };
  const auto push = [&] {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return items == 0; });
    ++items;
    tell();
  };
  const auto pop = [&] {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return items == 1; });
    --items;
    tell();
  };
  sync::thread consumer{[&] {
    pop();
    pop();
  }};
  sync::thread producer{[&] {
    push();
    push();
  }};
  push();
  pop();
  consumer.join();
  producer.join();
}
const Bug bug{"one_signal_for_two_wishes", run<false>, run<true>};
}  // namespace one_signal_for_two_wishes

namespace only_the_last_waiter_is_remembered {
template <bool right>
void run() {
  struct Waiter {
    bool woken = false;
    Waiter* next = nullptr;
  };
  sync::mutex mutex;
  sync::condition_variable changed;
  Waiter* waiting = nullptr;
  bool open = false;
  const auto pass = [&] {
    Waiter self;
    std::unique_lock lock{mutex};
    if (open) return;
    if (right) self.next = waiting;
    waiting = &self;
    changed.wait(lock, [&] { return self.woken; });
  };
  sync::thread one{pass};
  sync::thread two{pass};
  {
    const std::lock_guard lock{mutex};
    open = true;
    for (; waiting != nullptr; waiting = waiting->next) waiting->woken = true;
    changed.notify_all();
  }
  one.join();
  two.join();
}
const Bug bug{"only_the_last_waiter_is_remembered", run<false>, run<true>};
}  // namespace only_the_last_waiter_is_remembered

namespace the_driver_goes_and_nobody_drives {
// Who waits for a job runs those there are, in their order, until its own has run; unless another
// thread is at it, which may then be done with its own before it comes to this one.
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int queued = 0;
  int ran = 0;
  bool driven = false;
  const auto wait_for_a_job = [&] {
    std::unique_lock lock{mutex};
    const int mine = ++queued;
    if (driven) changed.wait(lock, [&] { return ran >= mine || (right && !driven); });
    if (ran >= mine) return;
    driven = true;
    while (ran < mine) {
      lock.unlock();  // and runs it
      lock.lock();
      ++ran;
    }
    driven = false;
    changed.notify_all();
  };
  sync::thread other{wait_for_a_job};
  wait_for_a_job();
  other.join();
}
const Bug bug{"the_driver_goes_and_nobody_drives", run<false>, run<true>};
}  // namespace the_driver_goes_and_nobody_drives

namespace the_idle_leave_before_the_busy {
// Workers that are to end once nothing is left, and a job that brings another and waits for it.
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int queued = 1;
  int busy = 0;
  int ran = 0;
  const auto work = [&] {
    std::unique_lock lock{mutex};
    for (;;) {
      changed.wait(lock, [&] { return queued != 0 || !right || busy == 0; });
      if (queued == 0) return;
      --queued;
      ++busy;
      lock.unlock();  // and runs it
      lock.lock();
      if (++ran == 1) {
        ++queued;
        changed.notify_all();
        changed.wait(lock, [&] { return ran == 2; });
      }
      --busy;
      changed.notify_all();
    }
  };
  sync::thread other{work};
  work();
  other.join();
}
const Bug bug{"the_idle_leave_before_the_busy", run<false>, run<true>};
}  // namespace the_idle_leave_before_the_busy

namespace notify_before_the_change {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int permits = 0;
  sync::thread taker{[&] {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return permits != 0; });
    --permits;
  }};
  if (!right) changed.notify_one();
  {
    const std::lock_guard lock{mutex};
    ++permits;
  }
  if (right) changed.notify_one();
  taker.join();
}
const Bug bug{"notify_before_the_change", run<false>, run<true>};
}  // namespace notify_before_the_change

namespace barrier_without_generation {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int arrived = 0;
  int generation = 0;
  const auto arrive = [&] {
    std::unique_lock lock{mutex};
    const int mine = generation;
    if (++arrived == 2) {
      arrived = 0;
      ++generation;
      changed.notify_all();
      return;
    }
    changed.wait(lock, [&] { return right ? generation != mine : arrived == 0; });
  };
  sync::thread other{[&] {
    arrive();
    arrive();
  }};
  arrive();
  arrive();
  other.join();
}
const Bug bug{"barrier_without_generation", run<false>, run<true>};
}  // namespace barrier_without_generation

namespace timeout_forgets_what_was_granted {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  int free = 0;
  bool granted = false;
  bool waiting = false;
  bool mine = false;
  sync::thread waiter{[&] {
    std::unique_lock lock{mutex};
    if (free != 0) {
      --free;
      mine = true;
      return;
    }
    waiting = true;
    const penstock::Time until = sync::now() + 1s;
    while (!granted) {
      if (changed.wait_until(lock, until) == std::cv_status::no_timeout) continue;
      if (right && granted) break;  // at the last moment
      waiting = false;
      return;
    }
    mine = true;
  }};
  {
    const std::lock_guard lock{mutex};
    if (waiting) {
      waiting = false;
      granted = true;
      changed.notify_one();
    } else {
      ++free;
    }
  }
  waiter.join();
  check(free + int{mine} == 1, "a permit was granted to somebody who had left");
}
const Bug bug{"timeout_forgets_what_was_granted", run<false>, run<true>};
}  // namespace timeout_forgets_what_was_granted

namespace flag_looked_at_before_the_item_is_in {
// The flusher looks, finds nothing and goes; the item waits for the next flush that never comes.
template <bool right>
void run() {
  sync::mutex mutex;
  sync::condition_variable changed;
  bool flushing = false;
  int queued = 0;
  bool left = false;
  sync::thread flusher{[&] {
    const std::lock_guard lock{mutex};
    flushing = true;
    if (queued != 0) {
      queued = 0;
      left = true;
      changed.notify_all();
    }
  }};
  bool flushed = false;
  if (!right) {
    const std::lock_guard lock{mutex};
    flushed = flushing;
  }
  {
    std::unique_lock lock{mutex};
    if (right) flushed = flushing;
    ++queued;
    if (!flushed) changed.wait(lock, [&] { return left; });
  }
  flusher.join();
}
const Bug bug{"flag_looked_at_before_the_item_is_in", run<false>, run<true>};
}  // namespace flag_looked_at_before_the_item_is_in

namespace lock_order_inversion {
template <bool right>
void run() {
  sync::mutex first;
  sync::mutex second;
  sync::thread other{[&] {
    const std::lock_guard a{right ? first : second};
    const std::lock_guard b{right ? second : first};
  }};
  {
    const std::lock_guard a{first};
    const std::lock_guard b{second};
  }
  other.join();
}
const Bug bug{"lock_order_inversion", run<false>, run<true>};
}  // namespace lock_order_inversion

namespace callback_under_the_lock {
template <bool right>
void run() {
  sync::mutex mutex;
  int state = 0;
  const auto read = [&] {
    const std::lock_guard lock{mutex};
    return state;
  };
  const auto change = [&](auto callback) {
    std::unique_lock lock{mutex};
    ++state;
    if (right) lock.unlock();
    callback();
  };
  int seen = 0;
  change([&] { seen = read(); });
  check(seen == 1, "the change was not seen");
}
const Bug bug{"callback_under_the_lock", run<false>, run<true>};
}  // namespace callback_under_the_lock

namespace join_under_the_lock {
template <bool right>
void run() {
  sync::mutex mutex;
  int state = 0;
  sync::thread worker{[&] {
    const std::lock_guard lock{mutex};
    ++state;
  }};
  if (right) {
    worker.join();
    const std::lock_guard lock{mutex};
    ++state;
  } else {
    const std::lock_guard lock{mutex};
    ++state;
    worker.join();
  }
  check(state == 2, "an update under the lock was lost");
}
const Bug bug{"join_under_the_lock", run<false>, run<true>};
}  // namespace join_under_the_lock

namespace word_changed_after_the_wake {
template <bool right>
void run() {
  sync::atomic<std::uint32_t> word{0};
  sync::thread waker{[&] {
    if (right) word.store(1);
    sync::wake_on(&word);
    if (!right) word.store(1);
  }};
  while (word.load() == 0) static_cast<void>(sync::sleep_on(word, 0, penstock::never));
  waker.join();
}
const Bug bug{"word_changed_after_the_wake", run<false>, run<true>};
}  // namespace word_changed_after_the_wake

namespace spins_on_a_flag_nobody_sets {
// Waits for the other by trying again: without an end where the other has given up already.
template <bool right>
void run() {
  sync::atomic<int> turn{0};
  sync::thread other{[&] {
    if (right || turn.load() == 1) turn.store(2);
  }};
  turn.store(1);
  while (turn.load() != 2) {
    if (right) break;
  }
  other.join();
}
const Bug bug{"spins_on_a_flag_nobody_sets", run<false>, run<true>};
}  // namespace spins_on_a_flag_nobody_sets

}  // namespace
}  // namespace explore
