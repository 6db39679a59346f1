// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/policy/aimd.hpp>
#include <penstock/policy/gradient2.hpp>
#include <penstock/policy/vegas.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time start{1h};

// A server that works on `capacity` calls at once, each `service` long, the others queueing; and
// callers who always want `demand` calls in flight.
struct Server {
  double capacity = 40;
  Duration service = 10ms;
  std::uint32_t demand = 200;

  Duration rtt(std::uint32_t in_flight) const {
    return Duration{static_cast<std::int64_t>(static_cast<double>(service.count()) *
                                              std::max(1.0, in_flight / capacity))};
  }
};

template <class Rule>
class Trial {
 public:
  explicit Trial(Rule rule) : rule_(std::move(rule)), state_(rule_.initial()) {}

  // As many calls as the limit lets in, one after another's end, for `time`.
  void run(const Server& server, Duration time, Outcome outcome = Outcome::success) {
    const Time end = now_ + time;
    while (now_ < end) {
      const std::uint32_t in_flight = std::min(state_.places(), server.demand);
      const Duration rtt = server.rtt(in_flight);
      now_ += std::max(rtt / in_flight, Duration{1});
      state_ = rule_.step(state_, now_, {rtt, in_flight, outcome});
      least_ = std::min(least_, state_.places());
      most_ = std::max(most_, state_.places());
    }
  }
  void sample(Duration rtt, std::uint32_t in_flight, Outcome outcome) {
    state_ = rule_.step(state_, now_, {rtt, in_flight, outcome});
  }
  void pass(Duration time) { now_ += time; }
  void watch() { least_ = most_ = state_.places(); }

  std::uint32_t limit() const { return state_.places(); }
  std::uint32_t least() const { return least_; }
  std::uint32_t most() const { return most_; }
  Duration baseline() const { return Duration{static_cast<std::int64_t>(state_.baseline)}; }

 private:
  Rule rule_;
  LimitState state_;
  Time now_ = start;
  std::uint32_t least_ = 1'000'000;
  std::uint32_t most_ = 0;
};

TEST(aimd, adds_one_per_window_and_takes_a_tenth_off_at_a_drop) {
  Trial<Aimd> run{Aimd{}};
  run.run({}, 2s);
  EXPECT_GT(run.limit(), 30U);
  const std::uint32_t before = run.limit();
  run.sample(1ms, before, Outcome::timeout);
  EXPECT_EQ(run.limit(), before * 9 / 10);
}

TEST(aimd, a_burst_of_drops_of_the_same_moment_is_answered_once) {
  Trial<Aimd> run{Aimd{{.range = {.initial = 100}}}};
  for (int call = 0; call < 100; ++call) run.sample(10ms, 100, Outcome::rate_limited);
  EXPECT_EQ(run.limit(), 90U);
  run.pass(11ms);
  run.sample(10ms, 90, Outcome::rate_limited);
  EXPECT_EQ(run.limit(), 81U);
}

TEST(aimd, a_mean_that_is_too_long_is_overload) {
  Trial<Aimd> run{Aimd{{.too_long = 15ms}}};
  run.run({.capacity = 40, .service = 10ms}, 60s);
  EXPECT_GE(run.limit(), 52U);
  EXPECT_LE(run.limit(), 62U);
}

template <class Rule>
class latency_limit : public ::testing::Test {};
using Rules = ::testing::Types<Vegas, Gradient2>;
struct Names {
  template <class Rule>
  static std::string GetName(int) {
    return std::is_same_v<Rule, Vegas> ? "vegas" : "gradient2";
  }
};
TYPED_TEST_SUITE(latency_limit, Rules, Names);

TYPED_TEST(latency_limit, settles_a_little_above_what_the_server_can_do_at_once) {
  Trial<TypeParam> run{TypeParam{}};
  run.run({.capacity = 40}, 60s);
  run.watch();
  run.run({.capacity = 40}, 60s);
  EXPECT_GE(run.least(), 38U);
  EXPECT_LE(run.most(), 90U);
}

TYPED_TEST(latency_limit, follows_the_capacity_down_and_up) {
  Trial<TypeParam> run{TypeParam{}};
  run.run({.capacity = 100}, 60s);
  const std::uint32_t high = run.limit();
  run.run({.capacity = 10}, 120s);
  EXPECT_LT(run.limit(), high / 2);
  run.run({.capacity = 100}, 60s);
  EXPECT_GE(run.limit(), 95U);
}

// trap 31: the long-term average that Gradient2 compares with becomes the incident.
TYPED_TEST(latency_limit, a_long_incident_does_not_become_the_new_normal) {
  Trial<TypeParam> run{TypeParam{}};
  run.run({.capacity = 40}, 60s);
  ASSERT_LE(run.baseline(), 11ms);
  double naive = 10e6;  // nanoseconds, averaged over some 600 windows
  run.run({.capacity = 4, .service = 100ms}, 1min);
  run.watch();
  for (int minute = 1; minute < 30; ++minute) {
    run.run({.capacity = 4, .service = 100ms}, 1min);
    for (int window = 0; window < 600; ++window) naive += (100e6 - naive) / 600;
  }
  EXPECT_GT(naive, 99e6);
  EXPECT_LE(run.baseline(), 20ms);
  EXPECT_LE(run.most(), 40U);
  run.run({.capacity = 40}, 60s);
  EXPECT_GE(run.limit(), 38U);
  EXPECT_LE(run.baseline(), 11ms);
}

TYPED_TEST(latency_limit, no_baseline_rises_above_what_is_called_healthy) {
  typename TypeParam::Options options;
  options.baseline = {.relearn = 1s, .max_healthy = 30ms};
  Trial<TypeParam> run{TypeParam{options}};
  // Begun in the middle of an incident.
  run.run({.capacity = 4, .service = 500ms}, 30min);
  EXPECT_EQ(run.baseline(), 30ms);
  EXPECT_LE(run.limit(), 20U);
}

TYPED_TEST(latency_limit, a_lasting_change_is_learned_in_time) {
  typename TypeParam::Options options;
  options.range.floor = 2;
  options.baseline.relearn = 1min;
  Trial<TypeParam> run{TypeParam{options}};
  run.run({.capacity = 40, .service = 10ms}, 60s);
  run.run({.capacity = 40, .service = 100ms}, 1h);
  // Vegas stops where the error of its baseline is no longer than the queue it wants.
  EXPECT_GE(run.limit(), (std::is_same_v<TypeParam, Vegas> ? 9U : 38U));
}

// trap 31: what is measured with few in flight and what is always admitted are two numbers.
TYPED_TEST(latency_limit, the_floor_is_apart_from_the_probe_concurrency) {
  typename TypeParam::Options options;
  options.range.floor = 16;
  options.baseline.probe_concurrency = 2;
  Trial<TypeParam> run{TypeParam{options}};
  run.run({.capacity = 40}, 60s);
  run.run({.capacity = 4, .service = 200ms}, 30min);
  run.run({.capacity = 4, .service = 200ms}, 1min, Outcome::timeout);
  EXPECT_EQ(run.least(), 16U);
}

TYPED_TEST(latency_limit, is_not_stuck_at_one) {
  Trial<TypeParam> run{TypeParam{}};
  run.run({.capacity = 40}, 60s);
  run.run({.capacity = 40}, 10s, Outcome::timeout);
  EXPECT_EQ(run.limit(), 1U);
  run.run({.capacity = 40}, 60s);
  EXPECT_GE(run.limit(), 38U);
}

// trap 32: failures that come fast are no proof of a fast server.
TYPED_TEST(latency_limit, failures_that_return_fast_do_not_look_like_low_latency) {
  Trial<TypeParam> run{TypeParam{}};
  run.run({.capacity = 40}, 60s);
  const std::uint32_t before = run.limit();
  const Duration baseline = run.baseline();
  run.watch();
  for (const Outcome failure : {Outcome::transient, Outcome::permanent, Outcome::exception})
    run.run({.capacity = 1000, .service = 10us}, 50ms, failure);
  EXPECT_EQ(run.limit(), before);
  EXPECT_EQ(run.baseline(), baseline);
  run.run({.capacity = 1000, .service = 10us}, 50ms, Outcome::neutral);
  EXPECT_EQ(run.limit(), before);
  run.run({.capacity = 1000, .service = 10us}, 10ms, Outcome::rate_limited);
  EXPECT_LT(run.limit(), before);
}

// trap 30: calls of microseconds are samples like any other.
TYPED_TEST(latency_limit, works_for_calls_of_microseconds) {
  typename TypeParam::Options options;
  options.range.window = 200us;
  Trial<TypeParam> run{TypeParam{options}};
  run.run({.capacity = 40, .service = 2us}, 50ms);
  EXPECT_LE(run.baseline(), 2100ns);
  EXPECT_GE(run.limit(), 38U);
  EXPECT_LE(run.limit(), 90U);
}

TYPED_TEST(latency_limit, does_not_grow_while_nobody_presses_it) {
  Trial<TypeParam> run{TypeParam{}};
  run.run({.capacity = 40, .demand = 5}, 5min);
  EXPECT_LE(run.limit(), 20U);
}

TEST(adaptive_limit, says_what_to_write_instead) {
  EXPECT_THROW((Aimd{{.range = {.floor = 0}}}), std::invalid_argument);
  EXPECT_THROW((Aimd{{.range = {.floor = 30}}}), std::invalid_argument);
  EXPECT_THROW((Vegas{{.range = {.ceiling = 10}}}), std::invalid_argument);
  EXPECT_THROW((Vegas{{.range = {.ceiling = 1'000'001}}}), std::invalid_argument);
  EXPECT_THROW((Gradient2{{.range = {.samples = 0}}}), std::invalid_argument);
  EXPECT_THROW((Gradient2{{.range = {.window = -1ns}}}), std::invalid_argument);
  EXPECT_THROW((Aimd{{.increase = 0}}), std::invalid_argument);
  EXPECT_THROW((Aimd{{.decrease = 1}}), std::invalid_argument);
  EXPECT_THROW((Gradient2{{.tolerance = 0.9}}), std::invalid_argument);
  EXPECT_THROW((Gradient2{{.smoothing = 0}}), std::invalid_argument);
  EXPECT_THROW((Vegas{{.baseline = {.probe_concurrency = 0}}}), std::invalid_argument);
  EXPECT_THROW((Vegas{{.baseline = {.relearn = 0s}}}), std::invalid_argument);
  EXPECT_THROW((Gradient2{{.baseline = {.max_healthy = 0s}}}), std::invalid_argument);
  EXPECT_EQ(Gradient2{}.describe(), "gradient2 1 to 1000");
}

TEST(adaptive_limit, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW((Aimd{{.range = {.floor = 5, .initial = 5, .ceiling = 5}}}));
  EXPECT_NO_THROW((Aimd{{.range = {.ceiling = 1'000'000, .samples = 1, .window = 0s}}}));
  EXPECT_NO_THROW((Gradient2{{.tolerance = 1, .smoothing = 1}}));
  EXPECT_NO_THROW((Vegas{{.baseline = {.probe_concurrency = 1, .relearn = 1ns}}}));
}

}  // namespace
}  // namespace penstock
