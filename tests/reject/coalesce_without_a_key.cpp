// SPDX-License-Identifier: MIT
// expect: penstock: coalesce needs the key of a request
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

struct Request {};

int main() {
  InFlight<std::string, int> in_flight;
  auto ask = stack(coalesce(in_flight)) | [](const Request&) -> Result<int> { return 1; };
  static_cast<void>(ask(Request{}));
}
