// SPDX-License-Identifier: MIT
// expect: penstock: a cache over a blocking leaf needs a thread to revalidate in
#include <functional>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

int main() {
  Cache<std::string, int> kept;
  Inline executor;
  Scope scope{executor};
  auto ask = stack(cache(kept, std::identity{}, CachePolicy{}, scope)) |
             [](const std::string&) -> Result<int> { return 1; };
  static_cast<void>(ask(std::string{"x"}));
}
