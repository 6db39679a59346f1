// SPDX-License-Identifier: MIT
// expect: penstock: cache keeps another reply than the leaf gives
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

int main() {
  Cache<std::string, std::string> kept;
  auto ask = stack(cache(kept)) | [](const std::string&) -> Result<int> { return 1; };
  static_cast<void>(ask(std::string{"x"}));
}
