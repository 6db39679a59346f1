// SPDX-License-Identifier: MIT
#include <mutex>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

namespace sync = penstock::sync;

namespace lost_update {
template <bool right>
void run() {
  sync::atomic<int> count{0};
  const auto add = [&] {
    if (right) {
      ++count;
    } else {
      count.store(count.load() + 1);
    }
  };
  sync::thread other{add};
  add();
  other.join();
  check(count.load() == 2, "an update was lost");
}
const Bug bug{"lost_update", run<false>, run<true>};
}  // namespace lost_update

namespace relaxed_publication {
template <std::memory_order order>
void run() {
  int data = 0;
  sync::atomic<bool> ready{false};
  sync::thread writer{[&] {
    data = 42;
    ready.store(true, order);
  }};
  if (ready.load(std::memory_order_acquire)) check(data == 42, "unpublished data was seen");
  writer.join();
}
const Bug bug{
    "relaxed_publication", run<std::memory_order_relaxed>, run<std::memory_order_release>};
}  // namespace relaxed_publication

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

}  // namespace
}  // namespace explore
