// SPDX-License-Identifier: MIT
// expect: penstock: a hedge inside a hedge multiplies the requests
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  HedgePolicy policy;
  Inline executor;
  Scope scope{executor};
  HedgePolicy other;
  static_cast<void>(stack(hedge(policy, scope), hedge(other, scope)));
}
