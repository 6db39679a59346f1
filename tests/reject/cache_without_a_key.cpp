// SPDX-License-Identifier: MIT
// expect: penstock: cache needs the key of a request
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

struct Request {};

int main() {
  Cache<std::string, int> kept;
  auto ask = stack(cache(kept)) | [](const Request&) -> Result<int> { return 1; };
  static_cast<void>(ask(Request{}));
}
