// SPDX-License-Identifier: MIT
// When an endpoint is left out, as tables of values: compiled, they hold.
#include <gtest/gtest.h>

#include <chrono>

#include <penstock/policy/endpoint_health.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1h};
constexpr Duration unit{1 << 20};

constexpr EndpointHealth::Rules rules{.after = 3, .base = 10s, .most = 25s};
constexpr EndpointHealth fail(EndpointHealth health, int times, Time at = now) {
  for (int time = 0; time < times; ++time) health = health.after_failure(rules, at, at);
  return health;
}
static_assert(!fail({}, 2).ejected(now));
static_assert(fail({}, 3).ejected(now) && fail({}, 3).ejected(now + 10s - 1ns));
static_assert(!fail({}, 3).ejected(now + 10s + unit));
static_assert(!fail(fail({}, 2).after_success(rules, now, now), 2).ejected(now));
// What was sent before the end of an ejection, and comes during or after it, changes nothing.
static_assert(fail(fail({}, 3), 30).pack() == fail({}, 3).pack());
static_assert(fail({}, 3).after_failure(rules, now + 5s, now + 20s).pack() == fail({}, 3).pack());
static_assert(fail({}, 3).after_success(rules, now + 5s, now + 20s).pack() == fail({}, 3).pack());
// Each ejection in a row is longer, up to the most.
constexpr EndpointHealth twice = fail(fail({}, 3), 3, now + 20s);
static_assert(twice.ejections == 2 && twice.ejected(now + 40s - 1ns));
static_assert(!twice.ejected(now + 40s + unit));
constexpr EndpointHealth thrice = fail(twice, 3, now + 60s);
static_assert(thrice.ejected(now + 85s - 1ns) && !thrice.ejected(now + 85s + unit));
static_assert(thrice.after_success(rules, now + 86s, now + 86s).ejections == 3);
static_assert(thrice.after_success(rules, now + 86s, now + 111s).ejections == 0);
static_assert(EndpointHealth{}.after_failure({.after = 0}, now, now).pack() == 0);
static_assert(EndpointHealth::unpack(twice.pack()).pack() == twice.pack());
static_assert(EndpointHealth::unpack(fail({}, 2).pack()).failures == 2);
static_assert(EndpointHealth::unpack(twice.pack()).ejections == 2 &&
              EndpointHealth::unpack(twice.pack()).until == twice.until);
static_assert(fail({}, 3).failures == 0);

// Longer than its 40 bits hold, 36 years, is as long as they hold.
constexpr EndpointHealth gone = EndpointHealth{}.after_failure(
    {.after = 1, .base = Duration::max(), .most = Duration::max()}, now, now);
static_assert(gone.until == 0xFF'FFFF'FFFF && gone.ejections == 1);
static_assert(EndpointHealth::unpack(gone.pack()).until == gone.until);
static_assert(EndpointHealth::unpack(gone.pack()).ejected(now + 24h * 365 * 36));

constexpr EndpointHealth::Rules usual;
static_assert(usual.after == 5 && usual.base == 30s && usual.most == 5min);

// Who was never ejected is not, before the epoch either; who is, until the instant it is back.
static_assert(!EndpointHealth{}.ejected(Time{-1h}));
static_assert(EndpointHealth{.until = 1}.ejected(Time{}));
static_assert(EndpointHealth{.until = 1}.ejected(Time{unit - 1ns}));
static_assert(!EndpointHealth{.until = 1}.ejected(Time{unit}));
static_assert(fail({}, 3, Time{-1h}).ejected(Time{}));

// In whole units, rounded up.
constexpr EndpointHealth::Rules in_units{.after = 1, .base = 100 * unit, .most = 100 * unit};
static_assert(EndpointHealth{}.after_failure(in_units, {}, Time{7 * unit}).until == 107);
static_assert(EndpointHealth{}.after_failure(in_units, {}, Time{7 * unit + 1ns}).until == 108);

// Of a success only one sent after the ejection counts, and only as long after it forgets it.
constexpr Time back = fail({}, 3).back_at();
static_assert(fail({}, 3).after_success(rules, now + 5s, now + 1h).ejections == 1);
static_assert(fail({}, 3).after_success(rules, back, back + 25s - 1ns).ejections == 1);
static_assert(fail({}, 3).after_success(rules, back, back + 25s).ejections == 0);

}  // namespace
}  // namespace penstock
