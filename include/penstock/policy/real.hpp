// SPDX-License-Identifier: MIT
#pragma once

namespace penstock {

// The few functions of real numbers that policies need. <cmath> brings its special functions
// along, and costs more to compile than a policy does.

[[nodiscard]] inline double square_root(double number) noexcept {
  return __builtin_sqrt(number);
}
/// e to the power of `exponent`.
[[nodiscard]] inline double exponential(double exponent) noexcept {
  return __builtin_exp(exponent);
}
/// 2 to the power of `exponent`.
[[nodiscard]] inline double power_of_two(double exponent) noexcept {
  return __builtin_exp2(exponent);
}
[[nodiscard]] inline double decimal_logarithm(double number) noexcept {
  return __builtin_log10(number);
}

}  // namespace penstock
