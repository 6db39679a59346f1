// SPDX-License-Identifier: MIT
// expect: penstock: fallback stands inside circuit_breaker
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  CircuitBreaker breaker;
  static_cast<void>(stack(circuit_breaker(breaker), fallback(1)));
}
