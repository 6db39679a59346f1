// SPDX-License-Identifier: MIT
// expect: penstock: a stop callback must not throw
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  StopSource source;
  const auto stop = [] {};
  const StopCallback callback{source.token(), stop};
}
