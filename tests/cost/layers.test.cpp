// SPDX-License-Identifier: MIT
// What the layers allocate for a call that goes well: nothing.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <penstock/penstock.hpp>

#include "support/allocations.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::allocations_here;

Result<int> leaf(int request) {
  return request;
}
[[maybe_unused]] Task<Result<int>> async_leaf(int request) {
  co_return request;
}

// Allocations of 100 calls after a few that warm up.
template <class Ask>
std::uint64_t of_blocking_calls(Ask& ask) {
  for (int call = 0; call < 5; ++call) EXPECT_TRUE(ask(1));
  const std::uint64_t before = allocations_here;
  for (int call = 0; call < 100; ++call) EXPECT_TRUE(ask(1));
  return allocations_here - before;
}
template <class Ask>
Task<std::uint64_t> count_coroutine_calls(Ask& ask) {
  for (int call = 0; call < 5; ++call) {
    const Result<int> warm = co_await ask(1);
    EXPECT_TRUE(warm);
  }
  const std::uint64_t before = allocations_here;
  for (int call = 0; call < 100; ++call) {
    const Result<int> result = co_await ask(1);
    EXPECT_TRUE(result);
  }
  co_return allocations_here - before;
}
template <class Ask>
std::uint64_t of_coroutine_calls(Ask& ask) {
  return sync_wait(count_coroutine_calls(ask));
}

struct Parts {
  Cache<int, int> kept;
  InFlight<int, int> in_flight;
  Escalation latch;
  static void notify(const Error&) noexcept {}

  auto layers() {
    return stack(
        coalesce(in_flight), escalation(latch, &notify), fallback(7), chaos(ChaosPolicy{}));
  }
};

TEST(allocation_counter, counts) {
  const std::uint64_t before = allocations_here;
  const auto one = std::make_unique<std::uint64_t>(before);
  EXPECT_EQ(allocations_here, *one + 1);
}

TEST(layers_allocate_nothing, for_a_blocking_call_that_goes_well) {
  Parts parts;
  auto ask = parts.layers() | leaf;
  EXPECT_EQ(of_blocking_calls(ask), 0U);
}

TEST(layers_allocate_nothing, for_a_blocking_cache_hit) {
  Parts parts;
  auto ask = stack(cache(parts.kept)) | leaf;
  EXPECT_EQ(of_blocking_calls(ask), 0U);
}

TEST(layers_allocate_nothing, for_a_blocking_balanced_call) {
  for (const auto method : {Balancer::Method::round_robin,
                            Balancer::Method::weighted,
                            Balancer::Method::least_loaded,
                            Balancer::Method::power_of_two}) {
    Balancer balancer{3, {.method = method}};
    auto ask = stack() | balance(balancer, std::vector<Result<int> (*)(int)>(3, &leaf));
    EXPECT_EQ(of_blocking_calls(ask), 0U) << to_string(method);
  }
}

// An address sanitizer takes coroutine frames from the heap, so that it can watch them.
#ifndef __SANITIZE_ADDRESS__
TEST(layers_allocate_nothing, for_a_coroutine_call_that_goes_well) {
  Parts parts;
  auto ask = parts.layers() | async_leaf;
  EXPECT_EQ(of_coroutine_calls(ask), 0U);
}

TEST(layers_allocate_nothing, for_a_coroutine_cache_hit) {
  Parts parts;
  auto ask = stack(cache(parts.kept)) | async_leaf;
  EXPECT_EQ(of_coroutine_calls(ask), 0U);
}

TEST(layers_allocate_nothing, for_a_hedged_call_that_needs_no_hedge) {
  HedgePolicy policy{{.delay = 10min}};
  Inline executor;
  Scope scope{executor};
  auto ask = stack(hedge(policy, scope)) | async_leaf;
  const std::uint64_t made = sync_wait(executor, count_coroutine_calls(ask));
  scope.wait();
  EXPECT_EQ(made, 0U);
}
#endif

}  // namespace
}  // namespace penstock
