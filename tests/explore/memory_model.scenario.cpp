// SPDX-License-Identifier: MIT
// What the memory model promises, of the explorer itself: outcomes that must never be seen. Those
// that must be seen are in the zoo.
#include <atomic>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

namespace sync = penstock::sync;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;

void one_location_never_goes_back() {
  sync::atomic<int> x{0};
  sync::thread writer{[&] {
    x.store(1, relaxed);
    x.store(2, relaxed);
  }};
  const int first = x.load(relaxed);
  const int second = x.load(relaxed);
  writer.join();
  check(first <= second, "a load saw an older store than the load before it");
}

void a_thread_sees_its_own_stores() {
  sync::atomic<int> x{0};
  sync::thread other{[&] { x.store(1, relaxed); }};
  x.store(2, relaxed);
  check(x.load(relaxed) != 0, "a thread did not see its own store");
  other.join();
  check(x.load(relaxed) != 0, "a joined thread's store was not seen");
}

void what_a_message_says_is_there() {
  sync::atomic<int> data{0};
  sync::atomic<int> flag{0};
  sync::thread writer{[&] {
    data.store(1, relaxed);
    flag.store(1, release);
  }};
  if (flag.load(acquire) == 1) check(data.load(relaxed) == 1, "the message came before its data");
  writer.join();
}

void what_was_heard_is_passed_on() {
  sync::atomic<int> x{0};
  sync::atomic<int> y{0};
  sync::thread first{[&] { x.store(1, relaxed); }};
  sync::thread second{[&] {
    if (x.load(relaxed) == 1) y.store(1, release);
  }};
  if (y.load(acquire) == 1) check(x.load(relaxed) == 1, "a load that happened before was undone");
  first.join();
  second.join();
}

void changes_are_never_lost() {
  sync::atomic<int> x{0};
  sync::thread other{[&] { x.fetch_add(1, relaxed); }};
  x.fetch_add(1, relaxed);
  other.join();
  check(x.load(relaxed) == 2, "a change saw an old store");
}

void a_lock_hands_on_what_was_done_under_it() {
  sync::mutex mutex;
  int value = 0;
  const auto add = [&] {
    mutex.lock();
    ++value;
    mutex.unlock();
  };
  sync::thread one{add};
  sync::thread two{add};
  one.join();
  two.join();
  check(value == 2, "an update under the lock was lost");
}

void a_lock_that_is_only_tried() {
  sync::mutex mutex;
  int value = 0;
  const auto add = [&] {
    if (!mutex.try_lock()) return;
    ++value;
    mutex.unlock();
  };
  sync::thread other{add};
  add();
  other.join();
  check(value >= 1, "nobody got a lock that was free");
}

const Scenario scenarios[] = {
    {"memory_model/one_location_never_goes_back", one_location_never_goes_back},
    {"memory_model/a_thread_sees_its_own_stores", a_thread_sees_its_own_stores},
    {"memory_model/what_a_message_says_is_there", what_a_message_says_is_there},
    {"memory_model/what_was_heard_is_passed_on", what_was_heard_is_passed_on},
    {"memory_model/changes_are_never_lost", changes_are_never_lost},
    {"memory_model/a_lock_hands_on_what_was_done_under_it", a_lock_hands_on_what_was_done_under_it},
    {"memory_model/a_lock_that_is_only_tried", a_lock_that_is_only_tried},
};

}  // namespace
}  // namespace explore
