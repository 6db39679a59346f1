// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/core/stop.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/layer/iteration.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// A setting that is adjusted until what it gives is good enough. Each step takes a second.
struct Tuning {
  testing::ManualExecutor executor;
  StopSource source;
  double setting = 0.5;
  int adjustments = 0;
  int stop_at = 0;   // the measurement that stops the call
  int fail_at = 0;   // that fails
  int throw_at = 0;  // that throws
  std::string environment;

  Result<double> outcome(const Iteration& iteration) {
    environment = iteration.environment;
    const int number = static_cast<int>(iteration.number);
    if (number == stop_at) source.request_stop();
    if (number == fail_at) return ErrorKind::unavailable;
    if (number == throw_at) throw std::runtime_error{"no data"};
    return setting;
  }
  Call call() { return {.stop = source.token(), .executor = &executor}; }
};

struct Blocking {
  static IterationReport<double> run(Tuning& world, const IterationPolicy& policy, Call call) {
    const auto measure = [&](const Iteration& iteration, Call& own) -> Result<double> {
      if (!block_until(own, std::min(own.deadline, own.now + 1s))) return ErrorKind::cancelled;
      if (own.now >= own.deadline) return ErrorKind::timeout;
      return world.outcome(iteration);
    };
    const auto adjust = [&](double score, const Iteration&, Call&) -> Result<void> {
      world.setting = score + 0.1;
      ++world.adjustments;
      return {};
    };
    return iterate(
        policy, measure, [&](double score) { return policy.reached(score); }, adjust, call);
  }
};
struct Awaited {
  static IterationReport<double> run(Tuning& world, const IterationPolicy& policy, Call call) {
    const auto measure = [&](const Iteration& iteration, Call& own) -> Task<Result<double>> {
      const Time until = std::min(own.deadline, own.now + 1s);
      const bool came = co_await wait_until(own.where(), until, own.stop);
      if (!came) co_return ErrorKind::cancelled;
      if (own.where().now() >= own.deadline) co_return ErrorKind::timeout;
      co_return world.outcome(iteration);
    };
    const auto adjust = [&](double score, const Iteration&, Call&) -> Task<Result<void>> {
      world.setting = score + 0.1;
      ++world.adjustments;
      co_return Result<void>{};
    };
    const auto reached = [&](double score) { return policy.reached(score); };
    return sync_wait(world.executor, iterate(policy, measure, reached, adjust, call));
  }
};

template <class Form>
class every_iteration : public ::testing::Test {
 protected:
  IterationReport<double> run(const IterationPolicy& policy) {
    return Form::run(world_, policy, world_.call());
  }
  Tuning world_;
};
using Forms = ::testing::Types<Blocking, Awaited>;
TYPED_TEST_SUITE(every_iteration, Forms);

TYPED_TEST(every_iteration, goes_on_until_the_target_is_met) {
  const IterationPolicy policy{{.environment = "canary", .target = 0.75}};
  const auto report = this->run(policy);
  EXPECT_TRUE(report.reached());
  EXPECT_EQ(report.iterations, 4U);
  EXPECT_EQ(this->world_.adjustments, 3);
  EXPECT_NEAR(*report.last, 0.8, 1e-9);
  EXPECT_EQ(report.elapsed, 4s);
  EXPECT_FALSE(report.error);
  EXPECT_EQ(this->world_.environment, "canary");
}

TYPED_TEST(every_iteration, ends_when_its_iterations_are_spent) {
  const auto report = this->run(IterationPolicy{{.max_iterations = 3, .target = 100}});
  EXPECT_EQ(report.end, IterationEnd::iterations_spent);
  EXPECT_EQ(report.iterations, 3U);
  EXPECT_EQ(this->world_.adjustments, 2);
  EXPECT_NEAR(*report.last, 0.7, 1e-9);
}

TYPED_TEST(every_iteration, tells_its_steps_when_time_is_up) {
  const auto report = this->run(IterationPolicy{{.execution_timeout = 2500ms, .target = 100}});
  EXPECT_EQ(report.end, IterationEnd::timed_out);
  EXPECT_EQ(report.iterations, 3U);
  EXPECT_EQ(report.elapsed, 2500ms);
  EXPECT_EQ(report.error->kind(), ErrorKind::timeout);
}

TYPED_TEST(every_iteration, ends_with_the_call_that_is_stopped) {
  this->world_.stop_at = 2;
  const auto report = this->run(IterationPolicy{{.target = 100}});
  EXPECT_EQ(report.end, IterationEnd::stopped);
  EXPECT_EQ(report.iterations, 2U);
}

TYPED_TEST(every_iteration, measures_nothing_for_a_call_that_is_stopped_already) {
  this->world_.source.request_stop();
  const auto report = this->run(IterationPolicy{});
  EXPECT_EQ(report.end, IterationEnd::stopped);
  EXPECT_EQ(report.iterations, 0U);
  EXPECT_FALSE(report.last);
}

TYPED_TEST(every_iteration, ends_with_the_error_of_a_step) {
  this->world_.fail_at = 2;
  const auto report = this->run(IterationPolicy{{.target = 100}});
  EXPECT_EQ(report.end, IterationEnd::failed);
  EXPECT_EQ(report.error->kind(), ErrorKind::unavailable);
  EXPECT_NEAR(*report.last, 0.5, 1e-9);
}

TYPED_TEST(every_iteration, carries_what_a_step_throws) {
  this->world_.throw_at = 1;
  const auto report = this->run(IterationPolicy{{.target = 100}});
  EXPECT_EQ(report.end, IterationEnd::failed);
  EXPECT_EQ(report.error->kind(), ErrorKind::exception);
  EXPECT_EQ(report.error->message(), "no data");
}

TYPED_TEST(every_iteration, counts_a_target_met_by_the_measurement_that_stops) {
  this->world_.stop_at = 1;
  EXPECT_TRUE(this->run(IterationPolicy{{.target = 0.1}}).reached());
}

}  // namespace
}  // namespace penstock
