// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/sync.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// Limits retries and hedges, over all calls to one target, to a share of its successes: a
/// target that fails as a whole then sees little more than the load it was asked for.
/// *Safe from any thread.* (The token form of gRPC's retry throttling, proposal A6, and of
/// Finagle's RetryBudget.)
///
/// One budget belongs to one target. Of nested layers only one reports successes to it. Budgets
/// know no time: a spent one comes back by successes alone.
class RetryBudget {
 public:
  struct Options {
    double ratio = 0.1;        ///< tokens that a success pays in: extra calls per success
    double floor_tokens = 10;  ///< what a new budget holds, so that first calls may retry too
    double max_tokens = 100;   ///< the most it holds: extra calls in a row after a calm time
  };

  RetryBudget() : RetryBudget(Options{}) {}
  explicit RetryBudget(Options settings)
      : options_(settings),
        deposit_(thousandths(settings.ratio)),
        most_(thousandths(settings.max_tokens)),
        thousandths_(thousandths(settings.floor_tokens)) {
    if (settings.ratio != 0 && deposit_ == 0) {
      throw std::invalid_argument(
          "penstock: RetryBudget counts in thousandths of a token; write a .ratio of at least "
          "0.001, or 0 for no deposits");
    }
    if (most_ < token || settings.floor_tokens > settings.max_tokens) {
      throw std::invalid_argument(
          "penstock: RetryBudget needs room for a token and for what it starts with; write "
          "RetryBudget{{.ratio = 0.1, .floor_tokens = 10, .max_tokens = 100}}");
    }
  }

  /// A call succeeded: pays `ratio` in.
  void on_success() noexcept { add(deposit_); }

  /// Takes one token for one extra call, or refuses. Ask before the wait, not after it.
  [[nodiscard]] bool try_spend() noexcept {
    std::int64_t seen = thousandths_.load(std::memory_order_relaxed);
    do {
      if (seen < token) return false;
    } while (!thousandths_.compare_exchange_weak(seen, seen - token, std::memory_order_relaxed));
    return true;
  }

  /// Gives back a token that was spent on a call never made.
  void refund() noexcept { add(token); }

  /// Tokens there, old as soon as it is returned.
  [[nodiscard]] double available_approx() const noexcept {
    return static_cast<double>(thousandths_.load(std::memory_order_relaxed)) /
           static_cast<double>(token);
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "retry_budget(" + to_text(options_.ratio) + " per success, starts with " +
           to_text(options_.floor_tokens) + ", at most " + to_text(options_.max_tokens) + ")";
  }

 private:
  static constexpr std::int64_t token = 1000;

  static std::int64_t thousandths(double tokens) {
    if (!(tokens >= 0 && tokens <= 1e12)) {
      throw std::invalid_argument(
          "penstock: RetryBudget needs amounts from 0 to 1e12; write RetryBudget{{.ratio = 0.1, "
          ".floor_tokens = 10, .max_tokens = 100}}");
    }
    return std::llround(tokens * 1000);
  }
  void add(std::int64_t amount) noexcept {
    std::int64_t seen = thousandths_.load(std::memory_order_relaxed);
    while (seen < most_ && !thousandths_.compare_exchange_weak(
                               seen, std::min(seen + amount, most_), std::memory_order_relaxed)) {
    }
  }

  const Options options_;
  const std::int64_t deposit_;
  const std::int64_t most_;
  // 0 to most_, in thousandths of a token; every change is one compare-exchange that keeps it
  // there. Relaxed: it guards no other memory.
  sync::atomic<std::int64_t> thousandths_;
};

}  // namespace penstock
