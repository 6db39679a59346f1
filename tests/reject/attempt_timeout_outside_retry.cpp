// SPDX-License-Identifier: MIT
// expect: penstock: attempt_timeout stands outside retry
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  static_cast<void>(stack(attempt_timeout(1s), retry()));
}
