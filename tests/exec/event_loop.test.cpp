// SPDX-License-Identifier: MIT
// How the loop sleeps, wakes and watches. What it promises as an executor: tests/conformance/.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <penstock/core/random.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/poll_poller.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// Does, instead of sleeping, what other threads do while the loop sleeps.
class ScriptedPoller {
 public:
  struct Script {
    std::deque<std::function<void()>> sleeps{};  // one for each sleep; each in a thread
    std::vector<Time> untils{};
    int glances = 0;
    int wakes = 0;
  };
  static Script& script() {
    static Script one;
    return one;
  }

  [[nodiscard]] bool wait(Time until) noexcept {
    if (until == Time::min()) {
      ++script().glances;
      return false;
    }
    script().untils.push_back(until);
    if (script().sleeps.empty()) std::terminate();
    const std::function<void()> meanwhile = std::move(script().sleeps.front());
    script().sleeps.pop_front();
    std::thread other{meanwhile};
    other.join();
    return false;
  }
  void report() noexcept {}
  void wake() noexcept { ++script().wakes; }
  [[nodiscard]] bool watch(int, Watch&) noexcept { return false; }
  void unwatch(int, Watch&) noexcept {}
};
static_assert(LoopPoller<ScriptedPoller>);

struct WaitsForNothing : ScriptedPoller {
  void wait(Time) noexcept {}
};
struct CannotBeWoken : ScriptedPoller {
  void wake() = delete;
};
struct WatchesWithoutAnswer : ScriptedPoller {
  void watch(int, Watch&) noexcept {}
};
struct MayThrow : ScriptedPoller {
  void report() {}
};
struct CannotUnwatch : ScriptedPoller {
  void unwatch(int, Watch&) = delete;
};
static_assert(!LoopPoller<WaitsForNothing>);
static_assert(!LoopPoller<CannotBeWoken>);
static_assert(!LoopPoller<WatchesWithoutAnswer>);
static_assert(!LoopPoller<MayThrow>);
static_assert(!LoopPoller<CannotUnwatch>);

struct Count final : Job {
  explicit Count(int& counter)
      : Job([](Job& job) noexcept { ++*static_cast<Count&>(job).count; }),
        count(&counter) {}
  int* count;
};

class event_loop_sleep : public ::testing::Test {
 protected:
  ~event_loop_sleep() override { script_ = {}; }
  ScriptedPoller::Script& script_ = ScriptedPoller::script();
  BasicEventLoop<ScriptedPoller> loop_;
};

TEST_F(event_loop_sleep, is_ended_once_for_a_burst_of_posts) {
  int ran = 0;
  std::deque<Count> jobs;
  for (int job = 0; job < 1000; ++job) jobs.emplace_back(ran);
  script_.sleeps.emplace_back([&] {
    for (Count& job : jobs) loop_.post(job);
  });
  script_.sleeps.emplace_back([&] { loop_.stop(); });
  EXPECT_TRUE(loop_.run());
  EXPECT_EQ(ran, 1000);
  EXPECT_EQ(script_.wakes, 2);  // the burst, and the stop
}

TEST_F(event_loop_sleep, has_no_end_and_no_glance_while_nothing_happens) {
  int ran = 0;
  Count job{ran};
  script_.sleeps.emplace_back([&] { loop_.post(job); });
  script_.sleeps.emplace_back([&] {});  // a signal
  script_.sleeps.emplace_back([&] { loop_.stop(); });
  EXPECT_TRUE(loop_.run());
  EXPECT_EQ(script_.untils, (std::vector<Time>{never, never, never}));
  EXPECT_EQ(script_.glances, 0);
  EXPECT_EQ(ran, 1);
}

TEST_F(event_loop_sleep, lasts_until_the_first_timer) {
  struct Nothing final : Timer {
    Nothing() : Timer([](Timer&) noexcept {}) {}
  };
  Nothing late;
  Nothing early;
  late.when = loop_.now() + 2h;
  early.when = loop_.now() + 1h;
  loop_.arm(late);
  script_.sleeps.emplace_back([&] { loop_.arm(early); });
  script_.sleeps.emplace_back([&] { EXPECT_TRUE(loop_.disarm(early)); });
  // A timer taken back is not worth a wake: the loop finds out when it looks next.
  script_.sleeps.emplace_back([&] { EXPECT_TRUE(loop_.disarm(late)); });
  script_.sleeps.emplace_back([&] { loop_.stop(); });
  EXPECT_TRUE(loop_.run());
  EXPECT_EQ(script_.untils, (std::vector<Time>{late.when, early.when, late.when, never}));
  EXPECT_EQ(script_.wakes, 2);
}

TEST_F(event_loop_sleep, is_not_ended_by_a_job_of_its_own_thread) {
  int ran = 0;
  Count job{ran};
  const auto body = [&]() -> Task<void> {
    loop_.post(job);
    co_await reschedule(loop_);
  };
  sync_wait(loop_, body());
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(script_.wakes, 0);
  EXPECT_TRUE(script_.untils.empty());
}

TEST_F(event_loop_sleep, never_comes_before_a_glance_at_descriptors_while_jobs_go_on) {
  const auto body = [&]() -> Task<void> {
    for (int turn = 0; turn < 64 * 10; ++turn) co_await reschedule(loop_);
  };
  sync_wait(loop_, body());
  EXPECT_GE(script_.glances, 9);
  EXPECT_LE(script_.glances, 11);
}

class Ends {
 public:
  Ends() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) != 0) std::abort();
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    ::close(ends_[0]);
    hang_up();
  }
  [[nodiscard]] int here() const { return ends_[0]; }
  void send() const { ASSERT_EQ(::write(ends_[1], "x", 1), 1); }
  void receive() const {
    char byte = 0;
    while (::read(ends_[0], &byte, 1) == 1) {
    }
  }
  void hang_up() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }

 private:
  std::array<int, 2> ends_{};
};

struct Seen final : Watch {
  explicit Seen(std::function<void()> on_ready = [] {})
      : Watch([](Watch& watch, bool readable, bool writable) noexcept {
          Seen& self = static_cast<Seen&>(watch);
          self.reads += readable ? 1 : 0;
          self.writes += writable ? 1 : 0;
          self.then();
        }),
        then(std::move(on_ready)) {}
  int reads = 0;
  int writes = 0;
  std::function<void()> then;
};

template <class Loop>
class every_event_loop : public ::testing::Test {
 protected:
  // Lets the loop look at its descriptors without sleeping on them.
  void look() {
    Parker nobody;
    static_cast<void>(loop_.wait(nobody, loop_.now() + 2ms));
  }
  Loop loop_;
};
struct LoopNames {
  template <class Loop>
  static std::string GetName(int) {
    return std::is_same_v<Loop, BasicEventLoop<PollPoller>> ? "poll" : "default";
  }
};
using Loops = ::testing::Types<EventLoop, BasicEventLoop<PollPoller>>;
TYPED_TEST_SUITE(every_event_loop, Loops, LoopNames);

TYPED_TEST(every_event_loop, reports_what_was_ready_before_it_was_watched) {
  Ends ends;
  ends.send();
  Seen seen;
  ASSERT_TRUE(this->loop_.watch(ends.here(), seen));
  this->look();
  EXPECT_EQ(seen.reads, 1);
  EXPECT_EQ(seen.writes, 1);
  this->loop_.unwatch(ends.here(), seen);
}

TYPED_TEST(every_event_loop, reports_an_edge_each_time_it_is_expected) {
  Ends ends;
  Seen seen;
  ASSERT_TRUE(this->loop_.watch(ends.here(), seen));
  for (int edge = 1; edge <= 5; ++edge) {
    seen.expect_readable();
    ends.send();
    this->look();
    EXPECT_EQ(seen.reads, edge);
    ends.receive();
  }
  this->loop_.unwatch(ends.here(), seen);
}

TYPED_TEST(every_event_loop, does_not_report_one_readiness_again_and_again) {
  Ends ends;
  Seen seen;
  ASSERT_TRUE(this->loop_.watch(ends.here(), seen));
  ends.send();
  for (int time = 0; time < 5; ++time) this->look();
  EXPECT_EQ(seen.reads, 1);
  EXPECT_EQ(seen.writes, 1);
  ends.hang_up();
  for (int time = 0; time < 5; ++time) this->look();
  EXPECT_LE(seen.reads, 2);
  this->loop_.unwatch(ends.here(), seen);
}

TYPED_TEST(every_event_loop, reports_a_hang_up_to_both_directions) {
  Ends ends;
  Seen seen;
  ASSERT_TRUE(this->loop_.watch(ends.here(), seen));
  this->look();
  seen.reads = seen.writes = 0;
  seen.expect_readable();
  seen.expect_writable();
  ends.hang_up();
  this->look();
  EXPECT_GE(seen.reads, 1);
  EXPECT_GE(seen.writes, 1);
  this->loop_.unwatch(ends.here(), seen);
}

TYPED_TEST(every_event_loop, reports_nothing_once_unwatched_even_if_collected) {
  Ends first_ends;
  Ends second_ends;
  Seen* other = nullptr;
  // Whichever is reported first takes the other away.
  Seen first{[&] { this->loop_.unwatch(second_ends.here(), *std::exchange(other, nullptr)); }};
  Seen second{[&] { this->loop_.unwatch(first_ends.here(), first); }};
  other = &second;
  ASSERT_TRUE(this->loop_.watch(first_ends.here(), first));
  ASSERT_TRUE(this->loop_.watch(second_ends.here(), second));
  this->look();
  this->look();
  EXPECT_EQ((first.reads + first.writes != 0) + (second.reads + second.writes != 0), 1);
  other == nullptr ? this->loop_.unwatch(first_ends.here(), first)
                   : this->loop_.unwatch(second_ends.here(), second);
}

template <class Wrapped>
class CountedPoller : public Wrapped {
 public:
  static inline int wakes = 0;
  void wake() noexcept {
    ++wakes;
    Wrapped::wake();
  }
};

template <class Wrapped>
int wakes_by_a_watch_that_posts_and_arms() {
  struct Nothing final : Timer {
    Nothing() : Timer([](Timer&) noexcept {}) {}
  };
  BasicEventLoop<CountedPoller<Wrapped>> loop;
  Parker seen_it;
  Nothing timer;
  timer.when = loop.now() + 1h;
  Ends ends;
  Seen seen{[&] {
    loop.arm(timer);
    seen_it.unpark();
  }};
  EXPECT_TRUE(loop.watch(ends.here(), seen));
  EXPECT_TRUE(loop.wait(seen_it, never));
  EXPECT_TRUE(loop.disarm(timer));
  loop.unwatch(ends.here(), seen);
  return CountedPoller<Wrapped>::wakes;
}

TEST(event_loop_watch, does_not_wake_the_loop_that_called_it) {
  EXPECT_EQ(wakes_by_a_watch_that_posts_and_arms<Poller>(), 0);
  EXPECT_EQ(wakes_by_a_watch_that_posts_and_arms<PollPoller>(), 0);
}

TYPED_TEST(every_event_loop, a_watch_may_wait_for_what_another_one_does) {
  Ends first_ends;
  Ends second_ends;
  Parker told;
  bool heard = false;
  bool waited = false;
  Seen first;
  Seen second;
  const auto wait_or_tell = [&] {
    if (std::exchange(waited, true)) return told.unpark();
    heard = this->loop_.wait(told, this->loop_.now() + 10s);
  };
  first.then = second.then = wait_or_tell;
  ASSERT_TRUE(this->loop_.watch(first_ends.here(), first));
  ASSERT_TRUE(this->loop_.watch(second_ends.here(), second));
  this->look();
  EXPECT_TRUE(heard);
  this->loop_.unwatch(first_ends.here(), first);
  this->loop_.unwatch(second_ends.here(), second);
}

TYPED_TEST(every_event_loop, many_descriptors_come_and_go) {
  std::deque<Ends> ends(300);
  std::deque<Seen> seen(300);
  for (std::size_t index = 0; index < ends.size(); ++index)
    ASSERT_TRUE(this->loop_.watch(ends[index].here(), seen[index]));
  for (std::size_t index = 0; index < ends.size(); index += 2)
    this->loop_.unwatch(ends[index].here(), seen[index]);
  for (const Ends& pair : ends) pair.send();
  for (int time = 0; time < 10; ++time) this->look();
  for (std::size_t index = 0; index < ends.size(); ++index) {
    EXPECT_EQ(seen[index].reads != 0, index % 2 == 1) << index;
    if (index % 2 == 1) this->loop_.unwatch(ends[index].here(), seen[index]);
  }
}

TYPED_TEST(every_event_loop, refuses_a_descriptor_that_is_not_open) {
  Seen seen;
  EXPECT_FALSE(this->loop_.watch(1'000'000, seen));
  EXPECT_EQ(errno, EBADF);
}

TYPED_TEST(every_event_loop, keeps_what_was_not_run_when_it_was_stopped) {
  int ran = 0;
  Count first{ran};
  Count second{ran};
  struct Stop final : Job {
    explicit Stop(TypeParam& which)
        : Job([](Job& job) noexcept { static_cast<Stop&>(job).loop->stop(); }),
          loop(&which) {}
    TypeParam* loop;
  };
  Stop stop{this->loop_};
  this->loop_.post(first);
  this->loop_.post(stop);
  this->loop_.post(second);
  EXPECT_TRUE(this->loop_.run());
  EXPECT_EQ(ran, 1);
  EXPECT_TRUE(this->loop_.run_until_idle());
  EXPECT_EQ(ran, 2);
}

TYPED_TEST(every_event_loop,
           runs_what_a_thread_posted_before_it_drove_before_what_its_timers_post) {
  struct Noted final : Job {
    Noted(std::vector<int>& list, int which)
        : Job([](Job& job) noexcept {
            const Noted& self = static_cast<Noted&>(job);
            self.ran.push_back(self.number);
          }),
          ran(list),
          number(which) {}
    std::vector<int>& ran;
    int number;
  };
  struct Poster final : Timer {
    Poster(TypeParam& which, Job& what)
        : Timer([](Timer& timer) noexcept {
            const Poster& self = static_cast<Poster&>(timer);
            self.loop.post(self.job);
          }),
          loop(which),
          job(what) {}
    TypeParam& loop;
    Job& job;
  };
  std::vector<int> ran;
  Noted first{ran, 1};
  Noted second{ran, 2};
  Poster due{this->loop_, second};
  due.when = this->loop_.now();
  this->loop_.post(first);
  this->loop_.arm(due);
  EXPECT_TRUE(this->loop_.run_until_idle());
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
}

TYPED_TEST(every_event_loop, a_stop_that_meets_a_run_inside_a_job_ends_the_one_around_it_too) {
  int ran = 0;
  Count last{ran};
  struct Nested final : Job {
    explicit Nested(TypeParam& which)
        : Job([](Job& job) noexcept {
            TypeParam& in = static_cast<Nested&>(job).loop;
            in.stop();
            EXPECT_TRUE(in.run_until_idle());
          }),
          loop(which) {}
    TypeParam& loop;
  };
  Nested nested{this->loop_};
  this->loop_.post(nested);
  this->loop_.post(last);
  EXPECT_TRUE(this->loop_.run_until_idle());
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(this->loop_.run_until_idle());  // the stop has been met
  EXPECT_EQ(ran, 1);
}

TYPED_TEST(every_event_loop, leaves_when_nothing_is_posted_and_no_timer_armed) {
  int ran = 0;
  const auto body = [&](Executor& executor) -> Task<void> {
    static_cast<void>(co_await wait_until(executor, executor.now() + 2ms, StopToken{}));
    co_await reschedule(executor);
    ++ran;
  };
  Scope scope{this->loop_};
  for (int task = 0; task < 10; ++task) scope.spawn(body(this->loop_));
  EXPECT_TRUE(this->loop_.run_until_idle());
  EXPECT_EQ(ran, 10);
  EXPECT_EQ(scope.running_approx(), 0U);
}

// The documented end: everything completes or is cancelled, nothing is lost.
TYPED_TEST(every_event_loop, ends_gracefully_with_a_scope_and_a_stop_source) {
  StopSource source;
  Scope scope{this->loop_};
  int completed = 0;
  int cancelled = 0;
  const auto body = [&](Executor& executor, Time when) -> Task<void> {
    const bool came = co_await wait_until(executor, when, source.token());
    co_await reschedule(executor);
    ++(came ? completed : cancelled);
  };
  for (int task = 0; task < 100; ++task)
    scope.spawn(body(this->loop_, task % 2 == 0 ? never : this->loop_.now()));
  const auto stopper = [&](Executor& executor) -> Task<void> {
    static_cast<void>(co_await wait_until(executor, executor.now() + 2ms, StopToken{}));
    source.request_stop();
  };
  scope.spawn(stopper(this->loop_));
  scope.wait();
  EXPECT_EQ(completed, 50);
  EXPECT_EQ(cancelled, 50);
}

struct Stamped final : Timer {
  Stamped()
      : Timer([](Timer& timer) noexcept {
          const Stamped& self = static_cast<Stamped&>(timer);
          *self.right &= self.when >= *self.latest;
          *self.latest = self.when;
          ++*self.fired;
        }) {}
  Time* latest = nullptr;
  bool* right = nullptr;
  int* fired = nullptr;
};

// Every third is taken back again.
void many_timers(Executor& executor, int count, Duration first, Duration spread) {
  Time latest = Time::min();
  bool right = true;
  int fired = 0;
  int taken_back = 0;
  std::deque<Stamped> timers(static_cast<std::size_t>(count));
  Random random{7};
  const Time start = executor.now() + first;
  for (Stamped& timer : timers) {
    timer.latest = &latest;
    timer.right = &right;
    timer.fired = &fired;
    timer.when =
        start +
        Duration{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(spread.count()))};
    executor.arm(timer);
  }
  for (std::size_t index = 0; index < timers.size(); index += 3)
    taken_back += executor.disarm(timers[index]) ? 1 : 0;
  Parker nobody;
  EXPECT_FALSE(executor.wait(nobody, std::max(start + spread, executor.now()) + 1ms));
  EXPECT_TRUE(right);
  EXPECT_EQ(taken_back, (count + 2) / 3);
  EXPECT_EQ(fired, count - taken_back);
}

TEST(event_loop_timers, a_million_that_are_to_come_fire_in_order) {
  testing::ManualExecutor executor;
  many_timers(executor, 1'000'000, 0ms, 1h);
}

TEST(event_loop_timers, many_that_are_overdue_fire_in_order) {
  EventLoop loop;
  many_timers(loop, 100'000, -2h, 1h);
}

}  // namespace
}  // namespace penstock
