// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/endpoint_health.hpp>
#include <penstock/policy/peak_ewma.hpp>
#include <penstock/policy/text.hpp>
#include <penstock/policy/wide.hpp>

namespace penstock {

/// Chooses one of several endpoints for each call. *Safe from any thread.*
///
/// - `round_robin`: in turn.
/// - `weighted`: in proportion to the weights, evenly spread (a Weyl sequence).
/// - `least_loaded`: the fewest calls under way, divided by the weight; looks at all.
/// - `power_of_two`: of two chosen by chance the one with the lower latency times calls under way
///   (Mitzenmacher 2001; peak EWMA). Follows both, and never lets all callers rush to the one that
///   looks best.
///
/// An endpoint that fails `eject_after` times in a row is left out for a while, longer each time.
/// When less than `panic_below` of them would be left all are used: an outage of the whole, or of
/// the way there, is nothing that a choice can help. One that comes back takes its
/// full share only after `slow_start`. A pick costs a few relaxed operations, no lock and no
/// allocation; it looks at every endpoint only while one is ejected, or where its method does.
class Balancer {
 public:
  enum class Method : unsigned char { round_robin, weighted, least_loaded, power_of_two };
  struct Options {
    Method method = Method::power_of_two;
    std::vector<double> weights{};                  ///< one for each endpoint; empty: all the same
    Duration decay = std::chrono::seconds{10};      ///< of the latency's average
    std::uint32_t eject_after = 5;                  ///< failures in a row; 0: never
    Duration eject_for = std::chrono::seconds{30};  ///< times the ejections in a row
    Duration eject_at_most = std::chrono::minutes{5};
    double panic_below = 0.5;  ///< share of endpoints, from 0 to 1
    Duration slow_start{};     ///< from a tenth of its share to all of it
    /// What counts as a failure of the endpoint.
    OutcomeSet failures{Outcome::transient,
                        Outcome::unavailable,
                        Outcome::timeout,
                        Outcome::rate_limited,
                        Outcome::exception};
  };

  explicit Balancer(std::size_t endpoints) : Balancer(endpoints, Options{}) {}
  Balancer(std::size_t endpoints, Options settings)
      : options_(std::move(settings)),
        size_(endpoints),
        rules_{options_.eject_after, options_.eject_for, options_.eject_at_most} {
    if (endpoints == 0) {
      throw std::invalid_argument(
          "penstock: Balancer needs at least one endpoint; write Balancer{3}");
    }
    if (!options_.weights.empty() &&
        (options_.weights.size() != endpoints ||
         !std::all_of(options_.weights.begin(), options_.weights.end(), [](double weight) {
           return weight > 0 && weight < 1e9;
         }))) {
      throw std::invalid_argument(
          "penstock: Balancer needs a positive weight for each endpoint; write Balancer{3, "
          "{.weights = {1, 1, 2}}}, or leave .weights out");
    }
    if (options_.decay <= Duration::zero() || options_.eject_for <= Duration::zero() ||
        options_.eject_at_most < options_.eject_for || options_.slow_start < Duration::zero() ||
        options_.eject_after > 0xFFFF) {
      throw std::invalid_argument(
          "penstock: Balancer needs positive times, .eject_at_most not below .eject_for and "
          ".eject_after below 65536; leave out what you do not want to change");
    }
    if (!(options_.panic_below >= 0 && options_.panic_below <= 1)) {
      throw std::invalid_argument(
          "penstock: Balancer panics below a share from 0 to 1; write .panic_below = 0.5");
    }
    const double least = options_.panic_below * static_cast<double>(endpoints);
    floor_ = static_cast<std::size_t>(least);
    if (static_cast<double>(floor_) < least) ++floor_;
    endpoints_ = std::vector<Endpoint>(endpoints);
  }

  /// One call under way to one endpoint. Settle it once; dropped it is neutral.
  class [[nodiscard]] Pick {
   public:
    Pick(Pick&& other) noexcept
        : balancer_(std::exchange(other.balancer_, nullptr)),
          index_(other.index_),
          started_(other.started_) {}
    Pick& operator=(Pick&& other) noexcept {
      std::swap(balancer_, other.balancer_);
      std::swap(index_, other.index_);
      std::swap(started_, other.started_);
      return *this;
    }
    ~Pick() {
      if (balancer_ != nullptr) balancer_->end(index_);
    }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    void settle(Outcome outcome, Time now) noexcept {
      if (balancer_ == nullptr) return;
      balancer_->learn(index_, outcome, started_, now);
      std::exchange(balancer_, nullptr)->end(index_);
    }

   private:
    friend Balancer;
    Pick(Balancer& balancer, std::size_t index, Time started) noexcept
        : balancer_(&balancer),
          index_(index),
          started_(started) {}
    Balancer* balancer_;
    std::size_t index_;
    Time started_;
  };

  [[nodiscard]] Pick pick(Time now, std::uint64_t random) noexcept {
    const std::size_t index = choose(now, random);
    endpoints_[index].in_flight.fetch_add(1, std::memory_order_relaxed);
    return {*this, index, now};
  }

  /// The endpoint was replaced: what was known of it is forgotten, and its slow start begins.
  void renew(std::size_t index, Time now) noexcept {
    Endpoint& endpoint = endpoints_[index];
    endpoint.latency.store(0, std::memory_order_relaxed);
    endpoint.health.store(0, std::memory_order_relaxed);
    endpoint.since.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool ejected(std::size_t index, Time now) const noexcept {
    return health(index).ejected(now);
  }
  [[nodiscard]] std::uint32_t in_flight_approx(std::size_t index) const noexcept {
    return endpoints_[index].in_flight.load(std::memory_order_relaxed);
  }
  /// The endpoint's latency as it is counted at `now`; zero when nothing is known.
  [[nodiscard]] Duration latency_approx(std::size_t index, Time now) const noexcept {
    return Duration{static_cast<std::int64_t>(latency(index).at(now, options_.decay))};
  }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const;

 private:
  struct alignas(64) Endpoint {
    // All relaxed: each word stands for itself, and each is changed by one atomic step.
    sync::atomic<std::uint32_t> in_flight{0};
    sync::atomic<std::uint64_t> latency{0};                                    // PeakEwma
    sync::atomic<std::uint64_t> health{0};                                     // EndpointHealth
    sync::atomic<std::int64_t> since{Time::min().time_since_epoch().count()};  // of `renew`
  };

  [[nodiscard]] PeakEwma latency(std::size_t index) const noexcept {
    return PeakEwma::unpack(endpoints_[index].latency.load(std::memory_order_relaxed));
  }
  [[nodiscard]] EndpointHealth health(std::size_t index) const noexcept {
    return EndpointHealth::unpack(endpoints_[index].health.load(std::memory_order_relaxed));
  }
  [[nodiscard]] double weight(std::size_t index, Time now) const noexcept {
    const double full = options_.weights.empty() ? 1 : options_.weights[index];
    if (options_.slow_start <= Duration::zero()) return full;
    const Time since{Duration{endpoints_[index].since.load(std::memory_order_relaxed)}};
    const EndpointHealth known = health(index);
    const Time back = known.until == 0 ? since : std::max(since, known.back_at());
    const Duration there = elapsed_between(back, now);
    if (there >= options_.slow_start) return full;
    const double share =
        static_cast<double>(there.count()) / static_cast<double>(options_.slow_start.count());
    return full * std::max(share, 0.1);
  }

  // The endpoints to choose from: those in use, or all in a panic.
  class Choice {
   public:
    Choice(const Balancer& balancer, Time now) noexcept
        : balancer_(balancer),
          now_(now),
          count_(balancer.size_) {
      // Nobody is ejected for longer than the last one.
      if (now >= Time{Duration{balancer.last_back_.load(std::memory_order_relaxed)}}) return;
      std::size_t in_use = 0;
      for (std::size_t index = 0; index < balancer.size_; ++index)
        if (!balancer.ejected(index, now)) ++in_use;
      if (in_use == balancer.size_ || in_use == 0 || in_use < balancer.floor_) return;
      count_ = in_use;
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// The `number`th of them. One that is ejected meanwhile may still be given.
    [[nodiscard]] std::size_t at(std::size_t number) const noexcept {
      if (count_ == balancer_.size_) return number;
      std::size_t last = 0;
      for (std::size_t index = 0; index < balancer_.size_; ++index) {
        if (balancer_.ejected(index, now_)) continue;
        last = index;
        if (number-- == 0) break;
      }
      return last;
    }

   private:
    const Balancer& balancer_;
    Time now_;
    std::size_t count_;
  };

  [[nodiscard]] std::size_t choose(Time now, std::uint64_t random) noexcept {
    const Choice choice{*this, now};
    const std::size_t count = choice.count();
    switch (options_.method) {
      case Method::round_robin:
        return choice.at(take_turn() % count);
      case Method::weighted:
        return by_weight(choice, now);
      case Method::least_loaded:
        return least(choice, count, take_turn() % count, [&](std::size_t index) {
          return (in_flight_approx(index) + 1) / weight(index, now);
        });
      case Method::power_of_two:
        break;
    }
    if (count == 1) return choice.at(0);
    const std::size_t first = scale_random(random, count - 1);
    // Of the others, by other bits.
    std::size_t second = scale_random(random * 0x9E3779B97F4A7C15U, count - 2);
    if (second >= first) ++second;
    const std::size_t a = choice.at(first);
    const std::size_t b = choice.at(second);
    return cost(b, now) < cost(a, now) ? b : a;
  }
  // Nothing known: as good as can be while nobody waits for it, then worse than anything known.
  [[nodiscard]] double cost(std::size_t index, Time now) const noexcept {
    constexpr double unknown = 1e12;
    const double load = in_flight_approx(index);
    const double average = latency(index).at(now, options_.decay);
    if (average <= 0) return load * unknown / weight(index, now);
    return average * (load + 1) / weight(index, now);
  }
  template <class CostOf>
  [[nodiscard]] static std::size_t least(const Choice& choice,
                                         std::size_t count,
                                         std::size_t from,
                                         CostOf cost_of) noexcept {
    std::size_t best = choice.at(from);
    for (std::size_t step = 1; step < count; ++step) {
      const std::size_t index = choice.at((from + step) % count);
      if (cost_of(index) < cost_of(best)) best = index;
    }
    return best;
  }
  [[nodiscard]] std::size_t by_weight(const Choice& choice, Time now) noexcept {
    double total = 0;
    for (std::size_t number = 0; number < choice.count(); ++number)
      total += weight(choice.at(number), now);
    const std::uint64_t point = take_turn() * 0x9E3779B97F4A7C15U;
    double left = static_cast<double>(point >> 11) * 0x1p-53 * total;
    std::size_t number = 0;
    while (number + 1 < choice.count() && (left -= weight(choice.at(number), now)) >= 0) ++number;
    return choice.at(number);
  }
  std::uint64_t take_turn() noexcept { return turn_.fetch_add(1, std::memory_order_relaxed); }

  void end(std::size_t index) noexcept {
    endpoints_[index].in_flight.fetch_sub(1, std::memory_order_relaxed);
  }
  void learn(std::size_t index, Outcome outcome, Time started, Time now) noexcept {
    if (outcome == Outcome::neutral) return;
    const bool failed = options_.failures.contains(outcome);
    const Duration took = elapsed_between(started, now);
    Endpoint& endpoint = endpoints_[index];
    if (failed || outcome == Outcome::success) {
      change(endpoint.latency, [&](std::uint64_t word) {
        const auto known = PeakEwma::unpack(word);
        // A failure that comes fast must not look like a fast endpoint.
        const Duration least{static_cast<std::int64_t>(known.at(now, options_.decay))};
        return known.after(failed ? std::max(took, least) : took, now, options_.decay).pack();
      });
    }
    const std::uint64_t word = change(endpoint.health, [&](std::uint64_t seen) {
      const auto known = EndpointHealth::unpack(seen);
      return (failed ? known.after_failure(rules_, started, now)
                     : known.after_success(rules_, started, now))
          .pack();
    });
    const std::int64_t back = EndpointHealth::unpack(word).back_at().time_since_epoch().count();
    std::int64_t last = last_back_.load(std::memory_order_relaxed);
    while (last < back &&
           !last_back_.compare_exchange_weak(last, back, std::memory_order_relaxed)) {
    }
  }
  template <class Step>
  static std::uint64_t change(sync::atomic<std::uint64_t>& word, Step step) noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t next = step(seen);
      if (next == seen || word.compare_exchange_weak(seen, next, std::memory_order_relaxed))
        return next;
    }
  }

  const Options options_;
  const std::size_t size_;
  const EndpointHealth::Rules rules_;
  std::size_t floor_ = 0;  // fewer endpoints than this in use: a panic
  std::vector<Endpoint> endpoints_;
  sync::atomic<std::uint64_t> turn_{0};
  sync::atomic<std::int64_t> last_back_{0};  // only grows: when the last ejection ends
};

[[nodiscard]] constexpr std::string_view to_string(Balancer::Method method) noexcept {
  switch (method) {
    case Balancer::Method::round_robin:
      return "round_robin";
    case Balancer::Method::weighted:
      return "weighted";
    case Balancer::Method::least_loaded:
      return "least_loaded";
    case Balancer::Method::power_of_two:
      return "power_of_two";
  }
  return "unknown";
}

inline std::string Balancer::describe() const {
  std::string text =
      "balance(" + std::to_string(size_) + " by " + std::string{to_string(options_.method)};
  if (options_.method == Method::power_of_two) text += " of ewma " + to_text(options_.decay);
  if (!options_.weights.empty()) {
    text += ", weights";
    for (const double weight : options_.weights) text += " " + to_text(weight);
  }
  if (options_.eject_after != 0) {
    text += ", ejects after " + std::to_string(options_.eject_after) + " for " +
            to_text(options_.eject_for) + " to " + to_text(options_.eject_at_most) +
            ", panics below " + to_text(options_.panic_below);
  }
  if (options_.slow_start > Duration::zero())
    text += ", slow start " + to_text(options_.slow_start);
  return text + ")";
}

}  // namespace penstock
