// SPDX-License-Identifier: MIT
// The same stack, batch queue and connection pool code gives the same answers on every executor.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <penstock/core/stack.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/layer/attempt_timeout.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/deadline.hpp>
#include <penstock/layer/rate_limit.hpp>
#include <penstock/layer/retry.hpp>
#include <penstock/store/batch_queue.hpp>
#include <penstock/store/connection_pool.hpp>

#include "conformance/executors.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr int requests = 60;

// Answers request n with n * n, after n % 3 failures.
class Backend {
 public:
  Result<int> answer(int request) noexcept {
    ++attempts;
    if (failed_[static_cast<std::size_t>(request)].fetch_add(1) < request % 3)
      return ErrorKind::transient;
    return request * request;
  }
  std::atomic<int> attempts{0};

 private:
  std::array<std::atomic<int>, requests> failed_{};
};
// One attempt each, and one more for each failure: of three requests 1 + 2 + 3.
constexpr int attempts_in_all = requests * 2;

struct Connection {
  int number = 0;
};
struct Connector {
  using Key = int;
  using Connection = penstock::Connection;
  Result<Connection> connect(int, Call& call) {
    if (!block_until(call, call.where().now() + 100us)) return ErrorKind::cancelled;
    return Connection{++opened};
  }
  [[nodiscard]] bool usable(Connection&) noexcept { return true; }
  int opened = 0;
};
struct AsyncConnector {
  using Key = int;
  using Connection = penstock::Connection;
  Task<Result<Connection>> connect(int, Call& call) {
    const bool came = co_await wait_until(call.where(), call.where().now() + 100us, call.stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return Connection{++*opened};
  }
  [[nodiscard]] bool usable(Connection&) noexcept { return true; }
  std::shared_ptr<std::atomic<int>> opened = std::make_shared<std::atomic<int>>(0);
};

struct Policies {
  RetryPolicy retrying{{.max_attempts = 4, .rules = rules()}};
  CircuitBreaker breaker{{.failure_rate = 1.0, .minimum_calls = 10'000}};
  TokenBucket bucket{{.rate = 1e6, .per = 1s, .burst = 1e6}};

  auto layers() {
    return stack(deadline(60s),
                 retry(retrying),
                 circuit_breaker(breaker),
                 rate_limit(bucket),
                 attempt_timeout(20s));
  }
  static RetryPolicy::Rules rules() {
    RetryPolicy::Rules made{};
    made[ErrorKind::transient] = {3, Backoff::fixed(200us), Jitter::none};
    return made;
  }
};

template <class Entry>
class pipeline_on_every_executor : public ::testing::Test {
 protected:
  typename Entry::Executor executor_;
  Backend backend_;
  Policies policies_;
};
TYPED_TEST_SUITE(pipeline_on_every_executor, conformance::EveryExecutor, conformance::Names);

TYPED_TEST(pipeline_on_every_executor, a_stack_over_a_leaf_that_blocks) {
  const auto leaf = [this](int request) { return this->backend_.answer(request); };
  auto ask = this->policies_.layers() | leaf;
  Scope scope{this->executor_};
  std::array<std::optional<Result<int>>, requests> replies;
  const auto caller = [&](int request) -> Task<void> {
    replies[static_cast<std::size_t>(request)].emplace(ask(request));
    co_return;
  };
  for (int request = 0; request < requests; ++request) scope.spawn(caller(request));
  scope.wait();
  for (int request = 0; request < requests; ++request)
    EXPECT_EQ(replies[static_cast<std::size_t>(request)]->value(), request * request);
  EXPECT_EQ(this->backend_.attempts, attempts_in_all);
}

TYPED_TEST(pipeline_on_every_executor, a_stack_over_a_leaf_that_is_a_coroutine) {
  const auto leaf = [this](int request, Call& call) -> Task<Result<int>> {
    const bool came = co_await wait_until(call.where(), call.where().now() + 50us, call.stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return this->backend_.answer(request);
  };
  auto ask = this->policies_.layers() | leaf;
  Scope scope{this->executor_};
  std::array<std::optional<Result<int>>, requests> replies;
  const auto caller = [&](int request) -> Task<void> {
    Task<Result<int>> asked = ask(request);
    replies[static_cast<std::size_t>(request)].emplace(co_await std::move(asked));
  };
  for (int request = 0; request < requests; ++request) scope.spawn(caller(request));
  scope.wait();
  for (int request = 0; request < requests; ++request)
    EXPECT_EQ(replies[static_cast<std::size_t>(request)]->value(), request * request);
  EXPECT_EQ(this->backend_.attempts, attempts_in_all);
}

TYPED_TEST(pipeline_on_every_executor, a_connection_pool_whose_connect_blocks) {
  using Pool = ConnectionPool<Connector>;
  Pool pool{Connector{}, {.max_per_key = 1, .max_total = 1}};
  const auto leaf = [&](int request, Call& call) -> Result<int> {
    Result<Pool::Lease> lease = pool.acquire(request % 2, call);
    if (!lease) return std::move(lease).error();
    const Result<int> reply = this->backend_.answer(request);
    lease->give_back();
    return reply;
  };
  auto ask = this->policies_.layers() | leaf;
  const auto body = [&]() -> Task<int> {
    int right = 0;
    for (int request = 0; request < requests; ++request) {
      const Result<int> reply = ask(request);
      right += reply && *reply == request * request ? 1 : 0;
    }
    co_return right;
  };
  EXPECT_EQ(sync_wait(this->executor_, body()), requests);
  EXPECT_EQ(this->backend_.attempts, attempts_in_all);
  EXPECT_EQ(pool.stats().connections, 1U);
}

TYPED_TEST(pipeline_on_every_executor, a_batch_queue_over_a_stack_over_a_connection_pool) {
  using Pool = ConnectionPool<AsyncConnector>;
  Pool pool{AsyncConnector{}, {.max_per_key = 2, .max_total = 3}};
  const auto leaf = [&](int request, Call& call) -> Task<Result<int>> {
    Task<Result<Pool::Lease>> acquired = pool.acquire(request % 2, call);
    Result<Pool::Lease> lease = co_await std::move(acquired);
    if (!lease) co_return std::move(lease).error();
    co_await reschedule(call.where());
    const Result<int> reply = this->backend_.answer(request);
    lease->give_back();
    co_return reply;
  };
  auto ask = this->policies_.layers() | leaf;
  const auto handler = [&](std::span<int> items) -> Task<std::vector<Result<int>>> {
    std::vector<Result<int>> replies;
    for (const int item : items) {
      Task<Result<int>> asked = ask(item);
      replies.push_back(co_await std::move(asked));
    }
    co_return replies;
  };
  BatchQueue<int, int> queue{
      this->executor_,
      handler,
      {.release = SizeWeightAge{{.max_items = 7, .max_age = 1ms}}, .max_running = 4}};
  Scope scope{this->executor_};
  std::array<std::optional<Result<int>>, requests> replies;
  const auto caller = [&](int request) -> Task<void> {
    Task<Result<int>> submitted = queue.submit(request);
    replies[static_cast<std::size_t>(request)].emplace(co_await std::move(submitted));
  };
  for (int request = 0; request < requests; ++request) scope.spawn(caller(request));
  scope.wait();
  for (int request = 0; request < requests; ++request)
    EXPECT_EQ(replies[static_cast<std::size_t>(request)]->value(), request * request);
  EXPECT_EQ(this->backend_.attempts, attempts_in_all);
  EXPECT_EQ(queue.stats().completed, static_cast<std::size_t>(requests));
  EXPECT_LE(pool.stats().connections, 3U);
}

// Every caller ends exactly once, wherever the stop finds it: before its turn, in the backlog,
// waiting for a connection, in the leaf, in the backoff.
TYPED_TEST(pipeline_on_every_executor, a_stop_ends_every_call_wherever_it_waits) {
  using Pool = ConnectionPool<AsyncConnector>;
  Pool pool{AsyncConnector{}, {.max_per_key = 1, .max_total = 1}};
  StopSource source;
  const auto leaf = [&](int request, Call& call) -> Task<Result<int>> {
    Task<Result<Pool::Lease>> acquired = pool.acquire(0, call);
    Result<Pool::Lease> lease = co_await std::move(acquired);
    if (!lease) co_return std::move(lease).error();
    const Time until = request == 20 ? never : call.where().now() + 20us;
    if (!co_await wait_until(call.where(), until, call.stop)) co_return ErrorKind::cancelled;
    lease->give_back();
    co_return this->backend_.answer(request);
  };
  auto ask = this->policies_.layers() | leaf;
  Scope scope{this->executor_};
  std::atomic<int> answered{0};
  std::atomic<int> cancelled{0};
  const auto caller = [&](int request) -> Task<void> {
    Task<Result<int>> asked = ask(request, Call{.stop = source.token()});
    const Result<int> reply = co_await std::move(asked);
    if (reply) {
      ++answered;
    } else if (reply.error().kind() == ErrorKind::cancelled) {
      ++cancelled;
    }
  };
  for (int request = 0; request < requests; ++request) scope.spawn(caller(request));
  const auto stopper = [&]() -> Task<void> {
    static_cast<void>(
        co_await wait_until(this->executor_, this->executor_.now() + 5ms, StopToken{}));
    source.request_stop();
  };
  scope.spawn(stopper());
  scope.wait();
  EXPECT_EQ(answered + cancelled, requests);
  EXPECT_GE(cancelled, 1);
}

}  // namespace
}  // namespace penstock
