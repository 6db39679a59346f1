// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include <penstock/policy/circuit_breaker.hpp>

namespace penstock::testing {

[[nodiscard]] inline CircuitBreaker::Permit admitted(CircuitBreaker& breaker, Time now) {
  auto permit = breaker.admit(now);
  EXPECT_TRUE(permit.has_value());
  return std::move(*permit);
}

inline void call(CircuitBreaker& breaker, Outcome outcome, Time now, Duration took = {}) {
  admitted(breaker, now - took).settle(outcome, now);
}

inline void calls(CircuitBreaker& breaker, int times, Outcome outcome, Time now) {
  for (int done = 0; done < times; ++done) call(breaker, outcome, now);
}

[[nodiscard]] inline bool refuses(CircuitBreaker& breaker, Time now) {
  const auto permit = breaker.admit(now);
  return !permit && permit.error().kind() == ErrorKind::circuit_open;
}

/// Opens a breaker at `now`, by failures.
inline void trip(CircuitBreaker& breaker, Time now) {
  for (int failure = 0; failure < 1000 && breaker.state(now) != CircuitState::open; ++failure) {
    call(breaker, Outcome::unavailable, now);
  }
  ASSERT_EQ(breaker.state(now), CircuitState::open);
}

}  // namespace penstock::testing
