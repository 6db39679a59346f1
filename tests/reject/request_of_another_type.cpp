// SPDX-License-Identifier: MIT
// expect: penstock: the leaf cannot take this request
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

Result<int> leaf(const std::string&) {
  return 1;
}
int main() {
  auto ask = stack(retry()) | leaf;
  ask(42);
}
