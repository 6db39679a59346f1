// SPDX-License-Identifier: MIT
// Places that are taken, waited for, cancelled, timed out and thrown away by many at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/layer/adaptive_limit.hpp>
#include <penstock/layer/concurrency_limit.hpp>
#include <penstock/layer/load_shed.hpp>
#include <penstock/policy/aimd.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// How many are inside at once, and the most that ever were.
class Witness {
 public:
  void come() {
    const int now = ++inside_;
    int seen = most_.load();
    while (seen < now && !most_.compare_exchange_weak(seen, now)) {
    }
  }
  void go() { --inside_; }
  int inside() const { return inside_; }
  int most() const { return most_; }

 private:
  std::atomic<int> inside_{0};
  std::atomic<int> most_{0};
};

struct Presence {
  explicit Presence(Witness& at) : witness(at) { witness.come(); }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;
  ~Presence() { witness.go(); }
  Witness& witness;
};

void expect_whole(ConcurrencyLimit& limit, const Witness& witness, std::uint32_t places) {
  EXPECT_EQ(witness.inside(), 0);
  EXPECT_LE(witness.most(), static_cast<int>(places));
  EXPECT_EQ(limit.in_flight_approx(), 0U);
  EXPECT_EQ(limit.waiting_approx(), 0U);
  // Not one place is missing and none is there twice.
  std::vector<ConcurrencyLimit::Permit> all;
  for (std::uint32_t place = 0; place < places; ++place) {
    auto permit = limit.try_acquire();
    ASSERT_TRUE(permit);
    all.push_back(std::move(*permit));
  }
  EXPECT_FALSE(limit.try_acquire());
}

TEST(concurrency_limit_under_contention, never_admits_more_than_its_places_without_waiting) {
  ConcurrencyLimit limit{{.max_in_flight = 3, .max_waiting = 0}};
  Witness witness;
  std::atomic<std::uint64_t> admitted{0};
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50'000; ++round) {
        auto permit = limit.try_acquire();
        if (!permit) continue;
        const Presence presence{witness};
        ++admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(admitted.load(), 50'000U);
  expect_whole(limit, witness, 3);
}

// What a place guards is seen by who has it next: a plain variable, for the thread sanitizer.
TEST(concurrency_limit_under_contention, a_single_place_is_as_good_as_a_lock) {
  ConcurrencyLimit limit{{.max_in_flight = 1}};
  std::uint64_t counter = 0;
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5'000; ++round) {
        Call call;
        auto permit = limit.acquire_and_wait(call);
        ASSERT_TRUE(permit);
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 20'000U);
}

// One leaf for both modes: it works, waits, fails or throws by the dice.
Result<int> dice(std::uint64_t random) {
  if (random % 7 == 0) throw std::runtime_error{"the leaf threw"};
  if (random % 7 == 1) return ErrorKind::transient;
  return 1;
}

// trap 23, and the worst moments of trap 30: 10^6 calls in all modes.
TEST(concurrency_limit_under_contention,
     after_random_cancels_timeouts_and_exceptions_no_place_is_missing_or_extra) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int calls = 100'000;
#else
  constexpr int calls = 1'000'000;
#endif
  constexpr std::uint32_t places = 4;
  constexpr int callers = 40;
  for (const WaitOrder order : {WaitOrder::arrival, WaitOrder::priority}) {
    ConcurrencyLimit limit{{.max_in_flight = places, .max_waiting = 24, .order = order}};
    Witness witness;
    std::array<std::atomic<int>, 32> ends{};  // by error kind; the last: success
    const auto count = [&ends](const Result<int>& reply) {
      ++ends[reply ? ends.size() - 1 : static_cast<std::size_t>(reply.error().kind())];
    };
    {
      ThreadPool pool{3};
      auto ask = stack(concurrency_limit(limit)) |
                 [&witness](std::uint64_t random, Call& call) -> Task<Result<int>> {
        const Presence presence{witness};
        if (random % 3 == 0) co_await reschedule(call.where());
        co_return dice(random);
      };
      const auto caller = [&](std::uint64_t seed, int rounds) -> Task<void> {
        Random random{seed};
        for (int round = 0; round < rounds; ++round) {
          StopSource source;
          Call call{.stop = source.token(), .executor = &pool};
          call.priority = static_cast<Priority>(random() % 3);
          if (random() % 4 == 0)
            call.deadline = pool.now() + Duration{static_cast<std::int64_t>(random() % 50'000)};
          if (random() % 4 == 0) {
            // A second coroutine stops the first one at some moment.
            Scope scope{pool};
            const auto stop = [&source, &pool]() -> Task<void> {
              co_await reschedule(pool);
              source.request_stop();
            };
            scope.spawn(stop());
            const Result<int> reply = co_await ask(random(), call);
            co_await scope.join();
            count(reply);
          } else {
            const Result<int> reply = co_await ask(random(), call);
            count(reply);
          }
        }
      };
      Scope scope{pool};
      for (int index = 0; index < callers; ++index)
        scope.spawn(caller(static_cast<std::uint64_t>(index), calls / 2 / callers));
      // Blocking callers in the same queue.
      auto ask_and_wait = stack(concurrency_limit(limit)) | [&witness](std::uint64_t random) {
        const Presence presence{witness};
        return dice(random);
      };
      std::vector<std::thread> threads;
      for (int index = 0; index < 2; ++index) {
        threads.emplace_back([&, index] {
          Random random{static_cast<std::uint64_t>(1000 + index)};
          for (int round = 0; round < calls / 100; ++round) {
            Call call{.deadline =
                          sync::now() + Duration{static_cast<std::int64_t>(random() % 100'000)}};
            call.priority = static_cast<Priority>(random() % 3);
            count(ask_and_wait(random(), call));
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      scope.wait();
    }
    int ended = 0;
    for (const std::atomic<int>& some : ends) ended += some;
    EXPECT_EQ(ended, calls / 2 / callers * callers + 2 * (calls / 100));
    // Every way to end was taken.
    EXPECT_GT(ends.back().load(), 0);
    for (const ErrorKind kind : {ErrorKind::transient,
                                 ErrorKind::exception,
                                 ErrorKind::overloaded,
                                 ErrorKind::deadline,
                                 ErrorKind::cancelled})
      EXPECT_GT(ends[static_cast<std::size_t>(kind)].load(), 0) << to_string(kind);
    expect_whole(limit, witness, places);
  }
}

TEST(adaptive_limit_under_contention, a_limit_that_moves_loses_no_place_and_no_waiter) {
  AdaptiveLimit limit{Aimd{{.range = {.initial = 3, .ceiling = 6, .samples = 1, .window = 0ns}}}};
  Witness witness;
  {
    ThreadPool pool{3};
    Scope scope{pool};
    const auto caller = [&](std::uint64_t seed) -> Task<void> {
      Random random{seed};
      for (int round = 0; round < 2000; ++round) {
        Call call{.executor = &pool};
        call.now = pool.now();
        if (random() % 5 == 0) call.deadline = call.now + 20us;
        auto permit = co_await limit.acquire(call);
        if (!permit) continue;
        witness.come();
        if (random() % 3 == 0) co_await reschedule(pool);
        witness.go();
        if (random() % 10 != 0)
          permit->settle(random() % 4 == 0 ? Outcome::timeout : Outcome::success, pool.now());
      }
    };
    for (std::uint64_t index = 0; index < 20; ++index) scope.spawn(caller(index));
    scope.wait();
  }
  EXPECT_LE(witness.most(), 6);
  EXPECT_EQ(limit.in_flight_approx(), 0U);
  EXPECT_EQ(limit.waiting_approx(), 0U);
  EXPECT_GE(limit.limit_approx(), 1U);
  EXPECT_LE(limit.limit_approx(), 6U);
}

TEST(load_shed_under_contention, who_is_displaced_is_told_once_and_no_place_is_lost) {
  LoadShed shed{{.max_in_flight = 2, .max_waiting = 6, .shares = {1, 1, 1}, .max_wait = 50us}};
  Witness witness;
  std::atomic<int> ended{0};
  {
    ThreadPool pool{3};
    Scope scope{pool};
    const auto caller = [&](std::uint64_t seed) -> Task<void> {
      Random random{seed};
      for (int round = 0; round < 2000; ++round) {
        Call call{.executor = &pool};
        call.now = pool.now();
        call.priority = static_cast<Priority>(random() % 3);
        auto permit = co_await shed.acquire(call);
        ++ended;
        if (!permit) continue;
        const Presence presence{witness};
        if (random() % 2 == 0) co_await reschedule(pool);
      }
    };
    for (std::uint64_t index = 0; index < 16; ++index) scope.spawn(caller(index));
    scope.wait();
  }
  EXPECT_EQ(ended.load(), 16 * 2000);
  EXPECT_LE(witness.most(), 2);
  EXPECT_EQ(shed.in_flight_approx(), 0U);
  EXPECT_EQ(shed.waiting_approx(), 0U);
}

}  // namespace
}  // namespace penstock
