// SPDX-License-Identifier: MIT
// The pool as a queue of functions. What it promises as an executor: tests/conformance/; races:
// tests/stress/.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <penstock/core/stop.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Holds the one thread of a pool until it is opened.
class Gate {
 public:
  explicit Gate(ThreadPool& pool) {
    held_.emplace(pool.try_submit([this] {
      entered_.unpark();
      static_cast<void>(calling_thread().wait(open_, never));
    }));
    static_cast<void>(calling_thread().wait(entered_, never));
  }
  void open() {
    open_.unpark();
    EXPECT_TRUE((*held_)->wait());
  }

 private:
  Parker entered_;
  Parker open_;
  std::optional<Result<Submission<void>>> held_;
};

TEST(thread_pool, gives_back_what_a_function_returns) {
  ThreadPool pool{2};
  EXPECT_EQ(pool.submit([] { return 42; })->wait().value(), 42);
  EXPECT_EQ(pool.try_submit([] { return std::string{"text"}; })->wait().value(), "text");
  EXPECT_TRUE(pool.submit([] {})->wait());
}

TEST(thread_pool, passes_on_the_result_of_a_function_that_has_one) {
  ThreadPool pool{1};
  EXPECT_EQ(pool.submit([]() -> Result<int> { return 7; })->wait().value(), 7);
  EXPECT_EQ(pool.submit([]() -> Result<int> { return ErrorKind::quota; })->wait().error().kind(),
            ErrorKind::quota);
}

TEST(thread_pool, carries_what_a_function_throws_as_an_error) {
  ThreadPool pool{1};
  const Result<int> outcome =
      pool.submit([]() -> int { throw std::runtime_error{"no such row"}; })->wait();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind(), ErrorKind::exception);
  EXPECT_EQ(outcome.error().message(), "no such row");
  EXPECT_THROW(std::rethrow_exception(outcome.error().exception()), std::runtime_error);
  EXPECT_TRUE(pool.submit([] {})->wait());
}

TEST(thread_pool, runs_a_packaged_task_for_a_std_future) {
  ThreadPool pool{1};
  std::packaged_task<int()> good{[] { return 5; }};
  std::packaged_task<int()> bad{[]() -> int { throw std::out_of_range{"far"}; }};
  std::future<int> five = good.get_future();
  std::future<int> nothing = bad.get_future();
  EXPECT_TRUE(pool.submit(std::move(good)));
  EXPECT_TRUE(pool.submit(std::move(bad)));
  EXPECT_EQ(five.get(), 5);
  EXPECT_THROW(nothing.get(), std::out_of_range);
}

TEST(thread_pool, takes_functions_that_only_move_and_lets_them_go_before_the_outcome) {
  ThreadPool pool{1};
  std::weak_ptr<int> seen;
  auto owned = std::make_shared<int>(3);
  seen = owned;
  Result<Submission<int>> submitted = pool.submit([held = std::move(owned)] { return *held; });
  EXPECT_EQ(submitted->wait().value(), 3);
  EXPECT_TRUE(seen.expired());
  EXPECT_EQ(pool.submit([held = std::make_unique<int>(4)] { return *held; })->wait().value(), 4);
}

TEST(thread_pool, refuses_at_once_when_its_queue_is_full) {
  ThreadPool pool{{.threads = 1, .max_queue = 2}};
  Gate gate{pool};
  auto first = pool.try_submit([] {});
  auto second = pool.try_submit([] {});
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(pool.try_submit([] {}).error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(pool.queued_approx(), 2U);
  EXPECT_EQ(pool.running_approx(), 1U);
  gate.open();
  EXPECT_TRUE(first->wait());
  EXPECT_TRUE(second->wait());
  EXPECT_TRUE(pool.try_submit([] {}));
}

TEST(thread_pool, lets_a_submitter_wait_for_room_in_the_order_they_came) {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  Gate gate{pool};
  std::vector<int> order;  // of the one worker
  auto queued = pool.try_submit([&] { order.push_back(0); });
  std::vector<std::thread> submitters;
  std::atomic<int> done{0};
  EventLoop loop;
  Scope scope{loop};
  const auto submitter = [&](int number) -> Task<void> {
    const auto note = [&order, number] { order.push_back(number); };
    Task<Result<void>> run = pool.run(note);
    const Result<void> outcome = co_await std::move(run);
    done += outcome ? 1 : 0;
  };
  for (int number = 1; number <= 5; ++number) scope.spawn(submitter(number));
  const auto opener = [&]() -> Task<void> {
    gate.open();
    co_return;
  };
  scope.spawn(opener());
  scope.wait();
  EXPECT_EQ(done, 5);
  EXPECT_TRUE(queued->wait());
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(thread_pool, nobody_overtakes_those_who_wait_for_room) {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  Gate gate{pool};
  auto queued = pool.try_submit([] {});
  StopSource source;
  EventLoop loop;
  Scope scope{loop};
  std::optional<Result<void>> outcome;
  const auto submitter = [&]() -> Task<void> {
    const auto nothing = [] {};
    Task<Result<void>> run = pool.run(nothing, Call{.stop = source.token()});
    outcome.emplace(co_await std::move(run));
  };
  const auto other = [&]() -> Task<void> {
    EXPECT_EQ(pool.try_submit([] {}).error().kind(), ErrorKind::overloaded);
    source.request_stop();
    co_return;
  };
  scope.spawn(submitter());
  scope.spawn(other());
  scope.wait();
  EXPECT_EQ(outcome->error().kind(), ErrorKind::cancelled);
  gate.open();
}

TEST(thread_pool, ends_a_wait_for_room_on_a_stop_and_at_the_deadline) {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  Gate gate{pool};
  auto queued = pool.try_submit([] {});
  StopSource source;
  std::thread stopper{[&] { source.request_stop(); }};
  EXPECT_EQ(pool.submit([] {}, {.stop = source.token()}).error().kind(), ErrorKind::cancelled);
  stopper.join();
  EXPECT_EQ(pool.submit([] {}, {.deadline = pool.now() + 1ms}).error().kind(), ErrorKind::deadline);
  EXPECT_EQ(pool.submit([] {}, {.deadline = pool.now()}).error().kind(), ErrorKind::deadline);
  gate.open();
  EXPECT_TRUE(queued->wait());
}

TEST(thread_pool, starts_the_urgent_first_and_the_others_in_the_end) {
  ThreadPool pool{1};
  Gate gate{pool};
  std::string order;  // of the one worker
  std::vector<Result<Submission<void>>> submitted;
  const auto add = [&](char letter, Priority priority) {
    submitted.push_back(pool.try_submit([&order, letter] { order += letter; }, priority));
  };
  for (int count = 0; count < 20; ++count) {
    add('l', Priority::low);
    add('n', Priority::normal);
    add('h', Priority::high);
  }
  gate.open();
  for (auto& each : submitted) EXPECT_TRUE(each->wait());
  // Shares of 8, 4 and 1; the first turn of the cycle went to the gate's function.
  EXPECT_EQ(order.substr(0, 13), "hhhhhhhhnnnlh");
  EXPECT_EQ(order.substr(order.size() - 10), "llllllllll");
  EXPECT_EQ(order.size(), 60U);
}

TEST(thread_pool, low_functions_start_while_high_ones_and_jobs_never_end) {
  ThreadPool pool{1};
  std::atomic<bool> low_started{false};
  const auto busy = [&]() -> Task<void> {
    while (!low_started) co_await reschedule(pool);
  };
  Scope scope{pool};
  scope.spawn(busy());
  struct Again {
    ThreadPool* pool;
    std::atomic<bool>* enough;
    void operator()() const {
      if (!*enough) static_cast<void>(pool->try_submit(*this, Priority::high));
    }
  };
  static_cast<void>(pool.try_submit(Again{&pool, &low_started}, Priority::high));
  const auto low = pool.try_submit([&] { low_started = true; }, Priority::low);
  EXPECT_TRUE(low);
  scope.wait();
  EXPECT_TRUE(low_started);
}

TEST(thread_pool, drains_by_letting_everything_submitted_finish) {
  ThreadPool pool{2};
  std::atomic<int> ran{0};
  for (int count = 0; count < 100; ++count) static_cast<void>(pool.submit([&] { ++ran; }));
  EXPECT_TRUE(pool.drain());
  EXPECT_EQ(ran, 100);
  EXPECT_EQ(pool.submit([] {}).error().kind(), ErrorKind::closed);
  EXPECT_EQ(pool.try_submit([] {}).error().kind(), ErrorKind::closed);
  const auto nothing = [] {};
  EXPECT_EQ(sync_wait(pool.run(nothing)).error().kind(), ErrorKind::closed);
}

TEST(thread_pool, stops_by_ending_what_has_not_started_with_closed) {
  ThreadPool pool{1};
  Gate gate{pool};
  bool ran = false;
  auto queued = pool.try_submit([&] {
    ran = true;
    return 1;
  });
  EXPECT_EQ(pool.stop({.deadline = pool.now() + 1ms}).error().kind(), ErrorKind::deadline);
  EXPECT_EQ(queued->wait().error().kind(), ErrorKind::closed);
  EXPECT_FALSE(ran);
  gate.open();
  EXPECT_TRUE(pool.stop());
}

TEST(thread_pool, a_drain_ends_when_a_stop_drops_what_it_waits_for) {
  ThreadPool pool{1};
  Parker entered;
  Parker open;
  // Posted, so that nothing that was submitted runs.
  struct Hold final : Job {
    Hold(Parker& when_entered, Parker& until)
        : Job([](Job& job) noexcept {
            Hold& self = static_cast<Hold&>(job);
            self.in->unpark();
            static_cast<void>(calling_thread().wait(*self.out, never));
          }),
          in(&when_entered),
          out(&until) {}
    Parker* in;
    Parker* out;
  };
  Hold hold{entered, open};
  pool.post(hold);
  static_cast<void>(calling_thread().wait(entered, never));
  const auto dropped = pool.try_submit([] {});
  ASSERT_TRUE(dropped);
  std::thread drainer{[&] { EXPECT_TRUE(pool.drain()); }};
  EXPECT_TRUE(pool.stop());
  drainer.join();
  open.unpark();
}

TEST(thread_pool, refuses_those_who_wait_for_room_when_it_closes) {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  Gate gate{pool};
  auto queued = pool.try_submit([] {});
  std::thread closer{[&] { pool.close(); }};
  EXPECT_EQ(pool.submit([] {}).error().kind(), ErrorKind::closed);
  closer.join();
  gate.open();
  EXPECT_TRUE(queued->wait());
}

TEST(thread_pool, a_function_cannot_wait_for_the_end_of_its_own_pool) {
  ThreadPool pool{1};
  const auto drains = [&] { return pool.drain(); };
  const auto stops = [&] { return pool.stop(); };
  auto drained = pool.try_submit(drains);
  const Result<void> first = drained->wait();
  EXPECT_EQ(first.error().kind(), ErrorKind::permanent);
  EXPECT_EQ(first.error().message().substr(0, 10), "penstock: ");
  ThreadPool other{1};
  EXPECT_EQ(other.try_submit([&] { return other.stop(); })->wait().error().kind(),
            ErrorKind::permanent);
  EXPECT_TRUE(other.try_submit(stops).error().kind() == ErrorKind::closed);
}

TEST(thread_pool, a_function_does_not_wait_for_room_in_its_own_pool) {
  ThreadPool pool{{.threads = 1, .max_queue = 1}};
  auto outer = pool.try_submit([&]() -> Result<void> {
    const auto fits = pool.submit([] {});
    EXPECT_TRUE(fits);
    const auto full = pool.submit([] {});
    return full ? Result<void>{} : full.error();
  });
  EXPECT_EQ(outer->wait().error().kind(), ErrorKind::overloaded);
}

TEST(thread_pool, does_not_start_what_was_cancelled_or_is_past_its_deadline) {
  ThreadPool pool{1};
  Gate gate{pool};
  bool ran = false;
  auto cancelled = pool.try_submit([&] { ran = true; });
  cancelled->cancel();
  const Time soon = pool.now() + 1ms;
  auto late = pool.submit([&] { ran = true; }, {.deadline = soon});
  EXPECT_EQ(late->wait({.deadline = soon}).error().kind(), ErrorKind::deadline);
  gate.open();
  EXPECT_EQ(cancelled->wait().error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(late->wait().error().kind(), ErrorKind::deadline);
  EXPECT_FALSE(ran);
}

TEST(thread_pool, a_wait_for_an_outcome_may_be_given_up_and_taken_up_again) {
  ThreadPool pool{1};
  Gate gate{pool};
  auto submitted = pool.try_submit([] { return 9; });
  EXPECT_FALSE(submitted->ready());
  EXPECT_EQ(submitted->wait({.deadline = pool.now() + 1ms}).error().kind(), ErrorKind::deadline);
  StopSource source;
  source.request_stop();
  EXPECT_EQ(submitted->wait({.stop = source.token()}).error().kind(), ErrorKind::cancelled);
  gate.open();
  EXPECT_EQ(submitted->wait().value(), 9);
}

TEST(thread_pool, resumes_a_coroutine_where_it_waited_with_the_outcome) {
  ThreadPool pool{2};
  EventLoop loop;
  const auto body = [&]() -> Task<int> {
    Executor* ran_on = nullptr;
    const auto function = [&] {
      ran_on = &Executor::current();
      return 6;
    };
    Task<Result<int>> run = pool.run(function);
    const Result<int> outcome = co_await std::move(run);
    EXPECT_EQ(ran_on, &pool);
    EXPECT_EQ(&Executor::current(), &loop);
    co_return *outcome;
  };
  EXPECT_EQ(sync_wait(loop, body()), 6);
}

TEST(thread_pool, a_stopped_coroutine_leaves_and_its_function_never_starts) {
  ThreadPool pool{1};
  Gate gate{pool};
  std::atomic<bool> ran{false};
  EventLoop loop;
  Scope scope{loop};
  {
    StopSource source;
    std::optional<Result<void>> outcome;
    const auto waits = [&]() -> Task<void> {
      const auto function = [&] { ran = true; };
      Task<Result<void>> run = pool.run(function, Call{.stop = source.token()});
      outcome.emplace(co_await std::move(run));
    };
    const auto stops = [&]() -> Task<void> {
      source.request_stop();
      co_return;
    };
    scope.spawn(waits());
    scope.spawn(stops());
    scope.wait();
    EXPECT_EQ(outcome->error().kind(), ErrorKind::cancelled);
  }
  gate.open();
  EXPECT_TRUE(pool.drain());
  EXPECT_FALSE(ran);
}

TEST(thread_pool, runs_jobs_and_timers_after_it_was_closed) {
  ThreadPool pool{1};
  EXPECT_TRUE(pool.drain());
  const auto body = [&]() -> Task<bool> {
    co_return co_await wait_until(pool, pool.now() + 1ms, StopToken{});
  };
  EXPECT_TRUE(sync_wait(pool, body()));
}

TEST(thread_pool, finishes_what_was_submitted_before_it_goes) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool{2};
    for (int count = 0; count < 50; ++count) static_cast<void>(pool.submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 50);
}

TEST(thread_pool, says_what_to_write_instead_of_options_that_cannot_work) {
  EXPECT_THROW(ThreadPool{0U}, std::invalid_argument);
  try {
    ThreadPool pool{{.threads = 1, .max_queue = 0}};
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(std::string{error.what()}.substr(0, 10), "penstock: ");
  }
}

TEST(thread_pool, has_twice_the_cores_unless_told_otherwise) {
  ThreadPool pool;
  EXPECT_EQ(pool.size(), 2 * sync::hardware_threads());
}

TEST(thread_pool_death, destroyed_by_its_own_job_it_says_so) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        auto pool = std::make_unique<ThreadPool>(1U);
        auto done = pool->try_submit([&] { pool.reset(); });
        static_cast<void>(done->wait());
      },
      "penstock: a ThreadPool was destroyed by one of its own jobs");
}

}  // namespace
}  // namespace penstock
