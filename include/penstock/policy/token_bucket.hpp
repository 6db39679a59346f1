// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/gcra.hpp>
#include <penstock/policy/server_limit.hpp>
#include <penstock/policy/slow_start.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// What one call takes from a bucket.
enum class Cost : unsigned char {
  weight,   ///< `call.weight` tokens
  request,  ///< one, whatever its weight: for a limit on the number of requests
};

/// A rate limiter in one atomic word (`Gcra`). Starts full unless told otherwise. *Safe from any
/// thread.*
///
/// A take is one load and one compare-exchange, without allocation. A `now` that is stale or
/// jumps back only makes it grant less. With `initial` or `slow_start` it grants less than it
/// would without, never more.
class TokenBucket {
 public:
  struct Options {
    double rate;  ///< tokens that come in `per`
    Duration per = std::chrono::seconds{1};
    double burst = 0;                 ///< tokens it holds; 0: the same as `rate`, at least 1
    std::optional<double> initial{};  ///< tokens that the first caller finds; unset: see above
    /// Spares a target that is cold. While the rate climbs, and when it starts anew, it begins
    /// with its share of the burst, one token at least.
    SlowStart::Options slow_start{};
  };
  /// granted: may go on at `ready` (== now: at once). Refused: at `ready` the same take would
  /// go on at once if nobody else came; `never` if it cannot ever.
  using Take = Gcra::Take;

  explicit TokenBucket(const Options& settings)
      : options_(completed(settings)),
        gcra_(options_.rate, options_.per, options_.burst),
        slow_start_(options_.slow_start),
        plain_(!slow_start_.enabled() && !options_.initial) {
    if (options_.initial && !(*options_.initial >= 0 && *options_.initial <= options_.burst)) {
      throw std::invalid_argument(
          "penstock: TokenBucket starts with 0 tokens up to its burst; write .initial = 0 for an "
          "empty one, or leave it out for a full one");
    }
  }

  /// At once or not at all.
  [[nodiscard]] Take try_take(Time now, double cost = 1) noexcept {
    return reserve(now, Duration::zero(), cost);
  }

  /// Borrows from the future, up to `max_wait`: the caller waits until `ready`, then goes on.
  /// Who gives up before `ready` calls `give_up`; later reservations keep their `ready`.
  [[nodiscard]] Take reserve(Time now, Duration max_wait, double cost = 1) noexcept {
    if (!plain_) return reserve_slowly(now, max_wait, cost);
    Ticks seen = empty_at_.load(std::memory_order_relaxed);
    for (;;) {
      const Gcra::Answer answer = gcra_.take(state_of(seen), now, max_wait, cost);
      const Ticks next = ticks_of(answer.state);
      if (next == seen || empty_at_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) {
        return {answer.take.granted, answer.take.ready};
      }
    }
  }

  /// What `reserve` without a limit to its wait would say, and takes nothing.
  [[nodiscard]] Take look(Time now, double cost = 1) const noexcept {
    const View view = view_at(now);
    return answered(view, now, gcra_.take(view.state, view.clock, Duration::max(), cost).take);
  }

  /// Gives back what was granted at once but not used. The bucket is never above full when next
  /// read.
  void refund(double cost = 1) noexcept {
    put_back([&](Gcra::State state) { return gcra_.refund(state, cost); });
  }
  /// Gives back what was granted for `ready` and will not be used, but for what others have
  /// reserved behind it.
  [[gnu::noinline]] void give_up(Time ready, double cost = 1) noexcept {
    const Time shown = plain_ ? ready : slow_start_.slowed(began(), ready);
    put_back([&](Gcra::State state) { return gcra_.give_up(state, shown, cost); });
  }

  /// Takes what has been used already, there or not: a debt that later takes wait for, and the
  /// only way past the bound.
  void charge(Time now, double cost) noexcept {
    change(now, [&](const View& view) { return gcra_.charge(view.state, view.clock, cost); });
  }

  /// Takes over what a server says is left, as of `now`. It only ever takes away: late, repeated
  /// or reordered replies do no harm, and the bucket's own rate and burst stay the most it
  /// grants. A `reset` counts up to the time the bucket takes to fill, or `per` if that is longer.
  void learn(Time now, const ServerLimit& told) noexcept {
    if (told.limit && !(*told.limit > 0)) return;
    const bool counted = told.remaining && *told.remaining >= 0;
    const double limit = told.limit.value_or(options_.burst);
    double left = counted ? std::min(*told.remaining, limit) : limit;
    if (told.outstanding > 0) left = std::max(left - told.outstanding, 0.0);
    const Duration reset = std::clamp(told.reset.value_or(Duration::zero()),
                                      Duration::zero(),
                                      std::max(options_.per, gcra_.capacity()));
    change(now, [&](const View& view) {
      Gcra::State state = gcra_.cap(view.state, view.clock, left);
      const Time whole_at = saturating_add(view.clock, reset);
      if (told.refill == Refill::at_once && counted) state = gcra_.cap(state, whole_at, left);
      if (told.refill == Refill::gradual && told.limit) state = gcra_.cap(state, whole_at, limit);
      return state;
    });
  }

  /// Tokens there at `now`, 0 while others have borrowed; old as soon as it is returned.
  [[nodiscard]] double available_approx(Time now) const noexcept {
    const View view = view_at(now);
    return gcra_.available(view.state, view.clock);
  }

  /// Full, or about to start anew: to forget it never lets more through.
  [[nodiscard]] bool idle(Time now) const noexcept {
    const View view = view_at(now);
    return view.began != view.seen_began ||
           gcra_.available(view.state, view.clock) >= options_.burst;
  }

  /// As given, with the burst that a 0 stood for.
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "token_bucket(" + to_text(options_.rate) + "/" + to_text(options_.per) +
                       ", burst " + to_text(options_.burst);
    if (options_.initial) text += ", starts with " + to_text(*options_.initial);
    if (slow_start_.enabled()) text += ", slow start " + slow_start_.describe();
    return text + ")";
  }

 private:
  template <class Step>
  void put_back(Step step) noexcept {
    Ticks seen = empty_at_.load(std::memory_order_relaxed);
    while (!empty_at_.compare_exchange_weak(
        seen, ticks_of(step(state_of(seen))), std::memory_order_relaxed)) {
    }
  }
  using Ticks = Duration::rep;
  static Gcra::State state_of(Ticks ticks) noexcept { return {Time{Duration{ticks}}}; }
  static Ticks ticks_of(Gcra::State state) noexcept {
    return state.empty_at.time_since_epoch().count();
  }
  static Options completed(Options settings) noexcept {
    if (settings.burst == 0) settings.burst = std::max(settings.rate, 1.0);
    return settings;
  }

  // What the bucket is at an instant, by the clock of its slow start.
  struct View {
    Ticks seen;         // of empty_at_
    Ticks seen_began;   // of began_
    Gcra::State state;  // `seen`, or what the bucket starts with
    Ticks began;        // `seen_began`, or now
    Time clock;
  };
  [[nodiscard]] View view_at(Time now) const noexcept {
    View view{};
    view.seen_began = began().time_since_epoch().count();  // first: see began_
    view.began = view.seen_began;
    view.seen = empty_at_.load(std::memory_order_relaxed);
    view.state = state_of(view.seen);
    view.clock = now;
    if (plain_) return view;
    view.clock = slow_start_.slowed(began(view), now);
    const bool first = view.state.empty_at == Time::min();
    const Duration rested = elapsed_between(view.state.empty_at, view.clock) - gcra_.capacity();
    if (!first && (!slow_start_.enabled() || rested < slow_start_.options().idle)) return view;
    const double cold =
        std::max(options_.burst * slow_start_.options().share, std::min(options_.burst, 1.0));
    view.state = gcra_.cap({}, now, first ? options_.initial.value_or(cold) : cold);
    view.began = now.time_since_epoch().count();
    view.clock = now;
    return view;
  }
  static Time began(const View& view) noexcept { return Time{Duration{view.began}}; }
  [[nodiscard]] Time began() const noexcept {
    return Time{Duration{began_.load(std::memory_order_acquire)}};
  }

  [[nodiscard]] Take answered(const View& view, Time now, Take take) const noexcept {
    const Time ready =
        take.ready <= view.clock ? now : slow_start_.instant(began(view), take.ready);
    return {take.granted, ready};
  }

  [[nodiscard]] Take reserve_slowly(Time now, Duration max_wait, double cost) noexcept {
    Take take{};
    change(now, [&](const View& view) {
      const Time latest =
          slow_start_.slowed(began(view), saturating_add(now, std::max(max_wait, Duration{})));
      const Gcra::Answer answer =
          gcra_.take(view.state, view.clock, elapsed_between(view.clock, latest), cost);
      take = answered(view, now, answer.take);
      return answer.state;
    });
    return take;
  }

  template <class Step>
  void change(Time now, Step step) noexcept {
    for (;;) {
      View view = view_at(now);
      const Ticks next = ticks_of(step(std::as_const(view)));
      if (next == view.seen) return;
      if (!empty_at_.compare_exchange_weak(view.seen, next, std::memory_order_relaxed)) continue;
      if (view.began != view.seen_began)
        began_.compare_exchange_strong(
            view.seen_began, view.began, std::memory_order_release, std::memory_order_relaxed);
      return;
    }
  }

  const Options options_;
  const Gcra gcra_;
  const SlowStart slow_start_;
  const bool plain_;  // neither of the two options that need `began_`
  // Gcra::State::empty_at in nanoseconds: any value; Time::min() when nobody came yet. A take
  // moves it up, a refund down, both by compare-exchange. Relaxed: the word is the whole state
  // and guards no other memory; its own modification order makes the takes one after another.
  sync::atomic<Ticks> empty_at_{Time::min().time_since_epoch().count()};
  // When the rate began to climb. Only whoever has just started the bucket anew, by empty_at_,
  // moves it, after that and with release; readers read it first. So who sees it also sees an
  // empty_at_ that belongs to it; who sees only the new empty_at_ reckons by a slower clock.
  sync::atomic<Ticks> began_{Time::min().time_since_epoch().count()};
};

}  // namespace penstock
