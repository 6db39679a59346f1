// SPDX-License-Identifier: MIT
// Wake-ups that meet the moment before the sleep, and the end of what is slept on.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <penstock/core/executor.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/core/table_sleep.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/thread_pool.hpp>

namespace penstock {
namespace {

using Word = sync::atomic<std::uint32_t>;
constexpr std::uint32_t rounds = 20'000;

template <class Sleep>
class a_word : public testing::Test {};
using Ways = testing::Types<sync::WordSleep, sync::TableSleep>;
TYPED_TEST_SUITE(a_word, Ways);

TYPED_TEST(a_word, goes_from_thread_to_thread_without_a_lost_wake_up) {
  Word word{0};
  const auto take_turns = [&](std::uint32_t first) {
    for (std::uint32_t turn = first; turn < rounds; turn += 2) {
      for (;;) {
        const std::uint32_t seen = word.load(std::memory_order_acquire);
        if (seen == turn) break;
        static_cast<void>(TypeParam::sleep(word, seen, never));
      }
      word.store(turn + 1, std::memory_order_release);
      TypeParam::wake(&word);
    }
  };
  std::thread other{take_turns, 1};
  take_turns(0);
  other.join();
  EXPECT_EQ(word.load(), rounds);
}

TYPED_TEST(a_word, ends_as_soon_as_it_has_changed) {
  for (std::uint32_t round = 0; round < rounds / 20; ++round) {
    auto word = std::make_unique<Word>(0);
    std::thread other{[place = word.get()] {
      place->store(1, std::memory_order_release);
      TypeParam::wake(place);
    }};
    while (word->load(std::memory_order_acquire) == 0)
      static_cast<void>(TypeParam::sleep(*word, 0, never));
    word.reset();
    other.join();
  }
}

struct Unpark final : Job {
  explicit Unpark(Parker& parker) noexcept
      : Job([](Job& job) noexcept { static_cast<Unpark&>(job).to.unpark(); }),
        to(parker) {}
  Parker& to;
};

TEST(an_executor, ends_while_the_post_that_woke_it_returns) {
  for (std::uint32_t round = 0; round < rounds / 20; ++round) {
    std::vector<std::thread> others;
    {
      Inline here;
      ThreadPool pool{2};
      Parker first;
      Parker second;
      Unpark there{first};
      Unpark back{second};
      others.emplace_back([&] { pool.post(there); });
      others.emplace_back([&] { here.post(back); });
      EXPECT_TRUE(pool.wait(first, never));
      EXPECT_TRUE(here.wait(second, never));
    }
    for (std::thread& other : others) other.join();
  }
}

}  // namespace
}  // namespace penstock
