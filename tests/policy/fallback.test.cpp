// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <stdexcept>

#include <penstock/policy/fallback.hpp>

namespace penstock {
namespace {

static_assert(FallbackPolicy{}.answers(ErrorKind::unavailable));
static_assert(FallbackPolicy{}.answers(ErrorKind::circuit_open));

TEST(fallback_policy, never_answers_the_caller_s_own_faults_unless_told_to) {
  for (const ErrorKind fault : {ErrorKind::permanent,
                                ErrorKind::not_found,
                                ErrorKind::too_large,
                                ErrorKind::credential,
                                ErrorKind::cancelled,
                                ErrorKind::deadline,
                                ErrorKind::closed})
    EXPECT_FALSE(FallbackPolicy{}.answers(fault)) << to_string(fault);
  EXPECT_TRUE(FallbackPolicy{{.on = {ErrorKind::permanent}}}.answers(ErrorKind::permanent));
}

TEST(fallback_policy, answers_every_kind_of_outage) {
  for (const ErrorKind outage : {ErrorKind::transient,
                                 ErrorKind::unavailable,
                                 ErrorKind::rate_limited,
                                 ErrorKind::timeout,
                                 ErrorKind::quota,
                                 ErrorKind::exception,
                                 ErrorKind::circuit_open,
                                 ErrorKind::limited,
                                 ErrorKind::overloaded,
                                 ErrorKind::budget_exhausted})
    EXPECT_TRUE(FallbackPolicy{}.answers(outage)) << to_string(outage);
}

TEST(fallback_policy, refuses_to_answer_a_caller_that_left_and_to_answer_nothing) {
  EXPECT_THROW(FallbackPolicy{{.on = {ErrorKind::cancelled}}}, std::invalid_argument);
  EXPECT_THROW(FallbackPolicy{{.on = {ErrorKind::deadline}}}, std::invalid_argument);
  EXPECT_THROW(FallbackPolicy{{.on = {}}}, std::invalid_argument);
}

TEST(error_set, names_its_kinds_in_one_word) {
  EXPECT_EQ(to_string(outages), "outages");
  EXPECT_EQ(to_string(ErrorSet{ErrorKind::timeout, ErrorKind::transient}), "transient|timeout");
  EXPECT_EQ(to_string(ErrorSet{}), "nothing");
}

}  // namespace
}  // namespace penstock
