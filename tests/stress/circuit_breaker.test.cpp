// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <penstock/policy/circuit_breaker.hpp>

#include "support/breaking.hpp"
#include "support/in_parallel.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::CircuitBreaker;
using penstock::Duration;
using penstock::Outcome;
using penstock::Time;
using penstock::testing::in_parallel;
using penstock::testing::trip;
using Permit = CircuitBreaker::Permit;
using State = CircuitBreaker::State;

constexpr Time start{1h};
constexpr std::uint32_t probes = 3;

// Whatever happened before: exactly the probes fit, and their successes close it.
void expect_balanced(CircuitBreaker& breaker, Time now) {
  trip(breaker, now);
  now += 2min;
  std::vector<Permit> held;
  for (std::uint32_t probe = 0; probe < probes; ++probe) {
    auto permit = breaker.admit(now);
    ASSERT_TRUE(permit);
    held.push_back(std::move(*permit));
  }
  EXPECT_FALSE(breaker.admit(now));
  for (Permit& permit : held) permit.settle(Outcome::success, now);
  EXPECT_EQ(breaker.state(now), State::closed);
}

TEST(circuit_breaker_under_contention, half_open_admits_exactly_its_probes) {
  for (int round = 0; round < 300; ++round) {
    CircuitBreaker breaker{{.minimum_calls = 1, .probes = probes}};
    trip(breaker, start);
    const Time now = start + 31s;
    std::atomic<std::uint32_t> admitted{0};
    std::array<std::vector<Permit>, 4> held;
    in_parallel([&](std::uint64_t index) {
      for (int attempt = 0; attempt < 20; ++attempt) {
        if (auto permit = breaker.admit(now)) {
          ++admitted;
          held[index].push_back(std::move(*permit));
        }
      }
    });
    ASSERT_EQ(admitted.load(), probes);
  }
}

TEST(circuit_breaker_under_contention, the_last_success_closes_it_whoever_is_last) {
  for (int round = 0; round < 500; ++round) {
    CircuitBreaker breaker{{.minimum_calls = 1, .probes = probes}};
    trip(breaker, start);
    const Time now = start + 31s;
    in_parallel([&](std::uint64_t) {
      if (auto permit = breaker.admit(now)) permit->settle(Outcome::success, now);
    });
    ASSERT_EQ(breaker.state(now), State::closed);
  }
}

TEST(circuit_breaker_under_contention, no_count_is_lost_while_slices_stand) {
  for (const std::uint32_t stripes : {1U, 2U, 8U}) {
    CircuitBreaker breaker{{.failure_rate = 1, .minimum_calls = 30'000, .stripes = stripes}};
    in_parallel([&](std::uint64_t index) {
      for (int round = 0; round < 5000; ++round) {
        auto permit = breaker.admit(start);
        ASSERT_TRUE(permit);
        permit->settle(index % 2 == 0 ? Outcome::timeout : Outcome::success, start);
      }
    });
    EXPECT_EQ(breaker.counts_approx(start), (penstock::SampleCounts{20'000, 10'000}));
  }
}

TEST(circuit_breaker_under_contention, a_count_window_holds_about_its_calls) {
  for (const std::uint32_t size : {1U, 10U, 100U, 1000U}) {
    penstock::CountWindow window{size};
    in_parallel([&](std::uint64_t) {
      for (int call = 0; call < 20'000; ++call) window.record(0, penstock::Sample::failure);
    });
    const penstock::SampleCounts counts = window.counts_approx(0);
    const std::uint32_t slice = (size + 9) / 10;
    // A slice is done by at most one look of each stripe, and one call of each thread, late.
    EXPECT_GE(counts.total, size - slice);
    EXPECT_LE(counts.total, 2 * size + 40);
    EXPECT_EQ(counts.failures, counts.total);
  }
}

TEST(circuit_breaker_under_contention, a_streak_is_as_long_as_the_failures_of_all) {
  CircuitBreaker breaker{{.failure_rate = 0, .consecutive_failures = 4001}};
  in_parallel([&](std::uint64_t) {
    for (int call = 0; call < 1000; ++call) {
      if (auto permit = breaker.admit(start)) permit->settle(Outcome::timeout, start);
    }
  });
  ASSERT_EQ(breaker.state(start), State::closed);
  breaker.admit(start)->settle(Outcome::timeout, start);
  EXPECT_EQ(breaker.state(start), State::open);
}

// trap 4: nobody sees it open with the deadline of an earlier time.
TEST(circuit_breaker_under_contention, who_sees_it_open_sees_until_when) {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 1h, .probes = 1}};
  std::atomic<std::int64_t> hours{1};
  std::atomic<bool> done{false};
  in_parallel([&](std::uint64_t index) {
    if (index != 0) {
      while (!done.load()) {
        const Time now{hours.load() * 1h};
        const auto permit = breaker.admit(now);
        EXPECT_FALSE(permit && permit->is_probe());
      }
      return;
    }
    for (int round = 0; round < 3000; ++round) {
      trip(breaker, Time{hours.load() * 1h});
      breaker.reset();
      hours.fetch_add(2);
    }
    done.store(true);
  });
}

TEST(circuit_breaker_under_contention, probes_that_fail_together_are_one_more_opening) {
  for (int round = 0; round < 300; ++round) {
    CircuitBreaker breaker{{.minimum_calls = 1,
                            .open_for = 1s,
                            .open_growth = 2,
                            .probes = 4,
                            .probe_success_rate = 0.5}};
    trip(breaker, start);
    Time now = start + 2s;
    for (const Duration open_time : {2s, 4s, 8s}) {
      in_parallel([&](std::uint64_t) {
        auto permit = breaker.admit(now);
        if (permit) permit->settle(Outcome::timeout, now);
      });
      ASSERT_EQ(breaker.state(now + open_time - 1ns), State::open);
      now += open_time + 1ms;
      ASSERT_EQ(breaker.state(now), State::half_open);
    }
  }
}

// Some may be missed, if a thread stands still while the others make a thousand.
TEST(circuit_breaker_under_contention, every_transition_is_told_once_and_in_order) {
  CircuitBreaker breaker{{.failure_rate = 0,
                          .consecutive_failures = 1,
                          .open_for = 1ns,
                          .probes = 1,
                          .keep_transitions = 1024}};
  std::uint32_t told = 0;  // by one thread at a time, which is what is tested
  State last = State::closed;
  std::atomic<std::int64_t> ticks{start.time_since_epoch().count()};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    for (int round = 0; round < 2000; ++round) {
      const Time now{Duration{ticks.fetch_add(100'000)}};
      if (auto permit = breaker.admit(now)) {
        permit->settle(random() % 2 == 0 ? Outcome::timeout : Outcome::success, now);
      }
      breaker.deliver([&](const penstock::Transition& transition) {
        told += 1 + transition.missed;
        EXPECT_EQ(transition.generation, told & penstock::Circuit::generation_mask);
        EXPECT_EQ(transition.from, last);
        last = transition.to;
      });
    }
  });
  breaker.deliver([](const penstock::Transition&) { ADD_FAILURE() << "one was left behind"; });
  EXPECT_GT(told, 1000U);
}

TEST(stripe_hint, threads_that_live_together_have_numbers_of_their_own) {
  for (int round = 0; round < 100; ++round) {
    std::array<std::uint32_t, 4> numbers{};
    std::atomic<int> ready{0};
    in_parallel([&](std::uint64_t index) {
      numbers[index] = penstock::stripe_hint();
      ++ready;
      while (ready.load() != 4) std::this_thread::yield();
    });
    std::sort(numbers.begin(), numbers.end());
    ASSERT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
    ASSERT_LT(numbers[3], 8U);  // they come back when their thread has ended
  }
}

TEST(circuit_breaker_under_contention, opens_once_for_all_the_failures_of_one_moment) {
  for (int round = 0; round < 300; ++round) {
    CircuitBreaker breaker{{.minimum_calls = 8}};
    in_parallel([&](std::uint64_t) {
      auto first = breaker.admit(start);
      auto second = breaker.admit(start);
      if (first) first->settle(Outcome::unavailable, start);
      if (second) second->settle(Outcome::unavailable, start);
    });
    ASSERT_EQ(breaker.state(start), State::open);
    const auto probe = breaker.admit(start + 31s);
    ASSERT_TRUE(probe);
    ASSERT_EQ(probe->generation(), 2);  // closed, open, half open: one step each
  }
}

// A million random admissions, outcomes, drops, throws, isolations and clock steps. Leases do not
// lapse, so the probes in flight of a generation, counted inside their life, never exceed the
// places. trap 2
TEST(circuit_breaker_under_contention, permits_balance_after_random_settles_and_drops) {
  CircuitBreaker breaker{{.minimum_calls = 5,
                          .open_for = 1ms,
                          .probes = probes,
                          .probe_success_rate = 0.6,
                          .probe_timeout = 1000h}};
  std::atomic<std::int64_t> ticks{start.time_since_epoch().count()};
  std::array<std::atomic<std::uint32_t>, 1U << 14> in_flight{};
  std::atomic<std::uint64_t> probe_calls{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    std::vector<Permit> held;
    const auto end = [&](Permit last, Time now) {
      if (last.is_probe()) --in_flight[last.generation()];
      switch (random() % 9) {
        case 0:
          return;
        case 8:
          try {
            const Permit unwound = std::move(last);
            throw 0;
          } catch (int) {
            return;
          }
        case 1:
          return last.settle(Outcome::neutral, now);
        case 2:
        case 3:
          return last.settle(Outcome::unavailable, now);
        default:
          return last.settle(Outcome::success, now);
      }
    };
    for (int round = 0; round < 250'000; ++round) {
      const auto step = static_cast<std::int64_t>(random() % 200'000);
      const Time now{Duration{ticks.fetch_add(step)}};
      if (random() % 1000 == 0) breaker.isolate();
      if (random() % 200 == 0) breaker.reset();
      if (held.size() < 8 && random() % 2 == 0) {
        auto permit = breaker.admit(now);
        if (!permit) continue;
        if (permit->is_probe()) {
          ++probe_calls;
          ASSERT_LE(++in_flight[permit->generation()], probes);
        }
        held.push_back(std::move(*permit));
      } else if (!held.empty()) {
        const std::size_t chosen = random() % held.size();
        std::swap(held[chosen], held.back());
        Permit last = std::move(held.back());
        held.pop_back();
        end(std::move(last), now);
      }
    }
    for (Permit& left : held) end(std::move(left), Time{Duration{ticks.load()}});
  });
  EXPECT_GT(probe_calls.load(), 100U);
  breaker.reset();
  expect_balanced(breaker, Time{Duration{ticks.load()}} + 1h);
}

}  // namespace
