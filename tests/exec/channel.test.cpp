// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <penstock/exec/channel.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

class channel : public ::testing::Test {
 protected:
  Task<void> put(Channel<int>& into, int value, Call call = {}) {
    const Result<void> sent = co_await into.send(value, call);
    if (!sent) refused.push_back(sent.error().kind());
  }
  Task<void> get(Channel<int>& from, Call call = {}) {
    Result<int> value = co_await from.receive(call);
    if (value) {
      received.push_back(*value);
    } else {
      refused.push_back(value.error().kind());
    }
  }
  void settle() { executor.run_for(0ns); }

  testing::ManualExecutor executor;
  Scope scope{executor};
  std::vector<int> received;
  std::vector<ErrorKind> refused;
};

TEST_F(channel, gives_values_in_the_order_they_were_sent) {
  Channel<int> numbers{4};
  for (int value = 0; value < 4; ++value) EXPECT_TRUE(numbers.try_send(int{value}));
  for (int value = 0; value < 4; ++value) EXPECT_EQ(numbers.try_receive(), value);
  EXPECT_EQ(numbers.try_receive(), std::nullopt);
}

TEST_F(channel, keeps_no_more_than_its_capacity) {
  Channel<int> numbers{2};
  EXPECT_TRUE(numbers.try_send(1));
  EXPECT_TRUE(numbers.try_send(2));
  EXPECT_EQ(numbers.try_send(3).error().kind(), ErrorKind::overloaded);
  EXPECT_EQ(numbers.size_approx(), 2U);
}

TEST_F(channel, serves_waiting_senders_in_the_order_they_came) {
  Channel<int> numbers{1};
  for (int value = 0; value < 5; ++value) scope.spawn(put(numbers, value));
  settle();
  for (int value = 0; value < 5; ++value) EXPECT_EQ(numbers.try_receive(), value);
  scope.wait();
}

TEST_F(channel, serves_waiting_receivers_in_the_order_they_came) {
  Channel<int> numbers{1};
  std::vector<std::optional<int>> got(3);
  const auto into = [&](std::size_t place) -> Task<void> {
    Result<int> value = co_await numbers.receive();
    if (value) got[place] = *value;
  };
  for (std::size_t place = 0; place < 3; ++place) scope.spawn(into(place));
  settle();
  for (int value = 0; value < 3; ++value) EXPECT_TRUE(numbers.try_send(int{value}));
  scope.wait();
  EXPECT_EQ(got, (std::vector<std::optional<int>>{0, 1, 2}));
}

TEST_F(channel, of_capacity_0_hands_each_value_over) {
  Channel<int> numbers{0};
  EXPECT_FALSE(numbers.try_send(1));
  scope.spawn(put(numbers, 7));
  settle();
  EXPECT_EQ(scope.running_approx(), 1U);
  EXPECT_EQ(numbers.try_receive(), 7);
  settle();
  EXPECT_EQ(scope.running_approx(), 0U);
  scope.spawn(get(numbers));
  settle();
  EXPECT_TRUE(numbers.try_send(8));
  scope.wait();
  EXPECT_EQ(received, std::vector{8});
}

TEST_F(channel, closed_gives_what_is_left_and_then_says_so) {
  Channel<int> numbers{2};
  EXPECT_TRUE(numbers.try_send(1));
  numbers.close();
  EXPECT_EQ(numbers.try_send(2).error().kind(), ErrorKind::closed);
  EXPECT_EQ(numbers.receive_and_wait().value(), 1);
  EXPECT_EQ(numbers.receive_and_wait().error().kind(), ErrorKind::closed);
}

TEST_F(channel, closed_refuses_those_who_wait) {
  Channel<int> full{1};
  Channel<int> empty{1};
  EXPECT_TRUE(full.try_send(1));
  scope.spawn(put(full, 2));
  scope.spawn(get(empty));
  settle();
  full.close();
  empty.close();
  scope.wait();
  EXPECT_EQ(refused, (std::vector{ErrorKind::closed, ErrorKind::closed}));
  EXPECT_EQ(full.try_receive(), 1);
  EXPECT_EQ(full.try_receive(), std::nullopt);
}

TEST_F(channel, a_wait_ends_at_the_deadline_or_the_stop_of_its_call) {
  Channel<int> numbers{0};
  StopSource source;
  const Time deadline = executor.now() + 3s;
  scope.spawn(get(numbers, {.deadline = deadline}));
  scope.spawn(get(numbers, {.stop = source.token()}));
  settle();
  source.request_stop();
  scope.wait();
  EXPECT_EQ(refused, (std::vector{ErrorKind::cancelled, ErrorKind::deadline}));
  EXPECT_EQ(executor.now(), deadline);
  EXPECT_FALSE(numbers.try_send(1));
}

TEST_F(channel, a_refused_value_stays_with_its_sender) {
  Channel<std::unique_ptr<int>> values{0};
  auto value = std::make_unique<int>(5);
  const auto body = [&]() -> Task<ErrorKind> {
    auto sending = values.send(std::move(value), {.deadline = executor.now() + 1s});
    const Result<void> sent = co_await sending;
    value = std::move(sending.value());
    co_return sent ? ErrorKind::permanent : sent.error().kind();
  };
  EXPECT_EQ(sync_wait(executor, body()), ErrorKind::deadline);
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 5);
  EXPECT_EQ(values.try_send(std::move(value)).error().kind(), ErrorKind::overloaded);
  EXPECT_NE(value, nullptr);
  values.close();
  EXPECT_EQ(values.send_and_wait(std::move(value)).error().kind(), ErrorKind::closed);
  EXPECT_NE(value, nullptr);
}

TEST_F(channel, a_sender_that_leaves_takes_its_value_out_of_the_queue) {
  Channel<int> numbers{0};
  StopSource source;
  scope.spawn(put(numbers, 1, {.stop = source.token()}));
  scope.spawn(put(numbers, 2));
  settle();
  source.request_stop();
  EXPECT_EQ(numbers.try_receive(), 2);
  scope.wait();
  EXPECT_EQ(refused, std::vector{ErrorKind::cancelled});
}

TEST_F(channel, a_value_handed_over_before_the_stop_is_received) {
  Channel<int> numbers{1};
  StopSource source;
  scope.spawn(get(numbers, {.stop = source.token()}));
  settle();
  EXPECT_TRUE(numbers.try_send(4));
  source.request_stop();
  scope.wait();
  EXPECT_EQ(received, std::vector{4});
}

TEST_F(channel, destroys_what_nobody_received) {
  const auto counted = std::make_shared<int>(1);
  {
    Channel<std::shared_ptr<int>> values{3};
    EXPECT_TRUE(values.try_send(std::shared_ptr<int>{counted}));
    EXPECT_TRUE(values.send_and_wait(counted));
    EXPECT_EQ(counted.use_count(), 3);
    EXPECT_TRUE(values.try_receive());
    EXPECT_EQ(counted.use_count(), 2);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST_F(channel, blocking_callers_meet_coroutines) {
  Channel<std::string> words{1};
  const auto echo = [&]() -> Task<void> {
    while (Result<std::string> word = co_await words.receive()) {
      if (word->size() > 3) words.close();
    }
  };
  scope.spawn(echo());
  for (const char* word : {"a", "bb", "ccc", "dddd"})
    EXPECT_TRUE(words.send_and_wait(word, {.executor = &executor}));
  scope.wait();
  EXPECT_EQ(words.receive_and_wait({.executor = &executor}).error().kind(), ErrorKind::closed);
}

TEST(channel_capacity, that_no_memory_could_hold_is_refused) {
  EXPECT_THROW(Channel<int>{std::numeric_limits<std::size_t>::max()}, std::length_error);
}

}  // namespace
}  // namespace penstock
