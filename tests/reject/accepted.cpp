// SPDX-License-Identifier: MIT
// What the refused programs beside this one should have been.
#include <span>
#include <vector>

#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

Result<int> leaf(const std::string&) {
  return 1;
}
Task<Result<int>> leaf_by_value(std::string) {
  co_return 1;
}

int main() {
  auto task = (stack(retry()) | leaf_by_value)("text");
  auto ask = stack(deadline(1s), retry(), attempt_timeout(1s)) | leaf;
  auto meant = stack(in_any_order, attempt_timeout(1s), retry()) | leaf;
  static_cast<void>(ask(std::string{"x"}));
  static_cast<void>(meant(std::string{"x"}));
  StopSource source;
  const auto stop = []() noexcept {};
  const StopCallback callback{source.token(), stop};
  Inline executor;
  BatchQueue<int, int> queue{executor, [](std::span<int> items) {
                               return std::vector<Result<int>>(items.begin(), items.end());
                             }};
}
