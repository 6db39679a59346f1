// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/core/random.hpp>
#include <penstock/policy/balance.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Method = Balancer::Method;

constexpr Time now{1h};

std::vector<int> share(Balancer& balancer, int calls, Time at = now) {
  std::vector<int> counts(balancer.size());
  Random random{5};
  for (int call = 0; call < calls; ++call) {
    Balancer::Pick pick = balancer.pick(at, random());
    ++counts[pick.index()];
    pick.settle(Outcome::success, at);
  }
  return counts;
}
void eject(Balancer& balancer, std::size_t index, Time at = now) {
  Random random{9};
  while (!balancer.ejected(index, at)) {
    Balancer::Pick pick = balancer.pick(at, random());
    pick.settle(pick.index() == index ? Outcome::unavailable : Outcome::success, at);
  }
}

TEST(balancer, takes_turns) {
  Balancer balancer{3, {.method = Method::round_robin}};
  EXPECT_EQ(share(balancer, 9), (std::vector<int>{3, 3, 3}));
}

TEST(balancer, follows_weights_and_spreads_them_evenly) {
  Balancer balancer{3, {.method = Method::weighted, .weights = {1, 2, 5}}};
  for (int round = 0; round < 10; ++round) {
    const std::vector<int> counts = share(balancer, 80);
    EXPECT_NEAR(counts[0], 10, 2);
    EXPECT_NEAR(counts[1], 20, 2);
    EXPECT_NEAR(counts[2], 50, 2);
  }
}

TEST(balancer, takes_the_least_loaded) {
  Balancer balancer{3, {.method = Method::least_loaded}};
  std::vector<Balancer::Pick> held;
  for (int call = 0; call < 9; ++call) held.push_back(balancer.pick(now, 0));
  for (std::size_t index = 0; index < 3; ++index) EXPECT_EQ(balancer.in_flight_approx(index), 3U);
  held.clear();
  for (std::size_t index = 0; index < 3; ++index) EXPECT_EQ(balancer.in_flight_approx(index), 0U);
}

TEST(balancer, loads_by_weight) {
  Balancer balancer{2, {.method = Method::least_loaded, .weights = {1, 3}}};
  std::vector<Balancer::Pick> held;
  for (int call = 0; call < 40; ++call) held.push_back(balancer.pick(now, 0));
  EXPECT_EQ(balancer.in_flight_approx(0), 10U);
  EXPECT_EQ(balancer.in_flight_approx(1), 30U);
}

TEST(balancer, the_better_of_two_avoids_the_slow_and_the_busy) {
  Balancer balancer{4};
  Random random{1};
  std::array<int, 4> counts{};
  Time at = now;
  for (int call = 0; call < 4000; ++call) {
    Balancer::Pick pick = balancer.pick(at, random());
    ++counts[pick.index()];
    at += pick.index() == 0 ? 100ms : 1ms;
    pick.settle(Outcome::success, at);
  }
  for (std::size_t index = 1; index < 4; ++index) EXPECT_GT(counts[index], 20 * counts[0]);
  EXPECT_GT(counts[0], 0) << "it fades and is looked at again";
  EXPECT_GT(balancer.latency_approx(0, at), balancer.latency_approx(1, at));
}

TEST(balancer, the_better_of_two_never_sends_everybody_to_the_one_that_looks_best) {
  Balancer balancer{10};
  // All are known and equal but for one that is a little faster.
  std::vector<Balancer::Pick> held;
  Random random{2};
  for (int round = 0; round < 400; ++round) {
    Balancer::Pick pick = balancer.pick(now, random());
    pick.settle(Outcome::success, now + (pick.index() == 0 ? 9ms : 10ms));
  }
  for (int call = 0; call < 200; ++call) held.push_back(balancer.pick(now + 20ms, random()));
  EXPECT_LT(balancer.in_flight_approx(0), 40U);
}

TEST(balancer, a_failure_that_comes_fast_does_not_look_like_a_fast_endpoint) {
  Balancer balancer{1, {.eject_after = 0}};
  balancer.pick(now, 0).settle(Outcome::success, now + 100ms);
  balancer.pick(now + 100ms, 0).settle(Outcome::unavailable, now + 101ms);
  EXPECT_GE(balancer.latency_approx(0, now + 101ms), 98ms);
}

// Both endpoints known, and as fast as each other.
void learn_both(Balancer& balancer) {
  Random random{3};
  while (balancer.latency_approx(0, now) == 0ns || balancer.latency_approx(1, now) == 0ns) {
    Balancer::Pick pick = balancer.pick(now, random());
    pick.settle(pick.index() == 0 && balancer.latency_approx(0, now) != 0ns ? Outcome::neutral
                                                                            : Outcome::success,
                now + 10ms);
  }
}

TEST(balancer, the_better_of_two_counts_the_call_to_come_and_loads_by_weight) {
  Balancer balancer{2, {.weights = {1, 4}}};
  learn_both(balancer);
  std::vector<Balancer::Pick> held;
  for (int call = 0; call < 3; ++call) held.push_back(balancer.pick(now + 10ms, 0));
  EXPECT_EQ(balancer.in_flight_approx(1), 3U);
  for (int call = 0; call < 2; ++call) held.push_back(balancer.pick(now + 10ms, 0));
  EXPECT_EQ(balancer.in_flight_approx(0), 1U);
  EXPECT_EQ(balancer.in_flight_approx(1), 4U);
}

TEST(balancer, the_better_of_two_sends_one_call_to_who_is_not_known_and_waits_for_it) {
  Balancer balancer{2};
  Random random{4};
  while (balancer.latency_approx(0, now) == 0ns) {
    Balancer::Pick pick = balancer.pick(now, random());
    pick.settle(pick.index() == 0 ? Outcome::success : Outcome::neutral, now + 10ms);
  }
  std::vector<Balancer::Pick> held;
  for (int call = 0; call < 50; ++call) held.push_back(balancer.pick(now + 10ms, random()));
  EXPECT_EQ(held.front().index(), 1U);
  EXPECT_EQ(balancer.in_flight_approx(1), 1U);
  EXPECT_EQ(balancer.in_flight_approx(0), 49U);
}

TEST(balancer, the_better_of_two_loads_those_not_known_by_weight) {
  Balancer balancer{2, {.weights = {1, 4}}};
  std::vector<Balancer::Pick> held;
  for (int call = 0; call < 3; ++call) held.push_back(balancer.pick(now, 0));
  EXPECT_EQ(balancer.in_flight_approx(0), 1U);
  EXPECT_EQ(balancer.in_flight_approx(1), 2U);
}

// The one fast endpoint is among the two in half of all draws.
TEST(balancer, the_better_of_two_draws_both_from_all) {
  Balancer balancer{4};
  Random random{6};
  for (int call = 0; call < 100; ++call) {
    Balancer::Pick pick = balancer.pick(now, random());
    const Duration took = pick.index() == 3 ? 1ms : 100ms;
    pick.settle(Outcome::success, now + took);
  }
  int fast = 0;
  for (int call = 0; call < 1000; ++call)
    fast += balancer.pick(now + 100ms, random()).index() == 3 ? 1 : 0;
  EXPECT_NEAR(fast, 500, 60);
}

TEST(balancer, takes_turns_in_order_among_those_in_use) {
  Balancer balancer{3, {.method = Method::round_robin, .eject_after = 1, .panic_below = 0}};
  eject(balancer, 0);
  for (const std::size_t expected : {2U, 1U, 2U, 1U})
    EXPECT_EQ(balancer.pick(now, 0).index(), expected);
}

TEST(balancer, among_the_least_loaded_takes_turns_in_order) {
  Balancer balancer{3, {.method = Method::least_loaded}};
  const auto next = [&] { return balancer.pick(now, 0).index(); };
  for (const std::size_t expected : {0U, 1U, 2U, 0U, 1U, 2U}) EXPECT_EQ(next(), expected);
  const Balancer::Pick first = balancer.pick(now, 0);
  ASSERT_EQ(first.index(), 0U);
  EXPECT_EQ(next(), 1U);
  EXPECT_EQ(next(), 2U);
  const Balancer::Pick second = balancer.pick(now, 0);
  EXPECT_EQ(second.index(), 1U) << "it is 0's turn, which is busy: the next behind it";
  EXPECT_EQ(next(), 2U);
  EXPECT_EQ(next(), 2U);
  EXPECT_EQ(next(), 2U) << "it is 0's turn again, and 1 is busy too";
}

TEST(balancer, a_neutral_end_among_failures_breaks_no_row) {
  Balancer balancer{1, {.eject_after = 2}};
  balancer.pick(now, 0).settle(Outcome::timeout, now);
  balancer.pick(now, 0).settle(Outcome::neutral, now);
  balancer.pick(now, 0).settle(Outcome::timeout, now);
  EXPECT_TRUE(balancer.ejected(0, now));
}

TEST(balancer, a_failure_that_comes_late_is_a_slow_answer) {
  Balancer balancer{1, {.eject_after = 0}};
  balancer.pick(now, 0).settle(Outcome::success, now + 1ms);
  balancer.pick(now, 0).settle(Outcome::timeout, now + 100ms);
  EXPECT_EQ(balancer.latency_approx(0, now + 100ms), 100ms);
}

TEST(balancer, a_neutral_end_teaches_nothing) {
  Balancer balancer{1, {.eject_after = 1}};
  balancer.pick(now, 0).settle(Outcome::neutral, now + 1h);
  { const Balancer::Pick dropped = balancer.pick(now, 0); }
  EXPECT_EQ(balancer.latency_approx(0, now), 0ns);
  EXPECT_EQ(balancer.in_flight_approx(0), 0U);
  EXPECT_FALSE(balancer.ejected(0, now + 1h));
}

TEST(balancer, a_wrong_request_is_no_fault_of_the_endpoint) {
  Balancer balancer{2, {.method = Method::round_robin, .eject_after = 2}};
  for (int call = 0; call < 10; ++call) balancer.pick(now, 0).settle(Outcome::permanent, now);
  EXPECT_FALSE(balancer.ejected(0, now));
}

TEST(balancer, leaves_out_an_endpoint_that_fails_in_a_row_until_its_time_is_over) {
  for (const Method method :
       {Method::round_robin, Method::weighted, Method::least_loaded, Method::power_of_two}) {
    Balancer balancer{4, {.method = method, .eject_after = 5, .eject_for = 30s}};
    eject(balancer, 2);
    const std::vector<int> during = share(balancer, 300, now + 29s);
    EXPECT_EQ(during[2], 0) << to_string(method);
    for (const std::size_t other : {0U, 1U, 3U}) EXPECT_GT(during[other], 50) << to_string(method);
    EXPECT_GT(share(balancer, 400, now + 31s)[2], 50) << to_string(method);
  }
}

TEST(balancer, uses_all_when_too_few_would_be_left) {
  Balancer balancer{4, {.method = Method::round_robin, .eject_after = 1, .panic_below = 0.5}};
  eject(balancer, 0);
  eject(balancer, 1);
  EXPECT_EQ(share(balancer, 40), (std::vector<int>{0, 0, 20, 20})) << "half is left, no panic";
  eject(balancer, 2);
  EXPECT_EQ(share(balancer, 40), (std::vector<int>{10, 10, 10, 10}));
}

TEST(balancer, uses_all_when_all_are_ejected_even_without_a_floor) {
  Balancer balancer{2, {.method = Method::round_robin, .eject_after = 1, .panic_below = 0}};
  eject(balancer, 0);
  EXPECT_EQ(share(balancer, 10), (std::vector<int>{0, 10}));
  eject(balancer, 1);
  EXPECT_EQ(share(balancer, 10), (std::vector<int>{5, 5}));
}

TEST(balancer, gives_an_endpoint_that_is_new_its_full_share_only_slowly) {
  Balancer balancer{2, {.method = Method::weighted, .slow_start = 100s}};
  EXPECT_NEAR(share(balancer, 100)[1], 50, 2);
  balancer.renew(1, now);
  EXPECT_NEAR(share(balancer, 110)[1], 10, 2);
  EXPECT_NEAR(share(balancer, 150, now + 50s)[1], 50, 2);
  EXPECT_NEAR(share(balancer, 100, now + 100s)[1], 50, 2);
}

TEST(balancer, gives_an_endpoint_that_comes_back_its_full_share_only_slowly) {
  Balancer balancer{
      3, {.method = Method::weighted, .eject_after = 1, .eject_for = 10s, .slow_start = 100s}};
  eject(balancer, 1);
  EXPECT_NEAR(share(balancer, 210, now + 11s)[1], 10, 3);
  EXPECT_NEAR(share(balancer, 300, now + 111s)[1], 100, 3);
}

TEST(balancer, rounds_the_number_below_which_it_panics_up) {
  Balancer balancer{3, {.method = Method::round_robin, .eject_after = 1, .panic_below = 0.5}};
  eject(balancer, 0);
  EXPECT_EQ(share(balancer, 40), (std::vector<int>{0, 20, 20}));
  eject(balancer, 1);
  EXPECT_EQ(share(balancer, 30), (std::vector<int>{10, 10, 10}));
}

TEST(balancer, a_pick_ends_once_and_when_it_is_settled) {
  Balancer balancer{1};
  Balancer::Pick pick = balancer.pick(now, 0);
  EXPECT_EQ(balancer.in_flight_approx(0), 1U);
  pick.settle(Outcome::success, now);
  EXPECT_EQ(balancer.in_flight_approx(0), 0U);
  pick.settle(Outcome::success, now);
  EXPECT_EQ(balancer.in_flight_approx(0), 0U);
}

TEST(balancer, a_pick_moved_over_another_keeps_all_it_stands_for) {
  Balancer one{1};
  Balancer other{2, {.method = Method::round_robin}};
  { const Balancer::Pick first = other.pick(now, 0); }
  Balancer::Pick kept = one.pick(now, 0);
  {
    Balancer::Pick moved = other.pick(now + 10ms, 0);
    kept = std::move(moved);
  }
  EXPECT_EQ(one.in_flight_approx(0), 0U);
  EXPECT_EQ(other.in_flight_approx(1), 1U);
  EXPECT_EQ(kept.index(), 1U);
  kept.settle(Outcome::success, now + 15ms);
  EXPECT_EQ(other.latency_approx(1, now + 15ms), 5ms);
}

TEST(balancer, what_was_known_of_an_endpoint_is_forgotten_when_it_is_renewed) {
  Balancer balancer{1, {.eject_after = 2}};
  const auto fail = [&] { balancer.pick(now, 0).settle(Outcome::timeout, now + 1s); };
  fail();
  EXPECT_FALSE(balancer.ejected(0, now + 1s));
  fail();
  ASSERT_TRUE(balancer.ejected(0, now + 1s));
  ASSERT_GT(balancer.latency_approx(0, now + 1s), 0s);
  balancer.renew(0, now + 1s);
  EXPECT_FALSE(balancer.ejected(0, now + 1s));
  EXPECT_EQ(balancer.latency_approx(0, now + 1s), 0s);
  fail();
  EXPECT_FALSE(balancer.ejected(0, now + 1s));
}

TEST(balancer, who_was_never_ejected_has_its_full_share_near_the_epoch_too) {
  Balancer balancer{2, {.method = Method::weighted, .slow_start = 100s}};
  balancer.renew(1, Time{5s});
  EXPECT_NEAR(share(balancer, 110, Time{10s})[1], 10, 2);
}

TEST(balancer, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((Balancer{1, {.eject_after = 0xFFFF, .eject_for = 1min, .eject_at_most = 1min}}));
  EXPECT_NO_THROW((Balancer{1, {.panic_below = 1}}));
  EXPECT_NO_THROW((Balancer{1, {.weights = {1}, .panic_below = 0}}));
}

TEST(balancer, refuses_settings_that_mean_nothing) {
  EXPECT_THROW(Balancer{0}, std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.weights = {1}}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.weights = {1, 0}}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.decay = 0s}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.eject_for = 10min}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.eject_for = 0s}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.eject_after = 0x10000}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.slow_start = -1ns}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.weights = {1, 1e9}}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.panic_below = -0.1}}), std::invalid_argument);
  EXPECT_THROW((Balancer{2, {.panic_below = 1.5}}), std::invalid_argument);
}

TEST(balancer, describes_every_setting) {
  EXPECT_EQ(Balancer{3}.describe(),
            "balance(3 by power_of_two of ewma 10s, ejects after 5 for 30s to 5min, panics below "
            "0.5)");
  EXPECT_EQ(
      (Balancer{
          2, {.method = Method::weighted, .weights = {1, 2.5}, .eject_after = 0, .slow_start = 10s}}
           .describe()),
      "balance(2 by weighted, weights 1 2.5, slow start 10s)");
}

}  // namespace
}  // namespace penstock
