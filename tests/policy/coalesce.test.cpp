// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include <penstock/policy/coalesce.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1h};
static_assert(CoalescePolicy{}.shares(ErrorKind::transient, now, never));
static_assert(CoalescePolicy{}.shares(ErrorKind::timeout, now, now + 1ns));
static_assert(!CoalescePolicy{}.shares(ErrorKind::timeout, now, now));
static_assert(!CoalescePolicy{{.shared_errors = {}}}.shares(ErrorKind::transient, now, never));

TEST(coalesce_policy, never_shares_the_leader_s_own_end) {
  EXPECT_FALSE(CoalescePolicy{}.shares(ErrorKind::cancelled, now, never));
  EXPECT_FALSE(CoalescePolicy{}.shares(ErrorKind::deadline, now, never));
  EXPECT_THROW((CoalescePolicy{{.shared_errors = {ErrorKind::cancelled}}}), std::invalid_argument);
  EXPECT_THROW((CoalescePolicy{{.shared_errors = {ErrorKind::deadline}}}), std::invalid_argument);
}

TEST(coalesce_policy, describes_what_it_shares) {
  EXPECT_EQ(CoalescePolicy{}.describe(), "coalesce(shares every error)");
  EXPECT_EQ((CoalescePolicy{{.shared_errors = {}}}.describe()), "coalesce(shares nothing)");
}

}  // namespace
}  // namespace penstock
