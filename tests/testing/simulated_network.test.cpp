// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/http/transport.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/store/connection_pool.hpp>
#include <penstock/testing/simulated_network.hpp>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

static_assert(PoolTransport<SimulatedTransport>);
static_assert(PoolTransport<BlockingSimulatedTransport>);
static_assert(!ConnectsBlocking<SimulatedTransport>);
static_assert(ConnectsBlocking<BlockingSimulatedTransport>);
struct Pong {
  http::Response operator()(const http::Request&) const { return {.status = 200}; }
};
static_assert(http::Transport<decltype(std::declval<SimulatedServer&>().leaf(Pong{}))>);
static_assert(http::Transport<decltype(std::declval<SimulatedServer&>().blocking_leaf(Pong{}))>);

class simulated_server : public ::testing::Test {
 protected:
  Result<void> ask(SimulatedServer& server, Call call = {}) {
    call.executor = &simulation_;
    const Time start = simulation_.now();
    const Result<void> result = sync_wait(simulation_, server.answer(call));
    took_ = simulation_.now() - start;
    return result;
  }
  // The kinds of the errors of many calls; successes by `closed`, which no server gives.
  std::map<ErrorKind, int> ask_often(SimulatedServer& server, int times, Duration deadline = 1h) {
    std::map<ErrorKind, int> kinds;
    for (int i = 0; i < times; ++i) {
      const Result<void> result = ask(server, {.deadline = simulation_.now() + deadline});
      ++kinds[result ? ErrorKind::closed : result.error().kind()];
    }
    return kinds;
  }
  // Every server and every share of its own.
  Simulation simulation_;
  Duration took_{};
};

TEST_F(simulated_server, answers_after_its_service_time) {
  SimulatedServer server{simulation_, {.service = Latency::constant(30ms)}};
  EXPECT_TRUE(ask(server));
  EXPECT_EQ(took_, 30ms);
  EXPECT_EQ(server.stats().answered, 1U);
}

TEST_F(simulated_server, answers_a_blocking_caller_the_same) {
  SimulatedServer server{simulation_, {.service = Latency::constant(30ms)}};
  const Time start = simulation_.now();
  Call call{.executor = &simulation_};
  EXPECT_TRUE(server.answer_blocking(call));
  EXPECT_EQ(simulation_.now() - start, 30ms);
  EXPECT_EQ(call.now, simulation_.now());
}

TEST_F(simulated_server, takes_longer_for_a_heavier_call) {
  SimulatedServer server{simulation_, {.service = Latency::constant(30ms), .per_weight = 2ms}};
  EXPECT_TRUE(ask(server, {.weight = 10}));
  EXPECT_EQ(took_, 50ms);
}

TEST_F(simulated_server, draws_latencies_with_the_quantiles_it_was_given) {
  const Latency latency{1ms, 10ms, 50ms, 200ms, 1s};
  std::vector<Duration> drawn;
  Random random{1};
  for (int i = 0; i < 100'000; ++i) drawn.push_back(latency.draw(random()));
  std::ranges::sort(drawn);
  EXPECT_GE(drawn.front(), 1ms);
  EXPECT_LE(drawn.back(), 1s);
  EXPECT_NEAR(static_cast<double>(drawn[50'000].count()), 10e6, 0.5e6);
  EXPECT_NEAR(static_cast<double>(drawn[90'000].count()), 50e6, 2e6);
  EXPECT_NEAR(static_cast<double>(drawn[99'000].count()), 200e6, 75e6);
}

TEST_F(simulated_server, makes_callers_queue_for_its_workers) {
  SimulatedServer server{simulation_, {.service = Latency::constant(10ms), .workers = 2}};
  std::vector<Duration> ends;
  const Time start = simulation_.now();
  const auto caller = [&]() -> Task<void> {
    Call call{.executor = &simulation_};
    [[maybe_unused]] const Result<void> result = co_await server.answer(call);
    ends.push_back(simulation_.now() - start);
  };
  for (int i = 0; i < 4; ++i) simulation_.spawn("caller", caller());
  EXPECT_EQ(simulation_.run(), SimulationEnd::idle);
  EXPECT_THAT(ends, ::testing::ElementsAre(10ms, 10ms, 20ms, 20ms));
}

TEST_F(simulated_server, sheds_those_who_would_queue_too_long) {
  SimulatedServer server{simulation_,
                         {.service = Latency::constant(10ms), .workers = 1, .max_queueing = 15ms}};
  std::map<ErrorKind, int> kinds;
  const auto caller = [&]() -> Task<void> {
    Call call{.executor = &simulation_};
    const Result<void> result = co_await server.answer(call);
    ++kinds[result ? ErrorKind::closed : result.error().kind()];
  };
  for (int i = 0; i < 5; ++i) simulation_.spawn("caller", caller());
  simulation_.run();
  EXPECT_EQ(kinds[ErrorKind::closed], 2);
  EXPECT_EQ(kinds[ErrorKind::unavailable], 3);
}

TEST_F(simulated_server, meters_and_says_when_to_come_back) {
  SimulatedServer server{simulation_,
                         {.service = {}, .rate = TokenBucket::Options{.rate = 10, .burst = 2}}};
  EXPECT_TRUE(ask(server));
  EXPECT_TRUE(ask(server));
  const Result<void> refused = ask(server);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::rate_limited);
  EXPECT_EQ(refused.error().status(), 429);
  EXPECT_EQ(refused.error().retry_after(), 100ms);
  simulation_.run_for(100ms);
  EXPECT_TRUE(ask(server));
}

TEST_F(simulated_server, meets_each_fault_as_often_as_it_is_told) {
  struct Case {
    SimulatedServer::Options options;
    ErrorKind kind;
  };
  for (const Case& each : {Case{{.refused = 0.2}, ErrorKind::unavailable},
                           Case{{.failed = 0.2}, ErrorKind::transient},
                           Case{{.cut = 0.2}, ErrorKind::transient},
                           Case{{.lost = 0.2}, ErrorKind::timeout},
                           Case{{.dripping = 0.2, .drip = 2h}, ErrorKind::timeout}}) {
    SimulatedServer server{simulation_, each.options};
    auto kinds = ask_often(server, 1000);
    EXPECT_NEAR(kinds[each.kind], 200, 50) << to_string(each.kind);
    EXPECT_EQ(kinds[each.kind] + kinds[ErrorKind::closed], 1000);
  }
}

TEST_F(simulated_server, breaks_what_is_at_it_when_it_crashes_and_refuses_until_it_is_back) {
  SimulatedServer server{simulation_, {.service = Latency::constant(1s)}};
  std::optional<Result<void>> caught;
  const auto caller = [&]() -> Task<void> {
    Call call{.executor = &simulation_};
    caught.emplace(co_await server.answer(call));
  };
  simulation_.spawn("caller", caller());
  simulation_.run_for(500ms);
  server.crash();
  EXPECT_EQ(simulation_.run(), SimulationEnd::idle);
  EXPECT_EQ(caught->error().kind(), ErrorKind::transient);
  EXPECT_EQ(ask(server).error().kind(), ErrorKind::unavailable);
  server.restart();
  EXPECT_TRUE(ask(server));
}

TEST_F(simulated_server, lets_a_caller_leave_at_its_deadline_and_at_its_stop) {
  SimulatedServer server{simulation_, {.service = Latency::constant(1h)}};
  EXPECT_EQ(ask(server, {.deadline = simulation_.now() + 1s}).error().kind(), ErrorKind::timeout);
  EXPECT_EQ(took_, 1s);
  StopSource source;
  simulation_.spawn("stops", [&] {
    Call call{.executor = &simulation_};
    static_cast<void>(block_until(call, simulation_.now() + 2s));
    source.request_stop();
  });
  EXPECT_EQ(ask(server, {.stop = source.token()}).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(took_, 2s);
  EXPECT_EQ(server.stats().in_flight, 0U);
  EXPECT_EQ(server.stats().abandoned, 2U);
}

TEST_F(simulated_server, whose_answer_is_lost_is_named_in_a_deadlock) {
  SimulatedServer server{simulation_, {.name = "payments", .lost = 1}};
  StopSource source;
  const auto caller = [&]() -> Task<void> {
    Call call{.stop = source.token(), .executor = &simulation_};
    [[maybe_unused]] const Result<void> result = co_await server.answer(call);
  };
  simulation_.spawn("caller 1", caller());
  EXPECT_EQ(simulation_.run(), SimulationEnd::deadlock);
  EXPECT_THAT(simulation_.who_waits(),
              ::testing::HasSubstr("a call to payments waits for its reply"));
  source.request_stop();
  EXPECT_EQ(simulation_.run(), SimulationEnd::idle);
}

TEST_F(simulated_server, serves_the_same_stack_blocking_and_not) {
  SimulatedServer server{simulation_, {.service = Latency::constant(10ms), .failed = 0.5}};
  const auto twice = [](int request) { return 2 * request; };
  auto waits = stack(deadline(1min), retry()) | server.leaf(twice);
  auto blocks = stack(deadline(1min), retry()) | server.blocking_leaf(twice);
  EXPECT_EQ(sync_wait(simulation_, waits(21, Call{.executor = &simulation_})).value(), 42);
  EXPECT_EQ(blocks(21, Call{.executor = &simulation_}).value(), 42);
}

TEST_F(simulated_server, connections_count_break_and_are_pooled) {
  SimulatedNetwork network{simulation_};
  const std::size_t server = network.add({.connect = Latency::constant(5ms)});
  ConnectionPool<SimulatedTransport> pool{SimulatedTransport{network}};
  const auto once = [&]() -> Task<bool> {
    Call call{.executor = &simulation_};
    auto lease = co_await pool.acquire(server, call);
    if (!lease) co_return false;
    const Result<void> answered = co_await (*lease)->ask(call);
    if (answered) lease->give_back();
    co_return answered.has_value();
  };
  EXPECT_TRUE(sync_wait(simulation_, once()));
  EXPECT_TRUE(sync_wait(simulation_, once()));
  EXPECT_EQ(pool.stats().opened, 1U);
  EXPECT_EQ(pool.stats().reused, 1U);
  network[server].cut_all();
  EXPECT_TRUE(sync_wait(simulation_, once()));
  EXPECT_EQ(pool.stats().opened, 2U);
  EXPECT_EQ(network[server].stats().connections, 1U);
  pool.close();
  EXPECT_EQ(network[server].stats().connections, 0U);
}

TEST_F(simulated_server, connects_for_callers_that_block) {
  SimulatedNetwork network{simulation_};
  const std::size_t server = network.add({.connect = Latency::constant(5ms)});
  ConnectionPool<BlockingSimulatedTransport> pool{BlockingSimulatedTransport{network}};
  Call call{.executor = &simulation_};
  auto lease = pool.acquire(server, call);
  ASSERT_TRUE(lease);
  EXPECT_TRUE((*lease)->ask_blocking(call));
  lease->give_back();
  network[server].crash();
  const auto refused = pool.acquire(server, call);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unavailable);
}

TEST_F(simulated_server, refuses_shares_that_are_none) {
  EXPECT_THROW((SimulatedServer{simulation_, {.failed = 1.5}}), std::invalid_argument);
  EXPECT_THROW((SimulatedServer{simulation_, {.lost = -0.1}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock::testing
