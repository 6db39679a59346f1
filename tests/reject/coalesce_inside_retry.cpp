// SPDX-License-Identifier: MIT
// expect: penstock: coalesce stands inside retry
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  InFlight<std::string, int> in_flight;
  static_cast<void>(stack(retry(), coalesce(in_flight)));
}
