// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include <penstock/policy/retry_policy.hpp>

#include "support/draw.hpp"

namespace {

using namespace std::chrono_literals;
using penstock::Backoff;
using penstock::Duration;
using penstock::Error;
using penstock::ErrorKind;
using penstock::Jitter;
using penstock::never;
using penstock::RetryPolicy;
using penstock::Time;
using Reason = RetryPolicy::Reason;

constexpr Time start{1h};
constexpr std::uint64_t middle = std::uint64_t{1} << 63;  // the middle of a spread is its mean

constexpr RetryPolicy::Decision ask(const RetryPolicy& policy,
                                    RetryPolicy::State& state,
                                    ErrorKind kind,
                                    std::optional<Duration> hint = std::nullopt,
                                    Time now = start,
                                    Time deadline = never,
                                    std::uint64_t random = middle) {
  return policy.next(state, kind, hint, start, now, deadline, random);
}

constexpr RetryPolicy::Decision ask_once(const RetryPolicy& policy,
                                         ErrorKind kind,
                                         std::optional<Duration> hint = std::nullopt,
                                         Time now = start,
                                         Time deadline = never) {
  RetryPolicy::State state;
  return ask(policy, state, kind, hint, now, deadline);
}

constexpr RetryPolicy standard = RetryPolicy::standard();

static_assert(ask_once(standard, ErrorKind::timeout).again);
static_assert(ask_once(standard, ErrorKind::credential).reason == Reason::not_retryable);
static_assert(ask_once(standard, ErrorKind::cancelled, 1s).reason == Reason::not_retryable);
static_assert(ask_once(standard, ErrorKind::timeout).wait == 2s);
static_assert(ask_once(standard, ErrorKind::unavailable, 5s).wait == 5s);
static_assert(ask_once(standard, ErrorKind::unavailable, 5min).wait == 60s);
// Every rule of the table can be used up in one call.
static_assert(standard.options().max_attempts == 1 + 3 + 3 + 5 + 10 + 3 + 3);
static_assert(RetryPolicy{}.options().max_attempts == 4);

RetryPolicy one_rule(std::uint32_t retries, Backoff backoff, RetryPolicy::Options options = {}) {
  options.rules[ErrorKind::transient] = {retries, backoff, Jitter::none};
  return RetryPolicy{options};
}

std::vector<Duration> waits_until_stopped(const RetryPolicy& policy, ErrorKind kind) {
  std::vector<Duration> waits;
  RetryPolicy::State state;
  for (;;) {
    const auto decision = ask(policy, state, kind);
    if (!decision.again) {
      EXPECT_EQ(decision.reason, Reason::rule_spent);
      return waits;
    }
    waits.push_back(decision.wait);
  }
}

TEST(retry_policy, the_standard_preset_is_the_table) {
  using Waits = std::vector<Duration>;
  EXPECT_EQ(waits_until_stopped(standard, ErrorKind::timeout), (Waits{2s, 4s, 8s}));
  EXPECT_EQ(waits_until_stopped(standard, ErrorKind::transient), (Waits{2s, 4s, 8s}));
  EXPECT_EQ(waits_until_stopped(standard, ErrorKind::unavailable), (Waits{1s, 1s, 1s, 1s, 1s}));
  EXPECT_EQ(waits_until_stopped(standard, ErrorKind::rate_limited),
            (Waits{1s, 2s, 3s, 4s, 5s, 6s, 7s, 8s, 9s, 10s}));
}

TEST(retry_policy, fails_at_once_where_another_attempt_cannot_help) {
  for (const ErrorKind kind : {ErrorKind::permanent,
                               ErrorKind::not_found,
                               ErrorKind::too_large,
                               ErrorKind::credential,
                               ErrorKind::quota,
                               ErrorKind::exception,
                               ErrorKind::deadline,
                               ErrorKind::cancelled,
                               ErrorKind::overloaded,
                               ErrorKind::budget_exhausted,
                               ErrorKind::closed}) {
    EXPECT_EQ(ask_once(standard, kind, 1s),
              (RetryPolicy::Decision{false, 0s, Reason::not_retryable}))
        << to_string(kind);
  }
}

// trap 19
TEST(retry_policy, a_refusal_of_our_own_is_not_repeated_at_once) {
  for (const ErrorKind kind : {ErrorKind::circuit_open, ErrorKind::limited}) {
    EXPECT_EQ(ask_once(standard, kind).reason, Reason::not_retryable);
    EXPECT_EQ(ask_once(standard, kind, 700ms).wait, 700ms);
  }
  RetryPolicy::Options options;
  options.rules[ErrorKind::limited] = {1, Backoff::fixed(3s), Jitter::none};
  options.rules[ErrorKind::overloaded] = {1, Backoff::none(), Jitter::none};
  const RetryPolicy policy{options};
  EXPECT_EQ(ask_once(policy, ErrorKind::limited).wait, 3s);
  EXPECT_EQ(ask_once(policy, ErrorKind::overloaded).reason, Reason::not_retryable);
  EXPECT_EQ(ask_once(policy, ErrorKind::overloaded, -1ns).reason, Reason::not_retryable);
  EXPECT_TRUE(ask_once(policy, ErrorKind::overloaded, 0s).again);
  options.rules[ErrorKind::transient] = {1, Backoff::none(), Jitter::none};
  EXPECT_TRUE(ask_once(RetryPolicy{options}, ErrorKind::transient).again);
}

TEST(retry_policy, refusals_of_our_own_count_against_a_small_rule) {
  RetryPolicy::State state;
  for (int retry = 0; retry < 3; ++retry) {
    EXPECT_TRUE(ask(standard, state, ErrorKind::circuit_open, 1s).again);
  }
  EXPECT_EQ(ask(standard, state, ErrorKind::circuit_open, 1s).reason, Reason::rule_spent);
}

TEST(retry_policy, every_kind_counts_its_own_retries) {
  RetryPolicy::State state;
  for (int retry = 0; retry < 3; ++retry) {
    EXPECT_TRUE(ask(standard, state, ErrorKind::timeout).again);
  }
  EXPECT_EQ(ask(standard, state, ErrorKind::timeout).reason, Reason::rule_spent);
  EXPECT_EQ(ask(standard, state, ErrorKind::rate_limited).wait, 1s);
  EXPECT_EQ(state.retries, 4U);
}

TEST(retry_policy, max_attempts_caps_all_kinds_together) {
  const RetryPolicy policy;
  RetryPolicy::State state;
  EXPECT_TRUE(ask(policy, state, ErrorKind::timeout).again);
  EXPECT_TRUE(ask(policy, state, ErrorKind::unavailable).again);
  EXPECT_TRUE(ask(policy, state, ErrorKind::rate_limited).again);
  EXPECT_EQ(ask(policy, state, ErrorKind::rate_limited).reason, Reason::attempts_spent);
}

TEST(retry_policy, one_attempt_means_no_retry) {
  const RetryPolicy policy{{.max_attempts = 1}};
  EXPECT_EQ(ask_once(policy, ErrorKind::timeout).reason, Reason::attempts_spent);
}

TEST(retry_policy, the_servers_hint_wins_over_a_shorter_wait_only) {
  const RetryPolicy policy = one_rule(9, Backoff::fixed(2s));
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, 5s).wait, 5s);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, 1s).wait, 2s);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, 0s).wait, 2s);
}

// trap 22
TEST(retry_policy, a_hostile_hint_is_clamped) {
  const RetryPolicy policy = one_rule(9, Backoff::fixed(2s), {.max_hint = 30s});
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, Duration::max()).wait, 30s);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, 31s).wait, 30s);
  const RetryPolicy deaf = one_rule(9, Backoff::fixed(2s), {.max_hint = 0s});
  EXPECT_EQ(ask_once(deaf, ErrorKind::transient, 31s).wait, 2s);
}

TEST(retry_policy, never_waits_to_the_deadline_or_past_it) {
  const RetryPolicy policy = one_rule(9, Backoff::fixed(2s));
  EXPECT_TRUE(ask_once(policy, ErrorKind::transient, {}, start, start + 2s + 1ns).again);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, {}, start, start + 2s).reason,
            Reason::no_time_left);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, 10s, start, start + 5s).reason,
            Reason::no_time_left);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, {}, start, start - 5s).reason,
            Reason::no_time_left);
}

TEST(retry_policy, does_not_start_what_cannot_finish) {
  const RetryPolicy policy = one_rule(9, Backoff::fixed(2s), {.minimum_useful_time = 3s});
  EXPECT_TRUE(ask_once(policy, ErrorKind::transient, {}, start, start + 5s).again);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, {}, start, start + 5s - 1ns).reason,
            Reason::no_time_left);
}

TEST(retry_policy, stops_when_the_call_has_taken_long_enough) {
  const RetryPolicy policy = one_rule(9, Backoff::fixed(2s), {.max_elapsed = 10s});
  EXPECT_TRUE(ask_once(policy, ErrorKind::transient, {}, start + 8s).again);
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, {}, start + 8s + 1ns).reason,
            Reason::elapsed_spent);
}

TEST(retry_policy, a_stop_leaves_the_state_as_it_was) {
  const RetryPolicy policy = one_rule(9, Backoff::fixed(2s));
  RetryPolicy::State state;
  (void)ask(policy, state, ErrorKind::transient, {}, start, start + 1s);
  (void)ask(policy, state, ErrorKind::permanent);
  EXPECT_EQ(state.retries, 0U);
  EXPECT_EQ(state.previous, 0s);
  EXPECT_EQ(ask(policy, state, ErrorKind::transient).wait, 2s);
  EXPECT_EQ(state.retries, 1U);
  EXPECT_EQ(state.previous, 2s);
}

TEST(retry_policy, decorrelated_waits_grow_from_the_wait_before) {
  const RetryPolicy policy = one_rule(3, Backoff::decorrelated(1s, 1min));
  RetryPolicy::State state;
  const auto longest = ~std::uint64_t{0};
  EXPECT_EQ(ask(policy, state, ErrorKind::transient, {}, start, never, longest).wait, 3s);
  EXPECT_EQ(ask(policy, state, ErrorKind::transient, {}, start, never, longest).wait, 9s);
  EXPECT_EQ(ask(policy, state, ErrorKind::transient, {}, start, never, 0).wait, 1s);
}

TEST(retry_policy, reads_the_kind_and_the_hint_of_an_error) {
  RetryPolicy::State state;
  Error error{ErrorKind::rate_limited};
  error.set_status(429).set_retry_after(7s);
  const auto decision = standard.next(state, error, start, start, never, middle);
  EXPECT_TRUE(decision.again);
  EXPECT_EQ(decision.wait, 7s);
}

// trap 21
TEST(retry_policy, the_end_of_time_is_safe) {
  const RetryPolicy policy =
      one_rule(9, Backoff::fixed(Duration::max()), {.max_hint = Duration::max()});
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, Duration::max()).wait, Duration::max());
  EXPECT_EQ(ask_once(policy, ErrorKind::transient, Duration::max(), start, never - 1ns).reason,
            Reason::no_time_left);
}

TEST(retry_policy, never_waits_past_the_deadline_whatever_happens) {
  std::mt19937_64 random{11};
  for (int run = 0; run < 2000; ++run) {
    RetryPolicy::Options options{
        .max_attempts = static_cast<std::uint32_t>(random() % 30 + 1),
        .max_elapsed = Duration{static_cast<std::int64_t>(random() % 200'000'000'000)},
        .minimum_useful_time = Duration{static_cast<std::int64_t>(random() % 1'000'000'000)}};
    const RetryPolicy policy{options};
    const Time deadline = start + Duration{static_cast<std::int64_t>(random() % 100'000'000'000)};
    RetryPolicy::State state;
    Time now = start;
    std::uint32_t attempts = 1;
    for (;;) {
      const ErrorKind kind{static_cast<std::uint8_t>(random() % RetryPolicy::kinds)};
      std::optional<Duration> hint;
      if (random() % 4 == 0)
        hint = Duration{static_cast<std::int64_t>(random() >> (random() % 60 + 1))};
      const auto decision = policy.next(state, kind, hint, start, now, deadline, random());
      ASSERT_EQ(decision.again, decision.reason == Reason::again);
      if (!decision.again) break;
      now += decision.wait;
      ++attempts;
      ASSERT_LT(now, deadline);
      ASSERT_LE(now + options.minimum_useful_time, deadline);
      ASSERT_LE(now - start, options.max_elapsed);
      ASSERT_LE(attempts, options.max_attempts);
      now += Duration{static_cast<std::int64_t>(random() % 5'000'000'000)};
    }
  }
}

TEST(retry_policy, may_retry_is_false_only_where_next_refuses_whatever_was_used_up) {
  int refused = 0;
  penstock::testing::for_all(2000, [&](penstock::testing::Draw& draw) {
    RetryPolicy::Options options{.max_hint = draw.duration(1h),
                                 .minimum_useful_time = draw.duration(1s)};
    options.rules[ErrorKind::overloaded] = {1, Backoff::none(), Jitter::none};
    const RetryPolicy policy{options};
    Error error{ErrorKind{static_cast<std::uint8_t>(draw.whole(0, RetryPolicy::kinds - 1))}};
    if (draw.one_in(2)) error.set_retry_after(draw.duration());
    const Time deadline = draw.one_in(4) ? never : start + draw.duration(1h);
    RetryPolicy::State state;
    const auto decision = policy.next(state, error, start, start, deadline, draw.bits());
    if (!policy.may_retry(error, start, deadline)) {
      ++refused;
      ASSERT_FALSE(decision.again);
    }
    if (decision.reason == Reason::not_retryable) {
      ASSERT_FALSE(policy.may_retry(error, start, deadline));
    }
  });
  EXPECT_GT(refused, 1000);
}

TEST(retry_policy, a_hint_that_does_not_fit_needs_no_state_to_be_refused) {
  const RetryPolicy policy;
  Error error{ErrorKind::rate_limited};
  error.set_retry_after(10s);
  EXPECT_TRUE(policy.may_retry(error, start, start + 10s + 1ns));
  EXPECT_FALSE(policy.may_retry(error, start, start + 10s));
  EXPECT_TRUE(policy.may_retry(error, start, never));
}

TEST(retry_policy, says_what_to_write_instead) {
  EXPECT_THROW((RetryPolicy{{.max_attempts = 0}}), std::invalid_argument);
  EXPECT_THROW((RetryPolicy{{.max_hint = -1s}}), std::invalid_argument);
  EXPECT_THROW((RetryPolicy{{.minimum_useful_time = -1s}}), std::invalid_argument);
  EXPECT_THROW((RetryPolicy{{.max_elapsed = -1ns}}), std::invalid_argument);
  EXPECT_NO_THROW((RetryPolicy{{.max_elapsed = 0s, .max_hint = 0s, .minimum_useful_time = 0s}}));
  RetryPolicy::Options options;
  options.rules[ErrorKind::cancelled].max_retries = 1;
  EXPECT_THROW((RetryPolicy{options}), std::invalid_argument);
}

TEST(retry_policy, describes_itself) {
  EXPECT_EQ(RetryPolicy{}.describe(),
            "retry(4 attempts, transient 3x exponential(2s, x2, cap 1min) spread jitter, "
            "unavailable 5x fixed(1s) spread jitter, rate_limited 10x linear(1s, cap 1min) spread "
            "jitter, timeout 3x exponential(2s, x2, cap 1min) spread jitter, circuit_open 3x none, "
            "limited 3x none)");
  RetryPolicy::Options options{.max_attempts = 2, .max_elapsed = 90s, .rules = {}};
  options.rules[ErrorKind::timeout] = {1, Backoff::fixed(1s), Jitter::none};
  EXPECT_EQ(RetryPolicy{options}.describe(), "retry(2 attempts in 90s, timeout 1x fixed(1s))");
  EXPECT_EQ(to_string(Reason::no_time_left), "no_time_left");
}

}  // namespace
