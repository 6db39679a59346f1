// SPDX-License-Identifier: MIT
// One header, one policy. A policy decides and never waits: the time is an argument, so this
// bucket is the same in a thread, in a coroutine and in a test.
#include <chrono>
#include <cstdio>

#include <penstock/policy/token_bucket.hpp>

using namespace std::chrono_literals;

int main() {
  penstock::TokenBucket bucket{{.rate = 10, .per = 1s, .burst = 2}};
  const penstock::Time now = std::chrono::steady_clock::now();

  int granted = 0;
  for (int call = 0; call < 5; ++call) granted += bucket.try_take(now).granted ? 1 : 0;
  std::printf("of five calls at once, %d pass\n", granted);

  const auto refused = bucket.try_take(now);
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(refused.ready - now);
  std::printf("the next one would pass in %lld ms\n", static_cast<long long>(wait.count()));
  return granted == 2 && wait == 100ms ? 0 : 1;
}
