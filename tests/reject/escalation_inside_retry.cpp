// SPDX-License-Identifier: MIT
// expect: penstock: escalation stands inside retry
#include <penstock/penstock.hpp>

using namespace penstock;

int main() {
  Escalation latch;
  const auto notify = [](const Error&) noexcept {};
  static_cast<void>(stack(retry(), escalation(latch, notify)));
}
