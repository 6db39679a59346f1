// SPDX-License-Identifier: MIT
// expect: penstock: hedge over a blocking leaf needs threads
#include <penstock/penstock.hpp>

using namespace penstock;

int main() {
  HedgePolicy policy;
  Inline executor;
  Scope scope{executor};
  auto ask = stack(hedge(policy, scope)) | [](int) -> Result<int> { return 1; };
  static_cast<void>(ask(1));
}
