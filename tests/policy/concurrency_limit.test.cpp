// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdint>

#include <penstock/core/random.hpp>
#include <penstock/policy/concurrency_limit.hpp>

namespace penstock {
namespace {

using Entry = Admission::Entry;

constexpr Admission two{.limit = 2};
constexpr Admission one_in{.in_flight = 1, .limit = 2};
constexpr Admission full{.in_flight = 2, .limit = 2};
constexpr Admission one_waits{.in_flight = 2, .waiting = 1, .limit = 2};

static_assert(Admission{} == Admission{.in_flight = 0, .waiting = 0, .limit = 0});
static_assert(two.enter(0).entry == Entry::admitted);
static_assert(two.enter(0).state == one_in);
static_assert(full.enter(0).entry == Entry::refused);
static_assert(full.enter(0).state == full);
static_assert(full.enter(1).entry == Entry::queued);
static_assert(full.enter(1).state == one_waits);
static_assert(one_waits.enter(1).entry == Entry::refused);
static_assert(one_waits.enter(2).entry == Entry::queued);

static_assert(full.leave().state == one_in);
static_assert(!full.leave().hands_over);
static_assert(one_waits.leave().hands_over);
static_assert(one_waits.leave().state == full);

static_assert(one_waits.withdraw().withdrawn);
static_assert(one_waits.withdraw().state == full);
static_assert(!full.withdraw().withdrawn);
static_assert(full.withdraw().state == full);

// Nobody overtakes a waiter, whatever places are free.
static_assert(Admission{.in_flight = 0, .waiting = 1, .limit = 2}.enter(0).entry == Entry::refused);

// A lowered limit hands nothing over until it is met.
constexpr Admission lowered{.in_flight = 4, .waiting = 3, .limit = 2};
static_assert(!lowered.leave().hands_over);
static_assert(lowered.leave().state == Admission{.in_flight = 3, .waiting = 3, .limit = 2});
static_assert(lowered.enter(9).entry == Entry::queued);
static_assert(lowered.resize(6).admitted == 2);
static_assert(lowered.resize(6).state == Admission{.in_flight = 6, .waiting = 1, .limit = 6});
static_assert(lowered.resize(100).admitted == 3);
static_assert(lowered.resize(1).admitted == 0);
static_assert(lowered.resize(1).state == Admission{.in_flight = 4, .waiting = 3, .limit = 1});

constexpr Admission crowded{Admission::most, Admission::most - 1, Admission::most - 2};
static_assert(Admission::unpack(crowded.pack()) == crowded);
static_assert(Admission::unpack(lowered.pack()) == lowered);

TEST(admission, never_admits_more_than_the_limit_of_the_moment_and_never_forgets_anyone) {
  Random random{20240917};
  for (int run = 0; run < 200; ++run) {
    Admission state{.limit = static_cast<std::uint32_t>(random() % 5 + 1)};
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    for (int event = 0; event < 500; ++event) {
      switch (random() % 8) {
        case 0: {
          const auto limit = static_cast<std::uint32_t>(random() % 6 + 1);
          const auto step = state.resize(limit);
          ASSERT_TRUE(step.admitted == 0 || inside + step.admitted <= limit);
          inside += step.admitted;
          outside -= step.admitted;
          state = step.state;
          break;
        }
        case 1:
        case 2:
        case 3:
          if (inside != 0) {
            const auto step = state.leave();
            if (step.hands_over) {
              --outside;
              ASSERT_LE(inside, state.limit);
            } else {
              --inside;
            }
            state = step.state;
          }
          break;
        case 4: {
          const auto step = state.withdraw();
          ASSERT_EQ(step.withdrawn, outside != 0);
          if (step.withdrawn) --outside;
          state = step.state;
          break;
        }
        default: {
          const auto room = static_cast<std::uint32_t>(random() % 4);
          const auto step = state.enter(room);
          if (step.entry == Entry::admitted) {
            ASSERT_LT(inside, state.limit);
            ASSERT_EQ(outside, 0U);
            ++inside;
          } else if (step.entry == Entry::queued) {
            ASSERT_TRUE(inside >= state.limit || outside != 0);
            ++outside;
            ASSERT_LE(outside, room);
          } else {
            ASSERT_GE(outside, room);
          }
          state = step.state;
        }
      }
      ASSERT_EQ(state.in_flight, inside);
      ASSERT_EQ(state.waiting, outside);
      ASSERT_EQ(Admission::unpack(state.pack()), state);
      // Nobody waits beside a free place.
      ASSERT_TRUE(outside == 0 || inside >= state.limit);
    }
  }
}

}  // namespace
}  // namespace penstock
