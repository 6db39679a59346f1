// SPDX-License-Identifier: MIT
// expect: penstock: the handler of a BatchQueue
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  Inline executor;
  BatchQueue<int, int> queue{executor, [](std::span<int>) { return 1; }};
}
