// SPDX-License-Identifier: MIT
#include <penstock/exec/timer_queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include <penstock/core/random.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Pending final : Timer {
  Pending() : Timer([](Timer&) noexcept {}) {}
  explicit Pending(Duration at) : Pending() { when = Time{at}; }
};

// Takes the first again and again.
std::vector<Time> drained(TimerQueue& queue) {
  std::vector<Time> order;
  while (!queue.empty()) {
    Timer& first = *queue.first();
    order.push_back(first.when);
    queue.remove(first);
    EXPECT_FALSE(TimerQueue::armed(first));
  }
  EXPECT_EQ(queue.first(), nullptr);
  return order;
}

// Arms, takes back and fires at random, with durations as `draw` gives them, and knows the answer.
template <class Draw>
void expect_the_earliest_first(Draw draw) {
  Random random{7};
  TimerQueue queue;
  std::deque<Pending> timers(300);
  std::set<std::pair<Time, const Timer*>> expected;
  Time now{};
  for (int step = 0; step < 30'000; ++step) {
    now += Duration{static_cast<std::int64_t>(random() % 1000)};
    Pending& timer = timers[random() % timers.size()];
    ASSERT_EQ(TimerQueue::armed(timer), expected.contains({timer.when, &timer}));
    if (TimerQueue::armed(timer)) {
      queue.remove(timer);
      expected.erase({timer.when, &timer});
    } else {
      timer.when = now + draw(random);
      queue.insert(timer);
      expected.emplace(timer.when, &timer);
    }
    ASSERT_EQ(queue.empty(), expected.empty());
    if (random() % 3 == 0 && !queue.empty()) {
      Timer& first = *queue.first();
      ASSERT_EQ(first.when, expected.begin()->first);
      queue.remove(first);
      expected.erase({first.when, &first});
    }
    if (!expected.empty()) {
      ASSERT_EQ(queue.first()->when, expected.begin()->first);
    }
  }
}

TEST(timer_queue, is_empty_without_timers) {
  TimerQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.first(), nullptr);
}

TEST(timer_queue, gives_timers_of_any_order_earliest_first) {
  const std::array<Duration, 9> times{5ns, 3ns, 9ns, 1ns, 7ns, 2ns, 8ns, 0ns, 4ns};
  std::deque<Pending> timers;
  TimerQueue queue;
  for (const Duration time : times) queue.insert(timers.emplace_back(time));
  EXPECT_EQ(drained(queue),
            (std::vector{Time{0ns},
                         Time{1ns},
                         Time{2ns},
                         Time{3ns},
                         Time{4ns},
                         Time{5ns},
                         Time{7ns},
                         Time{8ns},
                         Time{9ns}}));
}

TEST(timer_queue, gives_timers_that_fall_all_the_time_earliest_first) {
  std::deque<Pending> timers;
  TimerQueue queue;
  for (int time = 100; time > 0; --time) {
    queue.insert(timers.emplace_back(Duration{time}));
    EXPECT_EQ(queue.first(), &timers.back());
  }
  const std::vector<Time> order = drained(queue);
  EXPECT_EQ(order.size(), 100U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(timer_queue, keeps_one_duration_in_the_order_it_came) {
  std::deque<Pending> timers;
  TimerQueue queue;
  for (int number = 0; number < 100; ++number) queue.insert(timers.emplace_back(1s));
  for (Pending& timer : timers) {
    EXPECT_EQ(queue.first(), &timer);
    queue.remove(timer);
  }
}

TEST(timer_queue, takes_the_latest_back_and_goes_on_behind_the_one_before) {
  Pending first{1s};
  Pending second{9s};
  Pending third{2s};
  TimerQueue queue;
  queue.insert(first);
  queue.insert(second);
  queue.remove(second);
  queue.insert(third);
  EXPECT_EQ(drained(queue), (std::vector{Time{1s}, Time{2s}}));
}

TEST(timer_queue, arms_a_timer_again_after_it_was_first_and_after_it_was_last) {
  Pending one{1s};
  Pending two{2s};
  TimerQueue queue;
  queue.insert(one);
  queue.insert(two);
  queue.remove(one);
  one.when = Time{3s};
  queue.insert(one);
  EXPECT_EQ(queue.first(), &two);
  queue.remove(one);
  one.when = Time{1s};
  queue.insert(one);
  EXPECT_EQ(queue.first(), &one);
  EXPECT_EQ(drained(queue), (std::vector{Time{1s}, Time{2s}}));
}

TEST(timer_queue, keeps_up_with_a_model_for_random_durations) {
  expect_the_earliest_first(
      [](Random& random) { return Duration{static_cast<std::int64_t>(random() % 1'000'000)}; });
}

TEST(timer_queue, keeps_up_with_a_model_for_a_few_durations) {
  expect_the_earliest_first([](Random& random) {
    const std::array<Duration, 3> durations{20us, 300us, 5us};
    return durations[random() % durations.size()];
  });
}

TEST(timer_queue, keeps_up_with_a_model_for_more_durations_than_it_has_lists) {
  expect_the_earliest_first([](Random& random) {
    return Duration{static_cast<std::int64_t>(1 + random() % 12) * 17'000};
  });
}

}  // namespace
}  // namespace penstock
