// SPDX-License-Identifier: MIT
// expect: penstock: a value of a Channel must move without throwing, or it could get lost
#include <penstock/penstock.hpp>

using namespace penstock;

struct Throwing {
  Throwing() = default;
  Throwing(Throwing&&) noexcept(false) {}
};

int main() {
  Channel<Throwing> values{1};
}
