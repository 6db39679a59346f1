// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/layer/cache.hpp>
#include <penstock/layer/coalesce.hpp>

#include "support/modes.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

template <class Mode>
class cache_layer : public ::testing::Test {
 protected:
  // Answers with the number of the call; `failure_` fails it.
  auto over_leaf(Duration time = 1s) {
    return Mode::leaf(time, [this](const std::string&, Call&) -> Result<int> {
      ++calls_;
      if (failure_) return *failure_;
      return calls_;
    });
  }
  template <class Ask>
  Result<int> run(Ask& ask, const std::string& request = "a", Call call = {}) {
    return Mode::run(executor_, ask, request, call);
  }
  testing::ManualExecutor executor_;
  Cache<std::string, int> kept_;
  std::optional<ErrorKind> failure_;
  int calls_ = 0;
};
TYPED_TEST_SUITE(cache_layer, testing::Modes, testing::ModeNames);

TYPED_TEST(cache_layer, answers_what_is_fresh_without_a_call) {
  auto ask = stack(cache(this->kept_)) | this->over_leaf();
  EXPECT_EQ(*this->run(ask), 1);
  const Time before = this->executor_.now();
  EXPECT_EQ(*this->run(ask), 1);
  EXPECT_EQ(this->executor_.now(), before);
  EXPECT_EQ(*this->run(ask, "b"), 2);
}

TYPED_TEST(cache_layer, asks_anew_when_the_time_to_live_is_over) {
  auto ask = stack(cache(this->kept_, {}, CachePolicy{{.ttl = 10s}})) | this->over_leaf();
  EXPECT_EQ(*this->run(ask), 1);
  this->executor_.advance(10s - 1ns);
  EXPECT_EQ(*this->run(ask), 1);
  this->executor_.advance(1ns);
  EXPECT_EQ(*this->run(ask), 2);
  EXPECT_EQ(*this->run(ask), 2);
}

TYPED_TEST(cache_layer, takes_the_key_from_a_function) {
  auto ask = stack(cache(this->kept_, [](const std::string& text) { return text.substr(0, 1); })) |
             this->over_leaf();
  EXPECT_EQ(*this->run(ask, "ab"), 1);
  EXPECT_EQ(*this->run(ask, "ac"), 1);
}

TYPED_TEST(cache_layer, keeps_no_error_unless_told_to) {
  auto ask = stack(cache(this->kept_)) | this->over_leaf();
  this->failure_ = ErrorKind::not_found;
  EXPECT_FALSE(this->run(ask));
  EXPECT_FALSE(this->run(ask));
  EXPECT_EQ(this->calls_, 2);
}

TYPED_TEST(cache_layer, keeps_the_errors_it_is_told_to_for_a_while) {
  auto ask = stack(cache(this->kept_, {}, CachePolicy{{.negative_ttl = 5s}})) | this->over_leaf();
  this->failure_ = ErrorKind::not_found;
  EXPECT_EQ(this->run(ask).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(this->run(ask).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(this->calls_, 1);
  this->executor_.advance(5s);
  this->failure_ = ErrorKind::transient;
  EXPECT_FALSE(this->run(ask));
  EXPECT_FALSE(this->run(ask));
  EXPECT_EQ(this->calls_, 3) << "of this kind it keeps none";
}

TYPED_TEST(cache_layer, answers_an_outage_with_a_stale_reply) {
  auto ask = stack(cache(this->kept_, {}, CachePolicy{{.ttl = 10s, .stale_if_error = 1min}})) |
             this->over_leaf();
  EXPECT_EQ(*this->run(ask), 1);
  this->executor_.advance(30s);
  this->failure_ = ErrorKind::unavailable;
  EXPECT_EQ(*this->run(ask), 1);
  EXPECT_EQ(this->calls_, 2);
  this->failure_ = ErrorKind::permanent;
  EXPECT_EQ(this->run(ask).error().kind(), ErrorKind::permanent);
  this->executor_.advance(1min);
  this->failure_ = ErrorKind::unavailable;
  EXPECT_EQ(this->run(ask).error().kind(), ErrorKind::unavailable);
}

TYPED_TEST(cache_layer, keeps_nothing_of_a_call_that_was_cancelled) {
  auto ask = stack(cache(this->kept_)) | this->over_leaf(10s);
  StopSource source;
  const testing::StopAt stop{this->executor_, source, this->executor_.now() + 5s};
  EXPECT_EQ(this->run(ask, "a", {.stop = source.token()}).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->kept_.size_approx(), 0U);
}

TYPED_TEST(cache_layer, carries_what_the_key_function_throws) {
  auto ask =
      stack(cache(this->kept_,
                  [](const std::string&) -> std::string { throw std::runtime_error{"no key"}; })) |
      this->over_leaf();
  EXPECT_EQ(this->run(ask).error().message(), "no key");
}

TYPED_TEST(cache_layer, the_caller_that_asks_anew_may_fail_and_the_next_one_asks_again) {
  auto ask =
      stack(cache(this->kept_, {}, CachePolicy{{.ttl = 10s, .stale_while_revalidate = 1min}})) |
      this->over_leaf();
  EXPECT_EQ(*this->run(ask), 1);
  this->executor_.advance(20s);
  this->failure_ = ErrorKind::unavailable;
  EXPECT_EQ(this->run(ask).error().kind(), ErrorKind::unavailable);
  this->failure_.reset();
  EXPECT_EQ(*this->run(ask), 3);
}

TYPED_TEST(cache_layer, describes_every_setting) {
  auto ask = stack(cache(this->kept_, {}, CachePolicy{{.ttl = 10s, .stale_if_error = 1min}})) |
             this->over_leaf();
  EXPECT_EQ(describe(ask), "cache(10s, stale 1min on outages, 1024 entries in 16 shards) > leaf");
}

class cache_of_coroutines : public ::testing::Test {
 protected:
  template <class Ask>
  static Task<void> caller(cache_of_coroutines& self, Ask& ask) {
    const Result<int> result = co_await ask(std::string{"a"}, Call{.executor = &self.executor_});
    self.replies_.push_back(result ? *result : -1);
    self.at_.push_back(self.executor_.now() - self.start_);
  }
  auto over_leaf() {
    return testing::Coroutine::leaf(
        1s, [this](const std::string&, Call&) -> Result<int> { return ++calls_; });
  }
  testing::ManualExecutor executor_;
  Scope scope_{executor_};
  Cache<std::string, int> kept_;
  const Time start_ = executor_.now();
  int calls_ = 0;
  std::vector<int> replies_;
  std::vector<Duration> at_;
};

TEST_F(cache_of_coroutines, one_caller_asks_anew_and_the_others_get_the_stale_reply_at_once) {
  auto ask = stack(cache(kept_, {}, CachePolicy{{.ttl = 10s, .stale_while_revalidate = 1min}})) |
             over_leaf();
  kept_.put("a", 100, start_ - 20s);
  for (int number = 0; number < 3; ++number) scope_.spawn(caller(*this, ask));
  scope_.wait();
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(replies_, (std::vector<int>{100, 100, 1}));
  EXPECT_EQ(at_, (std::vector<Duration>{0s, 0s, 1s}));
}

TEST_F(cache_of_coroutines, in_a_scope_nobody_waits_for_the_new_reply) {
  Scope refreshing{executor_};
  auto ask = stack(cache(kept_,
                         std::identity{},
                         CachePolicy{{.ttl = 10s, .stale_while_revalidate = 1min}},
                         refreshing)) |
             over_leaf();
  kept_.put("a", 100, start_ - 20s);
  for (int number = 0; number < 3; ++number) scope_.spawn(caller(*this, ask));
  scope_.wait();
  EXPECT_EQ(replies_, (std::vector<int>{100, 100, 100}));
  EXPECT_EQ(executor_.now(), start_);
  refreshing.wait();
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(*kept_.find("a")->result, 1);
}

TEST_F(cache_of_coroutines, around_coalesce_asks_once_for_what_is_gone) {
  InFlight<std::string, int> in_flight;
  auto ask = stack(cache(kept_), coalesce(in_flight)) | over_leaf();
  for (int number = 0; number < 5; ++number) scope_.spawn(caller(*this, ask));
  scope_.wait();
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(replies_, std::vector<int>(5, 1));
}

}  // namespace
}  // namespace penstock
