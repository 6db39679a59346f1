// SPDX-License-Identifier: MIT
// expect: penstock: cache stands inside retry
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  Cache<std::string, int> kept;
  static_cast<void>(stack(retry(), cache(kept)));
}
