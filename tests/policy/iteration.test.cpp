// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <stdexcept>

#include <penstock/policy/iteration.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Event = IterationPolicy::Event;
using Step = IterationPolicy::Step;
using Decision = IterationPolicy::Decision;

constexpr Time start{1000s};
static_assert(IterationPolicy::State{}.iterations == 0);

TEST(iteration_policy, ships_ten_iterations_and_five_minutes) {
  const IterationPolicy policy;
  EXPECT_EQ(policy.options().max_iterations, 10U);
  EXPECT_EQ(policy.options().execution_timeout, 300s);
  EXPECT_EQ(policy.describe(), "iterate(until 0.999, at most 10 times, 5min, in default)");
}

TEST(iteration_policy, measures_adjusts_and_measures_again_until_the_target_is_met) {
  const IterationPolicy policy;
  auto state = policy.begin(start);
  EXPECT_EQ(policy.next(state, Event::started, start), (Decision{Step::measure}));
  EXPECT_EQ(policy.next(state, Event::missed, start), (Decision{Step::adjust}));
  EXPECT_EQ(policy.next(state, Event::adjusted, start), (Decision{Step::measure}));
  EXPECT_EQ(policy.next(state, Event::reached, start),
            (Decision{Step::end, IterationEnd::reached}));
  EXPECT_EQ(state.iterations, 2U);
}

TEST(iteration_policy, ends_after_the_last_measurement_without_another_adjustment) {
  const IterationPolicy policy{{.max_iterations = 2}};
  auto state = policy.begin(start);
  EXPECT_EQ(policy.next(state, Event::started, start).step, Step::measure);
  EXPECT_EQ(policy.next(state, Event::missed, start).step, Step::adjust);
  EXPECT_EQ(policy.next(state, Event::adjusted, start).step, Step::measure);
  EXPECT_EQ(policy.next(state, Event::missed, start),
            (Decision{Step::end, IterationEnd::iterations_spent}));
  EXPECT_EQ(state.iterations, 2U);
}

TEST(iteration_policy, ends_at_its_timeout_or_the_callers_deadline) {
  const IterationPolicy policy{{.execution_timeout = 10s}};
  auto state = policy.begin(start);
  EXPECT_EQ(policy.next(state, Event::started, start + 10s - 1ns).step, Step::measure);
  EXPECT_EQ(policy.next(state, Event::missed, start + 10s),
            (Decision{Step::end, IterationEnd::timed_out}));
  state = policy.begin(start, start + 1s);
  EXPECT_EQ(policy.next(state, Event::missed, start + 1s),
            (Decision{Step::end, IterationEnd::timed_out}));
}

TEST(iteration_policy, counts_a_target_that_was_met_late) {
  const IterationPolicy policy{{.execution_timeout = 10s}};
  auto state = policy.begin(start);
  EXPECT_EQ(policy.next(state, Event::reached, start + 1h).end, IterationEnd::reached);
}

TEST(iteration_policy, blames_an_error_after_the_deadline_on_the_deadline) {
  const IterationPolicy policy{{.execution_timeout = 10s}};
  auto state = policy.begin(start);
  EXPECT_EQ(policy.next(state, Event::failed, start + 9s).end, IterationEnd::failed);
  EXPECT_EQ(policy.next(state, Event::failed, start + 10s).end, IterationEnd::timed_out);
  EXPECT_EQ(policy.next(state, Event::stopped, start + 10s).end, IterationEnd::stopped);
}

TEST(iteration_policy, meets_its_target_from_above) {
  const IterationPolicy policy{{.target = 0.9}};
  EXPECT_TRUE(policy.reached(0.9));
  EXPECT_FALSE(policy.reached(0.89));
  EXPECT_FALSE(policy.reached(std::numeric_limits<double>::quiet_NaN()));
}

TEST(iteration_policy, has_no_end_of_time_when_its_timeout_is_forever) {
  const IterationPolicy policy{{.execution_timeout = Duration::max()}};
  auto state = policy.begin(start);
  EXPECT_EQ(state.deadline, never);
  EXPECT_EQ(policy.next(state, Event::started, start + 1000h).step, Step::measure);
}

TEST(iteration_policy, refuses_options_that_cannot_work) {
  EXPECT_THROW(IterationPolicy{{.max_iterations = 0}}, std::invalid_argument);
  EXPECT_THROW(IterationPolicy{{.execution_timeout = 0s}}, std::invalid_argument);
  EXPECT_THROW(IterationPolicy{{.target = std::numeric_limits<double>::quiet_NaN()}},
               std::invalid_argument);
}

TEST(iteration_policy, has_a_word_for_every_end) {
  EXPECT_EQ(to_string(IterationEnd::iterations_spent), "iterations spent");
  EXPECT_EQ(to_string(IterationEnd::timed_out), "timed out");
}

}  // namespace
}  // namespace penstock
