// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>

#include <penstock/policy/chaos.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr ChaosPolicy always{{.fault_rate = 1, .latency_rate = 1, .outcome_rate = 1}};
static_assert(always.plan(7).fault == ErrorKind::unavailable);
static_assert(always.plan(7).delay == 1s);
static_assert(always.plan(7).outcome == ErrorKind::timeout);
static_assert(!ChaosPolicy{}.plan(7).fault && !ChaosPolicy{}.plan(7).outcome);
static_assert(ChaosPolicy{}.plan(7).delay == 0s);
// Bits of which the first draw is 0, the smallest: what has no share never happens.
static_assert(Random{0 - 0x9E3779B97F4A7C15U}() == 0);
static_assert(!ChaosPolicy{}.plan(0 - 0x9E3779B97F4A7C15U).fault);
static_assert(ChaosPolicy{{.latency = 0s}}.options().latency == 0s);

TEST(chaos_policy, draws_each_kind_of_trouble_apart_and_as_often_as_asked) {
  const ChaosPolicy policy{{.fault_rate = 0.1, .latency_rate = 0.2, .outcome_rate = 0.3}};
  int faults = 0;
  int late = 0;
  int lost = 0;
  int all = 0;
  constexpr int calls = 100'000;
  Random random{1};
  for (int call = 0; call < calls; ++call) {
    const ChaosPolicy::Plan plan = policy.plan(random());
    faults += plan.fault ? 1 : 0;
    late += plan.delay > 0s ? 1 : 0;
    lost += plan.outcome ? 1 : 0;
    all += plan.fault && plan.delay > 0s && plan.outcome ? 1 : 0;
  }
  EXPECT_NEAR(faults, 0.1 * calls, 500);
  EXPECT_NEAR(late, 0.2 * calls, 700);
  EXPECT_NEAR(lost, 0.3 * calls, 800);
  EXPECT_NEAR(all, 0.006 * calls, 150) << "they do not come together";
}

TEST(chaos_policy, refuses_rates_that_are_none) {
  EXPECT_THROW((ChaosPolicy{{.fault_rate = 1.1}}), std::invalid_argument);
  EXPECT_THROW((ChaosPolicy{{.latency_rate = -0.1}}), std::invalid_argument);
  EXPECT_THROW((ChaosPolicy{{.outcome_rate = 2}}), std::invalid_argument);
  EXPECT_THROW((ChaosPolicy{{.latency = -1s}}), std::invalid_argument);
}

TEST(chaos_policy, describes_the_trouble_it_makes) {
  EXPECT_EQ(ChaosPolicy{}.describe(), "chaos(none)");
  EXPECT_EQ((ChaosPolicy{{.fault_rate = 0.01, .latency_rate = 0.5, .outcome_rate = 1}}.describe()),
            "chaos(0.01 unavailable, 0.5 1s late, 1 replies lost as timeout)");
}

}  // namespace
}  // namespace penstock
