// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/layer/balance.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/retry.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Answers with its own number, or fails when its number is in `down`.
struct Endpoint {
  int number;
  std::vector<int>* calls;
  const std::vector<bool>* down;
  Result<int> operator()(const int&, Call&) const {
    ++(*calls)[static_cast<std::size_t>(number)];
    if ((*down)[static_cast<std::size_t>(number)]) return ErrorKind::unavailable;
    return number;
  }
};

template <class Mode>
class balance_layer : public ::testing::Test {
 protected:
  auto services() {
    using Service = decltype(Mode::leaf(1ms, Endpoint{}));
    std::vector<Service> services;
    for (int number = 0; number < 3; ++number)
      services.push_back(Mode::leaf(1ms, Endpoint{number, &calls_, &down_}));
    return services;
  }
  testing::ManualExecutor executor_;
  std::vector<int> calls_ = std::vector<int>(3);
  std::vector<bool> down_ = std::vector<bool>(3);
};
TYPED_TEST_SUITE(balance_layer, testing::Modes, testing::ModeNames);

TYPED_TEST(balance_layer, chooses_a_service_for_each_call) {
  Balancer balancer{3, {.method = Balancer::Method::round_robin}};
  auto ask = stack(deadline(1s)) | balance(balancer, this->services());
  for (int call = 0; call < 6; ++call) EXPECT_TRUE(TypeParam::run(this->executor_, ask, 0));
  EXPECT_EQ(this->calls_, (std::vector<int>{2, 2, 2}));
  EXPECT_EQ(balancer.in_flight_approx(0), 0U);
  const Duration latency = balancer.latency_approx(0, this->executor_.now());
  EXPECT_GT(latency, 990us);
  EXPECT_LE(latency, 1ms);
}

TYPED_TEST(balance_layer, chooses_anew_for_each_attempt) {
  Balancer balancer{3, {.method = Balancer::Method::round_robin}};
  RetryPolicy::Options options{.max_attempts = 3};
  options.rules[ErrorKind::unavailable] = {2, Backoff::none(), Jitter::none};
  auto ask = stack(retry(RetryPolicy{options})) | balance(balancer, this->services());
  this->down_[0] = true;
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), 1);
}

TYPED_TEST(balance_layer, leaves_out_a_service_that_fails) {
  Balancer balancer{3, {.method = Balancer::Method::round_robin, .eject_after = 2}};
  auto ask = stack() | balance(balancer, this->services());
  this->down_[1] = true;
  for (int call = 0; call < 60; ++call) static_cast<void>(TypeParam::run(this->executor_, ask, 0));
  EXPECT_EQ(this->calls_[1], 2);
}

TYPED_TEST(balance_layer, a_cancelled_call_leaves_no_trace) {
  Balancer balancer{1, {.eject_after = 1}};
  std::vector<decltype(TypeParam::leaf(10s, Endpoint{}))> one;
  one.push_back(TypeParam::leaf(10s, Endpoint{0, &this->calls_, &this->down_}));
  auto ask = stack() | balance(balancer, std::move(one));
  StopSource source;
  const testing::StopAt stop{this->executor_, source, this->executor_.now() + 1s};
  EXPECT_FALSE(TypeParam::run(this->executor_, ask, 0, {.stop = source.token()}));
  EXPECT_EQ(balancer.in_flight_approx(0), 0U);
  EXPECT_EQ(balancer.latency_approx(0, this->executor_.now()), 0ns);
  EXPECT_FALSE(balancer.ejected(0, this->executor_.now()));
}

TYPED_TEST(balance_layer, its_services_may_be_stacks_of_their_own) {
  Balancer balancer{2, {.method = Balancer::Method::round_robin}};
  using Stacked = decltype(stack(deadline(1s)) | TypeParam::leaf(1ms, Endpoint{}));
  std::vector<Stacked> stacks;
  for (int number = 0; number < 2; ++number)
    stacks.push_back(stack(deadline(1s)) |
                     TypeParam::leaf(1ms, Endpoint{number, &this->calls_, &this->down_}));
  auto ask = stack() | balance(balancer, std::move(stacks));
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), 0);
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), 1);
  EXPECT_EQ(describe(ask), balancer.describe() + " > deadline(1s) > leaf");
}

TYPED_TEST(balance_layer, refuses_another_number_of_services_than_of_endpoints) {
  Balancer balancer{2};
  EXPECT_THROW(static_cast<void>(balance(balancer, this->services())), std::invalid_argument);
}

TEST(balance_of_throwing_services, counts_what_a_service_throws_as_its_failure) {
  Balancer balancer{1, {.eject_after = 1}};
  struct Broken {
    Result<int> operator()(int, Call&) { throw std::runtime_error{"broken"}; }
  };
  std::vector<Broken> services(1);
  auto ask = stack() | balance(balancer, std::move(services));
  testing::ManualExecutor executor;
  EXPECT_EQ(ask(1, {.executor = &executor}).error().message(), "broken");
  EXPECT_TRUE(balancer.ejected(0, executor.now()));
}

TEST(balance_of_throwing_services, counts_what_one_throws_before_its_task) {
  Balancer balancer{1, {.eject_after = 1}};
  struct Broken {
    Task<Result<int>> operator()(int) { throw std::runtime_error{"broken"}; }
  };
  auto ask = stack() | balance(balancer, std::vector<Broken>(1));
  testing::ManualExecutor executor;
  EXPECT_EQ(testing::Coroutine::run(executor, ask, 1).error().message(), "broken");
  EXPECT_TRUE(balancer.ejected(0, executor.now()));
}

}  // namespace
}  // namespace penstock
