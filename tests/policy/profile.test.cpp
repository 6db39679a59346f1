// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>

#include <penstock/policy/profile.hpp>
#include <penstock/policy/rate_meter.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using enum ProfileName;

constexpr Time start{1'000'000s};

TEST(profile, grows_bolder_with_its_name_and_stays_within_the_tuning_ranges) {
  for (const unsigned cores : {0U, 1U, 2U, 64U}) {
    Profile before{};
    for (const ProfileName name : {conservative, balanced, aggressive}) {
      const Profile now = profile(name, cores);
      EXPECT_EQ(now.name, name);
      EXPECT_GE(now.batch_size, 10U);
      EXPECT_LE(now.batch_size, 50U);
      EXPECT_GE(now.max_retries, 3U);
      EXPECT_LE(now.max_retries, 5U);
      EXPECT_GE(now.request_timeout, 30s);
      EXPECT_LE(now.request_timeout, 60s);
      EXPECT_GE(now.max_concurrent, 1U);
      EXPECT_LE(now.max_concurrent, std::max<std::size_t>(2 * cores, 2));
      EXPECT_GE(now.cache_expiry, 5min);
      EXPECT_LE(now.cache_expiry, 15min);
      if (name != conservative) {
        EXPECT_GT(now.batch_size, before.batch_size);
        EXPECT_LT(now.backoff.base, before.backoff.base);
        EXPECT_GE(now.max_concurrent, before.max_concurrent);
      }
      before = now;
    }
    EXPECT_EQ(before.max_concurrent, std::max<std::size_t>(2 * cores, 2));
  }
}

// The settings as they are documented; a plain profile is the balanced one of a single core.
TEST(profile, has_the_settings_of_its_name) {
  const auto expect = [](const Profile& profile,
                         std::size_t batch_size,
                         Duration batch_age,
                         std::uint32_t max_retries,
                         Duration first_wait,
                         Duration longest_wait,
                         std::size_t max_concurrent) {
    EXPECT_EQ(profile.batch_size, batch_size);
    EXPECT_EQ(profile.batch_age, batch_age);
    EXPECT_EQ(profile.max_retries, max_retries);
    EXPECT_EQ(profile.backoff.base, first_wait);
    EXPECT_EQ(profile.backoff.cap, longest_wait);
    EXPECT_EQ(profile.max_concurrent, max_concurrent);
  };
  expect(profile(conservative, 2), 10, 10ms, 3, 1s, 30s, 1);
  expect(profile(conservative, 3), 10, 10ms, 3, 1s, 30s, 2);
  expect(profile(balanced, 1), 25, 20ms, 4, 200ms, 10s, 1);
  expect(profile(aggressive, 2), 50, 50ms, 5, 50ms, 2s, 4);
  expect(Profile{}, 25, 20ms, 4, 200ms, 10s, 1);
  EXPECT_EQ(Profile{}.request_timeout, profile(balanced, 1).request_timeout);
  EXPECT_EQ(Profile{}.cache_expiry, profile(balanced, 1).cache_expiry);
}

TEST(profile, gives_the_policies_it_stands_for) {
  const Profile bold = profile(aggressive, 4);
  EXPECT_EQ(bold.release().options().max_items, 50U);
  const RetryPolicy retry = bold.retry();
  EXPECT_EQ(retry.options().max_attempts, 6U);
  EXPECT_EQ(retry.options().rules[ErrorKind::transient].max_retries, 5U);
  EXPECT_EQ(retry.options().rules[ErrorKind::transient].backoff.base, 50ms);
}

TEST(profile_switch, begins_by_the_thresholds_alone) {
  for (const auto& [rate, name] : {std::pair{0.0, conservative},
                                   std::pair{99.9, conservative},
                                   std::pair{100.0, balanced},
                                   std::pair{999.0, balanced},
                                   std::pair{1000.0, aggressive}}) {
    ProfileSwitch chosen;
    EXPECT_EQ(chosen.update(start, rate), name) << rate;
  }
  EXPECT_EQ((ProfileSwitch{{.initial = balanced}}.current()), balanced);
}

TEST(profile_switch, moves_only_past_the_margin) {
  ProfileSwitch chosen{{.keep = 0s}};
  Time now = start;
  const auto at = [&](double rate) { return chosen.update(now += 1s, rate); };
  EXPECT_EQ(at(50), conservative);
  EXPECT_EQ(at(109), conservative);
  EXPECT_EQ(at(111), balanced);
  EXPECT_EQ(at(91), balanced);
  EXPECT_EQ(at(89), conservative);
  EXPECT_EQ(at(2000), aggressive);
  EXPECT_EQ(at(901), aggressive);
  EXPECT_EQ(at(899), balanced);
  EXPECT_EQ(at(1099), balanced);
  EXPECT_EQ(at(1101), aggressive);
  EXPECT_EQ(at(5), conservative);
}

TEST(profile_switch, keeps_a_choice_for_a_while) {
  ProfileSwitch chosen;
  EXPECT_EQ(chosen.update(start, 50), conservative);
  EXPECT_EQ(chosen.update(start + 9s, 5000), conservative);
  EXPECT_EQ(chosen.update(start + 10s, 5000), aggressive);
  EXPECT_EQ(chosen.update(start + 19s, 5), aggressive);
  EXPECT_EQ(chosen.update(start + 20s, 5), conservative);
}

TEST(profile_switch, a_choice_that_is_confirmed_is_kept_no_longer) {
  ProfileSwitch chosen;
  EXPECT_EQ(chosen.update(start, 50), conservative);
  EXPECT_EQ(chosen.update(start + 10s, 50), conservative);
  EXPECT_EQ(chosen.update(start + 11s, 5000), aggressive);
}

TEST(profile_switch, any_nanosecond_may_be_that_of_a_choice) {
  for (int late = 0; late < 16; ++late) {
    ProfileSwitch chosen{{.initial = balanced}};
    EXPECT_EQ(chosen.update(start + late * 1ns, 95), conservative);
    EXPECT_EQ(chosen.current(), conservative);
  }
}

TEST(profile_switch, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW(ProfileSwitch({.balanced_from = 0.5, .margin = 0}));
  EXPECT_NO_THROW(ProfileSwitch({.balanced_from = 500}));
  EXPECT_NO_THROW(ProfileSwitch({.keep = 0s}));
}

TEST(profile_switch, does_not_flap_around_a_threshold) {
  for (const double threshold : {100.0, 1000.0}) {
    ProfileSwitch chosen{{.keep = 0s}};
    ProfileName before = chosen.update(start, threshold);
    int changes = 0;
    for (int second = 1; second < 1000; ++second) {
      const double rate = threshold * (second % 2 == 0 ? 1.09 : 0.91);
      const ProfileName name = chosen.update(start + second * 1s, rate);
      changes += name != before ? 1 : 0;
      before = name;
    }
    EXPECT_EQ(changes, 0);
  }
}

TEST(profile_switch, follows_a_measured_rate_up_and_down) {
  RateMeter meter{10s};
  ProfileSwitch chosen;
  std::string seen;
  Time now = start;
  for (const int rate : {20, 400, 3000, 400, 20}) {
    for (int second = 0; second < 60; ++second, now += 1s) {
      for (int event = 0; event < rate; ++event) meter.record(now + Duration{1s} * event / rate);
      const auto name = to_string(chosen.update(now + 1s, meter.per_second_approx(now + 1s)));
      if (!seen.ends_with(name)) seen.append(" ").append(name);
    }
  }
  EXPECT_EQ(seen, " conservative balanced aggressive balanced conservative");
}

TEST(profile_switch, refuses_options_that_cannot_work) {
  EXPECT_THROW(ProfileSwitch({.balanced_from = 0}), std::invalid_argument);
  EXPECT_THROW(ProfileSwitch({.balanced_from = 100, .aggressive_from = 100}),
               std::invalid_argument);
  EXPECT_THROW(ProfileSwitch({.margin = 1}), std::invalid_argument);
  EXPECT_THROW(ProfileSwitch({.balanced_from = 900, .margin = 0.1}), std::invalid_argument);
  EXPECT_THROW(ProfileSwitch({.keep = -1s}), std::invalid_argument);
}

TEST(profiled_release, forms_batches_as_the_profile_in_force_says) {
  ProfileSwitch chosen{{.keep = 0s}};
  const ProfiledRelease release{chosen};
  const Backlog twenty{.items = 20, .weight = 20, .oldest = start};
  EXPECT_TRUE(release.decide(twenty, start).leaves(start));
  chosen.update(start, 5000);
  EXPECT_FALSE(release.decide(twenty, start).leaves(start));
  EXPECT_TRUE(release.fits(49, 49, 1));
  EXPECT_FALSE(release.fits(50, 50, 1));
  EXPECT_TRUE(release.decide(twenty, start + 50ms).leaves(start + 50ms));
}

}  // namespace
}  // namespace penstock
