// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include <penstock/core/error.hpp>
#include <penstock/core/random.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// What goes wrong with a call on purpose. *Safe from any thread.* (Immutable; chance is an
/// argument, so that the same bits give the same trouble.)
///
/// The three kinds of trouble are drawn apart: a call may be late and fail as well.
class ChaosPolicy {
 public:
  struct Options {
    double fault_rate = 0;  ///< share of calls that fail and are not made
    ErrorKind fault = ErrorKind::unavailable;
    double latency_rate = 0;  ///< share of calls that are made late
    Duration latency = std::chrono::seconds{1};
    double outcome_rate = 0;  ///< share of calls that are made and whose reply is lost
    ErrorKind outcome = ErrorKind::timeout;
  };
  struct Plan {
    std::optional<ErrorKind> fault;    ///< instead of the call
    Duration delay{};                  ///< before it
    std::optional<ErrorKind> outcome;  ///< instead of its reply
  };

  constexpr ChaosPolicy() : ChaosPolicy(Options{}) {}
  constexpr explicit ChaosPolicy(Options settings) : options_(settings) {
    for (const double rate : {settings.fault_rate, settings.latency_rate, settings.outcome_rate}) {
      if (!(rate >= 0 && rate <= 1)) {
        throw std::invalid_argument(
            "penstock: ChaosPolicy needs rates from 0 to 1; write .fault_rate = 0.01");
      }
    }
    if (settings.latency < Duration::zero()) {
      throw std::invalid_argument(
          "penstock: ChaosPolicy cannot answer before it is asked; write a positive .latency");
    }
  }

  /// The trouble of one call, from 64 uniform bits.
  [[nodiscard]] constexpr Plan plan(std::uint64_t random) const noexcept {
    Random draw{random};
    Plan plan;
    if (happens(draw(), options_.fault_rate)) plan.fault = options_.fault;
    if (happens(draw(), options_.latency_rate)) plan.delay = options_.latency;
    if (happens(draw(), options_.outcome_rate)) plan.outcome = options_.outcome;
    return plan;
  }

  [[nodiscard]] constexpr const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    const auto part = [](double rate, const std::string& what) {
      return rate > 0 ? to_text(rate) + " " + what + ", " : std::string{};
    };
    std::string text =
        part(options_.fault_rate, std::string{to_string(options_.fault)}) +
        part(options_.latency_rate, to_text(options_.latency) + " late") +
        part(options_.outcome_rate, "replies lost as " + std::string{to_string(options_.outcome)});
    if (text.empty()) return "chaos(none)";
    text.resize(text.size() - 2);
    return "chaos(" + text + ")";
  }

 private:
  static constexpr bool happens(std::uint64_t random, double rate) noexcept {
    return static_cast<double>(random >> 11U) * 0x1p-53 < rate;
  }

  Options options_;
};

}  // namespace penstock
