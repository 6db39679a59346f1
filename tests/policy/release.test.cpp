// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>

#include <penstock/policy/release.hpp>

namespace {

using namespace std::chrono_literals;
using penstock::Backlog;
using penstock::Duration;
using penstock::never;
using penstock::Release;
using penstock::SizeWeightAge;
using penstock::Time;

constexpr Time start{1h};
constexpr SizeWeightAge policy{{.max_items = 4, .max_weight = 100, .max_age = 10ms}};

// A batch of exactly the limit leaves at once, one below it waits.
static_assert(Backlog{}.items == 0 && Backlog{}.weight == 0);
static_assert(policy.decide({.items = 4, .oldest = start}, start) == Release{start});
static_assert(policy.decide({.items = 9, .oldest = start}, start).leaves(start));
static_assert(!policy.decide({.items = 3, .oldest = start}, start).leaves(start));
static_assert(policy.decide({.items = 1, .weight = 100, .oldest = start}, start).leaves(start));
static_assert(!policy.decide({.items = 1, .weight = 99, .oldest = start}, start).leaves(start));

// The age counts from the oldest item, however late it is asked.
static_assert(policy.decide({.items = 1, .oldest = start}, start) == Release{start + 10ms});
static_assert(policy.decide({.items = 2, .oldest = start}, start + 9ms) == Release{start + 10ms});
static_assert(policy.decide({.items = 1, .oldest = start}, start + 10ms).leaves(start + 10ms));
static_assert(
    !policy.decide({.items = 1, .oldest = start}, start + 10ms - 1ns).leaves(start + 10ms - 1ns));

static_assert(policy.decide({.items = 1, .oldest = start, .flushing = true}, start).leaves(start));
// No batch is ever empty, flush or not.
static_assert(policy.decide({}, start) == Release{never});
static_assert(policy.decide({.flushing = true}, start) == Release{never});

constexpr SizeWeightAge at_once{{.max_age = 0s}};
static_assert(at_once.decide({.items = 1, .oldest = start}, start).leaves(start));
constexpr SizeWeightAge patient{{.max_age = Duration::max()}};
static_assert(patient.decide({.items = 1, .oldest = start}, start) == Release{never});

static_assert(policy.fits(3, 60, 40));
static_assert(!policy.fits(3, 60, 41));
static_assert(policy.fits(3, 100, 0) && !policy.fits(3, 101, 0));
static_assert(!policy.fits(4, 0, 1));
static_assert(policy.fits(0, 0, 1000));   // heavier than the limit: first, and
static_assert(!policy.fits(1, 1000, 0));  // alone
static_assert(!policy.fits(1, 1000, 1));
static_assert(!policy.fits(1, 1, std::numeric_limits<std::uint64_t>::max()));

// One requirement missing at a time.
struct NeverDecides {
  bool fits(std::size_t, std::uint64_t, std::uint64_t) const noexcept { return true; }
};
struct NeverFits {
  Release decide(const Backlog&, Time now) const noexcept { return {now}; }
};
struct MayThrow : NeverDecides {
  Release decide(const Backlog&, Time now) const { return {now}; }
};
struct SaysWhenWithoutRelease : NeverDecides {
  Time decide(const Backlog&, Time now) const noexcept { return now; }
};
struct Minimal : NeverDecides, NeverFits {};
static_assert(penstock::ReleasePolicy<Minimal>);
static_assert(!penstock::ReleasePolicy<NeverDecides>);
static_assert(!penstock::ReleasePolicy<NeverFits>);
static_assert(!penstock::ReleasePolicy<MayThrow>);
static_assert(!penstock::ReleasePolicy<SaysWhenWithoutRelease>);

TEST(release, batches_formed_by_fits_keep_both_limits) {
  std::mt19937_64 random{8};
  for (int run = 0; run < 5000; ++run) {
    const SizeWeightAge::Options options{.max_items = random() % 20 + 1,
                                         .max_weight = (random() >> (random() % 64)) | 1};
    const SizeWeightAge limits{options};
    std::size_t items = 0;
    std::uint64_t weight = 0;
    for (;;) {
      const std::uint64_t next = random() >> (random() % 64);
      if (!limits.fits(items, weight, next)) break;
      ++items;
      weight += next;
      ASSERT_LE(items, options.max_items);
      if (items > 1) {
        ASSERT_LE(weight, options.max_weight);
      }
    }
    ASSERT_GE(items, 1U);
  }
}

TEST(release, no_item_waits_longer_than_its_age_and_the_answer_does_not_move) {
  std::mt19937_64 random{9};
  for (int draw = 0; draw < 10'000; ++draw) {
    const Time oldest = start + Duration{static_cast<std::int64_t>(random() % 1'000'000)};
    const Time now = oldest + Duration{static_cast<std::int64_t>(random() % 20'000'000)};
    const Release release = policy.decide({.items = 1 + random() % 3, .oldest = oldest}, now);
    ASSERT_EQ(release.when, oldest + 10ms);
    ASSERT_EQ(release.leaves(now), now - oldest >= 10ms);
  }
}

TEST(release, the_default_needs_no_tuning) {
  const SizeWeightAge release;
  EXPECT_EQ(release.describe(), "release(32 items, age 10ms)");
  EXPECT_EQ(policy.describe(), "release(4 items, weight 100, age 10ms)");
}

TEST(release, says_what_to_write_instead) {
  EXPECT_THROW((SizeWeightAge{{.max_items = 0}}), std::invalid_argument);
  EXPECT_THROW((SizeWeightAge{{.max_weight = 0}}), std::invalid_argument);
  EXPECT_THROW((SizeWeightAge{{.max_age = -1ns}}), std::invalid_argument);
}

}  // namespace
