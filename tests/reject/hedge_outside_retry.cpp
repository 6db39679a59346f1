// SPDX-License-Identifier: MIT
// expect: penstock: hedge stands outside retry
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  HedgePolicy policy;
  Inline executor;
  Scope scope{executor};
  static_cast<void>(stack(hedge(policy, scope), retry()));
}
