// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <penstock/core/random_bits.hpp>
#include <penstock/core/stack.hpp>
#include <penstock/exec/pool_scope.hpp>
#include <penstock/layer/cache.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Every reply belongs to its key, the bounds hold at every moment, and at most one caller at a time
// asks anew for a stale entry.
TEST(cache_on_threads, replies_belong_to_their_keys_within_the_bounds) {
  constexpr int threads = 4;
  constexpr int calls = 3000;
  constexpr int keys = 64;
  Cache<std::string, std::string> kept{{.max_entries = 32, .shards = 4}};
  ThreadPool pool{2};
  PoolScope refreshing{pool};
  std::atomic<int> made{0};
  auto ask = stack(cache(kept,
                         std::identity{},
                         CachePolicy{{.ttl = 200us, .stale_while_revalidate = 200us}},
                         refreshing)) |
             [&](const std::string& key) -> Result<std::string> {
    ++made;
    if (random_bits() % 8 == 0) return ErrorKind::transient;
    return key + "!";
  };
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&] {
      for (int call = 0; call < calls; ++call) {
        const std::string key = std::to_string(random_bits() % keys) + std::string(30, 'k');
        const auto result = ask(key);
        if (result) {
          EXPECT_EQ(*result, key + "!");
        }
        EXPECT_LE(kept.size_approx(), 32U);
        if (call % 128 == 0) kept.erase(key);
        if (call % 1024 == 0) kept.clear();
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  refreshing.wait();
  EXPECT_GT(made, 0);
  EXPECT_LE(kept.size_approx(), 32U);
  EXPECT_EQ(kept.weight_approx(), kept.size_approx());
}

}  // namespace
}  // namespace penstock
