// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include <penstock/policy/call_window.hpp>
#include <penstock/policy/count_window.hpp>

namespace {

using penstock::CountWindow;
using penstock::Sample;
using penstock::SampleCounts;

// trap 11
TEST(count_window, a_window_of_one_call_holds_the_last_one) {
  CountWindow window{1};
  EXPECT_EQ(window.counts_approx(0), SampleCounts{});
  for (const Sample sample : {Sample::failure, Sample::success, Sample::failure}) {
    window.record(0, sample);
    EXPECT_EQ(window.counts_approx(0), (SampleCounts{1, sample == Sample::failure ? 1U : 0U}));
  }
}

TEST(count_window, up_to_ten_calls_it_is_exact) {
  std::mt19937 random{1};
  for (std::uint32_t size = 1; size <= 10; ++size) {
    CountWindow window{size};
    std::vector<Sample> all;
    for (std::uint32_t call = 1; call <= 100; ++call) {
      all.push_back(random() % 2 == 0 ? Sample::failure : Sample::success);
      window.record(0, all.back());
      SampleCounts expected;
      for (std::uint32_t back = 0; back < std::min(call, size); ++back) {
        ++expected.total;
        if (all[call - 1 - back] == Sample::failure) ++expected.failures;
      }
      ASSERT_EQ(window.counts_approx(0), expected) << size << " calls, after " << call;
    }
  }
}

TEST(count_window, holds_its_calls_less_a_slice_that_is_not_full_yet) {
  for (const std::uint32_t size : {11U, 15U, 99U, 100U, 101U, 1000U, 100'000U}) {
    CountWindow window{size};
    const std::uint32_t slice = (size + 9) / 10;
    for (std::uint32_t call = 1; call <= 3 * size; ++call) {
      window.record(0, Sample::failure);
      if (call < size || (size > 10'000 && call % 977 != 0)) continue;
      const SampleCounts counts = window.counts_approx(0);
      ASSERT_LE(counts.total, (size + slice - 1) / slice * slice);
      ASSERT_GE(counts.total, size - slice + 1);
      ASSERT_EQ(counts.failures, counts.total);
    }
  }
}

TEST(count_window, forgets_by_calls_and_never_by_time) {
  CountWindow window{100};
  for (int call = 0; call < 100; ++call) window.record(0, Sample::failure);
  EXPECT_EQ(window.counts_approx(0), (SampleCounts{100, 100}));
  for (int call = 0; call < 100; ++call) window.record(0, Sample::success);
  EXPECT_EQ(window.counts_approx(0), (SampleCounts{100, 0}));
}

TEST(count_window, a_new_era_starts_at_nothing_wherever_the_old_one_stood) {
  for (int old = 0; old < 40; ++old) {
    CountWindow window{20};
    for (int call = 0; call < old; ++call) window.record(0, Sample::failure);
    EXPECT_EQ(window.counts_approx(1), SampleCounts{});
    window.record(1, Sample::success);
    EXPECT_EQ(window.counts_approx(1), (SampleCounts{1, 0}));
    window.record(0, Sample::failure);  // late
    EXPECT_EQ(window.counts_approx(1), (SampleCounts{1, 0}));
  }
}

TEST(count_window, an_era_that_passes_for_an_old_one_loses_one_sample) {
  CountWindow window{100};
  window.record(100, Sample::failure);
  const std::uint16_t much_later = 100 + 1014;
  for (int call = 0; call < 50; ++call) window.record(much_later, Sample::failure);
  EXPECT_EQ(window.counts_approx(much_later), (SampleCounts{49, 49}));
}

TEST(count_window, refuses_sizes_that_cannot_work) {
  EXPECT_THROW(CountWindow{0}, std::invalid_argument);
  EXPECT_THROW(CountWindow{100'001}, std::invalid_argument);
  EXPECT_NO_THROW(CountWindow{100'000});
}

TEST(call_window, is_of_the_kind_that_was_asked_for) {
  using namespace std::chrono_literals;
  constexpr penstock::Time start{1h};
  penstock::CallWindow none;
  penstock::CallWindow by_time{10s, 0, 8};
  penstock::CallWindow by_count{10s, 2, 8};
  for (auto* window : {&none, &by_time, &by_count}) {
    for (int call = 0; call < 3; ++call) window->record(start, 0, Sample::failure);
  }
  EXPECT_EQ(none.counts_approx(start, 0).total, 0U);
  EXPECT_EQ(by_time.counts_approx(start, 0).total, 3U);
  EXPECT_EQ(by_count.counts_approx(start, 0).total, 2U);
  EXPECT_EQ(by_time.counts_approx(start + 10s, 0).total, 0U);
  EXPECT_EQ(by_count.counts_approx(start + 10s, 0).total, 2U);
}

}  // namespace
