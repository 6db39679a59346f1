// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include <penstock/testing/explorer.hpp>

/// The scenarios of the explorer: each `tests/explore/<primitive>.scenario.cpp` registers some.
namespace explore {

using penstock::testing::explorer::check;
using penstock::testing::explorer::let_time_wait;
using penstock::testing::explorer::Var;

/// A few threads around one primitive. At most three with the one that runs the scenario, where
/// depth-first search is to end.
class Scenario {
 public:
  Scenario(std::string_view title, void (*function)()) noexcept
      : name(title),
        body(function),
        next_(first_) {
    first_ = this;
  }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  const std::string_view name;  ///< "token_bucket/refund_races_take"
  void (*const body)();

  [[nodiscard]] static const Scenario* first() noexcept { return first_; }
  [[nodiscard]] const Scenario* next() const noexcept { return next_; }

 private:
  const Scenario* next_;
  static inline const Scenario* first_ = nullptr;
};

/// A concurrency bug, and the same code without it.
class Bug {
 public:
  Bug(std::string_view title, void (*broken)(), void (*corrected)()) noexcept
      : name(title),
        body(broken),
        twin(corrected),
        next_(first_) {
    first_ = this;
  }
  Bug(const Bug&) = delete;
  Bug& operator=(const Bug&) = delete;

  const std::string_view name;
  void (*const body)();
  void (*const twin)();  ///< or null

  [[nodiscard]] static const Bug* first() noexcept { return first_; }
  [[nodiscard]] const Bug* next() const noexcept { return next_; }

 private:
  const Bug* next_;
  static inline const Bug* first_ = nullptr;
};

}  // namespace explore
