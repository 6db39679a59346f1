// SPDX-License-Identifier: MIT
// expect: penstock: fallback stands inside retry
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  static_cast<void>(stack(retry(), fallback(std::string{"default"})));
}
