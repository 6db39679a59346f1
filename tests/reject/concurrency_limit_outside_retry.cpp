// SPDX-License-Identifier: MIT
// expect: penstock: concurrency_limit stands outside retry
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

struct Slots {
  static constexpr LayerKind kind = LayerKind::concurrency_limit;
  const void* shared() const noexcept { return nullptr; }
  std::string describe() const { return "slots"; }
};

int main() {
  static_cast<void>(stack(Slots{}, retry()));
}
