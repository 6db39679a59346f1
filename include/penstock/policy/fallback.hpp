// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

#include <penstock/core/error_set.hpp>

namespace penstock {

/// Whether a failed call is answered by something else. *Safe from any thread.* (Immutable.)
///
/// Never for what the caller itself caused: a wrong request fails the same way elsewhere, and a
/// caller that cancelled or has no time left wants no answer.
class FallbackPolicy {
 public:
  struct Options {
    ErrorSet on = outages;  ///< the failures that are answered
  };

  constexpr FallbackPolicy() : FallbackPolicy(Options{}) {}
  constexpr explicit FallbackPolicy(Options settings) : options_(settings) {
    if (settings.on.empty() || settings.on.overlaps({ErrorKind::cancelled, ErrorKind::deadline})) {
      throw std::invalid_argument(
          "penstock: FallbackPolicy answers some failures, and never cancelled or deadline: "
          "leave .on out for outages, or write .on = {ErrorKind::unavailable, …}");
    }
  }

  [[nodiscard]] constexpr bool answers(ErrorKind kind) const noexcept {
    return options_.on.contains(kind);
  }
  [[nodiscard]] constexpr const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const { return "on " + to_string(options_.on); }

 private:
  Options options_;
};

}  // namespace penstock
