// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/store/batch_queue.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Batches = std::vector<std::vector<int>>;
using Replies = std::vector<Result<int>>;
using Queue = BatchQueue<int, int>;

// Manual time that also counts the timers: an idle queue must have none.
class CountingExecutor final : public Executor {
 public:
  ~CountingExecutor() = default;
  [[nodiscard]] Time now() const noexcept override { return inner_.now(); }
  void post(Job& job) noexcept override { inner_.post(job); }
  void arm(Timer& timer) noexcept override {
    ++armed;
    inner_.arm(timer);
  }
  bool disarm(Timer& timer) noexcept override {
    const bool taken_back = inner_.disarm(timer);
    if (taken_back) ++disarmed;
    return taken_back;
  }
  bool wait(Parker& parker, Time until) noexcept override {
    const CurrentExecutor current{*this};
    return inner_.wait(parker, until);
  }
  void run_for(Duration time) noexcept { inner_.run_for(time); }
  // Everything that is due now.
  void run() noexcept { run_for(0s); }

  int armed = 0;
  int disarmed = 0;

 private:
  testing::ManualExecutor inner_;
};

SizeWeightAge rule(std::size_t items, Duration age, std::uint64_t weight = 1'000'000) {
  return SizeWeightAge{{.max_items = items, .max_weight = weight, .max_age = age}};
}

// What one submit gave, and when.
template <class Reply>
struct Outcome {
  std::optional<Result<Reply>> reply;
  Time at{};
  int times = 0;

  [[nodiscard]] bool done() const { return reply.has_value(); }
  [[nodiscard]] bool ok() const { return done() && reply->has_value(); }
  [[nodiscard]] bool failed(ErrorKind kind) const {
    return done() && !*reply && reply->error().kind() == kind;
  }
};

class batch_queue : public ::testing::Test {
 protected:
  template <class Item, class Reply>
  Task<void> put(BatchQueue<Item, Reply>& queue, Item item, Call call, Outcome<Reply>& outcome) {
    Task<Result<Reply>> submitted = queue.submit(std::move(item), call);
    outcome.reply.emplace(co_await std::move(submitted));
    outcome.at = executor_.now();
    ++outcome.times;
  }
  template <class Item, class Reply>
  void spawn(BatchQueue<Item, Reply>& queue, Item item, Outcome<Reply>& out, Call call = {}) {
    scope_.spawn(put(queue, std::move(item), call, out));
    executor_.run();
  }
  // The batches in the order they came to the handler, which gives ten times each item.
  auto tens() {
    return [this](std::span<int> items) {
      batches_.emplace_back(items.begin(), items.end());
      Replies replies;
      for (const int item : items) replies.push_back(10 * item);
      return replies;
    };
  }
  // The same, each batch taking `service`.
  auto slow_tens(Duration service) {
    return [this, service](std::span<int> items) -> Task<Replies> {
      batches_.emplace_back(items.begin(), items.end());
      static_cast<void>(
          co_await wait_until(executor_, saturating_add(executor_.now(), service), StopToken{}));
      Replies replies;
      for (const int item : items) replies.push_back(10 * item);
      co_return replies;
    };
  }
  Time after(Duration time) const { return saturating_add(start_, time); }

  CountingExecutor executor_;
  Scope scope_{executor_};
  Batches batches_;
  const Time start_ = executor_.now();
};

// --- batches and their replies -------------------------------------------------------------------

TEST_F(batch_queue, gives_each_caller_the_reply_to_its_own_item) {
  Queue queue{executor_, tens(), {.release = rule(3, 1s)}};
  std::array<Outcome<int>, 3> out;
  for (int item = 0; item < 3; ++item) spawn(queue, item, out[static_cast<std::size_t>(item)]);
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0, 1, 2)));
  for (int item = 0; item < 3; ++item)
    EXPECT_EQ(out[static_cast<std::size_t>(item)].reply->value(), 10 * item);
}

TEST_F(batch_queue, serves_a_blocking_caller) {
  Queue queue{executor_, tens(), {.release = rule(3, 5ms)}};
  EXPECT_EQ(queue.submit_and_wait(4).value(), 40);
  EXPECT_EQ(executor_.now(), after(5ms));
}

TEST_F(batch_queue, puts_blocking_and_coroutine_callers_into_one_batch) {
  Queue queue{executor_, tens(), {.release = rule(2, 1s)}};
  Outcome<int> out;
  spawn(queue, 1, out);
  EXPECT_EQ(queue.submit_and_wait(2).value(), 20);
  scope_.wait();
  EXPECT_EQ(out.reply->value(), 10);
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1, 2)));
  EXPECT_EQ(executor_.now(), start_);
}

TEST_F(batch_queue, never_runs_the_handler_in_the_submitters_stack) {
  Queue queue{executor_, tens(), {.release = rule(1, 0s)}};
  bool handled_inside = true;
  const auto body = [&]() -> Task<void> {
    Task<Result<int>> submitted = queue.submit(1);
    const auto watch = [&]() -> Task<void> {
      handled_inside = !batches_.empty();
      co_return;
    };
    scope_.spawn(watch());  // runs behind whatever is posted now, before what submit posts
    EXPECT_EQ((co_await std::move(submitted)).value(), 10);
  };
  scope_.spawn(body());
  scope_.wait();
  EXPECT_FALSE(handled_inside);
}

TEST_F(batch_queue, gives_single_items_their_own_errors) {
  const auto odd_fails = [](std::span<int> items) {
    Replies replies;
    for (const int item : items)
      replies.push_back(item % 2 != 0 ? Result<int>{ErrorKind::permanent} : Result<int>{item});
    return replies;
  };
  Queue queue{executor_, odd_fails, {.release = rule(2, 1s)}};
  std::array<Outcome<int>, 2> out;
  spawn(queue, 1, out[0]);
  spawn(queue, 2, out[1]);
  scope_.wait();
  EXPECT_TRUE(out[0].failed(ErrorKind::permanent));
  EXPECT_EQ(out[1].reply->value(), 2);
}

TEST_F(batch_queue, gives_the_error_of_a_batch_to_every_item) {
  const auto fails = [](std::span<int>) -> Result<Replies> {
    return Error{ErrorKind::rate_limited}.set_retry_after(2s);
  };
  Queue queue{executor_, fails, {.release = rule(2, 1s)}};
  std::array<Outcome<int>, 2> out;
  for (Outcome<int>& one : out) spawn(queue, 1, one);
  scope_.wait();
  for (const Outcome<int>& one : out) {
    ASSERT_TRUE(one.failed(ErrorKind::rate_limited));
    EXPECT_EQ(one.reply->error().retry_after(), 2s);
  }
}

TEST_F(batch_queue, gives_what_the_handler_throws_to_every_item_and_goes_on) {
  int calls = 0;
  const auto throws_once = [&](std::span<int> items) {
    if (++calls == 1) throw std::runtime_error{"broken"};
    return Replies(items.begin(), items.end());
  };
  Queue queue{executor_, throws_once, {.release = rule(2, 1s)}};
  std::array<Outcome<int>, 4> out;
  for (Outcome<int>& one : out) spawn(queue, 7, one);
  scope_.wait();
  for (const std::size_t index : {0U, 1U}) {
    ASSERT_TRUE(out[index].failed(ErrorKind::exception));
    EXPECT_EQ(out[index].reply->error().message(), "broken");
  }
  EXPECT_EQ(out[2].reply->value(), 7);
  EXPECT_EQ(out[3].reply->value(), 7);
}

TEST_F(batch_queue, gives_what_a_coroutine_handler_throws_to_every_item) {
  const auto throws = [this](std::span<int> items) -> Task<Replies> {
    co_await reschedule(executor_);
    if (!items.empty()) throw std::runtime_error{"broken later"};
    co_return Replies{};
  };
  Queue queue{executor_, throws, {.release = rule(2, 1s)}};
  std::array<Outcome<int>, 2> out;
  for (Outcome<int>& one : out) spawn(queue, 7, one);
  scope_.wait();
  for (const Outcome<int>& one : out) EXPECT_EQ(one.reply->error().message(), "broken later");
}

TEST_F(batch_queue, says_when_the_handler_returned_too_few_or_too_many_replies) {
  for (const std::size_t count : {1U, 3U}) {
    const auto miscounts = [count](std::span<int>) { return std::vector<int>(count, 1); };
    Queue queue{executor_, miscounts, {.release = rule(2, 1s)}};
    std::array<Outcome<int>, 2> out;
    for (Outcome<int>& one : out) spawn(queue, 7, one);
    scope_.wait();
    for (const Outcome<int>& one : out) {
      ASSERT_TRUE(one.failed(ErrorKind::exception));
      EXPECT_THAT(std::string{one.reply->error().message()},
                  HasSubstr("returned " + std::to_string(count) + " replies for 2 items"));
    }
  }
}

// --- what a handler may be -----------------------------------------------------------------------

TEST_F(batch_queue, takes_a_handler_that_succeeds_or_fails_as_a_whole) {
  int sum = 0;
  const auto writes = [&](std::span<int> items) -> Result<void> {
    for (const int item : items) sum += item;
    if (sum > 10) return ErrorKind::quota;
    return {};
  };
  BatchQueue<int> queue{executor_, writes, {.release = rule(1, 0s)}};
  EXPECT_TRUE(queue.submit_and_wait(10));
  EXPECT_EQ(queue.submit_and_wait(1).error().kind(), ErrorKind::quota);
}

TEST_F(batch_queue, takes_a_handler_that_returns_nothing) {
  int seen = 0;
  BatchQueue<int> blocking{executor_, [&](std::span<int> items) { seen += items[0]; }};
  BatchQueue<int> coroutine{executor_, [&](std::span<int> items) -> Task<void> {
                              seen += items[0];
                              co_return;
                            }};
  EXPECT_TRUE(blocking.submit_and_wait(1));
  EXPECT_TRUE(coroutine.submit_and_wait(2));
  EXPECT_EQ(seen, 3);
}

TEST_F(batch_queue, takes_a_coroutine_that_succeeds_or_fails_as_a_whole) {
  BatchQueue<int, int> queue{executor_, [](std::span<int> items) -> Task<Result<Replies>> {
                               if (items[0] == 0) co_return ErrorKind::unavailable;
                               co_return Replies(items.begin(), items.end());
                             }};
  EXPECT_EQ(queue.submit_and_wait(0).error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(queue.submit_and_wait(3).value(), 3);
}

TEST_F(batch_queue, takes_replies_of_a_plain_and_even_of_a_packed_vector) {
  BatchQueue<int, bool> queue{executor_, [](std::span<int> items) {
                                std::vector<bool> even;
                                for (const int item : items) even.push_back(item % 2 == 0);
                                return even;
                              }};
  EXPECT_TRUE(queue.submit_and_wait(2).value());
  EXPECT_FALSE(queue.submit_and_wait(3).value());
}

TEST_F(batch_queue, carries_items_and_replies_that_can_only_be_moved) {
  using Word = std::unique_ptr<std::string>;
  const auto echo = [](std::span<Word> items) {
    return std::vector<Word>(std::make_move_iterator(items.begin()),
                             std::make_move_iterator(items.end()));
  };
  BatchQueue<Word, Word> queue{executor_, echo};
  const Result<Word> reply = queue.submit_and_wait(std::make_unique<std::string>("moved"));
  EXPECT_EQ(**reply, "moved");
}

TEST_F(batch_queue, gives_the_handler_a_call_for_the_whole_batch) {
  std::vector<Call> calls;
  const auto watches = [&](std::span<int> items, Call& call) {
    calls.push_back(call);
    return Replies(items.begin(), items.end());
  };
  Queue queue{executor_, watches, {.release = rule(2, 1s)}};
  std::array<Outcome<int>, 4> out;
  spawn(queue, 1, out[0], {.deadline = after(1h), .weight = 3, .priority = Priority::low});
  spawn(queue, 1, out[1], {.deadline = after(2h), .weight = 4, .priority = Priority::high});
  spawn(queue, 1, out[2], {.deadline = after(1h)});
  spawn(queue, 1, out[3]);
  scope_.wait();
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].deadline, after(2h));
  EXPECT_EQ(calls[0].weight, 7U);
  EXPECT_EQ(calls[0].priority, Priority::high);
  EXPECT_EQ(calls[0].executor, &executor_);
  EXPECT_EQ(calls[0].now, start_);
  EXPECT_EQ(calls[1].deadline, never);
}

TEST_F(batch_queue, takes_a_pipeline_as_its_handler) {
  int attempts = 0;
  auto ask = stack(retry()) | [&](std::span<int> items, Call&) -> Result<Replies> {
    if (++attempts == 1) return ErrorKind::transient;
    return Replies(items.begin(), items.end());
  };
  Queue queue{executor_, std::move(ask), {.release = rule(2, 1s)}};
  std::array<Outcome<int>, 2> out;
  for (Outcome<int>& one : out) spawn(queue, 5, one);
  scope_.wait();
  EXPECT_EQ(attempts, 2);
  for (const Outcome<int>& one : out) EXPECT_EQ(one.reply->value(), 5);
}

struct Fragile {
  explicit Fragile(bool& when) : breaks(&when) {}
  Fragile(Fragile&& other) : breaks(other.breaks) {
    if (*breaks) throw std::runtime_error{"dropped"};
  }
  bool* breaks;
};

TEST_F(batch_queue, answers_every_item_when_one_of_them_cannot_be_moved) {
  const auto counts = [](std::span<Fragile> items) { return std::vector<int>(items.size(), 1); };
  BatchQueue<Fragile, int> queue{executor_, counts, {.release = rule(100, 1h)}};
  std::array<Outcome<int>, 3> out;
  bool sound = false;
  bool breaks = false;
  spawn(queue, Fragile{sound}, out[0]);
  spawn(queue, Fragile{breaks}, out[1]);
  breaks = true;
  queue.flush();
  executor_.run();
  EXPECT_TRUE(out[0].failed(ErrorKind::exception));
  EXPECT_TRUE(out[1].failed(ErrorKind::exception));
  spawn(queue, Fragile{sound}, out[2]);
  scope_.wait();
  EXPECT_EQ(out[2].reply->value(), 1);
}

// --- when a batch leaves -------------------------------------------------------------------------

TEST_F(batch_queue, leaves_at_once_when_it_has_the_most_items) {
  Queue queue{executor_, tens(), {.release = rule(2, 1h)}};
  std::array<Outcome<int>, 3> out;
  for (Outcome<int>& one : out) spawn(queue, 1, one);
  EXPECT_EQ(batches_.size(), 1U);
  EXPECT_TRUE(out[0].ok() && out[1].ok());
  EXPECT_FALSE(out[2].done());
  scope_.wait();
  EXPECT_EQ(out[2].at, after(1h));
}

TEST_F(batch_queue, leaves_at_once_when_it_has_the_most_weight) {
  Queue queue{executor_, tens(), {.release = rule(100, 1h, 10)}};
  std::array<Outcome<int>, 2> out;
  spawn(queue, 1, out[0], {.weight = 6});
  EXPECT_TRUE(batches_.empty());
  spawn(queue, 2, out[1], {.weight = 4});
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1, 2)));
  scope_.wait();
}

TEST_F(batch_queue, leaves_what_does_not_fit_for_the_next_batch_in_order) {
  Queue queue{executor_, tens(), {.release = rule(100, 1h, 10)}};
  std::array<Outcome<int>, 3> out;
  spawn(queue, 1, out[0], {.weight = 6});
  spawn(queue, 2, out[1], {.weight = 6});
  spawn(queue, 3, out[2], {.weight = 4});
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1), ElementsAre(2, 3)));
  scope_.wait();
}

TEST_F(batch_queue, lets_an_item_too_heavy_for_any_batch_travel_alone) {
  Queue queue{executor_, slow_tens(1ms), {.release = rule(100, 1h, 10)}};
  std::array<Outcome<int>, 4> out;
  spawn(queue, 1, out[0], {.weight = 10});
  spawn(queue, 2, out[1], {.weight = 1});
  spawn(queue, 3, out[2], {.weight = 500});
  spawn(queue, 4, out[3], {.weight = 0});
  queue.flush();
  scope_.wait();
  EXPECT_THAT(batches_,
              ElementsAre(ElementsAre(1), ElementsAre(2), ElementsAre(3), ElementsAre(4)));
}

TEST_F(batch_queue, leaves_at_the_age_of_its_oldest_item_whatever_comes_later) {
  Queue queue{executor_, tens(), {.release = rule(100, 10ms)}};
  std::array<Outcome<int>, 3> out;
  spawn(queue, 1, out[0]);
  executor_.run_for(6ms);
  spawn(queue, 2, out[1]);
  executor_.run_for(3ms);
  spawn(queue, 3, out[2]);
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1, 2, 3)));
  for (const Outcome<int>& one : out) EXPECT_EQ(one.at, after(10ms));
}

TEST_F(batch_queue, counts_the_age_anew_for_each_batch) {
  Queue queue{executor_, tens(), {.release = rule(2, 10ms)}};
  std::array<Outcome<int>, 3> out;
  spawn(queue, 1, out[0]);
  executor_.run_for(6ms);
  spawn(queue, 2, out[1]);
  spawn(queue, 3, out[2]);  // the timer of the first batch must not let this one leave
  scope_.wait();
  EXPECT_EQ(out[0].at, after(6ms));
  EXPECT_EQ(out[2].at, after(16ms));
}

TEST_F(batch_queue, without_an_age_batches_what_came_while_the_handler_was_busy) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(100, 0s)}};
  std::array<Outcome<int>, 4> out;
  spawn(queue, 1, out[0]);
  for (int item = 2; item <= 4; ++item) {
    executor_.run_for(1ms);
    spawn(queue, item, out[static_cast<std::size_t>(item - 1)]);
  }
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1), ElementsAre(2, 3, 4)));
  EXPECT_EQ(out[3].at, after(10ms));
}

TEST_F(batch_queue, runs_as_many_batches_at_once_as_it_may) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(2, 0s), .max_running = 2}};
  std::array<Outcome<int>, 5> out;
  for (int item = 0; item < 5; ++item)
    scope_.spawn(put(queue, item, {}, out[static_cast<std::size_t>(item)]));
  executor_.run();
  EXPECT_EQ(queue.stats().running, 2U);
  EXPECT_EQ(queue.stats().queued, 1U);
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3), ElementsAre(4)));
  EXPECT_EQ(out[3].at, after(5ms));
  EXPECT_EQ(out[4].at, after(10ms));
}

TEST_F(batch_queue, flush_lets_leave_what_waits_and_nothing_later) {
  Queue queue{executor_, tens(), {.release = rule(100, 1h)}};
  std::array<Outcome<int>, 2> out;
  queue.flush();  // of nothing: not kept for later
  spawn(queue, 1, out[0]);
  EXPECT_TRUE(batches_.empty());
  queue.flush();
  executor_.run();
  EXPECT_TRUE(out[0].ok());
  spawn(queue, 2, out[1]);
  EXPECT_FALSE(out[1].done());
  scope_.wait();
  EXPECT_EQ(out[1].at, after(1h));
}

TEST_F(batch_queue, flush_holds_until_a_slot_is_free) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(2, 1h)}};
  std::array<Outcome<int>, 3> out;
  for (int item = 0; item < 3; ++item) spawn(queue, item, out[static_cast<std::size_t>(item)]);
  queue.flush();
  executor_.run();
  EXPECT_EQ(batches_.size(), 1U);
  scope_.wait();
  EXPECT_EQ(out[2].at, after(10ms));
}

TEST_F(batch_queue, arms_one_timer_for_a_batch_and_none_when_nothing_waits) {
  Queue queue{executor_, tens(), {.release = rule(3, 1h)}};
  std::array<Outcome<int>, 3> out;
  for (Outcome<int>& one : out) spawn(queue, 1, one);
  EXPECT_EQ(executor_.armed, 1);
  EXPECT_EQ(executor_.disarmed, 1);
  scope_.wait();
  EXPECT_EQ(executor_.now(), start_);
}

// --- priority ------------------------------------------------------------------------------------

TEST_F(batch_queue, takes_the_oldest_and_then_high_before_normal_before_low) {
  Queue queue{executor_, slow_tens(1ms), {.release = rule(3, 1h)}};
  std::array<Outcome<int>, 6> out;
  const std::array<Priority, 6> order{Priority::low,
                                      Priority::low,
                                      Priority::normal,
                                      Priority::high,
                                      Priority::high,
                                      Priority::normal};
  for (int item = 0; item < 6; ++item) {
    const auto index = static_cast<std::size_t>(item);
    scope_.spawn(put(queue, item, {.priority = order[index]}, out[index]));
  }
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0, 3, 4), ElementsAre(1, 2, 5)));
}

TEST_F(batch_queue, never_starves_low_priority_under_a_stream_of_high) {
  Queue queue{executor_, slow_tens(1ms), {.release = rule(2, 0s)}};
  Outcome<int> low;
  std::vector<Outcome<int>> high(40);
  const auto stream = [&]() -> Task<void> {
    for (Outcome<int>& one : high) {
      scope_.spawn(put(queue, 1, {.priority = Priority::high}, one));
      static_cast<void>(
          co_await wait_until(executor_, saturating_add(executor_.now(), 250us), StopToken{}));
    }
  };
  scope_.spawn(stream());
  executor_.run_for(2ms);
  const std::size_t older = queue.stats().queued;
  const std::size_t gone = batches_.size();
  spawn(queue, -1, low, {.priority = Priority::low});
  scope_.wait();
  std::size_t place = 0;
  while (std::ranges::find(batches_[place], -1) == batches_[place].end()) ++place;
  EXPECT_LE(place - gone, older);
}

// --- leaving early -------------------------------------------------------------------------------

TEST_F(batch_queue, withdraws_a_cancelled_item_and_refills_its_place) {
  Queue queue{executor_, tens(), {.release = rule(3, 10ms)}};
  StopSource source;
  std::array<Outcome<int>, 4> out;
  spawn(queue, 1, out[0]);
  spawn(queue, 2, out[1], {.stop = source.token()});
  source.request_stop();
  executor_.run();
  EXPECT_TRUE(out[1].failed(ErrorKind::cancelled));
  spawn(queue, 3, out[2]);
  EXPECT_TRUE(batches_.empty());
  spawn(queue, 4, out[3]);
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1, 3, 4)));
  EXPECT_EQ(out[1].times, 1);
  EXPECT_EQ(queue.stats().withdrawn, 1U);
}

TEST_F(batch_queue, gives_up_an_expired_item_at_its_deadline_whatever_the_handler_does) {
  Queue queue{executor_, slow_tens(1h), {.release = rule(1, 0s)}};
  std::array<Outcome<int>, 2> out;
  spawn(queue, 1, out[0]);
  spawn(queue, 2, out[1], {.deadline = after(7ms)});
  executor_.run_for(8ms);
  EXPECT_TRUE(out[1].failed(ErrorKind::deadline));
  EXPECT_EQ(out[1].at, after(7ms));
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1)));
}

TEST_F(batch_queue, gives_up_an_expired_item_of_a_blocking_caller) {
  Queue queue{executor_, tens(), {.release = rule(100, 1h)}};
  const Result<int> reply = queue.submit_and_wait(1, {.deadline = after(7ms)});
  EXPECT_EQ(reply.error().kind(), ErrorKind::deadline);
  EXPECT_EQ(executor_.now(), after(7ms));
  EXPECT_TRUE(batches_.empty());
}

TEST_F(batch_queue, never_calls_the_handler_with_nothing) {
  Queue queue{executor_, tens(), {.release = rule(1, 0s)}};
  StopSource source;
  Outcome<int> out;
  scope_.spawn(put(queue, 1, {.stop = source.token()}, out));
  const auto cancels = [&]() -> Task<void> {
    source.request_stop();  // the batch's job is posted, and has not run
    co_return;
  };
  scope_.spawn(cancels());
  scope_.wait();
  EXPECT_TRUE(out.failed(ErrorKind::cancelled));
  EXPECT_TRUE(batches_.empty());
  EXPECT_EQ(queue.stats().batches, 0U);
}

TEST_F(batch_queue, lets_a_caller_leave_while_its_item_is_in_the_handler) {
  Queue queue{executor_, slow_tens(1h), {.release = rule(3, 0s)}};
  StopSource source;
  std::array<Outcome<int>, 3> out;
  scope_.spawn(put(queue, 1, {}, out[0]));
  scope_.spawn(put(queue, 2, {.stop = source.token()}, out[1]));
  scope_.spawn(put(queue, 3, {.deadline = after(5ms)}, out[2]));
  executor_.run();
  source.request_stop();
  executor_.run();
  EXPECT_TRUE(out[1].failed(ErrorKind::cancelled));
  executor_.run_for(6ms);
  EXPECT_TRUE(out[2].failed(ErrorKind::timeout));
  EXPECT_EQ(out[2].at, after(5ms));
  EXPECT_EQ(queue.stats().running, 1U);
  scope_.wait();
  EXPECT_EQ(out[0].reply->value(), 10);
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1, 2, 3)));
  EXPECT_EQ(queue.stats().completed, 3U);
  for (const Outcome<int>& one : out) EXPECT_EQ(one.times, 1);
}

// Stops its caller from inside the move into the batch, when that caller cannot leave.
struct StopsWhenMoved {
  StopsWhenMoved(StopSource* stop, int moves) : source(stop), left(moves) {}
  StopsWhenMoved(StopsWhenMoved&& other) noexcept : source(other.source), left(other.left - 1) {
    if (left == 0) source->request_stop();
  }
  StopSource* source;
  int left;
};

TEST_F(batch_queue, lets_a_caller_leave_that_is_cancelled_while_its_item_is_moved) {
  for (int moves = 1; moves <= 8; ++moves) {
    StopSource source;
    int handled = 0;
    BatchQueue<StopsWhenMoved, int> queue{
        executor_,
        [&](std::span<StopsWhenMoved> items) -> Task<std::vector<int>> {
          ++handled;
          static_cast<void>(
              co_await wait_until(executor_, saturating_add(executor_.now(), 1h), StopToken{}));
          co_return std::vector<int>(items.size(), 1);
        },
        {.release = rule(1, 0s)}};
    Outcome<int> out;
    const Time before = executor_.now();
    spawn(queue, StopsWhenMoved{&source, moves}, out, {.stop = source.token()});
    const bool stopped = source.stop_requested();
    scope_.wait();
    ASSERT_TRUE(out.done());
    EXPECT_EQ(out.failed(ErrorKind::cancelled), stopped);
    if (stopped) {
      EXPECT_EQ(out.at, before);
    }
    EXPECT_EQ(out.times, 1);
    static_cast<void>(queue.drain_and_wait());
    EXPECT_EQ(queue.stats().completed, static_cast<std::uint64_t>(handled));
  }
}

TEST_F(batch_queue, refuses_a_call_that_is_over_before_it_begins) {
  Queue queue{executor_, tens()};
  StopSource source;
  source.request_stop();
  EXPECT_EQ(queue.submit_and_wait(1, {.stop = source.token()}).error().kind(),
            ErrorKind::cancelled);
  EXPECT_EQ(queue.submit_and_wait(1, {.deadline = start_}).error().kind(), ErrorKind::deadline);
  EXPECT_EQ(executor_.armed, 0);
}

// --- room ----------------------------------------------------------------------------------------

TEST_F(batch_queue, makes_callers_wait_for_room_first_come_first_served) {
  Queue queue{executor_, slow_tens(1ms), {.release = rule(1, 0s), .capacity = 2}};
  std::vector<Outcome<int>> out(6);
  for (int item = 0; item < 6; ++item) spawn(queue, item, out[static_cast<std::size_t>(item)]);
  EXPECT_EQ(queue.stats().waiting, 4U);
  EXPECT_EQ(queue.stats().queued, 1U);
  EXPECT_EQ(queue.submit_and_wait(6).value(), 60);
  scope_.wait();
  EXPECT_THAT(batches_,
              ElementsAre(ElementsAre(0),
                          ElementsAre(1),
                          ElementsAre(2),
                          ElementsAre(3),
                          ElementsAre(4),
                          ElementsAre(5),
                          ElementsAre(6)));
}

TEST_F(batch_queue, does_not_wait_for_company_that_has_no_room) {
  Queue queue{executor_, tens(), {.release = rule(100, 1h), .capacity = 2}};
  std::array<Outcome<int>, 3> out;
  for (int item = 0; item < 3; ++item) spawn(queue, item, out[static_cast<std::size_t>(item)]);
  EXPECT_TRUE(out[0].ok() && out[1].ok());
  EXPECT_EQ(out[1].at, start_);
  scope_.wait();
  EXPECT_EQ(out[2].at, after(1h));
}

TEST_F(batch_queue, lets_callers_that_wait_for_room_leave) {
  Queue queue{executor_, slow_tens(1h), {.release = rule(1, 0s), .capacity = 1}};
  StopSource source;
  std::array<Outcome<int>, 4> out;
  spawn(queue, 1, out[0]);
  spawn(queue, 2, out[1], {.stop = source.token()});
  spawn(queue, 3, out[2], {.deadline = after(5ms)});
  spawn(queue, 4, out[3]);
  source.request_stop();
  executor_.run_for(6ms);
  EXPECT_TRUE(out[1].failed(ErrorKind::cancelled));
  EXPECT_TRUE(out[2].failed(ErrorKind::deadline));
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(1), ElementsAre(4)));
}

TEST_F(batch_queue, gives_the_room_of_a_withdrawn_item_to_the_next) {
  Queue queue{executor_, slow_tens(1h), {.release = rule(1, 0s), .capacity = 2}};
  StopSource source;
  std::array<Outcome<int>, 3> out;
  spawn(queue, 1, out[0]);
  spawn(queue, 2, out[1], {.stop = source.token()});
  spawn(queue, 3, out[2]);
  EXPECT_EQ(queue.stats().waiting, 1U);
  source.request_stop();
  EXPECT_EQ(queue.stats().waiting, 0U);
  EXPECT_EQ(queue.stats().queued, 1U);
  scope_.wait();
}

// --- drain, close, abort, destruction ------------------------------------------------------------

TEST_F(batch_queue, drain_returns_at_once_when_nothing_is_there) {
  Queue queue{executor_, tens()};
  EXPECT_TRUE(queue.drain_and_wait());
  EXPECT_TRUE(sync_wait(executor_, queue.drain()));
  EXPECT_EQ(executor_.now(), start_);
}

TEST_F(batch_queue, drain_flushes_and_waits_for_the_handler) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(100, 1h)}};
  Outcome<int> out;
  spawn(queue, 1, out);
  EXPECT_TRUE(queue.drain_and_wait());
  EXPECT_EQ(executor_.now(), after(5ms));
  EXPECT_EQ(queue.stats().completed, 1U);
  scope_.wait();
}

TEST_F(batch_queue, drain_does_not_wait_for_what_comes_later) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(1, 0s)}};
  std::vector<Outcome<int>> out(20);
  const auto stream = [&]() -> Task<void> {
    for (Outcome<int>& one : out) {
      scope_.spawn(put(queue, 1, {}, one));
      static_cast<void>(
          co_await wait_until(executor_, saturating_add(executor_.now(), 3ms), StopToken{}));
    }
  };
  scope_.spawn(stream());
  executor_.run_for(7ms);  // three are in, the second of them in the handler
  std::vector<std::uint64_t> completed;
  const auto drains = [&](Duration delay) -> Task<void> {
    static_cast<void>(
        co_await wait_until(executor_, saturating_add(executor_.now(), delay), StopToken{}));
    Task<Result<void>> drained = queue.drain();
    EXPECT_TRUE(co_await std::move(drained));
    completed.push_back(queue.stats().completed);
  };
  scope_.spawn(drains(0s));
  scope_.spawn(drains(1ms));
  scope_.spawn(drains(6ms));  // while the others drain: five are in
  scope_.wait();
  EXPECT_THAT(completed, ElementsAre(3, 3, 5));
}

TEST_F(batch_queue, drain_ends_with_its_call) {
  Queue queue{executor_, slow_tens(1h), {.release = rule(1, 0s)}};
  Outcome<int> out;
  spawn(queue, 1, out);
  EXPECT_EQ(queue.drain_and_wait({.deadline = after(3ms)}).error().kind(), ErrorKind::timeout);
  StopSource source;
  std::optional<Result<void>> ended;
  const auto drains = [&]() -> Task<void> {
    Task<Result<void>> drained = queue.drain({.stop = source.token()});
    ended.emplace(co_await std::move(drained));
  };
  scope_.spawn(drains());
  executor_.run();
  source.request_stop();
  executor_.run();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->error().kind(), ErrorKind::cancelled);
  EXPECT_TRUE(queue.drain_and_wait());
  scope_.wait();
  EXPECT_TRUE(out.ok());
}

TEST_F(batch_queue, close_handles_what_was_accepted_and_refuses_the_rest) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(2, 1h), .capacity = 3}};
  std::array<Outcome<int>, 4> out;
  for (int item = 0; item < 4; ++item)
    scope_.spawn(put(queue, item, {}, out[static_cast<std::size_t>(item)]));
  executor_.run();
  queue.close();
  executor_.run();
  EXPECT_TRUE(out[3].failed(ErrorKind::closed));
  EXPECT_EQ(queue.submit_and_wait(9).error().kind(), ErrorKind::closed);
  Outcome<int> late;
  spawn(queue, 9, late);
  EXPECT_TRUE(late.failed(ErrorKind::closed));
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0, 1), ElementsAre(2)));
  EXPECT_EQ(out[2].reply->value(), 20);
  EXPECT_EQ(out[2].at, after(10ms));
}

TEST_F(batch_queue, abort_refuses_what_has_not_left_and_stops_what_runs) {
  std::optional<Error> cause;
  const auto stoppable = [&](std::span<int>, Call& call) -> Task<Result<Replies>> {
    const bool came = co_await wait_until(executor_, never, call.stop);
    EXPECT_FALSE(came);
    co_return ErrorKind::cancelled;
  };
  Queue queue{executor_, stoppable, {.release = rule(1, 0s), .capacity = 2}};
  std::array<Outcome<int>, 3> out;
  for (Outcome<int>& one : out) spawn(queue, 1, one);
  queue.abort();
  scope_.wait();
  EXPECT_TRUE(out[0].failed(ErrorKind::cancelled));
  EXPECT_TRUE(out[1].failed(ErrorKind::closed));
  EXPECT_TRUE(out[2].failed(ErrorKind::closed));
  EXPECT_EQ(queue.submit_and_wait(1).error().kind(), ErrorKind::closed);
  EXPECT_TRUE(queue.drain_and_wait());
}

TEST_F(batch_queue, abort_lets_those_go_that_drain) {
  Queue queue{executor_, tens(), {.release = rule(100, 1h)}};
  Outcome<int> out;
  spawn(queue, 1, out);
  queue.abort();
  EXPECT_TRUE(queue.drain_and_wait());
  scope_.wait();
  EXPECT_TRUE(out.failed(ErrorKind::closed));
  EXPECT_TRUE(batches_.empty());
}

TEST_F(batch_queue, its_destructor_sees_every_accepted_item_through) {
  std::array<Outcome<int>, 3> out;
  StopSource source;
  {
    Queue queue{executor_, slow_tens(5ms), {.release = rule(2, 1h), .capacity = 2}};
    spawn(queue, 1, out[0], {.stop = source.token()});
    scope_.spawn(put(queue, 2, {}, out[1]));
    scope_.spawn(put(queue, 3, {}, out[2]));
    executor_.run();
  }
  EXPECT_EQ(executor_.now(), after(5ms));
  EXPECT_EQ(out[0].reply->value(), 10);
  scope_.wait();
  EXPECT_EQ(out[1].reply->value(), 20);
  EXPECT_TRUE(out[2].failed(ErrorKind::closed));
}

TEST_F(batch_queue, its_destructor_waits_for_a_batch_that_all_callers_left) {
  StopSource source;
  Outcome<int> out;
  {
    Queue queue{executor_, slow_tens(5ms), {.release = rule(1, 0s)}};
    spawn(queue, 1, out, {.stop = source.token()});
    source.request_stop();
    executor_.run();
    EXPECT_TRUE(out.failed(ErrorKind::cancelled));
  }
  EXPECT_EQ(executor_.now(), after(5ms));
  scope_.wait();
}

// --- the rest ------------------------------------------------------------------------------------

TEST_F(batch_queue, refuses_options_that_cannot_work) {
  EXPECT_THROW((Queue{executor_, tens(), {.capacity = 0}}), std::invalid_argument);
  EXPECT_THROW((Queue{executor_, tens(), {.max_running = 0}}), std::invalid_argument);
}

TEST_F(batch_queue, describes_its_settings) {
  const Queue queue{executor_, tens(), {.capacity = 7, .max_running = 2}};
  EXPECT_EQ(queue.describe(),
            "batch_queue(" + SizeWeightAge{}.describe() + ", capacity 7, max_running 2)");
}

TEST_F(batch_queue, counts_what_it_does) {
  Queue queue{executor_, slow_tens(5ms), {.release = rule(2, 1h)}};
  std::vector<Outcome<int>> out(5);
  for (Outcome<int>& one : out) spawn(queue, 1, one);
  EXPECT_EQ(queue.stats().running, 1U);
  EXPECT_EQ(queue.stats().queued, 3U);
  static_cast<void>(queue.drain_and_wait());
  const Queue::Stats stats = queue.stats();
  EXPECT_EQ(stats.queued, 0U);
  EXPECT_EQ(stats.running, 0U);
  EXPECT_EQ(stats.batches, 3U);
  EXPECT_EQ(stats.completed, 5U);
  EXPECT_EQ(stats.withdrawn, 0U);
  scope_.wait();
}

// A policy of the user's own, which says nothing about itself.
struct Pairs {
  [[nodiscard]] static Release decide(const Backlog& backlog, Time now) noexcept {
    return {backlog.items >= 2 ? now : never};
  }
  [[nodiscard]] static bool fits(std::size_t items, std::uint64_t, std::uint64_t) noexcept {
    return items < 2;
  }
};

TEST_F(batch_queue, leaves_by_a_policy_of_the_users_own) {
  BatchQueue<int, int, Pairs> queue{executor_, tens()};
  std::vector<Result<int>> replies;
  const auto body = [&](int item) -> Task<void> {
    Task<Result<int>> submitted = queue.submit(item);
    replies.push_back(co_await std::move(submitted));
  };
  for (int item = 0; item < 3; ++item) scope_.spawn(body(item));
  executor_.run_for(24h);
  EXPECT_EQ(replies.size(), 2U);
  queue.flush();
  scope_.wait();
  EXPECT_THAT(batches_, ElementsAre(ElementsAre(0, 1), ElementsAre(2)));
  EXPECT_EQ(queue.describe(), "batch_queue(capacity 10000, max_running 1)");
}

}  // namespace
}  // namespace penstock
