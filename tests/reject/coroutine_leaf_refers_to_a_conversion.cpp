// SPDX-License-Identifier: MIT
// expect: penstock: this coroutine leaf takes a reference to another type than this request
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;

Task<Result<int>> leaf(const std::string& text) {
  co_return static_cast<int>(text.size());
}
int main() {
  auto ask = stack(retry()) | leaf;
  auto task = ask("text");
}
