// SPDX-License-Identifier: MIT
// Memory orders one step too weak. On x86 most of these never fail.
#include <atomic>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

namespace sync = penstock::sync;

namespace relaxed_publication {
template <bool right>
void run() {
  int data = 0;
  sync::atomic<bool> ready{false};
  sync::thread writer{[&] {
    data = 42;
    ready.store(true, right ? std::memory_order_release : std::memory_order_relaxed);
  }};
  if (ready.load(std::memory_order_acquire)) check(data == 42, "unpublished data was seen");
  writer.join();
}
const Bug bug{"relaxed_publication", run<false>, run<true>};
}  // namespace relaxed_publication

namespace relaxed_look_at_a_publication {
template <bool right>
void run() {
  sync::atomic<int> data{0};
  sync::atomic<bool> ready{false};
  sync::thread writer{[&] {
    data.store(42, std::memory_order_relaxed);
    ready.store(true, std::memory_order_release);
  }};
  if (ready.load(right ? std::memory_order_acquire : std::memory_order_relaxed))
    check(data.load(std::memory_order_relaxed) == 42, "unpublished data was seen");
  writer.join();
}
const Bug bug{"relaxed_look_at_a_publication", run<false>, run<true>};
}  // namespace relaxed_look_at_a_publication

namespace dekker_with_acquire_and_release {
template <bool right>
void run() {
  constexpr auto storing = right ? std::memory_order_seq_cst : std::memory_order_release;
  constexpr auto loading = right ? std::memory_order_seq_cst : std::memory_order_acquire;
  sync::atomic<bool> first{false};
  sync::atomic<bool> second{false};
  bool alone = false;
  sync::thread other{[&] {
    first.store(true, storing);
    alone = !second.load(loading);
  }};
  second.store(true, storing);
  const bool me_alone = !first.load(loading);
  other.join();
  check(!alone || !me_alone, "both believe to be alone");
}
const Bug bug{"dekker_with_acquire_and_release", run<false>, run<true>};
}  // namespace dekker_with_acquire_and_release

namespace the_last_two_miss_each_other {
// Each marks its place and looks for the other's mark: the last closes the breaker.
template <bool right>
void run() {
  constexpr auto order = right ? std::memory_order_seq_cst : std::memory_order_relaxed;
  sync::atomic<int> places[2] = {0, 0};
  sync::atomic<int> closed{0};
  const auto succeed = [&](int mine) {
    places[mine].store(1, order);
    if (places[1 - mine].load(order) == 1) closed.store(1, order);
  };
  sync::thread other{[&] { succeed(0); }};
  succeed(1);
  other.join();
  check(closed.load() == 1, "all probes succeeded and nobody closed it");
}
const Bug bug{"the_last_two_miss_each_other", run<false>, run<true>};
}  // namespace the_last_two_miss_each_other

namespace state_published_before_its_deadline {
template <bool right>
void run() {
  sync::atomic<int> state{0};
  sync::atomic<int> until{0};
  sync::thread opener{[&] {
    if (right) until.store(30, std::memory_order_release);
    state.store(1, std::memory_order_release);
    if (!right) until.store(30, std::memory_order_release);
  }};
  if (state.load(std::memory_order_acquire) == 1)
    check(until.load(std::memory_order_acquire) == 30, "open, and until the past");
  opener.join();
}
const Bug bug{"state_published_before_its_deadline", run<false>, run<true>};
}  // namespace state_published_before_its_deadline

namespace relaxed_reference_count {
template <bool right>
void run() {
  struct Shared {
    sync::atomic<int> owners{2};
    int value = 0;
  };
  auto* const shared = new Shared;
  const auto drop = [&](int by) {
    if (by != 0) shared->value += by;
    const auto order = right ? std::memory_order_acq_rel : std::memory_order_relaxed;
    if (shared->owners.fetch_sub(1, order) == 1) delete shared;
  };
  sync::thread other{[&] { drop(1); }};
  drop(0);
  other.join();
}
const Bug bug{"relaxed_reference_count", run<false>, run<true>};
}  // namespace relaxed_reference_count

namespace spinlock_released_relaxed {
template <bool right>
void run() {
  sync::atomic<bool> held{false};
  int value = 0;
  const auto add = [&] {
    if (held.exchange(true, std::memory_order_acquire)) return;
    ++value;
    held.store(false, right ? std::memory_order_release : std::memory_order_relaxed);
  };
  sync::thread other{add};
  add();
  other.join();
  check(value >= 1, "nobody got the lock");
}
const Bug bug{"spinlock_released_relaxed", run<false>, run<true>};
}  // namespace spinlock_released_relaxed

namespace initialised_twice_checked_once {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::atomic<int*> instance{nullptr};
  int storage = 0;
  const auto get = [&]() -> int* {
    int* found = instance.load(right ? std::memory_order_acquire : std::memory_order_relaxed);
    if (found != nullptr) return found;
    mutex.lock();
    found = instance.load(std::memory_order_relaxed);
    if (found == nullptr) {
      storage = 7;
      found = &storage;
      instance.store(found, std::memory_order_release);
    }
    mutex.unlock();
    return found;
  };
  sync::thread other{[&] { check(*get() == 7, "unfinished"); }};
  check(*get() == 7, "unfinished");
  other.join();
}
const Bug bug{"double_checked_without_acquire", run<false>, run<true>};
}  // namespace initialised_twice_checked_once

namespace pair_read_in_two_halves {
// A sequence lock whose reader does not look at the sequence again.
template <bool right>
void run() {
  sync::atomic<int> sequence{0};
  sync::atomic<int> first{0};
  sync::atomic<int> second{0};
  sync::thread writer{[&] {
    sequence.store(1);
    first.store(1);
    second.store(1);
    sequence.store(2);
  }};
  const int before = sequence.load();
  const int a = first.load();
  const int b = second.load();
  const int after = sequence.load();
  if (before % 2 == 0 && (!right || before == after)) check(a == b, "half of each");
  writer.join();
}
const Bug bug{"pair_read_in_two_halves", run<false>, run<true>};
}  // namespace pair_read_in_two_halves

namespace message_passed_by_a_plain_store {
// The chain of releases ends at a store that is not part of a read-modify-write.
template <bool right>
void run() {
  int data = 0;
  sync::atomic<int> step{0};
  sync::thread writer{[&] {
    data = 42;
    step.store(1, std::memory_order_release);
  }};
  sync::thread helper{[&] {
    if (right) {
      int one = 1;
      step.compare_exchange_strong(one, 2, std::memory_order_relaxed);
    } else if (step.load(std::memory_order_relaxed) == 1) {
      step.store(2, std::memory_order_relaxed);
    }
  }};
  if (step.load(std::memory_order_acquire) == 2) check(data == 42, "unpublished data was seen");
  writer.join();
  helper.join();
}
const Bug bug{"release_sequence_broken", run<false>, run<true>};
}  // namespace message_passed_by_a_plain_store

namespace readers_disagree_about_an_order {
template <bool right>
void run() {
  constexpr auto storing = right ? std::memory_order_seq_cst : std::memory_order_release;
  constexpr auto loading = right ? std::memory_order_seq_cst : std::memory_order_acquire;
  sync::atomic<int> x{0};
  sync::atomic<int> y{0};
  int x_then_y[2] = {0, 0};
  sync::thread write_x{[&] { x.store(1, storing); }};
  sync::thread write_y{[&] { y.store(1, storing); }};
  sync::thread reader{[&] {
    x_then_y[0] = x.load(loading);
    x_then_y[1] = y.load(loading);
  }};
  const int first_y = y.load(loading);
  const int then_x = x.load(loading);
  write_x.join();
  write_y.join();
  reader.join();
  check(!(x_then_y[0] == 1 && x_then_y[1] == 0 && first_y == 1 && then_x == 0),
        "two readers saw two stores in opposite orders");
}
const Bug bug{"readers_disagree_about_an_order", run<false>, run<true>};
}  // namespace readers_disagree_about_an_order

}  // namespace
}  // namespace explore
