// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <penstock/policy/token_bucket.hpp>
#include <penstock/policy/wide.hpp>

#include "trial.hpp"

namespace simulate {

/// A bucket under random takes, of random weights, at clocks that are behind or jump back: exact to
/// the nanosecond and the millionth of a token, and not stricter than it must be.
class Bucket {
 public:
  static void play(Trial& trial) {
    Bucket world{trial};
    const std::uint64_t takes = trial.number(20, 200);
    for (std::uint64_t take = 0; take < takes; ++take) world.take();
    world.check_every_window();
    world.check_speed();
  }

 private:
  static constexpr double million = 1e6;
  struct Granted {
    Time ready;
    std::uint64_t millionths;
  };

  explicit Bucket(Trial& trial)
      : trial_(trial),
        rate_(trial.number(
            1, trial.one_of(std::array<std::uint64_t, 3>{1'000, 5'000'000, 100'000'000'000}))),
        period_(trial.one_of(std::array<Duration, 4>{1ms, 1s, 1min, 24h})),
        burst_(trial.number(1, most_burst(trial))),
        bucket_(options()) {}

  // Up to 5000 tokens, and never more than fill in a few years.
  [[nodiscard]] std::uint64_t most_burst(Trial& trial) const {
    const auto period = static_cast<std::uint64_t>(period_.count());
    const std::uint64_t most =
        trial.one_of(std::array<std::uint64_t, 3>{1'000'000, 20'000'000, 5'000'000'000});
    const uint128 fills = uint128{rate_} * (std::uint64_t{1} << 57U) / period;
    return fills < most ? std::max(static_cast<std::uint64_t>(fills), std::uint64_t{1}) : most;
  }
  [[nodiscard]] TokenBucket::Options options() const {
    const double planted = trial_.bug == Bug::exceeded_rate ? 1.1 : 1;
    return {.rate = static_cast<double>(rate_) / million,
            .per = period_,
            .burst = static_cast<double>(burst_) / million * planted};
  }

  // What `millionths` take to come in.
  [[nodiscard]] Duration time_of(std::uint64_t millionths) const {
    return Duration{static_cast<std::int64_t>(std::min<std::uint64_t>(
        multiply_divide_up(millionths, static_cast<std::uint64_t>(period_.count()), rate_),
        std::uint64_t{1} << 55U))};
  }

  void take() {
    ++trial_.calls;
    const std::uint64_t cost = trial_.number(1, burst_);
    const Duration typical = time_of(cost);
    if (trial_.happens(0.7)) trial_.simulation.advance(trial_.time(0s, 2 * typical));
    // A caller whose clock reading is old by the time it takes.
    const Time now = trial_.happens(0.2) ? trial_.simulation.now() - trial_.time(0s, typical)
                                         : trial_.simulation.now();
    const Duration patience = trial_.happens(0.5) ? trial_.time(0s, 3 * typical) : Duration{};
    const TokenBucket::Take taken =
        bucket_.reserve(now, patience, static_cast<double>(cost) / million);
    trial_.simulation.fold(static_cast<std::uint64_t>(taken.ready.time_since_epoch().count()));
    if (taken.granted) {
      trial_.must(taken.ready >= now && elapsed_between(now, taken.ready) <= patience,
                  "a take was granted for a time that was not asked for");
      granted_.push_back({taken.ready, cost});
      return;
    }
    trial_.must(taken.ready != never, "a take within the burst was refused for ever");
    if (!trial_.happens(0.3)) return;
    trial_.simulation.advance(elapsed_between(trial_.simulation.now(), taken.ready));
    const TokenBucket::Take again =
        bucket_.try_take(trial_.simulation.now(), static_cast<double>(cost) / million);
    trial_.must(again.granted, "a take was refused at the time it was told to come back");
    if (again.granted) granted_.push_back({again.ready, cost});
  }

  // Level of a vessel that runs out at the rate: it overflows exactly when some window got more
  // than burst + rate * window. In millionths of a token times nanoseconds of the period.
  void check_every_window() {
    std::ranges::stable_sort(granted_, {}, &Granted::ready);
    const uint128 period = static_cast<std::uint64_t>(period_.count());
    uint128 level = 0;
    Time before = Time::min();
    for (const Granted& each : granted_) {
      const uint128 out =
          uint128{rate_} * static_cast<std::uint64_t>(elapsed_between(before, each.ready).count());
      level = level > out ? level - out : 0;
      level += uint128{each.millionths} * period;
      before = each.ready;
      if (level > uint128{burst_} * period) {
        trial_.violation("more was granted in a window than burst + rate * window");
        return;
      }
    }
  }

  // Borrowing in a row is late by less than two nanoseconds for each take: one for the rounding of
  // its price, one for its share in the rounding of the capacity.
  void check_speed() {
    TokenBucket fresh{options()};
    const Time now = trial_.simulation.now();
    uint128 total = 0;
    std::int64_t takes = 0;
    Time last = now;
    while (takes < 50) {
      const std::uint64_t cost = trial_.number(1, burst_);
      if (elapsed_between(now, last) > Duration::max() / 4) break;
      const TokenBucket::Take taken =
          fresh.reserve(now, Duration::max() / 2, static_cast<double>(cost) / million);
      if (!taken.granted) break;
      last = taken.ready;
      total += cost;
      ++takes;
    }
    if (total <= burst_) return;
    const uint128 owed = (total - burst_) * static_cast<std::uint64_t>(period_.count());
    const auto ideal = static_cast<std::uint64_t>(owed / rate_);
    trial_.must(elapsed_between(now, last).count() <= static_cast<std::int64_t>(ideal) + 2 * takes,
                "takes in a row are late by two nanoseconds each");
  }

  Trial& trial_;
  const std::uint64_t rate_;  // millionths of a token in a period
  const Duration period_;
  const std::uint64_t burst_;  // millionths
  TokenBucket bucket_;
  std::vector<Granted> granted_;
};

}  // namespace simulate
