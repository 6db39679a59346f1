// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include <penstock/policy/sliding_window.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Duration;
using penstock::never;
using penstock::RingPosition;
using penstock::Sample;
using penstock::SampleCounts;
using penstock::SlidingWindow;
using penstock::StripedRing;
using penstock::Time;
using penstock::WindowSlice;

constexpr Time start{100s};

// Holds the first number, so that the thread of these tests has another.
const penstock::StripeNumber first_number;

static_assert(WindowSlice{} == WindowSlice{0, 0, 0, 0});
static_assert(WindowSlice{}.with(3, 7, Sample::failure) == WindowSlice{3, 7, 1, 1});
static_assert(WindowSlice{3, 7, 1, 1}.with(3, 7, Sample::success) == WindowSlice{3, 7, 2, 1});
static_assert(WindowSlice{3, 7, 9, 9}.with(3, 8, Sample::success) == WindowSlice{3, 8, 1, 0});
static_assert(WindowSlice{3, 7, 9, 9}.with(4, 7, Sample::success) == WindowSlice{4, 7, 1, 0});
// Late samples change nothing.
static_assert(WindowSlice{3, 7, 9, 9}.with(3, 6, Sample::failure) == WindowSlice{3, 7, 9, 9});
static_assert(WindowSlice{3, 7, 9, 9}.with(2, 7, Sample::failure) == WindowSlice{3, 7, 9, 9});
static_assert(WindowSlice{0, 7, 9, 9}.with(1023, 7, Sample::failure) == WindowSlice{0, 7, 9, 9});
static_assert(WindowSlice{18, 7, 9, 9}.with(3, 7, Sample::failure) == WindowSlice{18, 7, 9, 9});
static_assert(WindowSlice{3, 22, 9, 9}.with(3, 7, Sample::failure) == WindowSlice{3, 22, 9, 9});
static_assert(WindowSlice{19, 7, 9, 9}.with(3, 7, Sample::failure) == WindowSlice{3, 7, 1, 1});
static_assert(WindowSlice{3, 23, 9, 9}.with(3, 7, Sample::failure) == WindowSlice{3, 7, 1, 1});
// A clock that jumped far back, or an era that wrapped, begins the slice anew: never blind.
static_assert(WindowSlice{3, 700, 9, 9}.with(3, 6, Sample::failure) == WindowSlice{3, 6, 1, 1});
static_assert(WindowSlice{3, 7, 9, 9}.with(500, 7, Sample::failure) == WindowSlice{500, 7, 1, 1});
static_assert(WindowSlice{3, 7, 9, 9}.with(1020, 8, Sample::failure) == WindowSlice{1020, 8, 1, 1});
// A thread whose clock is behind but whose era is not takes the slice over.
static_assert(WindowSlice{3, 9, 9, 9}.with(4, 7, Sample::failure) == WindowSlice{4, 7, 1, 1});
// A full slice keeps its proportion.
static_assert(WindowSlice{3, 7, 65535, 32768}.with(3, 7, Sample::success) ==
              WindowSlice{3, 7, 32768, 16384});
static_assert(WindowSlice::unpack(WindowSlice{1023, 4194303, 65535, 65535}.pack()) ==
              WindowSlice{1023, 4194303, 65535, 65535});

// The short way of counting is the long one.
static_assert(WindowSlice::is_open(WindowSlice{3, 7, 9, 9}.pack(), 3, 7));
static_assert(WindowSlice::is_open(WindowSlice{3, 7, 65534, 9}.pack(), 1027, 4194311));
static_assert(!WindowSlice::is_open(WindowSlice{3, 7, 65535, 9}.pack(), 3, 7));
static_assert(!WindowSlice::is_open(WindowSlice{3, 7, 9, 9}.pack(), 3, 8));
static_assert(!WindowSlice::is_open(WindowSlice{3, 7, 9, 9}.pack(), 2, 7));
static_assert(WindowSlice{3, 7, 9, 4}.pack() + WindowSlice::one_more(Sample::failure) ==
              WindowSlice{3, 7, 9, 4}.with(3, 7, Sample::failure).pack());
static_assert(WindowSlice{3, 7, 9, 4}.pack() + WindowSlice::one_more(Sample::success) ==
              WindowSlice{3, 7, 9, 4}.with(3, 7, Sample::success).pack());

constexpr bool same(RingPosition a, RingPosition b) {
  return a.index == b.index && a.cycle == b.cycle;
}
static_assert(same(RingPosition{}, {0, 0}));
static_assert(same(RingPosition::of(0), {0, 0}));
static_assert(same(RingPosition::of(9), {9, 0}));
static_assert(same(RingPosition::of(10), {0, 1}));
static_assert(same(RingPosition::of(-1), {9, 0xFFFFFFFF}));
static_assert(same(RingPosition::of(-10), {0, 0xFFFFFFFF}));

// The slices that end at the position, and one more of a thread that is ahead.
static_assert(WindowSlice{0, 7, 1, 0}.inside(5, {5, 7}, 1));
static_assert(!WindowSlice{0, 7, 1, 0}.inside(4, {5, 7}, 1));
static_assert(WindowSlice{0, 7, 1, 0}.inside(4, {5, 7}, 2));
static_assert(WindowSlice{0, 6, 1, 0}.inside(6, {5, 7}, 10));
static_assert(!WindowSlice{0, 6, 1, 0}.inside(5, {5, 7}, 10));
static_assert(WindowSlice{0, 7, 1, 0}.inside(6, {5, 7}, 1));
static_assert(!WindowSlice{0, 7, 1, 0}.inside(7, {5, 7}, 10));
static_assert(WindowSlice{0, 8, 1, 0}.inside(0, {9, 7}, 1));
static_assert(WindowSlice{0, 4194303, 1, 0}.inside(9, {0, 4194304}, 2));
static_assert(WindowSlice{0, 4194303, 1, 0}.inside(9, {0, 0}, 2));
static_assert(!WindowSlice{0, 2097159, 1, 0}.inside(5, {5, 7}, 10));

TEST(sliding_window, counts_what_was_recorded) {
  SlidingWindow window{10s};
  window.record(start, 0, Sample::failure);
  window.record(start + 1s, 0, Sample::success);
  window.record(start + 1s, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start + 1s, 0), (SampleCounts{3, 2}));
}

TEST(sliding_window, forgets_after_the_window_and_not_before_nine_tenths_of_it) {
  SlidingWindow window{10s};
  window.record(start, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start + 9s, 0).total, 1U);
  EXPECT_EQ(window.counts_approx(start + 10s - 1ns, 0).total, 1U);
  EXPECT_EQ(window.counts_approx(start + 10s, 0).total, 0U);
}

TEST(sliding_window, a_long_silence_leaves_nothing_behind) {
  SlidingWindow window{10s};
  for (int slice = 0; slice < 10; ++slice) window.record(start + slice * 1s, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start + 9s, 0).total, 10U);
  EXPECT_EQ(window.counts_approx(start + 24h, 0).total, 0U);
  window.record(start + 24h, 0, Sample::success);
  EXPECT_EQ(window.counts_approx(start + 24h, 0), (SampleCounts{1, 0}));
}

TEST(sliding_window, a_new_era_starts_at_nothing_and_old_samples_stay_out) {
  SlidingWindow window{10s};
  window.record(start, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start, 1).total, 0U);
  window.record(start, 1, Sample::success);
  window.record(start, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start, 1), (SampleCounts{1, 0}));
  EXPECT_EQ(window.counts_approx(start, 0).total, 0U);
}

// A stripe that has slept while the breaker flapped: the era of what it holds has wrapped and looks
// newer than the present one.
TEST(sliding_window, no_era_is_blind_after_a_silence) {
  for (std::uint32_t era = 1; era <= 1024; ++era) {
    SlidingWindow window{10s};
    window.record(start, 0, Sample::failure);
    window.record(start + 1h, era, Sample::failure);
    ASSERT_EQ(window.counts_approx(start + 1h, era), (SampleCounts{1, 1})) << era;
  }
}

TEST(sliding_window, a_clock_that_jumps_counts_nothing_twice) {
  SlidingWindow window{10s};
  window.record(start + 100s, 0, Sample::failure);
  window.record(start, 0, Sample::failure);
  EXPECT_LE(window.counts_approx(start + 100s, 0).total, 1U);
  EXPECT_EQ(window.counts_approx(start + 110s, 0).total, 0U);
}

TEST(sliding_window, times_before_the_epoch_and_at_both_ends_are_counted) {
  for (const Time now : {Time{-1ns}, Time{-55s}, Time{}, Time::min(), never}) {
    SlidingWindow window{10s};
    window.record(now, 7, Sample::failure);
    EXPECT_EQ(window.counts_approx(now, 7), (SampleCounts{1, 1}));
  }
}

TEST(sliding_window, the_shortest_and_the_longest_window_work) {
  for (const Duration length : {Duration{1}, Duration::max()}) {
    SlidingWindow window{length};
    window.record(start, 0, Sample::success);
    EXPECT_EQ(window.counts_approx(start, 0).total, 1U);
  }
  EXPECT_THROW(SlidingWindow{0s}, std::invalid_argument);
}

// trap 11: a slice of another turn of the ring is not taken for one of this turn, however the
// clock jumps.
TEST(sliding_window, a_clock_that_jumps_whole_turns_finds_no_slice_of_the_past) {
  for (const Duration jump : {10s, 100s, 1000s, 86'400s}) {
    SlidingWindow window{10s};
    for (int slice = 0; slice < 10; ++slice) window.record(start + slice * 1s, 0, Sample::failure);
    EXPECT_EQ(window.counts_approx(start + 9s + jump, 0).total, 0U);
    EXPECT_EQ(window.counts_approx(start + 9s - jump - 1s, 0).total, 0U);
  }
}

TEST(sliding_window, a_thread_a_moment_behind_sees_what_one_ahead_has_counted) {
  SlidingWindow window{10s};
  window.record(start + 10s, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start + 10s - 1ns, 0).total, 1U);
  EXPECT_EQ(window.counts_approx(start + 9s - 1ns, 0).total, 0U);
}

TEST(sliding_window, stripes_are_rounded_up_to_a_power_of_two) {
  EXPECT_EQ(StripedRing{1}.stripes(), 1U);
  EXPECT_EQ(StripedRing{5}.stripes(), 8U);
  EXPECT_EQ(StripedRing{64}.stripes(), 64U);
  EXPECT_EQ(StripedRing{StripedRing::default_stripes}.stripes(), 8U);
  EXPECT_THROW(StripedRing{0}, std::invalid_argument);
  EXPECT_THROW(StripedRing{65}, std::invalid_argument);
}

TEST(sliding_window, a_length_that_is_no_multiple_of_ten_is_rounded_up_to_one) {
  SlidingWindow window{11ns};
  window.record(start, 0, Sample::failure);
  EXPECT_EQ(window.counts_approx(start + 19ns, 0).total, 1U);
  EXPECT_EQ(window.counts_approx(start + 20ns, 0).total, 0U);
}

TEST(striped_ring, counts_for_threads_with_any_number) {
  ASSERT_NE(penstock::stripe_hint(), 0U);
  for (const std::uint32_t stripes : {1U, 2U, 64U}) {
    StripedRing ring{stripes};
    EXPECT_EQ(ring.record({3, 7}, 1, Sample::failure), 1U);
    EXPECT_EQ(ring.counts_approx({3, 7}, 1, 1), (SampleCounts{1, 1}));
  }
}

TEST(striped_ring, tells_what_one_slice_holds) {
  StripedRing ring{8};
  const RingPosition at{3, 7};
  EXPECT_EQ(ring.record(at, 1, Sample::failure), 1U);
  EXPECT_EQ(ring.record(at, 1, Sample::success), 2U);
  EXPECT_EQ(ring.record({4, 7}, 1, Sample::success), 1U);
  EXPECT_EQ(ring.record(at, 0, Sample::success), 0U) << "too late, and lost";
  EXPECT_EQ(ring.slice_total_approx(at, 1), 2U);
  EXPECT_EQ(ring.slice_total_approx(at, 2), 0U);
  EXPECT_EQ(ring.slice_total_approx({3, 8}, 1), 0U);
}

// Against a plain list of samples, with a clock that only goes forward.
TEST(sliding_window, agrees_with_a_list_of_all_samples) {
  std::mt19937_64 random{5};
  for (int run = 0; run < 50; ++run) {
    SlidingWindow window{100ns};
    std::vector<std::pair<std::int64_t, Sample>> all;
    std::int64_t now = static_cast<std::int64_t>(random() % 1000);
    for (int event = 0; event < 1000; ++event) {
      now += static_cast<std::int64_t>(random() % (random() % 20 == 0 ? 400 : 8));
      const Sample sample = random() % 3 == 0 ? Sample::failure : Sample::success;
      window.record(Time{Duration{now}}, 0, sample);
      all.emplace_back(now, sample);
      SampleCounts expected;
      for (const auto& [when, kind] : all) {
        if (when / 10 <= now / 10 - 10) continue;
        ++expected.total;
        if (kind == Sample::failure) ++expected.failures;
      }
      ASSERT_EQ(window.counts_approx(Time{Duration{now}}, 0), expected);
    }
  }
}

}  // namespace
