// SPDX-License-Identifier: MIT
// Many callers, one request for all of them: a queue gathers items and gives each its own reply.
#include <penstock/penstock.hpp>

#include <algorithm>
#include <cstdio>
#include <span>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using penstock::Result;

int main() {
  int batches = 0;
  const auto square_all = [&batches](std::span<int> numbers) {
    ++batches;
    std::vector<Result<int>> replies;
    for (const int number : numbers) replies.emplace_back(number * number);
    return replies;
  };
  penstock::ThreadPool pool{1};
  penstock::BatchQueue<int, int> queue{
      pool, square_all, {.release = penstock::SizeWeightAge{{.max_items = 8, .max_age = 50ms}}}};

  std::vector<int> replies(32);
  std::vector<std::thread> callers;
  for (int number = 0; number < 32; ++number) {
    callers.emplace_back([&queue, &replies, number] {
      const Result<int> reply = queue.submit_and_wait(number);
      replies[static_cast<std::size_t>(number)] = reply.value_or(-1);
    });
  }
  for (std::thread& caller : callers) caller.join();

  int right = 0;
  for (int number = 0; number < 32; ++number)
    right += replies[static_cast<std::size_t>(number)] == number * number ? 1 : 0;
  std::printf("%d right replies from %d batches\n", right, batches);
  return right == 32 && batches < 32 ? 0 : 1;
}
