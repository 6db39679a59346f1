// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <stdexcept>

#include <penstock/policy/load_shed.hpp>

namespace penstock {
namespace {

using Entry = Admission::Entry;

constexpr LoadShedRule rule{{.max_in_flight = 10, .max_waiting = 100}};

// Low load: everyone at once.
static_assert(rule.decide(0, 0, Priority::low) == Entry::admitted);
static_assert(rule.decide(9, 0, Priority::low) == Entry::admitted);
// High load: everyone waits.
static_assert(rule.decide(10, 0, Priority::high) == Entry::queued);
static_assert(rule.decide(10, 49, Priority::low) == Entry::queued);
static_assert(rule.decide(9, 1, Priority::high) == Entry::queued);
// Overload: the less important are refused first.
static_assert(rule.decide(10, 50, Priority::low) == Entry::refused);
static_assert(rule.decide(10, 50, Priority::normal) == Entry::queued);
static_assert(rule.decide(10, 79, Priority::normal) == Entry::queued);
static_assert(rule.decide(10, 80, Priority::normal) == Entry::refused);
static_assert(rule.decide(10, 99, Priority::high) == Entry::queued);
static_assert(rule.decide(10, 100, Priority::high) == Entry::refused);

// As much room as a thousand need, unless told otherwise.
static_assert(LoadShedRule{{.max_in_flight = 1}}.room() == WaitRoom{512, 819, 1024});

TEST(load_shed_rule, a_lower_priority_never_fares_better) {
  for (std::uint32_t in_flight = 0; in_flight <= 12; ++in_flight)
    for (std::uint32_t waiting = 0; waiting <= 110; ++waiting) {
      const Entry low = rule.decide(in_flight, waiting, Priority::low);
      const Entry normal = rule.decide(in_flight, waiting, Priority::normal);
      const Entry high = rule.decide(in_flight, waiting, Priority::high);
      EXPECT_LE(high, normal);
      EXPECT_LE(normal, low);
    }
}

TEST(load_shed_rule, says_what_to_write_instead) {
  EXPECT_THROW((LoadShedRule{{.max_in_flight = 0}}), std::invalid_argument);
  EXPECT_THROW((LoadShedRule{{.max_in_flight = 1'000'001}}), std::invalid_argument);
  EXPECT_THROW((LoadShedRule{{.max_in_flight = 1, .max_waiting = 1'000'001}}),
               std::invalid_argument);
  EXPECT_THROW((LoadShedRule{{.max_in_flight = 1, .shares = {0.5, 0.4, 1}}}),
               std::invalid_argument);
  EXPECT_THROW((LoadShedRule{{.max_in_flight = 1, .shares = {0.5, 0.8, 1.1}}}),
               std::invalid_argument);
  EXPECT_THROW((LoadShedRule{{.max_in_flight = 1, .shares = {-0.1, 0.8, 1}}}),
               std::invalid_argument);
}

TEST(load_shed_rule, accepts_the_ends_of_its_ranges) {
  EXPECT_NO_THROW(
      (LoadShedRule{{.max_in_flight = 1'000'000, .max_waiting = 1'000'000, .shares = {0, 0, 0}}}));
  EXPECT_NO_THROW((LoadShedRule{{.max_in_flight = 1, .max_waiting = 0, .shares = {1, 1, 1}}}));
}

}  // namespace
}  // namespace penstock
