// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

#include <penstock/core/error_set.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

/// Which errors of the one call that was made are given to all who wait for it. *Safe from any
/// thread.* (Immutable.)
///
/// A success is always shared. After an error that is not, the next who waits makes a call of its
/// own. The leader's own end (it was cancelled, or its deadline passed) is never shared.
class CoalescePolicy {
 public:
  static constexpr ErrorSet every_error{ErrorKind::transient,
                                        ErrorKind::unavailable,
                                        ErrorKind::rate_limited,
                                        ErrorKind::timeout,
                                        ErrorKind::permanent,
                                        ErrorKind::not_found,
                                        ErrorKind::too_large,
                                        ErrorKind::credential,
                                        ErrorKind::quota,
                                        ErrorKind::exception,
                                        ErrorKind::circuit_open,
                                        ErrorKind::limited,
                                        ErrorKind::overloaded,
                                        ErrorKind::budget_exhausted,
                                        ErrorKind::closed};
  struct Options {
    ErrorSet shared_errors = every_error;  ///< write {} to share successes alone
  };

  constexpr CoalescePolicy() : CoalescePolicy(Options{}) {}
  constexpr explicit CoalescePolicy(Options settings) : options_(settings) {
    if (settings.shared_errors.overlaps({ErrorKind::cancelled, ErrorKind::deadline})) {
      throw std::invalid_argument(
          "penstock: CoalescePolicy never shares cancelled or deadline, which are one caller's "
          "own: leave .shared_errors out for every other error");
    }
  }

  /// Whether an error that the leader, whose deadline is `deadline`, met at `now` is for all.
  [[nodiscard]] constexpr bool shares(ErrorKind kind, Time now, Time deadline) const noexcept {
    if (kind == ErrorKind::timeout && now >= deadline) return false;
    return options_.shared_errors.contains(kind);
  }
  [[nodiscard]] constexpr const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    if (options_.shared_errors == every_error) return "coalesce(shares every error)";
    return "coalesce(shares " + to_string(options_.shared_errors) + ")";
  }

 private:
  Options options_;
};

}  // namespace penstock
