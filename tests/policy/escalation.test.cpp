// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>

#include <penstock/policy/escalation.hpp>

namespace penstock {
namespace {

TEST(escalation_policy, tells_what_an_error_calls_for) {
  const Escalation escalation;
  EXPECT_EQ(escalation.step(ErrorKind::transient), Escalation::Step::pass);
  EXPECT_EQ(escalation.step(ErrorKind::permanent), Escalation::Step::backup);
  EXPECT_EQ(escalation.step(ErrorKind::credential), Escalation::Step::stop);
  EXPECT_EQ(escalation.step(ErrorKind::cancelled), Escalation::Step::pass);
}

TEST(escalation_policy, stops_once_and_refuses_until_it_is_reset) {
  Escalation escalation;
  const auto turn = escalation.admit();
  ASSERT_TRUE(turn);
  EXPECT_TRUE(escalation.stop(ErrorKind::quota, *turn));
  EXPECT_FALSE(escalation.stop(ErrorKind::credential, *turn));
  EXPECT_EQ(escalation.stopped_by(), ErrorKind::quota);
  EXPECT_EQ(escalation.admit().error().kind(), ErrorKind::closed);
  escalation.reset();
  EXPECT_TRUE(escalation.admit());
  EXPECT_EQ(escalation.stopped_by(), std::nullopt);
}

TEST(escalation_policy, a_call_from_before_the_reset_stops_nothing) {
  Escalation escalation;
  const auto old = escalation.admit();
  EXPECT_TRUE(escalation.stop(ErrorKind::quota));
  escalation.reset();
  EXPECT_FALSE(escalation.stop(ErrorKind::credential, *old));
  EXPECT_TRUE(escalation.admit());
}

TEST(escalation_policy, each_reset_begins_the_next_turn) {
  Escalation escalation;
  for (std::uint32_t turn = 0; turn < 5; ++turn) {
    EXPECT_EQ(*escalation.admit(), turn);
    EXPECT_TRUE(escalation.stop(ErrorKind::quota, turn));
    EXPECT_EQ(escalation.stopped_by(), ErrorKind::quota);
    escalation.reset();
  }
}

TEST(escalation_policy, a_reset_that_nobody_needs_changes_nothing) {
  Escalation escalation;
  const auto turn = escalation.admit();
  escalation.reset();
  EXPECT_EQ(*escalation.admit(), *turn);
}

TEST(escalation_policy, refuses_sets_that_contradict_each_other) {
  EXPECT_THROW((Escalation{{.severe = {}}}), std::invalid_argument);
  EXPECT_THROW((Escalation{{.severe = {ErrorKind::permanent}}}), std::invalid_argument);
  EXPECT_THROW((Escalation{{.severe = {ErrorKind::cancelled}}}), std::invalid_argument);
  EXPECT_THROW((Escalation{{.backup = {ErrorKind::closed}}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
