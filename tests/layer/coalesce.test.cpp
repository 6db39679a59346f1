// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/coalesce.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Answered {
  int caller;
  Result<int> result;
  Duration at;
};

class coalesce_layer : public ::testing::Test {
 protected:
  // Answers with the number of the call, after a second; `script` fails calls in turn.
  auto over_leaf() {
    return testing::Coroutine::leaf(1s, [this](const std::string&, Call&) -> Result<int> {
      const std::size_t number = calls_++;
      if (number < script_.size() && script_[number]) return *script_[number];
      return static_cast<int>(number);
    });
  }
  // A caller of its own, joined by `scope_.wait()`.
  template <class Ask>
  void spawn(Ask& ask, int caller, std::string request, Call call = {}) {
    call.executor = &executor_;
    scope_.spawn(run(*this, ask, caller, std::move(request), call));
  }
  template <class Ask>
  static Task<void> run(
      coalesce_layer& self, Ask& ask, int caller, std::string request, Call call) {
    Result<int> result = co_await ask(request, call);
    self.answers_.push_back({caller, std::move(result), self.executor_.now() - self.start_});
  }

  testing::ManualExecutor executor_;
  Scope scope_{executor_};
  const Time start_ = executor_.now();
  InFlight<std::string, int> in_flight_;
  std::vector<std::optional<ErrorKind>> script_;
  std::size_t calls_ = 0;
  std::vector<Answered> answers_;
};

TEST_F(coalesce_layer, makes_one_call_for_all_who_want_the_same_at_once) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  for (int caller = 0; caller < 5; ++caller) spawn(ask, caller, "same");
  scope_.wait();
  EXPECT_EQ(calls_, 1U);
  ASSERT_EQ(answers_.size(), 5U);
  for (const Answered& answer : answers_) {
    EXPECT_EQ(*answer.result, 0);
    EXPECT_EQ(answer.at, 1s);
  }
  EXPECT_EQ(in_flight_.leaders_approx(), 0U);
}

TEST_F(coalesce_layer, makes_a_call_for_each_key) {
  // One bucket: different keys wait in one list.
  InFlight<std::string, int> crowded{{.buckets = 1}};
  auto ask = stack(coalesce(crowded)) | over_leaf();
  for (int caller = 0; caller < 6; ++caller) spawn(ask, caller, std::to_string(caller % 3));
  scope_.wait();
  EXPECT_EQ(calls_, 3U);
  for (const Answered& one : answers_)
    for (const Answered& other : answers_)
      EXPECT_EQ(*one.result == *other.result, one.caller % 3 == other.caller % 3);
}

TEST_F(coalesce_layer, makes_a_new_call_for_who_comes_after_the_reply) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  spawn(ask, 0, "same");
  scope_.wait();
  spawn(ask, 1, "same");
  scope_.wait();
  EXPECT_EQ(calls_, 2U);
}

TEST_F(coalesce_layer, takes_the_key_from_a_function) {
  auto ask =
      stack(coalesce(in_flight_, [](const std::string& text) { return text.substr(0, 1); })) |
      over_leaf();
  spawn(ask, 0, "ab");
  spawn(ask, 1, "ac");
  scope_.wait();
  EXPECT_EQ(calls_, 1U);
}

TEST_F(coalesce_layer, a_cancelled_leader_hands_over_to_one_who_waits) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  StopSource source;
  const testing::StopAt stop{executor_, source, start_ + 600ms};
  spawn(ask, 0, "same", {.stop = source.token()});
  for (int caller = 1; caller < 4; ++caller) spawn(ask, caller, "same");
  scope_.wait();
  ASSERT_EQ(answers_.size(), 4U);
  EXPECT_EQ(answers_[0].result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(answers_[0].at, 600ms);
  EXPECT_EQ(calls_, 1U) << "the first call was cut short, one heir made another";
  for (std::size_t index = 1; index < 4; ++index) {
    EXPECT_EQ(*answers_[index].result, 0);
    EXPECT_EQ(answers_[index].at, 1600ms);
  }
}

TEST_F(coalesce_layer, a_leader_out_of_its_own_time_does_not_fail_those_who_have_more) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  spawn(ask, 0, "same", {.deadline = start_ + 300ms});
  spawn(ask, 1, "same");
  scope_.wait();
  EXPECT_EQ(answers_[0].result.error().kind(), ErrorKind::timeout);
  EXPECT_TRUE(answers_[1].result);
}

TEST_F(coalesce_layer, a_timeout_of_the_other_side_is_shared) {
  auto ask = stack(coalesce(in_flight_), attempt_timeout(500ms)) | over_leaf();
  spawn(ask, 0, "same", {.deadline = start_ + 10s});
  spawn(ask, 1, "same");
  scope_.wait();
  EXPECT_EQ(answers_[1].result.error().kind(), ErrorKind::timeout);
  EXPECT_EQ(answers_[1].at, 500ms);
}

TEST_F(coalesce_layer, who_waits_has_a_deadline_and_a_stop_of_its_own) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  StopSource source;
  const testing::StopAt stop{executor_, source, start_ + 200ms};
  spawn(ask, 0, "same");
  spawn(ask, 1, "same", {.stop = source.token()});
  spawn(ask, 2, "same", {.deadline = start_ + 400ms});
  scope_.wait();
  ASSERT_EQ(answers_.size(), 3U);
  EXPECT_EQ(answers_[0].result.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(answers_[0].at, 200ms);
  EXPECT_EQ(answers_[1].result.error().kind(), ErrorKind::timeout);
  EXPECT_EQ(answers_[1].at, 400ms);
  EXPECT_EQ(*answers_[2].result, 0);
}

TEST_F(coalesce_layer, shares_errors_or_lets_the_next_try) {
  script_ = {ErrorKind::transient};
  {
    auto ask = stack(coalesce(in_flight_)) | over_leaf();
    for (int caller = 0; caller < 3; ++caller) spawn(ask, caller, "same");
    scope_.wait();
    for (const Answered& answer : answers_)
      EXPECT_EQ(answer.result.error().kind(), ErrorKind::transient);
    EXPECT_EQ(calls_, 1U);
  }
  answers_.clear();
  calls_ = 0;
  auto ask = stack(coalesce(in_flight_, {}, CoalescePolicy{{.shared_errors = {}}})) | over_leaf();
  for (int caller = 0; caller < 3; ++caller) spawn(ask, caller, "same");
  scope_.wait();
  EXPECT_EQ(calls_, 2U);
  ASSERT_EQ(answers_.size(), 3U);
  EXPECT_FALSE(answers_[0].result);
  EXPECT_EQ(*answers_[1].result, 1);
  EXPECT_EQ(*answers_[2].result, 1);
}

TEST_F(coalesce_layer, an_heir_that_has_left_meanwhile_hands_over_again) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  StopSource source;
  const testing::StopAt stop{executor_, source, start_ + 300ms};
  spawn(ask, 0, "same", {.stop = source.token()});
  spawn(ask, 1, "same", {.stop = source.token()});
  spawn(ask, 2, "same");
  scope_.wait();
  ASSERT_EQ(answers_.size(), 3U);
  EXPECT_EQ(*answers_[2].result, 0);
}

TEST_F(coalesce_layer, a_blocking_caller_follows_a_coroutine) {
  auto leader = stack(coalesce(in_flight_)) | over_leaf();
  int blocking_calls = 0;
  auto follower = stack(coalesce(in_flight_)) |
                  [&](const std::string&) -> Result<int> { return ++blocking_calls; };
  spawn(leader, 0, "same");
  executor_.run_for(1ms);
  const auto result = follower(std::string{"same"}, Call{.executor = &executor_});
  EXPECT_EQ(*result, 0);
  EXPECT_EQ(blocking_calls, 0);
  scope_.wait();
  EXPECT_EQ(*follower(std::string{"same"}, Call{.executor = &executor_}), 1);
}

TEST_F(coalesce_layer, a_blocking_follower_leads_when_its_leader_was_cancelled) {
  auto leader = stack(coalesce(in_flight_)) | over_leaf();
  auto follower = stack(coalesce(in_flight_)) | [](const std::string&) -> Result<int> { return 7; };
  StopSource source;
  const testing::StopAt stop{executor_, source, start_ + 300ms};
  spawn(leader, 0, "same", {.stop = source.token()});
  executor_.run_for(1ms);
  EXPECT_EQ(*follower(std::string{"same"}, Call{.executor = &executor_}), 7);
  scope_.wait();
}

TEST_F(coalesce_layer, a_blocking_follower_has_a_deadline_of_its_own) {
  auto leader = stack(coalesce(in_flight_)) | over_leaf();
  auto follower = stack(coalesce(in_flight_)) | [](const std::string&) -> Result<int> { return 7; };
  spawn(leader, 0, "same");
  executor_.run_for(1ms);
  const auto result =
      follower(std::string{"same"}, Call{.deadline = start_ + 100ms, .executor = &executor_});
  EXPECT_EQ(result.error().kind(), ErrorKind::timeout);
  scope_.wait();
}

TEST_F(coalesce_layer, carries_what_the_key_function_or_the_leaf_throws) {
  const auto throws = [](const std::string&) -> std::string { throw std::runtime_error{"no key"}; };
  auto blocking =
      stack(coalesce(in_flight_, throws)) | [](const std::string&) -> Result<int> { return 1; };
  EXPECT_EQ(blocking(std::string{"x"}).error().message(), "no key");
  auto later = stack(coalesce(in_flight_, throws)) | over_leaf();
  EXPECT_EQ(sync_wait(executor_, later(std::string{"x"})).error().message(), "no key");
  auto broken = stack(coalesce(in_flight_)) |
                [](const std::string&) -> Task<Result<int>> { throw std::runtime_error{"broken"}; };
  EXPECT_EQ(sync_wait(executor_, broken(std::string{"x"})).error().message(), "broken");
  EXPECT_EQ(in_flight_.leaders_approx(), 0U);
}

TEST_F(coalesce_layer, describes_itself) {
  auto ask = stack(coalesce(in_flight_)) | over_leaf();
  EXPECT_EQ(describe(ask), "coalesce(shares every error) > leaf");
}

TEST(in_flight, a_leader_that_goes_without_a_reply_hands_over) {
  testing::ManualExecutor executor;
  InFlight<int, int> in_flight;
  using Member = InFlight<int, int>::Member;
  using Role = InFlight<int, int>::Role;
  const int key = 1;
  std::optional<Member> leader{std::in_place, in_flight, key};
  Member follower{in_flight, key};
  BlockingWaiter unused{leader->withdraw()};
  BlockingWaiter waiter{follower.withdraw()};
  EXPECT_EQ(leader->join(unused), Role::leads);
  EXPECT_EQ(follower.join(waiter), Role::follows);
  leader.reset();
  Call call{.executor = &executor};
  EXPECT_EQ(waiter.wait(call), WaitEnd::granted);
  EXPECT_EQ(follower.role(), Role::leads);
}

TEST(in_flight, refuses_a_number_of_buckets_it_cannot_mask) {
  EXPECT_THROW((InFlight<int, int>{{.buckets = 3}}), std::invalid_argument);
  EXPECT_THROW((InFlight<int, int>{{.buckets = 0}}), std::invalid_argument);
}

}  // namespace
}  // namespace penstock
