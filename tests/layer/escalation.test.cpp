// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/layer/escalation.hpp>
#include <penstock/layer/retry.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

template <class Mode>
class escalation_layer : public ::testing::Test {
 protected:
  // Fails with the scripted kinds in turn, then answers.
  auto primary(std::vector<ErrorKind> script) {
    return Mode::leaf(0s, [this, script](const int&, Call&) -> Result<std::string> {
      const std::size_t number = calls_++;
      if (number < script.size()) return script[number];
      return std::string{"primary"};
    });
  }
  auto backup() {
    return Mode::leaf(
        0s, [](const int&, Call&) -> Result<std::string> { return std::string{"backup"}; });
  }
  auto notify() {
    return [this](const Error& error) noexcept { told_.push_back(error.kind()); };
  }
  testing::ManualExecutor executor_;
  Escalation latch_;
  std::size_t calls_ = 0;
  std::vector<ErrorKind> told_;
};
TYPED_TEST_SUITE(escalation_layer, testing::Modes, testing::ModeNames);

TYPED_TEST(escalation_layer, leaves_a_transient_error_to_the_retry_inside) {
  RetryPolicy::Options options{.max_attempts = 3};
  options.rules[ErrorKind::transient] = {2, Backoff::none(), Jitter::none};
  auto ask =
      stack(escalation(this->latch_, this->notify(), this->backup()), retry(RetryPolicy{options})) |
      this->primary({ErrorKind::transient, ErrorKind::transient});
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), "primary");
  EXPECT_TRUE(this->told_.empty());
}

TYPED_TEST(escalation_layer, takes_a_permanent_error_to_the_backup) {
  auto ask = stack(escalation(this->latch_, this->notify(), this->backup())) |
             this->primary({ErrorKind::permanent});
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), "backup");
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), "primary");
  EXPECT_TRUE(this->told_.empty());
}

TYPED_TEST(escalation_layer, stops_everything_at_a_severe_error_and_tells_once) {
  auto ask = stack(escalation(this->latch_, this->notify(), this->backup())) |
             this->primary({ErrorKind::credential});
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 0).error().kind(), ErrorKind::credential);
  auto other = stack(escalation(this->latch_, this->notify())) | this->primary({});
  EXPECT_EQ(TypeParam::run(this->executor_, ask, 0).error().kind(), ErrorKind::closed);
  EXPECT_EQ(TypeParam::run(this->executor_, other, 0).error().kind(), ErrorKind::closed);
  EXPECT_EQ(this->calls_, 1U) << "refused without a call";
  EXPECT_EQ(this->told_, std::vector<ErrorKind>{ErrorKind::credential});
  this->latch_.reset();
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), "primary");
}

TYPED_TEST(escalation_layer, the_notifier_may_reset_it_at_once) {
  const auto reset = [this](const Error&) noexcept { this->latch_.reset(); };
  auto ask = stack(escalation(this->latch_, reset)) | this->primary({ErrorKind::quota});
  EXPECT_FALSE(TypeParam::run(this->executor_, ask, 0));
  EXPECT_EQ(*TypeParam::run(this->executor_, ask, 0), "primary");
}

TYPED_TEST(escalation_layer, describes_all_its_parts) {
  auto ask =
      stack(escalation(this->latch_, this->notify(), this->backup()), retry()) | this->primary({});
  EXPECT_EQ(describe(ask),
            "escalation(stops on credential|quota) > fallback(on unavailable|permanent|not_found) "
            "> " +
                RetryPolicy{}.describe() + " > leaf");
}

}  // namespace
}  // namespace penstock
