// SPDX-License-Identifier: MIT
// expect: penstock: a ThreadPool is given functions that block; for a coroutine write
#include <penstock/penstock.hpp>

using namespace penstock;

Task<int> coroutine() {
  co_return 1;
}

int main() {
  ThreadPool pool;
  static_cast<void>(pool.try_submit(coroutine));
}
