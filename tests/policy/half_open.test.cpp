// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

#include <penstock/policy/half_open.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::HalfOpenRule;
using penstock::LapsedProbe;
using penstock::Lease;
using penstock::LeaseState;
using penstock::never;
using penstock::ProbePlaces;
using penstock::ProbeTally;
using penstock::ProbeVerdict;
using penstock::Time;

constexpr Time start{1h};
constexpr Duration unit = Lease::unit;

static_assert(leasable(Lease{}, 4, start) && leasable(Lease{}, 0, Time::min()));
static_assert(!leasable(Lease{LeaseState::leased, 4, start + 1s}, 4, start));
static_assert(leasable(Lease{LeaseState::leased, 4, start}, 4, start));
static_assert(!leasable(Lease{LeaseState::leased, 4, never}, 4, never));
static_assert(!leasable(Lease{LeaseState::succeeded, 4, start}, 4, start + 1h));
static_assert(leasable(Lease{LeaseState::succeeded, 4, start + 1s}, 5, start));
static_assert(leasable(Lease{LeaseState::leased, 4, start + 1s}, 5, start));
// Who is behind takes nothing from who is ahead.
static_assert(!leasable(Lease{LeaseState::leased, 6, start + 1s}, 5, start));
static_assert(!leasable(Lease{LeaseState::succeeded, 6, start + 1s}, 5, start));
static_assert(!leasable(Lease{LeaseState::succeeded, 5 + 255, never}, 5, start));
// No thread is that far behind: that generation has long passed, its verdict with it.
static_assert(leasable(Lease{LeaseState::succeeded, 5 + 256, never}, 5, start));
static_assert(leasable(Lease{LeaseState::failed, 5, never}, 5 + 8192, start));
static_assert(!leasable(Lease{LeaseState::leased, 3, never}, 16'383, start));
// A verdict of another generation goes with the time of its lease, too.
static_assert(leasable(Lease{LeaseState::succeeded, 6, start}, 5, start));

static_assert(HalfOpenRule{}.probes == 1 && HalfOpenRule{}.success_rate == 1);
static_assert(HalfOpenRule{}.judge(ProbeTally{}) == ProbeVerdict::undecided);
constexpr HalfOpenRule all_of_three{3, 1};
static_assert(all_of_three.needed() == 3);
static_assert(all_of_three.judge({0, 0}) == ProbeVerdict::undecided);
static_assert(all_of_three.judge({2, 0}) == ProbeVerdict::undecided);
static_assert(all_of_three.judge({3, 0}) == ProbeVerdict::close);
static_assert(all_of_three.judge({0, 1}) == ProbeVerdict::open);

constexpr HalfOpenRule most_of_ten{10, 0.7};
static_assert(most_of_ten.needed() == 7);
static_assert(most_of_ten.judge({6, 3}) == ProbeVerdict::undecided);
static_assert(most_of_ten.judge({7, 3}) == ProbeVerdict::close);
static_assert(most_of_ten.judge({6, 4}) == ProbeVerdict::open);

static_assert(HalfOpenRule{100, 0.07}.needed() == 7);  // 0.07 * 100 is above 7 in floating point
static_assert(HalfOpenRule{10, 0.7 + 5e-11}.needed() == 7);
static_assert(HalfOpenRule{10, 0.7 + 5e-10}.needed() == 8);
static_assert(HalfOpenRule{4, 0.75 + 2.5e-10}.needed() == 3);  // exactly a billionth above 3
static_assert(HalfOpenRule{3, 0.5}.needed() == 2);
static_assert(HalfOpenRule{3, 1e-9}.needed() == 1);
static_assert(HalfOpenRule{1, 1}.needed() == 1);

TEST(half_open_rule, a_full_set_of_verdicts_always_decides) {
  for (std::uint32_t probes = 1; probes <= 20; ++probes) {
    for (double rate = 0.05; rate <= 1; rate += 0.05) {
      const HalfOpenRule rule{probes, rate};
      for (std::uint32_t succeeded = 0; succeeded <= probes; ++succeeded) {
        const ProbeVerdict verdict = rule.judge({succeeded, probes - succeeded});
        ASSERT_EQ(verdict, succeeded >= rule.needed() ? ProbeVerdict::close : ProbeVerdict::open);
      }
      ASSERT_GE(rule.needed() + 1e-9, rate * probes);
      ASSERT_LT(rule.needed() - 1.0, rate * probes);
    }
  }
}

constexpr std::uint16_t generation = 4;

ProbePlaces::Taken take(ProbePlaces& places, Time now, LapsedProbe policy = LapsedProbe::neutral) {
  return places.take(generation, now, 10s, policy);
}

TEST(probe_places, each_is_leased_to_one_until_it_lapses) {
  ProbePlaces places{2};
  const auto first = take(places, start);
  const auto second = take(places, start + 1s);
  EXPECT_NE(first.lease, 0U);
  EXPECT_NE(second.lease, 0U);
  EXPECT_NE(first.place, second.place);
  EXPECT_FALSE(first.found_failure || second.found_failure);

  const auto none = take(places, start + 2s);
  EXPECT_EQ(none.lease, 0U);
  EXPECT_FALSE(none.found_failure);
  EXPECT_GE(none.lapses, start + 10s);
  EXPECT_LT(none.lapses, start + 10s + unit);

  const auto next = take(places, start + 10s + unit);
  EXPECT_NE(next.lease, 0U);
  EXPECT_EQ(next.place, first.place);
}

TEST(probe_places, a_place_given_back_is_the_next_ones) {
  ProbePlaces places{1};
  const auto first = take(places, start);
  places.free(first.place, first.lease);
  const auto second = take(places, start + 1s);
  ASSERT_NE(second.lease, 0U);
  places.free(first.place, first.lease);  // not its own any more
  EXPECT_EQ(take(places, start + 1s).lease, 0U);
}

TEST(probe_places, a_verdict_is_counted_and_keeps_its_place_for_its_generation) {
  ProbePlaces places{3};
  const auto good = take(places, start);
  const auto bad = take(places, start);
  EXPECT_TRUE(places.settle(good.place, good.lease, LeaseState::succeeded));
  EXPECT_TRUE(places.settle(bad.place, bad.lease, LeaseState::failed));
  EXPECT_FALSE(places.settle(bad.place, bad.lease, LeaseState::succeeded));
  const auto open = take(places, start);
  const ProbeTally tally = places.tally(generation);
  EXPECT_EQ(tally.succeeded, 1U);
  EXPECT_EQ(tally.failed, 1U);
  EXPECT_EQ(places.tally(generation - 1).succeeded, 0U);
  EXPECT_EQ(places.tally(generation + 1).failed, 0U);

  EXPECT_EQ(take(places, start + 1s).lease, 0U);
  places.free(open.place, open.lease);
  EXPECT_EQ(take(places, start + 1h).place, open.place);
  EXPECT_EQ(places.take(generation + 1, start + 1h, 10s, LapsedProbe::neutral).place, good.place);
}

TEST(probe_places, all_verdicts_given_nobody_can_say_when_a_place_is_free) {
  ProbePlaces places{1};
  const auto only = take(places, start);
  EXPECT_TRUE(places.settle(only.place, only.lease, LeaseState::succeeded));
  EXPECT_EQ(take(places, start + 1s).lapses, never);
}

TEST(probe_places, a_lapsed_lease_is_neutral_or_a_failure_as_was_asked_for) {
  for (const LapsedProbe policy : {LapsedProbe::neutral, LapsedProbe::failure}) {
    ProbePlaces places{1};
    const auto hung = take(places, start, policy);
    const auto next = take(places, start + 11s, policy);
    const bool fails = policy == LapsedProbe::failure;
    EXPECT_EQ(next.found_failure, fails);
    EXPECT_EQ(next.lease == 0, fails);
    EXPECT_EQ(places.tally(generation).failed, fails ? 1U : 0U);
    EXPECT_FALSE(places.settle(hung.place, hung.lease, LeaseState::succeeded));
  }
}

TEST(probe_places, neither_a_free_place_nor_a_lease_of_another_generation_becomes_a_failure) {
  ProbePlaces places{2};
  const auto old = places.take(generation - 1, start, 1s, LapsedProbe::failure);
  const auto over = take(places, start + 2s, LapsedProbe::failure);
  EXPECT_EQ(over.place, old.place);
  EXPECT_FALSE(over.found_failure);
  const auto unused = take(places, start + 2s, LapsedProbe::failure);
  EXPECT_NE(unused.lease, 0U);
  EXPECT_FALSE(unused.found_failure);
  EXPECT_EQ(places.tally(generation).failed, 0U);
}

TEST(probe_places, who_finds_a_failure_is_told_when_the_next_lease_lapses) {
  ProbePlaces places{2};
  static_cast<void>(take(places, start));
  static_cast<void>(take(places, start + 5s));
  const auto found = take(places, start + 11s, LapsedProbe::failure);
  EXPECT_TRUE(found.found_failure);
  EXPECT_EQ(found.lease, 0U);
  EXPECT_GE(found.lapses, start + 15s);
  EXPECT_LT(found.lapses, start + 15s + unit);
}

TEST(probe_places, who_finds_a_failure_may_still_have_a_free_place) {
  ProbePlaces places{2};
  static_cast<void>(take(places, start));
  const auto found = take(places, start + 11s, LapsedProbe::failure);
  EXPECT_TRUE(found.found_failure);
  EXPECT_NE(found.lease, 0U);
  EXPECT_EQ(found.place, 1U);
}

}  // namespace
