// SPDX-License-Identifier: MIT
// expect: penstock: hedge needs a request that can be copied
#include <memory>

#include <penstock/penstock.hpp>

using namespace penstock;

int main() {
  HedgePolicy policy;
  Inline executor;
  Scope scope{executor};
  auto ask = stack(hedge(policy, scope)) |
             [](const std::unique_ptr<int>&) -> Task<Result<int>> { co_return 1; };
  static_cast<void>(ask(std::make_unique<int>(1)));
}
