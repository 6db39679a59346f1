// SPDX-License-Identifier: MIT
// expect: penstock: coalesce stands inside hedge
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  HedgePolicy policy;
  Inline executor;
  Scope scope{executor};
  InFlight<std::string, int> in_flight;
  static_cast<void>(stack(hedge(policy, scope), coalesce(in_flight)));
}
