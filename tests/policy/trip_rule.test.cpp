// SPDX-License-Identifier: MIT
// The rules as tables of values, without threads, atomics or a clock: compiled, they hold.
#include <gtest/gtest.h>

#include <penstock/policy/trip_rule.hpp>

namespace {

using penstock::TripRule;
using penstock::TripWhen;

constexpr TripRule by_rate{.failure_rate = 0.5, .minimum_calls = 10};
static_assert(by_rate.opens({.failures = {10, 5}}));
static_assert(!by_rate.opens({.failures = {11, 5}}));
static_assert(!by_rate.opens({.failures = {9, 9}}));  // trap 13: too few calls say nothing
static_assert(!by_rate.opens({.slow = {10, 10}, .in_a_row = 100}));
static_assert(!by_rate.opens({}));
static_assert(TripRule{.failure_rate = 0.1}.opens({.failures = {10, 1}}));
static_assert(TripRule{.failure_rate = 1}.opens({.failures = {3, 3}}));
static_assert(TripRule{.failure_rate = 1}.opens({.failures = {1, 1}}));
static_assert(!TripRule{.failure_rate = 1, .minimum_calls = 0}.opens({}));

constexpr TripRule by_slow{.slow_rate = 0.25, .minimum_calls = 4};
static_assert(by_slow.opens({.slow = {4, 1}}));
static_assert(!by_slow.opens({.slow = {5, 1}}));
static_assert(!by_slow.opens({.failures = {4, 4}}));

constexpr TripRule by_row{.minimum_calls = 10, .failures_in_a_row = 5};
static_assert(by_row.opens({.in_a_row = 5}));
static_assert(!by_row.opens({.failures = {100, 100}, .in_a_row = 4}));
static_assert(!TripRule{.failures_in_a_row = 1}.opens({}));

constexpr TripRule any{
    .failure_rate = 0.5, .slow_rate = 0.25, .minimum_calls = 4, .failures_in_a_row = 3};
static_assert(any.opens({.failures = {4, 2}}));
static_assert(any.opens({.slow = {4, 1}}));
static_assert(any.opens({.in_a_row = 3}));
static_assert(!any.opens({.failures = {4, 1}, .slow = {5, 1}, .in_a_row = 2}));

constexpr TripRule all{.failure_rate = 0.5,
                       .slow_rate = 0.25,
                       .minimum_calls = 4,
                       .failures_in_a_row = 3,
                       .when = TripWhen::all_rules};
static_assert(all.opens({.failures = {4, 2}, .slow = {4, 1}, .in_a_row = 3}));
static_assert(!all.opens({.failures = {4, 1}, .slow = {4, 1}, .in_a_row = 3}));
static_assert(!all.opens({.failures = {4, 2}, .slow = {5, 1}, .in_a_row = 3}));
static_assert(!all.opens({.failures = {4, 2}, .slow = {4, 1}, .in_a_row = 2}));
// Of the rules that there are.
static_assert(TripRule{.failure_rate = 0.5, .failures_in_a_row = 3, .when = TripWhen::all_rules}
                  .opens({.failures = {4, 2}, .in_a_row = 3}));
static_assert(TripRule{.slow_rate = 0.5, .when = TripWhen::all_rules}.opens({.slow = {2, 1}}));
static_assert(!TripRule{.when = TripWhen::all_rules}.opens({{9, 9}, {9, 9}, 9}));
static_assert(!TripRule{.when = TripWhen::all_rules}.any());
static_assert(TripRule{.slow_rate = 0.1}.any() && by_row.any() && by_rate.any());

}  // namespace
