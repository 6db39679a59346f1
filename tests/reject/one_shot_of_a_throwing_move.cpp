// SPDX-License-Identifier: MIT
// expect: penstock: the value of a OneShot must move without throwing
#include <penstock/penstock.hpp>

using namespace penstock;

struct Throwing {
  Throwing() = default;
  Throwing(Throwing&&) noexcept(false) {}
};

int main() {
  OneShot<Throwing> done;
}
