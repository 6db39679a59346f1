// SPDX-License-Identifier: MIT
// Many callers that come, are cancelled, run out of time and fail, on threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include <penstock/core/random_bits.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/store/batch_queue.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Owns memory, so that a sanitizer sees an item that is lost or touched twice.
struct Item {
  explicit Item(int number) : value(std::make_unique<int>(number)) {}
  std::unique_ptr<int> value;
};
using Reply = std::unique_ptr<int>;
using Replies = std::vector<Result<Reply>>;
using Queue = BatchQueue<Item, Reply>;

struct Tally {
  std::atomic<std::uint64_t> submitted{0};
  std::atomic<std::uint64_t> returned{0};
  std::atomic<std::uint64_t> right{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> left{0};
  std::atomic<std::uint64_t> closed{0};
  std::atomic<std::uint64_t> handled{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<unsigned> running{0};
  std::atomic<unsigned> most_running{0};

  void count(int item, const Result<Reply>& reply) {
    ++returned;
    if (reply) {
      ++(**reply == item + 1 ? right : wrong);
      return;
    }
    switch (reply.error().kind()) {
      case ErrorKind::exception:
      case ErrorKind::transient:
      case ErrorKind::permanent:
        ++failed;
        break;
      case ErrorKind::cancelled:
      case ErrorKind::deadline:
      case ErrorKind::timeout:
        ++left;
        break;
      case ErrorKind::closed:
        ++closed;
        break;
      default:
        ++wrong;
    }
  }
};

// Succeeds, fails for one item or for all, throws or miscounts, by chance.
Result<Replies> handle(std::span<Item> items, Tally& tally) {
  const unsigned now_running = ++tally.running;
  unsigned seen = tally.most_running.load();
  while (seen < now_running && !tally.most_running.compare_exchange_weak(seen, now_running)) {
  }
  tally.handled += items.size();
  const std::uint64_t chance = random_bits() % 16;
  struct Done {
    Tally& of;
    ~Done() { --of.running; }
  } const done{tally};
  if (items.empty()) ++tally.wrong;
  if (chance == 0) throw std::runtime_error{"by chance"};
  if (chance == 1) return ErrorKind::transient;
  Replies replies;
  for (Item& item : items) {
    if (chance == 2 && *item.value % 3 == 0) {
      replies.emplace_back(ErrorKind::permanent);
    } else {
      ++*item.value;
      replies.emplace_back(std::move(item.value));
    }
  }
  if (chance == 3) replies.pop_back();
  return replies;
}

Call random_call(Executor& executor, StopToken stop) {
  const std::uint64_t bits = random_bits();
  Call call;
  call.executor = &executor;
  if (bits % 3 == 0) call.deadline = executor.now() + Duration{(bits >> 8U) % 400'000};
  if ((bits >> 32U) % 3 == 0) call.stop = stop;
  call.weight = static_cast<std::uint32_t>((bits >> 40U) % 5);
  call.priority = static_cast<Priority>((bits >> 50U) % 3);
  return call;
}

// Coroutines on `callers` and blocking threads, cancelled all the while; every fourth round the
// queue is closed under them, every fourth it is aborted.
template <class Handler>
void storm(Executor& where, Executor& callers, Tally& tally, Handler handler, int rounds) {
  constexpr int coroutines = 200;
  constexpr int threads = 2;
  constexpr int blocking_each = 60;
  for (int round = 0; round < rounds; ++round) {
    std::vector<StopSource> sources(8);
    const std::uint64_t handled_before = tally.handled;
    Queue queue{where,
                handler,
                {.release = SizeWeightAge{{.max_items = 9, .max_weight = 25, .max_age = 100us}},
                 .capacity = 40,
                 .max_running = 3}};
    Scope scope{callers};
    const auto body = [&](int item) -> Task<void> {
      ++tally.submitted;
      const Call call = random_call(callers, sources[static_cast<std::size_t>(item) % 8].token());
      Task<Result<Reply>> submitted = queue.submit(Item{item}, call);
      const Result<Reply> reply = co_await std::move(submitted);
      tally.count(item, reply);
    };
    for (int item = 0; item < coroutines; ++item) scope.spawn(body(item));
    std::vector<std::thread> blocking;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      blocking.emplace_back([&, thread] {
        for (int item = 0; item < blocking_each; ++item) {
          ++tally.submitted;
          Call call = random_call(callers, sources[thread].token());
          call.executor = nullptr;
          tally.count(item, queue.submit_and_wait(Item{item}, call));
          if (item % 16 == 0) static_cast<void>(queue.drain_and_wait(call));
        }
      });
    }
    for (StopSource& source : sources) {
      queue.flush();
      source.request_stop();
      std::this_thread::yield();
    }
    if (round % 4 == 1) queue.close();
    if (round % 4 == 3) queue.abort();
    for (std::thread& thread : blocking) thread.join();
    scope.wait();
    EXPECT_TRUE(queue.drain_and_wait());
    const Queue::Stats stats = queue.stats();
    EXPECT_EQ(stats.queued + stats.waiting + stats.running, 0U);
    EXPECT_EQ(stats.completed, tally.handled - handled_before);
  }
  EXPECT_EQ(tally.returned, tally.submitted);
  EXPECT_EQ(tally.right + tally.failed + tally.left + tally.closed, tally.returned);
  EXPECT_EQ(tally.wrong, 0U);
  EXPECT_LE(tally.most_running, 3U);
  EXPECT_GT(tally.right, 0U);
}

TEST(batch_queue_stress, every_submit_returns_once_with_a_blocking_handler_on_a_pool) {
  ThreadPool pool{3};
  ThreadPool callers{2};
  Tally tally;
  storm(
      pool, callers, tally, [&](std::span<Item> items) { return handle(items, tally); }, 60);
}

TEST(batch_queue_stress, every_submit_returns_once_with_a_coroutine_handler_on_the_callers_pool) {
  ThreadPool pool{3};
  Tally tally;
  const auto handler = [&](std::span<Item> items) -> Task<Result<Replies>> {
    co_await reschedule(pool);
    static_cast<void>(co_await wait_until(pool, pool.now() + 20us, StopToken{}));
    co_return handle(items, tally);
  };
  storm(pool, pool, tally, handler, 60);
}

TEST(batch_queue_stress, every_submit_returns_once_on_an_event_loop) {
  EventLoop loop;
  std::thread runner{[&] { EXPECT_TRUE(loop.run()); }};
  ThreadPool callers{2};
  Tally tally;
  storm(
      loop, callers, tally, [&](std::span<Item> items) { return handle(items, tally); }, 60);
  loop.stop();
  runner.join();
}

// The destructor meets callers that leave, time out and are served, and the last batches.
TEST(batch_queue_stress, its_destructor_sees_off_the_callers_inside) {
  constexpr std::uint64_t items = 40;
  ThreadPool pool{3};
  Tally tally;
  for (std::uint64_t round = 0; round < 300; ++round) {
    const auto handler = [&](std::span<Item> given) { return handle(given, tally); };
    const auto release = SizeWeightAge{{.max_items = 1000, .max_age = 1h}};
    std::optional<Queue> queue;
    queue.emplace(pool, handler, Queue::Options{.release = release, .max_running = 2});
    StopSource source;
    const auto body = [&](int item) -> Task<void> {
      Task<Result<Reply>> submitted = queue->submit(Item{item}, random_call(pool, source.token()));
      tally.count(item, co_await std::move(submitted));
    };
    Scope scope{pool};
    for (int item = 0; item < static_cast<int>(items); ++item) scope.spawn(body(item));
    // Until each is queued or back: whoever is back is counted first, so none counts twice.
    for (;;) {
      const std::uint64_t back = tally.returned - round * items;
      if (back + queue->stats().queued >= items) break;
      std::this_thread::yield();
    }
    std::thread stopper{[&] { source.request_stop(); }};
    queue.reset();
    stopper.join();
    scope.wait();
    EXPECT_EQ(tally.returned, (round + 1) * items);
  }
  EXPECT_EQ(tally.wrong + tally.closed, 0U);
  EXPECT_GT(tally.right, 0U);
}

// Nothing gets in once `close` has returned, and all that got in before is handled.
TEST(batch_queue_stress, nothing_enters_after_close) {
  ThreadPool pool{2};
  for (int round = 0; round < 200; ++round) {
    std::atomic<bool> closed{false};
    std::atomic<std::uint64_t> served{0};
    std::atomic<std::uint64_t> handled{0};
    std::atomic<bool> late{false};
    const auto watches = [&](std::span<char> items) {
      handled += items.size();
      for (const char after_close : items) {
        if (after_close != 0) late = true;
      }
    };
    BatchQueue<char> queue{pool, watches, {.release = SizeWeightAge{{.max_age = 0s}}}};
    std::vector<std::thread> producers;
    for (int thread = 0; thread < 3; ++thread) {
      producers.emplace_back([&] {
        while (queue.submit_and_wait(closed ? 1 : 0)) ++served;
      });
    }
    while (served < 5) std::this_thread::yield();
    queue.close();
    closed = true;
    for (std::thread& producer : producers) producer.join();
    EXPECT_FALSE(late);
    EXPECT_EQ(served, handled);
  }
}

}  // namespace
}  // namespace penstock
