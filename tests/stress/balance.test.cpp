// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <penstock/core/random_bits.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/policy/balance.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Settled, dropped and failed picks of all threads leave nothing under way, and an ejection is
// seen by all.
TEST(balance_on_threads, every_pick_is_given_back) {
  constexpr int threads = 4;
  constexpr int calls = 50'000;
  for (const auto method : {Balancer::Method::round_robin,
                            Balancer::Method::weighted,
                            Balancer::Method::least_loaded,
                            Balancer::Method::power_of_two}) {
    Balancer balancer{5,
                      {.method = method, .eject_after = 3, .eject_for = 1ms, .eject_at_most = 5ms}};
    std::atomic<int> picked{0};
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
      running.emplace_back([&] {
        for (int call = 0; call < calls; ++call) {
          const std::uint64_t random = random_bits();
          Balancer::Pick pick = balancer.pick(sync::now(), random);
          ASSERT_LT(pick.index(), 5U);
          ++picked;
          const bool fails = pick.index() == 2 || random % 64 == 0;
          if (random % 16 != 1)
            pick.settle(fails ? Outcome::unavailable : Outcome::success, sync::now());
        }
      });
    }
    for (std::thread& thread : running) thread.join();
    EXPECT_EQ(picked, threads * calls);
    for (std::size_t index = 0; index < 5; ++index) EXPECT_EQ(balancer.in_flight_approx(index), 0U);
  }
}

// Failures in a row are counted exactly: of all threads one more than allowed ejects, and none
// before.
TEST(balance_on_threads, failures_in_a_row_are_counted_exactly) {
  constexpr std::uint32_t threads = 4;
  constexpr std::uint32_t each = 1000;
  const Time now = sync::now();
  Balancer balancer{1, {.eject_after = threads * each + 1}};
  std::vector<std::thread> running;
  for (std::uint32_t thread = 0; thread < threads; ++thread) {
    running.emplace_back([&] {
      for (std::uint32_t call = 0; call < each; ++call)
        balancer.pick(now, 0).settle(Outcome::unavailable, now);
    });
  }
  for (std::thread& thread : running) thread.join();
  EXPECT_FALSE(balancer.ejected(0, now));
  balancer.pick(now, 0).settle(Outcome::unavailable, now);
  EXPECT_TRUE(balancer.ejected(0, now));
}

}  // namespace
}  // namespace penstock
