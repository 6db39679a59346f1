// SPDX-License-Identifier: MIT
// Every awaitable is stopped at every point where its caller is suspended: in the moment before
// it suspends, in the moment after, and between any two things that run while it is. Whenever it
// comes, the caller ends once, nothing is lost, and what it waited for still works.
#include <gtest/gtest.h>

#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/exec/async_mutex.hpp>
#include <penstock/exec/channel.hpp>
#include <penstock/exec/future.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/semaphore.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/exec/when_all.hpp>
#include <penstock/exec/when_any.hpp>

#include "support/stepped_executor.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

enum class Moment : unsigned char { before, after };

// The suspension points of one run, in the order they came, and the stop of that run.
class Points {
 public:
  explicit Points(StopSource& stop) noexcept : stop_(stop) {}

  void stop_at(std::size_t point, Moment moment) {
    point_ = point;
    moment_ = moment;
  }
  std::size_t arrive(const char* name) {
    const std::size_t point = names_.size();
    names_.emplace_back(name);
    suspended_.insert(point);
    if (point == point_ && moment_ == Moment::before) stop();
    return point;
  }
  void suspended(std::size_t point) {
    if (point == point_ && moment_ == Moment::after && suspended_.contains(point)) stop();
  }
  void leave(std::size_t point) { suspended_.erase(point); }

  void stop() {
    stopped_at_.insert(suspended_.begin(), suspended_.end());
    stop_.request_stop();
  }

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const std::set<std::size_t>& stopped_at() const { return stopped_at_; }

 private:
  StopSource& stop_;
  std::optional<std::size_t> point_;
  Moment moment_ = Moment::before;
  std::vector<std::string> names_;
  std::set<std::size_t> suspended_;
  std::set<std::size_t> stopped_at_;
};

// An awaitable whose suspensions are noted.
template <class Awaitable>
class Watched {
 public:
  Watched(Points& points, const char* name, Awaitable& awaitable) noexcept
      : points_(points),
        name_(name),
        awaitable_(awaitable) {}
  bool await_ready() { return awaitable_.await_ready(); }
  [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) {
    Points& points = points_;
    const std::size_t point = points.arrive(name_);
    point_ = point;
    bool suspends = true;
    if constexpr (std::is_void_v<decltype(awaitable_.await_suspend(awaiter))>) {
      awaitable_.await_suspend(awaiter);
    } else {
      suspends = awaitable_.await_suspend(awaiter);
    }
    if (suspends) points.suspended(point);
    return suspends;
  }
  auto await_resume() {
    if (point_) points_.leave(*point_);
    return awaitable_.await_resume();
  }

 private:
  Points& points_;
  const char* name_;
  Awaitable& awaitable_;
  std::optional<std::size_t> point_;
};

struct World {
  support::SteppedExecutor executor;
  StopSource stop;
  Points points{stop};
  Scope scope{executor};
  Scope detached{executor};
  Semaphore permits{2};
  AsyncMutex mutex;
  Channel<int> buffered{1};
  Channel<int> rendezvous{0};
  OneShot<int> answer;
  std::optional<OneShot<int>::Setter> setter{answer.setter()};
  int sent = 0;
  int received = 0;
  int ended = 0;
  std::optional<ErrorKind> error;

  [[nodiscard]] Call call() { return {.stop = stop.token(), .executor = &executor}; }
  template <class T>
  void note(const Result<T>& result) {
    if (!result) error = result.error().kind();
  }
};

// --- building blocks ------------------------------------------------------------------------

Task<void> pause(World& world) {
  for (int turn = 0; turn < 3; ++turn) co_await reschedule(world.executor);
}
Task<Result<int>> slow_reply(World& world, Duration delay, Result<int> reply) {
  auto timer = wait_until(world.executor, world.executor.now() + delay, world.stop.token());
  Watched watched{world.points, "child's timer", timer};
  const bool came = co_await watched;
  if (!came) co_return ErrorKind::cancelled;
  co_return reply;
}
template <class T>
Task<T> watch_task(World& world, const char* name, Task<T> task) {
  auto awaiter = std::move(task).operator co_await();
  Watched watched{world.points, name, awaiter};
  co_return co_await watched;
}
Task<void> nothing_else(World&) {
  co_return;
}

// --- the subjects: each waits with everything that can be awaited ---------------------------

Task<void> timer(World& world) {
  auto wait = wait_until(world.executor, world.executor.now() + 1s, world.stop.token());
  Watched watched{world.points, "wait_until", wait};
  const bool came = co_await watched;
  if (!came) world.error = ErrorKind::cancelled;
}
Task<void> hop(World& world) {
  for (int turn = 0; turn < 3; ++turn) {
    auto there = reschedule(world.executor);
    Watched watched{world.points, "reschedule", there};
    co_await watched;
  }
}
Task<void> permit(World& world) {
  auto wait = world.permits.acquire(world.call());
  Watched watched{world.points, "Semaphore::acquire", wait};
  const auto taken = co_await watched;
  world.note(taken);
}
Task<void> many_permits(World& world) {
  auto wait = world.permits.acquire(world.call(), 2);
  Watched watched{world.points, "Semaphore::acquire of many", wait};
  const auto taken = co_await watched;
  world.note(taken);
}
Task<void> hold_permits(World& world) {
  const auto taken = world.permits.try_acquire(2);
  EXPECT_TRUE(taken);
  co_await pause(world);
}
// A third caller stands behind the subject and needs less than it.
Task<void> take_one(World& world) {
  const auto taken = co_await world.permits.acquire();
  EXPECT_TRUE(taken);
}
Task<void> hold_one_and_queue(World& world) {
  const auto taken = world.permits.try_acquire();
  co_await pause(world);
  world.scope.spawn(take_one(world));
  co_await pause(world);
  EXPECT_TRUE(taken);
}
Task<void> locked(World& world) {
  auto wait = world.mutex.lock(world.call());
  Watched watched{world.points, "AsyncMutex::lock", wait};
  const auto lock = co_await watched;
  world.note(lock);
}
Task<void> hold_lock(World& world) {
  const auto lock = world.mutex.try_lock();
  EXPECT_TRUE(lock);
  co_await pause(world);
}

Task<void> send(World& world, Channel<int>& channel, const char* name) {
  auto wait = channel.send(int{5}, world.call());
  Watched watched{world.points, name, wait};
  const Result<void> sent = co_await watched;
  world.note(sent);
  if (sent) world.sent += 5;
}
Task<void> receive(World& world, Channel<int>& channel, const char* name) {
  auto wait = channel.receive(world.call());
  Watched watched{world.points, name, wait};
  const Result<int> value = co_await watched;
  world.note(value);
  world.received += value.value_or(0);
}
Task<void> drain(World& world, Channel<int>& channel) {
  co_await pause(world);
  while (const std::optional<int> value = channel.try_receive()) world.received += *value;
}
Task<void> feed(World& world, Channel<int>& channel) {
  co_await pause(world);
  if (channel.try_send(7)) world.sent += 7;
}
Task<void> send_buffered(World& world) {
  if (world.buffered.try_send(3)) world.sent += 3;
  return send(world, world.buffered, "Channel::send");
}
Task<void> send_rendezvous(World& world) {
  return send(world, world.rendezvous, "Channel::send of a rendezvous");
}
Task<void> receive_buffered(World& world) {
  return receive(world, world.buffered, "Channel::receive");
}
Task<void> receive_rendezvous(World& world) {
  return receive(world, world.rendezvous, "Channel::receive of a rendezvous");
}
Task<void> drain_buffered(World& world) {
  return drain(world, world.buffered);
}
Task<void> drain_rendezvous(World& world) {
  return drain(world, world.rendezvous);
}
Task<void> feed_buffered(World& world) {
  return feed(world, world.buffered);
}
Task<void> feed_rendezvous(World& world) {
  return feed(world, world.rendezvous);
}
Task<void> close_channels(World& world) {
  co_await pause(world);
  world.buffered.close();
}

Task<void> callback(World& world) {
  auto wait = world.answer.wait(world.call());
  Watched watched{world.points, "OneShot::wait", wait};
  const Result<int> value = co_await watched;
  world.note(value);
}
Task<void> call_back(World& world) {
  co_await pause(world);
  world.setter->set(1);
}
Task<void> drop_callback(World& world) {
  co_await pause(world);
  world.setter.reset();
}

Task<void> join(World& world) {
  Scope inner{world.executor, world.stop.token()};
  const auto child = [&]() -> Task<void> {
    [[maybe_unused]] const bool came =
        co_await wait_until(world.executor, world.executor.now() + 1s, inner.token());
  };
  inner.spawn(child());
  inner.spawn(pause(world));
  auto wait = inner.join();
  Watched watched{world.points, "Scope::join", wait};
  co_await watched;
}
Task<void> join_a_failure(World& world) {
  Scope inner{world.executor, world.stop.token()};
  const auto child = [&]() -> Task<void> {
    co_await pause(world);
    throw std::runtime_error{"broken"};
  };
  inner.spawn(child());
  auto wait = inner.join();
  Watched watched{world.points, "Scope::join", wait};
  bool thrown = false;
  try {
    co_await watched;
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  EXPECT_TRUE(thrown);
}
Task<void> child(World& world) {
  world.note(co_await watch_task(world, "Task", slow_reply(world, 1s, 1)));
}
Task<void> all(World& world) {
  auto [first, second] = co_await watch_task(
      world, "when_all", when_all(slow_reply(world, 1s, 1), slow_reply(world, 2s, 2)));
  world.note(first);
  world.note(second);
}
Task<void> all_of_a_vector(World& world) {
  std::vector<Task<Result<int>>> tasks;
  tasks.push_back(slow_reply(world, 2s, 1));
  tasks.push_back(slow_reply(world, 1s, 2));
  const auto values =
      co_await watch_task(world, "when_all of a vector", when_all(std::move(tasks)));
  for (const Result<int>& value : values) world.note(value);
}
Task<void> all_or_stop(World& world) {
  LinkedStopSource group{world.stop.token()};
  auto [first, second] = co_await watch_task(
      world,
      "when_all that stops",
      when_all(group, slow_reply(world, 1s, ErrorKind::timeout), slow_reply(world, 2s, 2)));
  EXPECT_FALSE(first);
  world.note(second);
  EXPECT_TRUE(group.stop_requested());
}
Task<void> any(World& world) {
  LinkedStopSource losers{world.stop.token()};
  const auto winner = co_await watch_task(
      world, "when_any", when_any(losers, slow_reply(world, 2s, 1), slow_reply(world, 1s, 2)));
  world.note(winner.value);
}
Task<void> any_detached(World& world) {
  const auto winner = co_await watch_task(
      world,
      "when_any detached",
      when_any(world.detached, slow_reply(world, 2s, 1), slow_reply(world, 1s, 2)));
  world.note(winner.value);
}
// One that goes through all of them, for what only shows in combination.
Task<void> pipeline(World& world) {
  co_await permit(world);
  co_await locked(world);
  co_await send_buffered(world);
  co_await receive_buffered(world);
  co_await callback(world);
  co_await any(world);
}
Task<void> all_helpers(World& world) {
  co_await hold_permits(world);
  co_await hold_lock(world);
  co_await drain(world, world.buffered);
  co_await feed(world, world.buffered);
  co_await call_back(world);
}

// What a stop while it waits does to a subject.
enum class Hears : unsigned char { stop, nothing };

struct Scenario {
  const char* name;
  Task<void> (*helper)(World&);  // comes first, and is never stopped
  Task<void> (*subject)(World&);
  Hears hears = Hears::stop;
};
constexpr Scenario scenarios[] = {
    {"timer", nothing_else, timer},
    {"hop", nothing_else, hop, Hears::nothing},
    {"permit", hold_permits, permit},
    {"many permits", hold_permits, many_permits},
    {"many permits before few", hold_one_and_queue, many_permits},
    {"mutex", hold_lock, locked},
    {"send", drain_buffered, send_buffered},
    {"send to a channel that closes", close_channels, send_buffered},
    {"send to a rendezvous", drain_rendezvous, send_rendezvous},
    {"receive", feed_buffered, receive_buffered},
    {"receive from a channel that closes", close_channels, receive_buffered},
    {"receive from a rendezvous", feed_rendezvous, receive_rendezvous},
    {"callback", call_back, callback},
    {"callback that is dropped", drop_callback, callback},
    {"join", nothing_else, join, Hears::nothing},
    {"join of a failure", nothing_else, join_a_failure, Hears::nothing},
    {"task", nothing_else, child},
    {"when_all", nothing_else, all},
    {"when_all of a vector", nothing_else, all_of_a_vector},
    {"when_all that stops", nothing_else, all_or_stop},
    {"when_any", nothing_else, any},
    {"when_any detached", nothing_else, any_detached},
    {"pipeline", all_helpers, pipeline},
};

// --- the runs -------------------------------------------------------------------------------

struct Record {
  std::size_t steps = 0;
  std::vector<std::string> names;
  std::set<std::size_t> stopped_at;
  std::optional<ErrorKind> error;
};

Task<void> to_the_end(Task<void> subject, World& world) {
  co_await std::move(subject);
  ++world.ended;
}

// `prepare` sets when to stop; `stop_after` is the number of steps after which to stop.
template <class Prepare>
Record run(const Scenario& scenario, std::optional<std::size_t> stop_after, Prepare prepare) {
  Record result;
  World world;
  prepare(world.points);
  world.scope.spawn(scenario.helper(world));
  world.executor.step();
  world.scope.spawn(to_the_end(scenario.subject(world), world));
  for (;; ++result.steps) {
    if (result.steps == stop_after) world.points.stop();
    if (!world.executor.step()) break;
  }
  EXPECT_EQ(world.scope.running_approx(), 0U) << "somebody waits for ever";
  EXPECT_EQ(world.detached.running_approx(), 0U);
  EXPECT_EQ(world.ended, 1);
  // Nothing is lost, and everything still works.
  EXPECT_EQ(world.permits.free_approx(), 2U);
  EXPECT_TRUE(world.permits.try_acquire(2));
  EXPECT_TRUE(world.mutex.try_lock());
  while (const std::optional<int> left = world.buffered.try_receive()) world.received += *left;
  EXPECT_EQ(world.sent, world.received);
  result.names = world.points.names();
  result.stopped_at = world.points.stopped_at();
  result.error = world.error;
  return result;
}

TEST(cancellation, ends_every_wait_at_every_point_once) {
  std::size_t points = 0;
  std::size_t stopped = 0;
  std::size_t runs = 0;
  std::set<std::string> kinds;
  for (const Scenario& scenario : scenarios) {
    const Record undisturbed = run(scenario, std::nullopt, [](Points&) {});
    ASSERT_FALSE(undisturbed.names.empty()) << scenario.name << " never waits";
    EXPECT_NE(undisturbed.error, ErrorKind::cancelled) << scenario.name;
    std::set<std::size_t> stopped_at;
    for (std::size_t step = 0; step <= undisturbed.steps; ++step) {
      SCOPED_TRACE(std::string{scenario.name} + ", stopped after step " + std::to_string(step));
      const Record stopped_run = run(scenario, step, [](Points&) {});
      stopped_at.insert(stopped_run.stopped_at.begin(), stopped_run.stopped_at.end());
      ++runs;
    }
    EXPECT_EQ(stopped_at.size(), undisturbed.names.size()) << scenario.name;
    for (std::size_t point = 0; point < undisturbed.names.size(); ++point) {
      for (const Moment moment : {Moment::before, Moment::after}) {
        SCOPED_TRACE(std::string{scenario.name} + ", stopped at " + undisturbed.names[point]);
        const Record stopped_run =
            run(scenario, std::nullopt, [&](Points& of_run) { of_run.stop_at(point, moment); });
        EXPECT_TRUE(stopped_run.stopped_at.contains(point));
        if (scenario.hears == Hears::stop) {
          EXPECT_EQ(stopped_run.error, ErrorKind::cancelled);
        }
        ++runs;
      }
    }
    points += undisturbed.names.size();
    stopped += stopped_at.size();
    kinds.insert(undisturbed.names.begin(), undisturbed.names.end());
  }
  std::printf("stopped at %zu of %zu suspension points of %zu kinds, in %zu runs\n",
              stopped,
              points,
              kinds.size(),
              runs);
  EXPECT_EQ(stopped, points);
}

}  // namespace
}  // namespace penstock
