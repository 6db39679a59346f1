// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/time.hpp>
#include <penstock/policy/token_bucket.hpp>

namespace penstock {

/// Several limits on the same calls, as providers set them: so many requests and so many tokens a
/// minute, so many requests a day. *Safe from any thread.* Allocates only when it is built.
///
/// A call gets all of them or none. Each limit holds its own bound exactly; while one caller is
/// being refused, another may be refused too that would have just fitted, never the reverse.
class LimitSet {
 public:
  struct Limit {
    TokenBucket::Options bucket;
    Cost cost = Cost::weight;
    std::string name{};  ///< to find it by, and for `describe`
  };
  /// As that of a bucket; `ready` is the latest of all limits.
  using Take = TokenBucket::Take;

  /// Throws std::invalid_argument where there is no limit or one is out of range.
  explicit LimitSet(std::vector<Limit> limits) {
    if (limits.empty()) {
      throw std::invalid_argument(
          "penstock: LimitSet needs a limit; write LimitSet{{{.bucket = {.rate = 500, .per = "
          "1min}, .cost = Cost::request}, {.bucket = {.rate = 200000, .per = 1min}}}}");
    }
    for (Limit& limit : limits) metered_.emplace_back(std::move(limit));
  }

  [[nodiscard]] Take try_take(Time now, double weight = 1) noexcept {
    return reserve(now, Duration::zero(), weight);
  }

  /// Takes from every limit if the slowest of them has enough within `max_wait`, else from none.
  /// Refused, it gives the longest wait: when this take would go on if nobody else came.
  [[nodiscard]] Take reserve(Time now, Duration max_wait, double weight = 1) noexcept {
    const Time latest = saturating_add(now, std::max(max_wait, Duration::zero()));
    for (Time at = now;;) {
      // Looked at first: who is refused then has disturbed nobody.
      const Take seen = look(at, weight);
      if (!seen.granted || seen.ready > latest) return {false, seen.ready};
      // From all at the one instant at which the call goes on: a limit that is charged earlier
      // would see more calls in a window than it allowed.
      at = seen.ready;
      if (take_at(at, weight)) return {true, at};
    }
  }

  /// What `reserve` without a limit to its wait would say, and takes nothing.
  [[nodiscard]] Take look(Time now, double weight = 1) const noexcept {
    Take all{true, now};
    for (std::size_t index = 0; index < metered_.size(); ++index) {
      const Take take = metered_[index].bucket.look(now, amount(index, weight));
      all = {all.granted && take.granted, std::max(all.ready, take.ready)};
    }
    return all;
  }

  /// Gives back what a call of this weight was granted for `ready` and will not use, but for what
  /// others have reserved behind it. Where it was to wait, a limit that had more than enough is
  /// whole again at `ready`.
  void give_up(Time ready, double weight = 1) noexcept {
    for (std::size_t index = 0; index < metered_.size(); ++index)
      metered_[index].bucket.give_up(ready, amount(index, weight));
  }

  /// The true weight of a call is known: charges what its estimate fell short by, as a debt if it
  /// must, or refunds what it was above. Limits on requests are not touched.
  void settle(Time now, double estimated, double actual) noexcept {
    for (Metered& metered : metered_) {
      if (metered.cost != Cost::weight) continue;
      if (actual > estimated) metered.bucket.charge(now, actual - estimated);
      if (actual < estimated) metered.bucket.refund(estimated - std::max(actual, 0.0));
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return metered_.size(); }
  /// The limits in the order given: to `learn`, and to look at. Precondition: index < size().
  [[nodiscard]] TokenBucket& operator[](std::size_t index) noexcept {
    return metered_[index].bucket;
  }
  /// The first of this name, or null.
  [[nodiscard]] TokenBucket* find(std::string_view name) noexcept {
    for (Metered& metered : metered_)
      if (metered.name == name) return &metered.bucket;
    return nullptr;
  }

  [[nodiscard]] std::string describe() const {
    std::string text = "limits(";
    for (const Metered& metered : metered_) {
      if (&metered != &metered_.front()) text += "; ";
      if (!metered.name.empty()) text += metered.name + " ";
      text += metered.bucket.describe();
      if (metered.cost == Cost::request) text += " by request";
    }
    return text + ")";
  }

 private:
  struct Metered {
    explicit Metered(Limit limit)
        : bucket(limit.bucket),
          cost(limit.cost),
          name(std::move(limit.name)) {}
    TokenBucket bucket;
    Cost cost;
    std::string name;
  };
  // False where another caller came in between; then nothing is taken.
  [[nodiscard]] bool take_at(Time at, double weight) noexcept {
    for (std::size_t index = 0; index < metered_.size(); ++index) {
      if (metered_[index].bucket.try_take(at, amount(index, weight)).granted) continue;
      while (index-- > 0) metered_[index].bucket.give_up(at, amount(index, weight));
      return false;
    }
    return true;
  }
  [[nodiscard]] double amount(std::size_t index, double weight) const noexcept {
    return metered_[index].cost == Cost::weight ? weight : 1;
  }

  std::deque<Metered> metered_;  // buckets do not move
};

}  // namespace penstock
