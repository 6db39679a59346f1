// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include <penstock/policy/cache.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Freshness = CachePolicy::Freshness;
using Kept = CachePolicy::Kept;

constexpr Time stored{1h};
constexpr CachePolicy policy{
    {.ttl = 10s, .stale_while_revalidate = 5s, .stale_if_error = 60s, .negative_ttl = 2s}};
static_assert(policy.freshness(Kept::reply, stored, stored) == Freshness::fresh);
static_assert(policy.freshness(Kept::reply, stored, stored - 1h) == Freshness::fresh);
static_assert(policy.freshness(Kept::reply, stored, stored + 10s - 1ns) == Freshness::fresh);
static_assert(policy.freshness(Kept::reply, stored, stored + 10s) == Freshness::stale);
static_assert(policy.freshness(Kept::reply, stored, stored + 15s - 1ns) == Freshness::stale);
static_assert(policy.freshness(Kept::reply, stored, stored + 15s) == Freshness::fallback);
static_assert(policy.freshness(Kept::reply, stored, stored + 70s - 1ns) == Freshness::fallback);
static_assert(policy.freshness(Kept::reply, stored, stored + 70s) == Freshness::gone);
static_assert(policy.freshness(Kept::error, stored, stored + 2s - 1ns) == Freshness::fresh);
static_assert(policy.freshness(Kept::error, stored, stored + 2s) == Freshness::gone);
static_assert(policy.freshness(Kept::reply, Time::min(), never) == Freshness::gone);
static_assert(CachePolicy{}.freshness(Kept::reply, stored, stored + 60s) == Freshness::gone);
static_assert(CachePolicy{}.freshness(Kept::error, stored, stored) == Freshness::gone);

static_assert(policy.covers(ErrorKind::unavailable, stored, stored + 70s - 1ns));
static_assert(!policy.covers(ErrorKind::unavailable, stored, stored + 70s));
static_assert(!policy.covers(ErrorKind::permanent, stored, stored + 20s));
static_assert(!CachePolicy{{.stale_while_revalidate = 5s}}.covers(ErrorKind::unavailable,
                                                                  stored,
                                                                  stored + 62s));

static_assert(!CachePolicy{}.covers(ErrorKind::unavailable, stored, stored + 60s));

static_assert(policy.keeps(ErrorKind::not_found) && !policy.keeps(ErrorKind::transient));
static_assert(!CachePolicy{}.keeps(ErrorKind::not_found));

TEST(cache_policy, refuses_settings_that_mean_nothing) {
  EXPECT_THROW((CachePolicy{{.ttl = 0s}}), std::invalid_argument);
  EXPECT_THROW((CachePolicy{{.stale_if_error = -1s}}), std::invalid_argument);
  EXPECT_THROW((CachePolicy{{.stale_while_revalidate = -1s}}), std::invalid_argument);
  EXPECT_THROW((CachePolicy{{.negative_ttl = -1s}}), std::invalid_argument);
  EXPECT_THROW((CachePolicy{{.negative = {ErrorKind::cancelled}}}), std::invalid_argument);
  EXPECT_THROW((CachePolicy{{.stale_on = {ErrorKind::deadline}}}), std::invalid_argument);
}

TEST(cache_policy, describes_what_is_switched_on) {
  EXPECT_EQ(CachePolicy{}.describe(), "1min");
  EXPECT_EQ(policy.describe(),
            "10s, stale 5s while revalidating, stale 1min on outages, not_found 2s");
}

}  // namespace
}  // namespace penstock
