// SPDX-License-Identifier: MIT
// The same stack over a coroutine is a coroutine: a thousand calls wait at once on one thread.
#include <penstock/penstock.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using penstock::Result;
using penstock::Task;

namespace {

// Yours. It takes what it must keep by value, or as the very type it is called with.
Task<Result<int>> double_slowly(int number, penstock::Call& call) {
  penstock::Executor& here = call.where();
  const bool came = co_await penstock::wait_until(here, here.now() + 50ms, call.stop);
  if (!came) co_return penstock::ErrorKind::cancelled;
  co_return 2 * number;
}

template <class Ask>
Task<void> add_one(Ask& ask, int number, long& sum) {
  const Result<int> reply = co_await ask(number);
  if (reply) sum += *reply;
}

}  // namespace

int main() {
  penstock::CircuitBreaker breaker{{}};
  auto ask = penstock::stack(penstock::deadline(5s),
                             penstock::retry(),
                             penstock::circuit_breaker(breaker),
                             penstock::attempt_timeout(2s)) |
             double_slowly;

  penstock::EventLoop loop;
  penstock::Scope scope{loop};
  long sum = 0;  // written on the loop's thread only: no lock
  for (int number = 1; number <= 1000; ++number) scope.spawn(add_one(ask, number, sum));
  scope.wait();
  std::printf("the sum of a thousand replies is %ld\n", sum);
  return sum == 1'001'000 ? 0 : 1;
}
