// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

#include <penstock/core/error_set.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// How old a kept reply may be, and what else it is still good for. *Safe from any thread.*
/// (Immutable; stale replies as in RFC 5861.)
class CachePolicy {
 public:
  struct Options {
    Duration ttl = std::chrono::seconds{60};  ///< how long a reply is fresh
    Duration stale_while_revalidate{};  ///< after that: served to the others while one asks anew
    Duration stale_if_error{};          ///< after the ttl: served when asking anew fails
    ErrorSet stale_on = outages;        ///< the failures for which it is
    Duration negative_ttl{};            ///< how long an error is kept; zero: not at all
    ErrorSet negative{ErrorKind::not_found};  ///< the errors that are
  };

  enum class Freshness : unsigned char {
    fresh,     ///< the answer
    stale,     ///< the answer while somebody asks anew
    fallback,  ///< the answer if asking anew fails
    gone,      ///< no answer any more
  };
  enum class Kept : unsigned char { reply, error };

  constexpr CachePolicy() : CachePolicy(Options{}) {}
  constexpr explicit CachePolicy(Options settings) : options_(settings) {
    if (settings.ttl <= Duration::zero() || settings.stale_while_revalidate < Duration::zero() ||
        settings.stale_if_error < Duration::zero() || settings.negative_ttl < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: CachePolicy needs a positive .ttl and no negative time; write .ttl = 60s and "
          "leave out what you do not want");
    }
    if (settings.negative.overlaps({ErrorKind::cancelled, ErrorKind::deadline}) ||
        settings.stale_on.overlaps({ErrorKind::cancelled, ErrorKind::deadline})) {
      throw std::invalid_argument(
          "penstock: CachePolicy never keeps or answers cancelled or deadline, which are one "
          "caller's own: write .negative = {ErrorKind::not_found}");
    }
  }

  [[nodiscard]] constexpr Freshness freshness(Kept kept, Time stored, Time now) const noexcept {
    const Duration age = elapsed_between(stored, now);
    if (kept == Kept::error)
      return age < options_.negative_ttl ? Freshness::fresh : Freshness::gone;
    if (age < options_.ttl) return Freshness::fresh;
    const Duration over = age - options_.ttl;
    if (over < options_.stale_while_revalidate) return Freshness::stale;
    if (over < options_.stale_if_error) return Freshness::fallback;
    return Freshness::gone;
  }
  /// Whether a reply of this age stands in for a failure to get a new one.
  [[nodiscard]] constexpr bool covers(ErrorKind failure, Time stored, Time now) const noexcept {
    const Duration age = elapsed_between(stored, now);
    return options_.stale_on.contains(failure) &&
           (age < options_.ttl || age - options_.ttl < options_.stale_if_error);
  }
  /// Whether an error is kept.
  [[nodiscard]] constexpr bool keeps(ErrorKind kind) const noexcept {
    return options_.negative_ttl > Duration::zero() && options_.negative.contains(kind);
  }

  [[nodiscard]] constexpr const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    std::string text = to_text(options_.ttl);
    if (options_.stale_while_revalidate > Duration::zero())
      text += ", stale " + to_text(options_.stale_while_revalidate) + " while revalidating";
    if (options_.stale_if_error > Duration::zero())
      text += ", stale " + to_text(options_.stale_if_error) + " on " + to_string(options_.stale_on);
    if (options_.negative_ttl > Duration::zero())
      text += ", " + to_string(options_.negative) + " " + to_text(options_.negative_ttl);
    return text;
  }

 private:
  Options options_;
};

}  // namespace penstock
