// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// What a retry budget holds, and when it was last looked at: one 64-bit word, 30 bits of
/// thousandths of a token and 34 of the number of a slice of time.
struct BudgetBalance {
  std::uint32_t thousandths = 0;
  std::uint64_t slice = 0;  ///< modulo 2^34

  static constexpr unsigned slice_bits = 34;
  static constexpr std::uint64_t slice_mask = (std::uint64_t{1} << slice_bits) - 1;
  // How far back a thread may be that comes late. Any other difference is time that has passed.
  static constexpr std::uint64_t late = std::uint64_t{1} << 20;

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::uint64_t{thousandths} << slice_bits | (slice & slice_mask);
  }
  [[nodiscard]] static constexpr BudgetBalance unpack(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> slice_bits), word & slice_mask};
  }

  /// As of slice `now`: a sixteenth of what is above `floor` fades with each slice, or, below it,
  /// a sixteenth of `floor` comes back. A late thread changes nothing.
  [[nodiscard]] constexpr BudgetBalance aged(std::uint64_t now,
                                             std::uint32_t floor) const noexcept {
    const std::uint64_t passed = (now - slice) & slice_mask;
    if (passed == 0 || passed > slice_mask - late) return *this;
    if (thousandths <= floor) {
      const std::uint64_t held = thousandths + passed * floor / 16;
      return {held < floor ? static_cast<std::uint32_t>(held) : floor, now & slice_mask};
    }
    // Nothing is left after less than 400 slices.
    std::uint32_t excess = thousandths - floor;
    for (std::uint64_t step = 0; step < passed && excess != 0; ++step) excess -= (excess + 15) / 16;
    return {floor + excess, now & slice_mask};
  }

  friend constexpr bool operator==(const BudgetBalance&, const BudgetBalance&) noexcept = default;
};

/// Limits retries and hedges, over all calls to one target, to a share of its successes: a
/// target that fails as a whole then sees little more than the load it was asked for.
/// *Safe from any thread.*
///
/// Without a window it knows no time: a spent one comes back by successes alone (gRPC's retry
/// throttling, proposal A6). With one, credit that nobody used fades, and a floor comes back by
/// itself, so that retries stay possible where calls are rare (Finagle's RetryBudget): within
/// any time w no more extra calls pass than `max_tokens`, `ratio` per success and `floor_tokens`
/// per window of w together.
///
/// One budget belongs to one target, and retries and hedges spend from the same. Of nested layers
/// only one reports successes to it. A spend is one compare-exchange, a success when the budget is
/// full one load. Nothing allocates.
class RetryBudget {
 public:
  struct Options {
    double ratio = 0.1;        ///< tokens that a success pays in: extra calls per success
    double floor_tokens = 10;  ///< what a new budget holds, and what comes back in a window
    double max_tokens = 100;  ///< the most it holds, to 1e6: extra calls in a row after a calm time
    Duration window = Duration::max();  ///< at least 1 s; `Duration::max()`: no time passes
  };

  RetryBudget() : RetryBudget(Options{}) {}
  explicit RetryBudget(Options settings)
      : options_(settings),
        deposit_(thousandths(settings.ratio)),
        floor_(thousandths(settings.floor_tokens)),
        most_(thousandths(settings.max_tokens)),
        slice_(settings.window.count() / 16),
        balance_(BudgetBalance{floor_}.pack()) {
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
    if (settings.window < std::chrono::seconds{1}) {
      throw std::invalid_argument(
          "penstock: RetryBudget needs a window of at least a second; write .window = 10s, or "
          "leave "
          "it out for a budget that knows no time");
    }
  }

  /// A call succeeded: pays `ratio` in.
  void on_success(Time now) noexcept { add(deposit_, number(now)); }
  /// The same as of the latest time anybody brought.
  void on_success() noexcept { add(deposit_, seen()); }

  /// Takes one token for one extra call, or refuses. Ask before the wait, not after it.
  [[nodiscard]] bool try_spend(Time now) noexcept { return take(number(now)); }
  [[nodiscard]] bool try_spend() noexcept { return take(seen()); }

  /// Gives back a token that was spent on a call never made.
  void refund() noexcept { add(token, seen()); }

  /// Tokens there, old as soon as it is returned.
  [[nodiscard]] double available_approx(Time now) const noexcept { return tokens(number(now)); }
  [[nodiscard]] double available_approx() const noexcept { return tokens(seen()); }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "retry_budget(" + to_text(options_.ratio) + " per success, starts with " +
                       to_text(options_.floor_tokens) + ", at most " + to_text(options_.max_tokens);
    if (options_.window != Duration::max()) text += ", window " + to_text(options_.window);
    return text + ")";
  }

 private:
  static constexpr std::uint32_t token = 1000;

  static std::uint32_t thousandths(double tokens) {
    if (!(tokens >= 0 && tokens <= 1e6)) {
      throw std::invalid_argument(
          "penstock: RetryBudget needs amounts from 0 to 1e6; write RetryBudget{{.ratio = 0.1, "
          ".floor_tokens = 10, .max_tokens = 100}}");
    }
    return static_cast<std::uint32_t>(tokens * 1000 + 0.5);
  }

  [[nodiscard]] std::uint64_t number(Time now) const noexcept {
    if (options_.window == Duration::max()) return 0;
    const std::int64_t ticks = now.time_since_epoch().count();
    const std::int64_t slice = ticks / slice_ - (ticks % slice_ < 0 ? 1 : 0);
    return static_cast<std::uint64_t>(slice) & BudgetBalance::slice_mask;
  }
  [[nodiscard]] std::uint64_t seen() const noexcept {
    return BudgetBalance::unpack(balance_.load(std::memory_order_relaxed)).slice;
  }
  [[nodiscard]] double tokens(std::uint64_t slice) const noexcept {
    const auto held = BudgetBalance::unpack(balance_.load(std::memory_order_relaxed));
    return held.aged(slice, floor_).thousandths / static_cast<double>(token);
  }

  bool take(std::uint64_t slice) noexcept {
    std::uint64_t word = balance_.load(std::memory_order_relaxed);
    for (;;) {
      BudgetBalance balance = BudgetBalance::unpack(word).aged(slice, floor_);
      if (balance.thousandths < token) return false;
      balance.thousandths -= token;
      if (balance_.compare_exchange_weak(word, balance.pack(), std::memory_order_relaxed)) {
        return true;
      }
    }
  }
  void add(std::uint32_t amount, std::uint64_t slice) noexcept {
    std::uint64_t word = balance_.load(std::memory_order_relaxed);
    for (;;) {
      BudgetBalance balance = BudgetBalance::unpack(word).aged(slice, floor_);
      balance.thousandths =
          amount < most_ - balance.thousandths ? balance.thousandths + amount : most_;
      const std::uint64_t next = balance.pack();
      if (next == word || balance_.compare_exchange_weak(word, next, std::memory_order_relaxed)) {
        return;
      }
    }
  }

  const Options options_;
  const std::uint32_t deposit_;
  const std::uint32_t floor_;
  const std::uint32_t most_;
  const std::int64_t slice_;  // nanoseconds
  // BudgetBalance::pack() of 0 to most_ thousandths; every change is one compare-exchange that
  // keeps it there, and that moves the slice on only together with what the time has done.
  // Relaxed: the word is the whole state and guards no other memory.
  sync::atomic<std::uint64_t> balance_;
};

}  // namespace penstock
