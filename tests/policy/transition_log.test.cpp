// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <penstock/policy/transition_log.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Time;
using penstock::Transition;
using penstock::TransitionLog;
using State = penstock::CircuitState;

constexpr Time start{std::chrono::nanoseconds{65'536} * 1'000'000};

static_assert(Transition{} == Transition{State::closed, State::closed, 0, Time{}, 0});

std::vector<Transition> delivered(TransitionLog& log) {
  std::vector<Transition> all;
  log.deliver([&](const Transition& transition) { all.push_back(transition); });
  return all;
}

TEST(transition_log, delivers_each_transition_once_with_what_was_before) {
  TransitionLog log{4};
  EXPECT_FALSE(log.pending_approx());
  log.add(State::open, 1, start);
  log.add(State::half_open, 2, start);
  EXPECT_TRUE(log.pending_approx());
  EXPECT_EQ(delivered(log),
            (std::vector<Transition>{{State::closed, State::open, 1, start, 0},
                                     {State::open, State::half_open, 2, start, 0}}));
  EXPECT_FALSE(log.pending_approx());
  EXPECT_TRUE(delivered(log).empty());
  log.add(State::closed, 3, {});
  EXPECT_EQ(delivered(log),
            (std::vector<Transition>{{State::half_open, State::closed, 3, Time{}, 0}}));
}

// Two threads have moved the circuit, and the second is the first to write it down.
TEST(transition_log, what_is_written_out_of_order_is_delivered_in_order) {
  TransitionLog log{4};
  log.add(State::half_open, 2, start);
  EXPECT_TRUE(delivered(log).empty());
  log.add(State::open, 1, start);
  const auto all = delivered(log);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].to, State::open);
  EXPECT_EQ(all[1].to, State::half_open);
}

TEST(transition_log, says_how_many_were_overwritten) {
  TransitionLog log{4};
  for (std::uint16_t generation = 1; generation <= 10; ++generation) {
    log.add(generation % 2 == 0 ? State::closed : State::open, generation, start);
  }
  const auto all = delivered(log);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0], (Transition{State::closed, State::open, 7, start, 6}));
  EXPECT_EQ(all[1], (Transition{State::open, State::closed, 8, start, 0}));
}

TEST(transition_log, a_late_thread_does_not_overwrite_a_newer_transition) {
  TransitionLog log{2};
  log.add(State::open, 1, start);
  log.add(State::half_open, 4, start);
  log.add(State::closed, 3, start);
  log.add(State::disabled, 2, start);
  const auto all = delivered(log);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].generation, 3U);
  EXPECT_EQ(all[0].missed, 2U);
  EXPECT_EQ(all[1].to, State::half_open);
}

TEST(transition_log, generations_wrap) {
  TransitionLog log{8};
  std::uint32_t seen = 0;
  for (std::uint32_t step = 1; step <= 40'000; ++step) {
    log.add(static_cast<State>(step % 4), step & 0x3FFFU, {});
    if (step % 3 != 0) continue;
    log.deliver([&](const Transition& transition) {
      ++seen;
      ASSERT_EQ(transition.missed, 0U);
      ASSERT_EQ(transition.generation, seen & 0x3FFFU);
      ASSERT_EQ(transition.to, static_cast<State>(seen % 4));
    });
  }
  EXPECT_EQ(seen, 39'999U);
}

TEST(transition_log, delivered_after_each_move_it_neither_misses_nor_forgets_one) {
  for (const std::size_t capacity : {1U, 2U, 4U, 8U}) {
    TransitionLog log{capacity};
    for (std::uint16_t generation = 1; generation <= 40; ++generation) {
      EXPECT_FALSE(log.pending_approx());
      log.add(State::open, generation, start);
      const auto all = delivered(log);
      ASSERT_EQ(all.size(), 1U) << generation << " of a log of " << capacity;
      EXPECT_EQ(all[0].generation, generation);
      EXPECT_EQ(all[0].missed, 0U);
    }
  }
}

// trap 7: the receiver runs with nothing held, so it may do what it likes to the log.
TEST(transition_log, a_receiver_that_adds_is_told_of_that_next_and_not_inside) {
  TransitionLog log{8};
  log.add(State::open, 1, start);
  std::vector<std::uint16_t> order;
  int depth = 0;
  const auto receiver = [&](auto& self, const Transition& transition) -> void {
    EXPECT_EQ(++depth, 1);
    order.push_back(transition.generation);
    if (transition.generation < 4) {
      log.add(State::closed, static_cast<std::uint16_t>(transition.generation + 1), start);
      log.deliver([&](const Transition& inner) { self(self, inner); });
    }
    --depth;
  };
  log.deliver([&](const Transition& transition) { receiver(receiver, transition); });
  EXPECT_EQ(order, (std::vector<std::uint16_t>{1, 2, 3, 4}));
}

TEST(transition_log, without_room_it_keeps_nothing) {
  TransitionLog log{0};
  EXPECT_FALSE(log.keeps_any());
  log.add(State::open, 1, start);
  EXPECT_FALSE(log.pending_approx());
  EXPECT_TRUE(delivered(log).empty());
  EXPECT_TRUE(TransitionLog{1}.keeps_any());
  EXPECT_THROW(TransitionLog{1025}, std::invalid_argument);
  EXPECT_NO_THROW(TransitionLog{1024});
}

}  // namespace
