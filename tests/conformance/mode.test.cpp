// SPDX-License-Identifier: MIT
// The same work, blocking or a coroutine, in every mode.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/exec/mode.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/retry.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class every_mode : public ::testing::TestWithParam<Mode> {
 protected:
  every_mode() : items_(50) { std::iota(items_.begin(), items_.end(), 0); }
  [[nodiscard]] static ModeOptions options(std::size_t concurrency = 4) {
    return {.mode = GetParam(), .concurrency = concurrency};
  }
  void expect_squares(const std::vector<Result<int>>& replies) const {
    ASSERT_EQ(replies.size(), items_.size());
    for (const int item : items_)
      EXPECT_EQ(replies[static_cast<std::size_t>(item)].value(), item * item);
  }
  std::vector<int> items_;
};
INSTANTIATE_TEST_SUITE_P(conformance,
                         every_mode,
                         ::testing::Values(Mode::in_caller, Mode::threads, Mode::async),
                         [](const auto& mode) { return std::string{to_string(mode.param)}; });

TEST_P(every_mode, answers_in_the_order_of_the_items_by_a_service_that_blocks) {
  const auto square = [](int item, Call& call) -> Result<int> {
    if (!block_until(call, call.now + 10us)) return ErrorKind::cancelled;
    return item * item;
  };
  expect_squares(run_all(items_, square, options()));
}

TEST_P(every_mode, answers_in_the_order_of_the_items_by_a_coroutine) {
  const auto square = [](int item, Call& call) -> Task<Result<int>> {
    if (!co_await wait_until(call.where(), call.now + 10us, call.stop))
      co_return ErrorKind::cancelled;
    co_return item* item;
  };
  expect_squares(run_all(items_, square, options()));
}

TEST_P(every_mode, takes_a_stack) {
  std::atomic<int> asked{0};
  const auto leaf = [&](int item) -> Result<int> {
    if (++asked % 5 == 0) return ErrorKind::transient;
    return item * item;
  };
  RetryPolicy::Options retrying{.max_attempts = 50};
  retrying.rules[ErrorKind::transient] = {49, Backoff::fixed(10us), Jitter::none};
  auto ask = stack(deadline(60s), retry(RetryPolicy{retrying})) | leaf;
  expect_squares(run_all(items_, ask, options()));
}

TEST_P(every_mode, makes_no_more_calls_at_a_time_than_asked_for) {
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  const auto watched = [&](int item, Call& call) -> Task<Result<int>> {
    const int here = ++now;
    int seen = most;
    while (seen < here && !most.compare_exchange_weak(seen, here)) {
    }
    [[maybe_unused]] const bool came =
        co_await wait_until(call.where(), call.now + 100us, call.stop);
    --now;
    co_return item* item;
  };
  expect_squares(run_all(items_, watched, options(3)));
  EXPECT_LE(most, GetParam() == Mode::in_caller ? 1 : 3);
  EXPECT_GE(most, GetParam() == Mode::async ? 3 : 1);
}

TEST_P(every_mode, carries_what_the_service_throws) {
  const auto blocks = [](int item, Call&) -> Result<int> {
    if (item == 7) throw std::runtime_error{"seven"};
    return item;
  };
  const auto awaited = [](int item, Call&) -> Task<Result<int>> {
    if (item == 7) throw std::runtime_error{"seven"};
    co_return item;
  };
  EXPECT_EQ(run_all(items_, blocks, options())[7].error().message(), "seven");
  EXPECT_EQ(run_all(items_, awaited, options())[7].error().message(), "seven");
  EXPECT_EQ(run_all(items_, blocks, options())[8].value(), 8);
}

TEST_P(every_mode, ends_what_has_not_started_when_it_is_stopped) {
  StopSource source;
  std::atomic<int> calls{0};
  const auto stops = [&](int item, Call&) -> Result<int> {
    ++calls;
    source.request_stop();
    return item;
  };
  const std::vector<Result<int>> replies =
      run_all(items_, stops, options(2), Call{.stop = source.token()});
  const auto answered = std::ranges::count_if(replies, &Result<int>::has_value);
  EXPECT_EQ(answered, calls);
  EXPECT_LE(calls, 4);
  EXPECT_EQ(replies.back().error().kind(), ErrorKind::cancelled);
}

TEST_P(every_mode, starts_nothing_after_the_deadline) {
  const auto never_called = [](int item, Call&) -> Result<int> {
    ADD_FAILURE();
    return item;
  };
  const std::vector<Result<int>> replies =
      run_all(items_, never_called, options(), Call{.deadline = sync::now()});
  EXPECT_EQ(replies.front().error().kind(), ErrorKind::deadline);
}

TEST_P(every_mode, has_nothing_to_do_for_no_items) {
  const auto never_called = [](int item, Call&) -> Result<int> { return item; };
  EXPECT_TRUE(run_all(std::vector<int>{}, never_called, options()).empty());
}

TEST_P(every_mode, hands_out_the_executor_of_its_name) {
  const auto is_right = [](auto& executor) {
    using E = std::remove_reference_t<decltype(executor)>;
    if constexpr (std::is_same_v<E, Inline>) return Mode::in_caller;
    if constexpr (std::is_same_v<E, ThreadPool>) return Mode::threads;
    if constexpr (std::is_same_v<E, EventLoop>) return Mode::async;
  };
  EXPECT_EQ(with_executor(options(), is_right), GetParam());
}

TEST_P(every_mode, refuses_a_concurrency_of_nothing) {
  EXPECT_THROW(static_cast<void>(run_all(
                   items_, [](int item, Call&) -> Result<int> { return item; }, options(0))),
               std::invalid_argument);
}

TEST(mode, of_threads_refuses_more_than_can_be_counted_and_does_not_take_a_few_for_them) {
  const ModeOptions options{.mode = Mode::threads, .concurrency = (std::size_t{1} << 32U) + 1};
  EXPECT_THROW(with_executor(options, [](Executor&) {}), std::invalid_argument);
}

TEST(mode, that_is_inline_works_in_the_calling_thread) {
  const std::thread::id here = std::this_thread::get_id();
  const auto where = [&](int, Call&) -> Result<bool> { return std::this_thread::get_id() == here; };
  const std::vector<int> items{1, 2, 3};
  for (const Result<bool>& same : run_all(items, where, {.mode = Mode::in_caller}))
    EXPECT_TRUE(same.value());
}

}  // namespace
}  // namespace penstock
