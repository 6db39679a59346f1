// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/simulation.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Task<void> sleep_until(Executor& executor, Time when) {
  static_cast<void>(co_await wait_until(executor, when, StopToken{}));
}
void sleep_blocking(Executor& executor, Duration time) {
  Call call{.executor = &executor};
  static_cast<void>(block_until(call, executor.now() + time));
}

// Twenty callers that wait at random; the order in which they come back.
struct Walk {
  std::vector<int> order;
  std::uint64_t trace;
  friend bool operator==(const Walk&, const Walk&) = default;
};
Walk walk(std::uint64_t seed) {
  Simulation simulation{seed};
  Walk seen{};
  const auto caller = [&](int number) -> Task<void> {
    for (int step = 0; step < 3; ++step) {
      const Duration pause = 1ms * static_cast<int>(simulation.random() % 4);
      static_cast<void>(co_await wait_until(simulation, simulation.now() + pause, StopToken{}));
      seen.order.push_back(number);
    }
  };
  for (int number = 0; number < 20; ++number) simulation.spawn("caller", caller(number));
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  seen.trace = simulation.trace_hash();
  return seen;
}

TEST(simulation, runs_the_same_for_the_same_seed) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) EXPECT_EQ(walk(seed), walk(seed));
}

TEST(simulation, runs_differently_for_different_seeds) {
  std::set<std::uint64_t> traces;
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Walk seen = walk(seed);
    traces.insert(seen.trace);
    orders.insert(seen.order);
  }
  EXPECT_EQ(traces.size(), 100U);
  EXPECT_EQ(orders.size(), 100U);
}

// Every order of what can run at one instant comes up, jobs and timers alike.
template <class Start>
std::size_t orders_of_three(Start start) {
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Simulation simulation{seed};
    std::vector<int> order;
    const auto body = [&order](Executor& executor, Time when, int number) -> Task<void> {
      static_cast<void>(co_await wait_until(executor, when, StopToken{}));
      order.push_back(number);
    };
    for (int number = 0; number < 3; ++number)
      simulation.spawn("caller", body(simulation, start(simulation), number));
    EXPECT_EQ(simulation.run(), SimulationEnd::idle);
    orders.insert(order);
  }
  return orders.size();
}

TEST(simulation, draws_the_order_of_jobs_of_one_instant) {
  EXPECT_EQ(orders_of_three([](Simulation&) { return Time::min(); }), 6U);
}

TEST(simulation, draws_the_order_of_timers_of_one_instant) {
  EXPECT_EQ(orders_of_three([](Simulation& simulation) { return simulation.now() + 1s; }), 6U);
}

TEST(simulation, of_a_year_of_hourly_work_takes_no_time_of_ours) {
  Simulation simulation;
  const Time start = simulation.now();
  int rounds = 0;
  const auto body = [&]() -> Task<void> {
    for (; rounds < 24 * 365; ++rounds) co_await sleep_until(simulation, simulation.now() + 1h);
  };
  simulation.spawn("clockwork", body());
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  EXPECT_EQ(rounds, 24 * 365);
  EXPECT_EQ(simulation.now() - start, 24h * 365);
}

TEST(simulation, stops_at_the_instant_it_is_told_with_all_done_until_then) {
  Simulation simulation;
  const Time start = simulation.now();
  int done = 0;
  const auto body = [&](Time when) -> Task<void> {
    co_await sleep_until(simulation, when);
    co_await reschedule(simulation);
    ++done;
  };
  for (int second = 1; second <= 3; ++second) simulation.spawn("caller", body(start + 1s * second));
  for (int other = 0; other < 40; ++other) simulation.spawn("caller", body(start + 2s));
  EXPECT_EQ(simulation.run(start + 2s), SimulationEnd::time_up);
  EXPECT_EQ(simulation.now(), start + 2s);
  EXPECT_EQ(done, 42);
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  EXPECT_EQ(done, 43);
}

TEST(simulation, goes_on_where_it_stopped_with_the_same_trace) {
  const auto trace = [](bool in_two_runs) {
    Simulation simulation{7};
    const auto body = [&]() -> Task<void> {
      for (int i = 0; i < 10; ++i) co_await sleep_until(simulation, simulation.now() + 1s);
    };
    simulation.spawn("caller", body());
    // Between two timers, where stopping is no decision.
    if (in_two_runs) simulation.run_for(4500ms);
    simulation.run();
    return simulation.steps();
  };
  EXPECT_EQ(trace(true), trace(false) + 1);  // its own timer
}

TEST(simulation, folds_what_the_program_saw_into_the_trace) {
  Simulation one;
  Simulation other;
  EXPECT_EQ(one.trace_hash(), other.trace_hash());
  one.fold(1);
  other.fold(2);
  EXPECT_NE(one.trace_hash(), other.trace_hash());
}

// --- blocking callers ------------------------------------------------------------------------

TEST(simulation, lets_blocking_callers_overtake_each_other) {
  Simulation simulation;
  std::vector<int> back;
  for (const int seconds : {3, 1, 2}) {
    simulation.spawn("caller", [&, seconds] {
      sleep_blocking(simulation, 1s * seconds);
      back.push_back(seconds);
    });
  }
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  EXPECT_THAT(back, ElementsAre(1, 2, 3));
}

TEST(simulation, lets_a_blocking_caller_back_at_its_time_while_another_blocks_longer) {
  Simulation simulation;
  const Time start = simulation.now();
  Time first{};
  simulation.spawn("short", [&] {
    sleep_blocking(simulation, 1s);
    first = simulation.now();
  });
  simulation.spawn("long", [&] { sleep_blocking(simulation, 1h); });
  simulation.run();
  EXPECT_EQ(first - start, 1s);
}

TEST(simulation, lets_callers_that_run_it_themselves_leave_in_any_order) {
  Simulation simulation;
  std::vector<int> back;
  for (const int seconds : {1, 3, 2}) {
    simulation.spawn("caller", [&, seconds] {
      EXPECT_EQ(simulation.run_for(1s * seconds), SimulationEnd::time_up);
      back.push_back(seconds);
    });
  }
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  EXPECT_THAT(back, ElementsAre(1, 2, 3));
}

TEST(simulation, lets_callers_that_run_it_until_one_instant_all_leave_after_what_is_due) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation{seed};
    const Time end = simulation.now() + 1s;
    int due = 0;
    int back = 0;
    simulation.spawn("sleeper", [&] {
      sleep_blocking(simulation, 1s);
      ++due;
    });
    for (int caller = 0; caller < 3; ++caller) {
      simulation.spawn("caller", [&] {
        EXPECT_EQ(simulation.run(end), SimulationEnd::time_up);
        EXPECT_EQ(due, 1);
        ++back;
      });
    }
    EXPECT_EQ(simulation.run(), SimulationEnd::idle);
    EXPECT_EQ(back, 3);
    EXPECT_EQ(simulation.now(), end);
  }
}

TEST(simulation, runs_a_task_that_blocks_inside_a_blocking_caller) {
  Simulation simulation;
  int sum = 0;
  simulation.spawn("outer", [&] {
    const auto inner = [&]() -> Task<int> {
      co_await reschedule(simulation);
      sleep_blocking(simulation, 1s);  // a blocking call inside of a coroutine
      const auto innermost = [&]() -> Task<int> {
        co_await sleep_until(simulation, simulation.now() + 1s);
        co_return 2;
      };
      co_return sync_wait(simulation, innermost());
    };
    sum += sync_wait(simulation, inner());
  });
  simulation.spawn("other", [&] {
    sleep_blocking(simulation, 1500ms);
    sum += 40;
  });
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  EXPECT_EQ(sum, 42);
}

TEST(simulation, wakes_a_blocking_caller_once_whatever_happens_at_that_instant) {
  int woken = 0;
  int late = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Simulation simulation{seed};
    Parker parker;
    simulation.spawn("waits",
                     [&] { ++(simulation.wait(parker, simulation.now() + 1s) ? woken : late); });
    simulation.spawn("wakes", [&] {
      sleep_blocking(simulation, 1s);
      parker.unpark();
    });
    EXPECT_EQ(simulation.run(), SimulationEnd::idle);
    EXPECT_EQ(simulation.jobs_posted(), 0U);
    EXPECT_EQ(simulation.timers_armed(), 0U);
  }
  EXPECT_EQ(woken + late, 200);
  EXPECT_GT(woken, 0);
  EXPECT_GT(late, 0);
}

TEST(simulation, keeps_the_exceptions_of_blocking_callers_apart) {
  Simulation simulation;
  std::vector<std::string> caught;
  for (const int seconds : {1, 2, 3}) {
    simulation.spawn("caller", [&, seconds] {
      try {
        throw std::runtime_error{std::to_string(seconds)};
      } catch (const std::runtime_error&) {
        sleep_blocking(simulation, 4s - 1s * seconds);  // in the middle of handling it
        try {
          throw;
        } catch (const std::runtime_error& error) {
          caught.emplace_back(error.what());
        }
      }
    });
  }
  simulation.run();
  EXPECT_THAT(caught, ElementsAre("3", "2", "1"));
}

TEST(simulation, is_the_current_executor_of_everything_in_it_and_of_nothing_else) {
  Simulation simulation;
  Executor* const outside = &Executor::current();
  int inside = 0;
  simulation.spawn("blocks", [&] {
    sleep_blocking(Executor::current(), 1s);
    if (&Executor::current() == &simulation) ++inside;
  });
  const auto body = [&]() -> Task<void> {
    co_await sleep_until(Executor::current(), Executor::current().now() + 500ms);
    if (&Executor::current() == &simulation) ++inside;
  };
  simulation.spawn("waits", body());
  simulation.run();
  EXPECT_EQ(inside, 2);
  EXPECT_EQ(&Executor::current(), outside);
}

// --- deadlock ----------------------------------------------------------------------------------

TEST(simulation, reports_who_waits_for_what_when_nobody_can_go_on) {
  Simulation simulation;
  Parker answer;
  StopSource source;
  simulation.spawn("caller 1", [&] {
    const Simulation::Waiting waiting{simulation, "caller 1", "an answer"};
    sleep_blocking(simulation, 2s);
    static_cast<void>(simulation.wait(answer, never));
  });
  const auto forgetful = [&]() -> Task<void> {
    static_cast<void>(co_await wait_until(simulation, never, source.token()));
  };
  simulation.spawn("caller 2", forgetful());
  EXPECT_EQ(simulation.run(), SimulationEnd::deadlock);
  EXPECT_EQ(simulation.who_waits(),
            "  caller 2 waits for something that nobody gives, for 2 s\n"
            "  caller 1 waits for an answer, for 2 s\n");

  answer.unpark();
  source.request_stop();
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
  EXPECT_EQ(simulation.who_waits(), "");
}

TEST(simulation, calls_a_wait_without_end_no_deadlock_while_a_timer_is_armed) {
  Simulation simulation;
  Parker parker;
  simulation.spawn("waits", [&] { static_cast<void>(simulation.wait(parker, never)); });
  simulation.spawn("helps", [&] {
    sleep_blocking(simulation, 1h);
    parker.unpark();
  });
  EXPECT_EQ(simulation.run(), SimulationEnd::idle);
}

TEST(simulation_deathtest, says_who_waits_before_it_ends_the_program) {
  const auto deadlock = [] {
    Simulation simulation;
    Parker nobody;
    const Simulation::Waiting waiting{simulation, "the test", "nobody"};
    static_cast<void>(simulation.wait(nobody, never));
  };
  EXPECT_DEATH(deadlock(), "penstock: deadlock.*\n.*the test waits for nobody");
}

TEST(simulation, checks_invariants_between_all_steps) {
  Simulation simulation;
  std::uint64_t checks = 0;
  simulation.between_steps([&] { ++checks; });
  simulation.spawn("caller", [&] {
    sleep_blocking(simulation, 1s);
    sleep_blocking(simulation, 1s);
  });
  simulation.run();
  EXPECT_EQ(simulation.steps(), 3U);
  EXPECT_GE(checks, 4U);  // before the first and after the last as well
}

TEST(simulation, takes_back_a_timer_that_stands_to_be_chosen) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Simulation simulation{seed};
    StopSource source;
    int ended = 0;
    const auto waiter = [&]() -> Task<void> {
      static_cast<void>(co_await wait_until(simulation, simulation.now() + 1s, source.token()));
      ++ended;
    };
    const auto stopper = [&]() -> Task<void> {
      co_await sleep_until(simulation, simulation.now() + 1s);
      source.request_stop();
    };
    for (int i = 0; i < 40; ++i) simulation.spawn("waiter", waiter());
    simulation.spawn("stopper", stopper());
    EXPECT_EQ(simulation.run(), SimulationEnd::idle);
    EXPECT_EQ(ended, 40);
    EXPECT_EQ(simulation.timers_armed(), 0U);
  }
}

}  // namespace
}  // namespace penstock
