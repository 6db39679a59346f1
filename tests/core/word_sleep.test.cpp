// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include <penstock/core/sync.hpp>
#include <penstock/core/table_sleep.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Word = sync::atomic<std::uint32_t>;

template <class Sleep>
class sleeping_on_a_word : public testing::Test {};
using Ways = testing::Types<sync::WordSleep, sync::TableSleep>;
TYPED_TEST_SUITE(sleeping_on_a_word, Ways);

TYPED_TEST(sleeping_on_a_word, ends_at_once_when_it_is_another_than_expected) {
  const Word word{7};
  EXPECT_TRUE(TypeParam::sleep(word, 8, never));
  EXPECT_TRUE(TypeParam::sleep(word, 8, Time::min()));
}

TYPED_TEST(sleeping_on_a_word, ends_at_its_time_and_not_before) {
  const Word word{7};
  const Time until = sync::now() + 2ms;
  while (TypeParam::sleep(word, 7, until)) {
  }
  EXPECT_GE(sync::now(), until);
}

TYPED_TEST(sleeping_on_a_word, ends_at_once_at_an_instant_that_has_passed) {
  const Word word{7};
  EXPECT_FALSE(TypeParam::sleep(word, 7, Time::min()));
  EXPECT_FALSE(TypeParam::sleep(word, 7, Time{}));
  EXPECT_FALSE(TypeParam::sleep(word, 7, sync::now()));
}

TYPED_TEST(sleeping_on_a_word, takes_a_wake_up_for_a_word_that_has_gone) {
  std::optional<Word> word{std::in_place, 7};
  const Word* const place = &*word;
  word.reset();
  TypeParam::wake(place);
}

}  // namespace
}  // namespace penstock
