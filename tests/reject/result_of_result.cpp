// SPDX-License-Identifier: MIT
// expect: penstock: Result<T> holds a plain object type
#include <chrono>
#include <string>

#include <penstock/penstock.hpp>

using namespace penstock;
using namespace std::chrono_literals;

int main() {
  Result<Result<int>> nested{ErrorKind::timeout};
}
