// SPDX-License-Identifier: MIT
// Semaphore, mutex, channel and groups on threads, while calls are cancelled, time out and are
// served at the same instants: what goes in comes out, once.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/channel.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/exec/when_any.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr int rounds = 60;
constexpr int callers = 60;

// A call that ends by its stop, by its deadline or not at all, in turn.
Call impatient(Executor& executor, StopSource& source, int caller) {
  Call call{.executor = &executor};
  if (caller % 3 != 0) call.stop = source.token();
  if (caller % 3 == 2) call.deadline = executor.now() + caller * 2us;
  return call;
}
// Stops in the middle of it all, from another thread.
class Stopper {
 public:
  explicit Stopper(StopSource& source) : thread_([&source] { source.request_stop(); }) {}
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;
  ~Stopper() { thread_.join(); }

 private:
  std::thread thread_;
};

template <class E>
void semaphore_storm(E& executor) {
  for (int round = 0; round < rounds; ++round) {
    StopSource source;
    Scope scope{executor};
    Semaphore permits{3};
    std::atomic<int> inside{0};
    std::atomic<int> ends{0};
    std::atomic<bool> too_many{false};
    const auto body = [&](int caller) -> Task<void> {
      const std::size_t count = caller % 5 == 0 ? 3 : 1;
      auto permit = co_await permits.acquire(impatient(executor, source, caller), count);
      ++ends;
      if (!permit) co_return;
      if (inside += static_cast<int>(count); inside > 3) too_many = true;
      co_await reschedule(executor);
      inside -= static_cast<int>(count);
    };
    for (int caller = 0; caller < callers; ++caller) scope.spawn(body(caller));
    const Stopper stopper{source};
    scope.wait();
    EXPECT_EQ(ends, callers);
    EXPECT_EQ(permits.free_approx(), 3U);
    EXPECT_FALSE(too_many);
  }
}
TEST(primitives_storm, loses_no_permit_on_a_thread_pool) {
  ThreadPool pool{4};
  semaphore_storm(pool);
}
TEST(primitives_storm, loses_no_permit_on_an_event_loop) {
  EventLoop loop;
  semaphore_storm(loop);
}

TEST(primitives_storm, loses_no_permit_between_blocking_and_coroutine_callers) {
  ThreadPool pool{2};
  Semaphore permits{2};
  StopSource source;
  std::atomic<int> blocking{0};
  {
    Scope scope{pool};
    std::atomic<int> coroutines{0};
    const auto body = [&](int caller) -> Task<void> {
      auto permit = co_await permits.acquire(impatient(pool, source, caller));
      ++coroutines;
    };
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread)
      threads.emplace_back([&, thread] {
        for (int caller = 0; caller < 200; ++caller) {
          Call call = impatient(calling_thread(), source, caller + thread);
          const auto permit = permits.acquire_and_wait(call);
          ++blocking;
        }
      });
    for (int caller = 0; caller < 600; ++caller) {
      scope.spawn(body(caller));
      if (caller == 300) source.request_stop();
    }
    scope.wait();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(coroutines, 600);
  }
  EXPECT_EQ(blocking, 600);
  EXPECT_EQ(permits.free_approx(), 2U);
}

TEST(primitives_storm, lets_one_at_a_time_into_a_mutex) {
  ThreadPool pool{4};
  for (int round = 0; round < rounds; ++round) {
    StopSource source;
    Scope scope{pool};
    AsyncMutex mutex;
    std::int64_t guarded = 0;  // a race that a sanitizer would see
    std::int64_t expected = 0;
    std::atomic<int> entered{0};
    const auto body = [&](int caller) -> Task<void> {
      const auto lock = co_await mutex.lock(impatient(pool, source, caller));
      if (!lock) co_return;
      ++guarded;
      co_await reschedule(pool);
      ++guarded;
      ++entered;
    };
    for (int caller = 0; caller < callers; ++caller) scope.spawn(body(caller));
    const Stopper stopper{source};
    scope.wait();
    expected = 2 * entered;
    EXPECT_EQ(guarded, expected);
    EXPECT_TRUE(mutex.try_lock());
  }
}

// What was sent was received once: nothing is lost to a receiver that leaves, nothing sent by a
// sender that was told it was not.
template <class E>
void channel_storm(E& executor, std::size_t capacity) {
  for (int round = 0; round < rounds; ++round) {
    StopSource source;
    Scope scope{executor};
    Channel<int> values{capacity};
    std::atomic<std::int64_t> sent{0};
    std::atomic<std::int64_t> received{0};
    std::atomic<int> ends{0};
    const auto put = [&](int caller) -> Task<void> {
      if (co_await values.send(caller + 1, impatient(executor, source, caller))) sent += caller + 1;
      ++ends;
    };
    const auto get = [&](int caller) -> Task<void> {
      const auto value = co_await values.receive(impatient(executor, source, caller));
      received += value.value_or(0);
      ++ends;
    };
    for (int caller = 0; caller < callers; ++caller) {
      scope.spawn(put(caller));
      scope.spawn(get(caller + round));
    }
    {
      const Stopper stopper{source};
      std::thread closer{[&] {
        for (int turn = 0; turn < round; ++turn) std::this_thread::yield();
        values.close();
      }};
      scope.wait();
      closer.join();
    }
    while (const std::optional<int> left = values.try_receive()) received += *left;
    EXPECT_EQ(ends, 2 * callers);
    EXPECT_EQ(sent, received);
  }
}
TEST(primitives_storm, loses_no_value_of_a_channel_on_a_thread_pool) {
  ThreadPool pool{4};
  channel_storm(pool, 4);
}
TEST(primitives_storm, loses_no_value_of_a_rendezvous_on_a_thread_pool) {
  ThreadPool pool{4};
  channel_storm(pool, 0);
}
TEST(primitives_storm, loses_no_value_of_a_channel_on_an_event_loop) {
  EventLoop loop;
  channel_storm(loop, 4);
}

TEST(primitives_storm, passes_values_between_blocking_threads_in_order) {
  Channel<int> values{3};
  std::thread producer{[&] {
    for (int value = 0; value < 20'000; ++value)
      if (!values.send_and_wait(int{value})) return;
    values.close();
  }};
  int expected = 0;
  while (const Result<int> value = values.receive_and_wait()) {
    ASSERT_EQ(*value, expected);
    ++expected;
  }
  producer.join();
  EXPECT_EQ(expected, 20'000);
}

TEST(primitives_storm, joins_every_group_while_its_children_end_on_many_threads) {
  ThreadPool pool{4};
  const auto child = [&](StopToken stop, Duration delay, bool good) -> Task<Result<int>> {
    const bool came = co_await wait_until(pool, pool.now() + delay, stop);
    if (!came) co_return ErrorKind::cancelled;
    if (!good) co_return ErrorKind::timeout;
    co_return 1;
  };
  const auto body = [&](int round) -> Task<int> {
    int right = 0;
    StopSource losers;
    const auto winner = co_await when_any(losers,
                                          child(losers.token(), round % 7 * 3us, false),
                                          child(losers.token(), round % 5 * 3us, true),
                                          child(losers.token(), round % 3 * 3us, true));
    right += winner.value && winner.index != 0 ? 1 : 0;
    StopSource group;
    const auto [first, second] = co_await when_all(group,
                                                   child(group.token(), round % 4 * 2us, true),
                                                   child(group.token(), round % 6 * 2us, false));
    right += !second && group.stop_requested() ? 1 : 0;
    co_return right;
  };
  int right = 0;
  for (int round = 0; round < 2'000; ++round) right += sync_wait(pool, body(round));
  EXPECT_EQ(right, 4'000);
}

TEST(primitives_storm, detaches_losers_that_go_on_while_the_winner_is_used) {
  ThreadPool pool{4};
  Scope losers{pool};
  std::atomic<int> ended{0};
  const auto child = [&](Duration delay) -> Task<Result<int>> {
    [[maybe_unused]] const bool came = co_await wait_until(pool, pool.now() + delay, StopToken{});
    ++ended;
    co_return 1;
  };
  for (int round = 0; round < 500; ++round) {
    const auto winner =
        sync_wait(pool, when_any(losers, child(round % 5 * 5us), child(round % 3 * 5us)));
    ASSERT_TRUE(winner.value);
  }
  losers.wait();
  EXPECT_EQ(ended, 1'000);
}

TEST(primitives_storm, decides_a_callback_once_among_setters_and_a_receiver_that_leaves) {
  ThreadPool pool{3};
  for (int round = 0; round < 500; ++round) {
    StopSource source;
    Scope scope{pool};
    std::atomic<int> told{0};
    std::atomic<int> ends{0};
    const auto bring = [&](OneShot<int>::Setter setter) -> Task<void> {
      if (setter.set(1)) ++told;
      co_return;
    };
    const auto body = [&]() -> Task<void> {
      OneShot<int> done;
      scope.spawn(bring(done.setter()));
      scope.spawn(bring(done.setter()));
      const auto value = co_await done.wait({.stop = source.token()});
      if (value || value.error().kind() == ErrorKind::cancelled) ++ends;
    };
    scope.spawn(body());
    const Stopper stopper{source};
    scope.wait();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(ends, 1);
  }
}

}  // namespace
}  // namespace penstock
