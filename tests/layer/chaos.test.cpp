// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/layer/chaos.hpp>
#include <penstock/layer/deadline.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

template <class Mode>
class chaos_layer : public ::testing::Test {
 protected:
  auto over_leaf() {
    return Mode::leaf(1s, [this](const int&, Call&) -> Result<int> { return ++calls_; });
  }
  testing::ManualExecutor executor_;
  const Time start_ = executor_.now();
  int calls_ = 0;
};
TYPED_TEST_SUITE(chaos_layer, testing::Modes, testing::ModeNames);

TYPED_TEST(chaos_layer, does_nothing_at_rate_zero) {
  auto ask = stack(chaos(ChaosPolicy{})) | this->over_leaf();
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), 1);
}

TYPED_TEST(chaos_layer, fails_instead_of_the_call) {
  auto ask = stack(chaos(ChaosPolicy{{.fault_rate = 1}})) | this->over_leaf();
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 0).error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(this->calls_, 0);
}

TYPED_TEST(chaos_layer, makes_the_call_late) {
  auto ask = stack(chaos(ChaosPolicy{{.latency_rate = 1, .latency = 5s}})) | this->over_leaf();
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), 1);
  EXPECT_EQ(this->executor_.now() - this->start_, 6s);
}

TYPED_TEST(chaos_layer, loses_the_reply_of_a_call_that_was_made) {
  auto ask = stack(chaos(ChaosPolicy{{.outcome_rate = 1}})) | this->over_leaf();
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 0).error().kind(), ErrorKind::timeout);
  EXPECT_EQ(this->calls_, 1);
}

TYPED_TEST(chaos_layer, a_wait_it_injects_ends_with_the_deadline_and_with_the_stop) {
  auto ask = stack(chaos(ChaosPolicy{{.latency_rate = 1, .latency = 1h}})) | this->over_leaf();
  const Call limited{.deadline = this->start_ + 3s};
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 0, limited).error().kind(), ErrorKind::timeout);
  EXPECT_EQ(this->executor_.now() - this->start_, 3s);
  StopSource source;
  const testing::StopAt stop{this->executor_, source, this->start_ + 4s};
  const Call stopped{.stop = source.token()};
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 0, stopped).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->executor_.now() - this->start_, 4s);
  EXPECT_EQ(this->calls_, 0);
}

TYPED_TEST(chaos_layer, repeats_its_trouble_by_the_seed_of_the_executor) {
  const auto run = [&](std::uint64_t seed) {
    testing::ManualExecutor executor{seed};
    auto ask = stack(chaos(ChaosPolicy{{.fault_rate = 0.5}})) | this->over_leaf();
    std::vector<bool> failed;
    for (int call = 0; call < 64; ++call)
      failed.push_back(!TypeParam::run(executor, ask, 0).has_value());
    return failed;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TYPED_TEST(chaos_layer, describes_itself) {
  auto ask = stack(deadline(1s), chaos(ChaosPolicy{{.fault_rate = 0.1}})) | this->over_leaf();
  EXPECT_EQ(describe(ask), "deadline(1s) > chaos(0.1 unavailable) > leaf");
}

}  // namespace
}  // namespace penstock
