// SPDX-License-Identifier: MIT
// expect: penstock: coalesce keeps another reply than the leaf gives
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

int main() {
  InFlight<std::string, std::string> in_flight;
  auto ask = stack(coalesce(in_flight)) | [](const std::string&) -> Result<int> { return 1; };
  static_cast<void>(ask(std::string{"x"}));
}
