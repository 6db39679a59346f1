// SPDX-License-Identifier: MIT
// expect: penstock: fallback(x) cannot answer this request
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

Result<int> leaf(const std::string&) {
  return 1;
}
int main() {
  auto ask = stack(fallback(std::string{"not a number"})) | leaf;
  static_cast<void>(ask(std::string{"x"}));
}
