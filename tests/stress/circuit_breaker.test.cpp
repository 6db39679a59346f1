// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <penstock/policy/circuit_breaker.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::CircuitBreaker;
using penstock::Duration;
using penstock::Outcome;
using penstock::Time;
using Permit = CircuitBreaker::Permit;
using State = CircuitBreaker::State;

constexpr Time start{1h};
constexpr std::uint32_t probes = 3;

template <class Work>
void in_parallel(Work work) {
  std::vector<std::thread> running;
  for (std::uint64_t index = 0; index < 4; ++index) running.emplace_back(work, index);
  for (std::thread& thread : running) thread.join();
}

void fail_until_open(CircuitBreaker& breaker, Time now) {
  while (breaker.state(now) != State::open) {
    auto permit = breaker.admit(now);
    ASSERT_TRUE(permit);
    permit->settle(Outcome::unavailable, now);
  }
}

// Whatever happened before: exactly the probes fit, and their successes close it.
void expect_balanced(CircuitBreaker& breaker, Time now) {
  fail_until_open(breaker, now);
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
    fail_until_open(breaker, start);
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
    fail_until_open(breaker, start);
    const Time now = start + 31s;
    in_parallel([&](std::uint64_t) {
      if (auto permit = breaker.admit(now)) permit->settle(Outcome::success, now);
    });
    ASSERT_EQ(breaker.state(now), State::closed);
  }
}

TEST(circuit_breaker_under_contention, no_count_is_lost_while_slices_stand) {
  CircuitBreaker breaker{{.failure_rate = 1, .minimum_calls = 30'000}};
  in_parallel([&](std::uint64_t index) {
    for (int round = 0; round < 5000; ++round) {
      auto permit = breaker.admit(start);
      ASSERT_TRUE(permit);
      permit->settle(index % 2 == 0 ? Outcome::timeout : Outcome::success, start);
    }
  });
  EXPECT_EQ(breaker.counts_approx(start), (penstock::SampleCounts{20'000, 10'000}));
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

// Random admissions, outcomes, drops, isolations and clock steps. Leases do not lapse, so the
// probes in flight of a generation, counted inside their life, never exceed the places.
TEST(circuit_breaker_under_contention, permits_balance_after_random_settles_and_drops) {
  CircuitBreaker breaker{
      {.minimum_calls = 5, .open_for = 1ms, .probes = probes, .probe_timeout = 1000h}};
  std::atomic<std::int64_t> ticks{start.time_since_epoch().count()};
  std::array<std::atomic<std::uint32_t>, 1U << 14> in_flight{};
  std::atomic<std::uint64_t> probe_calls{0};
  in_parallel([&](std::uint64_t index) {
    std::mt19937_64 random{index};
    std::vector<Permit> held;
    const auto end = [&](Permit last, Time now) {
      if (last.is_probe()) --in_flight[last.generation()];
      switch (random() % 8) {
        case 0:
          return;
        case 1:
          return last.settle(Outcome::neutral, now);
        case 2:
        case 3:
          return last.settle(Outcome::unavailable, now);
        default:
          return last.settle(Outcome::success, now);
      }
    };
    for (int round = 0; round < 20'000; ++round) {
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
