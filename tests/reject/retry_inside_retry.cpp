// SPDX-License-Identifier: MIT
// expect: penstock: a retry inside a retry multiplies the attempts
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  static_cast<void>(stack(retry(), retry()));
}
