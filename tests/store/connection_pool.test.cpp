// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/stop.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/store/connection_pool.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

enum class Plan { open, refuse, crash };

// What the scripted transports open connections to. Time is the executor's.
struct World {
  explicit World(std::uint64_t seed = 1) : executor(seed) {}

  testing::ManualExecutor executor;
  std::deque<Plan> plans{};  // for the next connects; then all open
  Duration connect_time{};
  std::set<int> unusable{};
  std::function<void()> in_user_code = [] {};

  int opened = 0;  // the number of the latest connection
  int connecting = 0;
  std::vector<int> closed{};
  std::map<int, std::size_t> open{};
  std::size_t open_in_total = 0;
  std::size_t most_of_a_key = 0;
  std::size_t most_in_total = 0;

  // Runs `action` once, `delay` from now.
  void after(Duration delay, std::function<void()> action) {
    Action& added = actions_.emplace_back(std::move(action));
    added.when = executor.now() + delay;
    executor.arm(added);
  }

 private:
  struct Action final : Timer {
    explicit Action(std::function<void()> what)
        : Timer([](Timer& timer) noexcept { static_cast<Action&>(timer).run(); }),
          run(std::move(what)) {}
    std::function<void()> run;
  };
  std::list<Action> actions_;
};

class Connection {
 public:
  Connection(World& world, int key) : world_(&world), key_(key), number_(++world.opened) {
    world.most_of_a_key = std::max(world.most_of_a_key, ++world.open[key]);
    world.most_in_total = std::max(world.most_in_total, ++world.open_in_total);
  }
  Connection(Connection&& other) noexcept
      : world_(std::exchange(other.world_, nullptr)),
        key_(other.key_),
        number_(other.number_) {}
  Connection& operator=(Connection&& other) noexcept {
    std::swap(world_, other.world_);
    std::swap(key_, other.key_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Connection() {
    if (world_ == nullptr) return;
    world_->in_user_code();
    world_->closed.push_back(number_);
    --world_->open[key_];
    --world_->open_in_total;
  }
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] int key() const noexcept { return key_; }

 private:
  World* world_;
  int key_;
  int number_;
};

struct Transport {
  using Key = int;
  using Connection = penstock::Connection;

  World* world;

  [[nodiscard]] Result<Connection> result(int key) const {
    world->in_user_code();
    Plan plan = Plan::open;
    if (!world->plans.empty()) {
      plan = world->plans.front();
      world->plans.pop_front();
    }
    if (plan == Plan::refuse) return ErrorKind::unavailable;
    if (plan == Plan::crash) throw std::runtime_error{"no route"};
    return Connection{*world, key};
  }
  [[nodiscard]] bool usable(Connection& connection) const noexcept {
    world->in_user_code();
    return !world->unusable.contains(connection.number());
  }
};

// Both take their time whatever becomes of the call.
struct BlockingTransport : Transport {
  Result<Connection> connect(const int& key, Call& call) const {
    Parker nobody;
    const Time until = world->executor.now() + world->connect_time;
    if (world->connect_time > 0s) static_cast<void>(call.where().wait(nobody, until));
    return result(key);
  }
};
struct AsyncTransport : Transport {
  Task<Result<Connection>> connect(const int& key, Call& call) const {
    const Time until = world->executor.now() + world->connect_time;
    if (world->connect_time > 0s) {
      ++world->connecting;
      static_cast<void>(co_await wait_until(call.where(), until, StopToken{}));
      --world->connecting;
    }
    co_return result(key);
  }
};
static_assert(PoolTransport<BlockingTransport> && ConnectsBlocking<BlockingTransport>);
static_assert(PoolTransport<AsyncTransport> && !ConnectsBlocking<AsyncTransport>);

// Each breaks one requirement.
struct WithoutOrder {
  int name;
};
struct KeyWithoutOrder : BlockingTransport {
  using Key = WithoutOrder;
  Result<Connection> connect(const Key&, Call&) const { return ErrorKind::unavailable; }
};
struct ThrowingProbe : BlockingTransport {
  [[nodiscard]] bool usable(Connection&) const { return true; }
};
struct VagueProbe : BlockingTransport {
  [[nodiscard]] int usable(Connection&) const noexcept { return 1; }
};
struct BareConnect : BlockingTransport {
  Connection connect(const int& key, Call&) const { return Connection{*world, key}; }
};
static_assert(!PoolTransport<KeyWithoutOrder>);
static_assert(!PoolTransport<ThrowingProbe>);
static_assert(!PoolTransport<VagueProbe>);
static_assert(!PoolTransport<BareConnect>);

using AsyncPool = ConnectionPool<AsyncTransport>;

// The same cases with blocking callers and with coroutines.
struct Blocking {
  using Pool = ConnectionPool<BlockingTransport>;
  static Result<Pool::Lease> acquire(Pool& pool, int key, Call& call) {
    return pool.acquire(key, call);
  }
};
struct Coroutine {
  using Pool = AsyncPool;
  static Result<Pool::Lease> acquire(Pool& pool, int key, Call& call) {
    return sync_wait(call.where(), pool.acquire(key, call));
  }
};

template <class Mode>
class connection_pool : public ::testing::Test {
 protected:
  using Pool = typename Mode::Pool;
  using Options = typename Pool::Options;
  using Lease = typename Pool::Lease;

  Pool& make(Options options) { return pool_.emplace(transport(), options); }
  Pool& make() { return make(Options{}); }
  Result<Lease> acquire(int key, Call call) {
    if (call.executor == nullptr) call.executor = &world_.executor;
    return Mode::acquire(*pool_, key, call);
  }
  Result<Lease> acquire(int key) { return acquire(key, Call{}); }
  Lease lease(int key) {
    Result<Lease> acquired = acquire(key);
    if (!acquired) throw std::runtime_error{to_string(acquired.error())};
    return *std::move(acquired);
  }
  Call within(Duration time) { return {.deadline = world_.executor.now() + time}; }
  // Everything that was opened is closed or idle, and no slot is lost.
  void expect_at_rest() {
    const auto stats = pool_->stats();
    EXPECT_EQ(stats.waiting, 0U);
    EXPECT_EQ(stats.connections, stats.idle);
    EXPECT_EQ(stats.opened, stats.discarded + stats.idle);
    EXPECT_EQ(stats.idle, world_.open_in_total);
    EXPECT_EQ(stats.opened, static_cast<std::uint64_t>(world_.opened));
  }

  World world_;
  std::optional<Pool> pool_;

 private:
  auto transport() {
    if constexpr (std::is_same_v<Mode, Blocking>) {
      return BlockingTransport{{&world_}};
    } else {
      return AsyncTransport{{&world_}};
    }
  }
};
using Modes = ::testing::Types<Blocking, Coroutine>;
struct ModeName {
  template <class Mode>
  static std::string GetName(int) {
    return std::is_same_v<Mode, Blocking> ? "blocking" : "coroutine";
  }
};
TYPED_TEST_SUITE(connection_pool, Modes, ModeName);

TYPED_TEST(connection_pool, uses_a_connection_again_that_was_given_back) {
  this->make();
  {
    auto first = this->lease(1);
    EXPECT_FALSE(first.reused());
    EXPECT_EQ(first->number(), 1);
    first.give_back();
    first.give_back();  // once is enough
  }
  auto second = this->lease(1);
  EXPECT_TRUE(second.reused());
  EXPECT_EQ((*second).number(), 1);
  second.give_back();
  EXPECT_EQ(this->pool_->stats().reused, 1U);
  EXPECT_EQ(this->pool_->stats().opened, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, closes_a_connection_whose_lease_is_dropped) {
  this->make({.max_per_key = 1});
  { const auto dropped = this->lease(1); }
  EXPECT_EQ(this->world_.closed, std::vector{1});
  EXPECT_EQ(this->pool_->stats().discarded, 1U);
  EXPECT_EQ(this->lease(1)->number(), 2);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, closes_the_connection_of_a_lease_that_is_assigned_over) {
  this->make();
  auto lease = this->lease(1);
  lease = this->lease(1);
  EXPECT_EQ(this->world_.closed, std::vector{1});
  EXPECT_EQ(lease->number(), 2);
  lease.give_back();
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, moves_a_lease_with_its_connection) {
  this->make({.max_per_key = 1});
  auto first = this->lease(1);
  auto second = std::move(first);
  EXPECT_EQ(second->number(), 1);
  first.give_back();  // has nothing to give
  EXPECT_EQ(this->pool_->stats().idle, 0U);
  second.give_back();
  EXPECT_EQ(this->pool_->stats().idle, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, keeps_the_keys_apart) {
  this->make();
  this->lease(1).give_back();
  auto other = this->lease(2);
  EXPECT_FALSE(other.reused());
  EXPECT_EQ(other->key(), 2);
}

TYPED_TEST(connection_pool, takes_the_idle_connection_that_was_used_last) {
  this->make();
  auto first = this->lease(1);
  auto second = this->lease(1);
  second.give_back();
  first.give_back();
  EXPECT_EQ(this->lease(1)->number(), 1);
}

TYPED_TEST(connection_pool, does_not_use_a_connection_that_was_idle_too_long) {
  this->make({.max_idle = 10s});
  this->lease(1).give_back();
  this->world_.executor.advance(10s);
  auto in_time = this->lease(1);
  EXPECT_EQ(in_time->number(), 1);
  in_time.give_back();
  this->world_.executor.advance(10s + 1ns);
  EXPECT_EQ(this->lease(1)->number(), 2);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, ends_the_life_of_a_connection_that_is_never_idle_for_long) {
  this->make({.max_lifetime = 100s});
  for (int use = 0; use < 9; ++use) {
    auto lease = this->lease(1);
    EXPECT_EQ(lease->number(), 1);
    this->world_.executor.advance(9s);
    lease.give_back();
  }
  this->world_.executor.advance(19s);
  auto young = this->lease(1);
  EXPECT_EQ(young->number(), 2);
  this->world_.executor.advance(100s);
  young.give_back();
  EXPECT_EQ(this->world_.closed, (std::vector{1, 2}));
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, does_not_hand_over_a_connection_that_is_too_old) {
  this->make({.max_per_key = 1, .max_lifetime = 100s});
  auto old = this->lease(1);
  this->world_.after(100s, [&] { old.give_back(); });
  auto next = this->lease(1);
  EXPECT_EQ(next->number(), 2);
  EXPECT_FALSE(next.reused());
  EXPECT_EQ(this->world_.most_of_a_key, 1U);
}

TYPED_TEST(connection_pool, spreads_the_ends_of_connections_born_together) {
  constexpr int count = 16;
  this->make({.max_idle = Duration::max(), .max_lifetime = 100s});
  const auto still_fit_after = [&](Duration age) {
    std::vector<typename TypeParam::Pool::Lease> leases;
    for (int taken = 0; taken < count; ++taken) leases.push_back(this->lease(1));
    const auto opened = this->pool_->stats().opened;
    for (auto& lease : leases) lease.give_back();
    leases.clear();
    this->world_.executor.advance(age);
    for (int taken = 0; taken < count; ++taken) leases.push_back(this->lease(1));
    const auto replaced = this->pool_->stats().opened - opened;
    leases.clear();
    return count - static_cast<int>(replaced);
  };
  EXPECT_EQ(still_fit_after(90s - 1ns), count);
  const int in_the_middle = still_fit_after(95s);
  EXPECT_GT(in_the_middle, 0);
  EXPECT_LT(in_the_middle, count);
  EXPECT_EQ(still_fit_after(100s), 0);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, discards_what_the_probe_refuses_and_tries_the_next_idle_one) {
  this->make({.max_per_key = 3});
  {
    auto first = this->lease(1);
    auto second = this->lease(1);
    auto third = this->lease(1);
    first.give_back();
    second.give_back();
    third.give_back();
  }
  this->world_.unusable = {2, 3};
  auto lease = this->lease(1);
  EXPECT_EQ(lease->number(), 1);
  EXPECT_TRUE(lease.reused());
  EXPECT_EQ(this->world_.closed, (std::vector{3, 2}));
  EXPECT_EQ(this->pool_->stats().discarded, 2U);
  EXPECT_EQ(this->pool_->stats().connections, 1U);
  lease.give_back();
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, connects_in_the_same_slot_when_no_idle_one_is_usable) {
  this->make({.max_per_key = 1, .max_total = 1});
  this->lease(1).give_back();
  this->world_.unusable = {1};
  auto lease = this->lease(1);
  EXPECT_EQ(lease->number(), 2);
  EXPECT_FALSE(lease.reused());
  EXPECT_EQ(this->world_.most_in_total, 1U);
  lease.give_back();
  EXPECT_EQ(this->pool_->stats().reused, 0U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, probes_what_is_handed_over) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  this->world_.unusable = {1};
  this->world_.after(1s, [&] { held.give_back(); });
  EXPECT_EQ(this->lease(1)->number(), 2);
  EXPECT_EQ(this->world_.most_in_total, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, hands_what_is_given_back_straight_to_who_waits) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  this->world_.after(3s, [&] {
    EXPECT_EQ(this->pool_->stats().waiting, 1U);
    held.give_back();
    EXPECT_EQ(this->pool_->stats().idle, 0U);
    EXPECT_EQ(this->pool_->stats().waiting, 0U);
  });
  const Time start = this->world_.executor.now();
  auto next = this->lease(1);
  EXPECT_EQ(next->number(), 1);
  EXPECT_TRUE(next.reused());
  EXPECT_EQ(this->world_.executor.now(), start + 3s);
  next.give_back();
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, lets_who_waits_connect_when_a_lease_is_dropped) {
  this->make({.max_per_key = 1});
  std::optional held{this->lease(1)};
  this->world_.after(3s, [&] { held.reset(); });
  auto next = this->lease(1);
  EXPECT_EQ(next->number(), 2);
  EXPECT_FALSE(next.reused());
  EXPECT_EQ(this->world_.most_of_a_key, 1U);
}

TYPED_TEST(connection_pool, closes_the_connection_idle_longest_to_make_room_for_another_key) {
  this->make({.max_total = 2});
  {
    auto first = this->lease(1);
    auto second = this->lease(2);
    second.give_back();
    this->world_.executor.advance(1s);
    first.give_back();
  }
  auto third = this->lease(3);
  EXPECT_EQ(third->key(), 3);
  EXPECT_EQ(this->world_.closed, std::vector{2});
  EXPECT_EQ(this->world_.most_in_total, 2U);
  third.give_back();
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, closes_nothing_of_another_key_when_only_its_own_cap_is_in_the_way) {
  this->make({.max_per_key = 1, .max_total = 2});
  this->lease(2).give_back();
  auto held = this->lease(1);
  EXPECT_EQ(this->acquire(1, this->within(1s)).error().kind(), ErrorKind::deadline);
  EXPECT_TRUE(this->world_.closed.empty());
}

TYPED_TEST(connection_pool, closes_what_comes_back_when_another_key_waits_for_room) {
  this->make({.max_total = 1});
  auto held = this->lease(1);
  this->world_.after(1s, [&] { held.give_back(); });
  auto other = this->lease(2);
  EXPECT_EQ(other->key(), 2);
  EXPECT_EQ(this->world_.closed, std::vector{1});
  EXPECT_EQ(this->world_.most_in_total, 1U);
  other.give_back();
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, keeps_what_comes_back_when_only_full_keys_wait) {
  this->make({.max_per_key = 1});
  auto full = this->lease(1);
  auto other = this->lease(2);
  this->world_.after(1s, [&] {
    other.give_back();
    EXPECT_EQ(this->pool_->stats().idle, 1U);
    EXPECT_EQ(this->pool_->stats().waiting, 1U);
  });
  this->world_.after(2s, [&] { full.give_back(); });
  EXPECT_EQ(this->lease(1)->number(), 1);
}

TYPED_TEST(connection_pool, ends_a_wait_at_the_deadline) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  const Time start = this->world_.executor.now();
  const auto late = this->acquire(1, this->within(5s));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::deadline);
  EXPECT_EQ(this->world_.executor.now(), start + 5s);
  EXPECT_EQ(this->pool_->stats().waiting, 0U);
  held.give_back();
  EXPECT_EQ(this->lease(1)->number(), 1);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, ends_a_wait_at_once_when_the_call_is_cancelled) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  StopSource stop;
  const Time start = this->world_.executor.now();
  this->world_.after(2s, [&] { stop.request_stop(); });
  const auto cancelled = this->acquire(1, Call{.stop = stop.token()});
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->world_.executor.now(), start + 2s);
  held.give_back();
  EXPECT_EQ(this->lease(1)->number(), 1);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, lets_a_grant_win_over_the_cancel_that_follows_it) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  StopSource stop;
  this->world_.after(1s, [&] {
    held.give_back();
    stop.request_stop();
  });
  auto granted = this->acquire(1, Call{.stop = stop.token()});
  ASSERT_TRUE(granted);
  EXPECT_EQ((*granted)->number(), 1);
  granted->give_back();
  EXPECT_EQ(this->pool_->stats().idle, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, lets_a_cancel_win_over_the_grant_that_follows_it) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  StopSource stop;
  this->world_.after(1s, [&] {
    stop.request_stop();
    held.give_back();
  });
  EXPECT_EQ(this->acquire(1, Call{.stop = stop.token()}).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->pool_->stats().idle, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, loses_no_slot_when_grant_and_deadline_come_at_one_instant) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  this->world_.after(5s, [&] { held.give_back(); });
  {
    auto at_the_limit = this->acquire(1, this->within(5s));
    if (at_the_limit) at_the_limit->give_back();
  }
  this->world_.executor.run_for(1s);
  EXPECT_EQ(this->pool_->stats().idle, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, gives_the_error_of_a_failed_connect_and_frees_its_slot) {
  this->make({.max_per_key = 1});
  this->world_.plans = {Plan::refuse};
  const auto refused = this->acquire(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(this->pool_->stats().failed, 1U);
  EXPECT_EQ(this->pool_->stats().connections, 0U);
  this->expect_at_rest();
  EXPECT_TRUE(this->acquire(1));
}

TYPED_TEST(connection_pool, carries_what_a_connect_throws_and_frees_its_slot) {
  this->make({.max_per_key = 1});
  this->world_.plans = {Plan::crash};
  const auto crashed = this->acquire(1);
  ASSERT_FALSE(crashed);
  EXPECT_EQ(crashed.error().kind(), ErrorKind::exception);
  EXPECT_EQ(crashed.error().message(), "no route");
  EXPECT_EQ(this->pool_->stats().failed, 1U);
  EXPECT_EQ(this->pool_->stats().connections, 0U);
  this->expect_at_rest();
  EXPECT_TRUE(this->acquire(1));
}

TYPED_TEST(connection_pool, refuses_every_acquire_once_closed) {
  this->make();
  this->lease(1).give_back();
  this->pool_->close();
  EXPECT_EQ(this->world_.closed, std::vector{1});
  EXPECT_EQ(this->acquire(1).error().kind(), ErrorKind::closed);
  this->pool_->close();
  EXPECT_EQ(this->pool_->stats().discarded, 1U);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, wakes_who_waits_when_it_is_closed) {
  this->make({.max_per_key = 1});
  auto held = this->lease(1);
  this->world_.after(1s, [&] { this->pool_->close(); });
  EXPECT_EQ(this->acquire(1).error().kind(), ErrorKind::closed);
  EXPECT_TRUE(this->world_.closed.empty());
  held.give_back();
  EXPECT_EQ(this->world_.closed, std::vector{1});
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, closes_what_was_being_opened_when_it_was_closed_once_it_comes_back) {
  this->make();
  this->world_.connect_time = 10s;
  this->world_.after(1s, [&] {
    EXPECT_EQ(this->pool_->stats().connections, 1U);
    this->pool_->close();
  });
  auto opened = this->acquire(1);
  ASSERT_TRUE(opened);
  opened->give_back();
  EXPECT_EQ(this->world_.closed, std::vector{1});
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, calls_nothing_of_the_transport_under_its_lock) {
  this->make({.max_per_key = 2, .max_total = 2});
  int calls = 0;
  // `stats` takes the lock: under it, this would never return.
  this->world_.in_user_code = [&] {
    ++calls;
    static_cast<void>(this->pool_->stats());
  };
  this->lease(1).give_back();
  this->lease(2).give_back();
  this->lease(3).give_back();  // evicts 1
  this->world_.unusable = {2};
  { const auto dropped = this->lease(2); }
  this->world_.executor.advance(1h);
  this->lease(3).give_back();  // expired
  {
    auto held = this->lease(3);
    auto other = this->lease(3);
    this->world_.after(1s, [&] { held.give_back(); });   // to the waiter
    this->world_.after(2s, [&] { other.give_back(); });  // idle
    this->lease(3).give_back();
    this->world_.executor.run_for(2s);
  }
  auto held = this->lease(3);
  auto other = this->lease(3);
  this->world_.after(1s, [&] { held.give_back(); });  // closed for the waiter of another key
  this->lease(4).give_back();
  other.give_back();
  this->pool_->close();
  EXPECT_GT(calls, 15);
  this->world_.in_user_code = [] {};
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, describes_its_limits_in_one_line) {
  this->make({.max_per_key = 4, .max_total = 32});
  EXPECT_EQ(this->pool_->describe(), "pool(4 per key, 32 in all)");
  EXPECT_EQ(this->pool_->transport().world, &this->world_);
}

TYPED_TEST(connection_pool, refuses_options_that_leave_no_room_or_no_time) {
  EXPECT_THROW(this->make({.max_per_key = 0}), std::invalid_argument);
  EXPECT_THROW(this->make({.max_total = 0}), std::invalid_argument);
  EXPECT_THROW(this->make({.max_idle = 0s}), std::invalid_argument);
  EXPECT_THROW(this->make({.max_lifetime = -1s}), std::invalid_argument);
}

TYPED_TEST(connection_pool, counts_a_connection_until_it_is_closed) {
  this->make({.max_per_key = 1, .max_total = 2, .max_lifetime = 100s});
  int looks = 0;
  bool closing = false;
  // A newcomer comes while a connection is being closed.
  this->world_.in_user_code = [&] {
    if (!closing) return;
    closing = false;
    ++looks;
    EXPECT_EQ(this->pool_->stats().connections, 2U);
    EXPECT_FALSE(this->acquire(1, this->within(1ns)));
    closing = true;
  };
  auto other = this->lease(2);
  auto held = this->lease(1);
  this->world_.executor.advance(100s);
  closing = true;
  held.give_back();  // too old
  closing = false;
  EXPECT_EQ(looks, 1);

  this->lease(1).give_back();
  closing = true;
  this->world_.after(1s, [&] { other.give_back(); });
  auto third = this->acquire(3);  // evicts the idle one
  closing = false;
  EXPECT_EQ(looks, 3);  // while one is closed, and the next opened

  auto again = this->acquire(1, this->within(2s));  // waits until `other`, too old, is closed
  ASSERT_TRUE(again);
  closing = true;
  this->world_.after(1s, [&] { again->give_back(); });
  auto fourth = this->acquire(4);
  closing = false;
  EXPECT_EQ(looks, 5);
  EXPECT_EQ(this->world_.most_of_a_key, 1U);
  EXPECT_EQ(this->world_.most_in_total, 2U);
}

TYPED_TEST(connection_pool, does_nothing_for_a_call_that_has_ended_already) {
  this->make();
  EXPECT_EQ(this->acquire(1, this->within(0s)).error().kind(), ErrorKind::deadline);
  StopSource stop;
  stop.request_stop();
  EXPECT_EQ(this->acquire(1, Call{.stop = stop.token()}).error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(this->world_.opened, 0);
  this->lease(1).give_back();
  EXPECT_EQ(this->acquire(1, Call{.stop = stop.token()}).error().kind(), ErrorKind::cancelled);
  this->expect_at_rest();
}

TYPED_TEST(connection_pool, takes_the_time_from_the_executor_of_the_call) {
  this->make({.max_idle = 10s, .max_lifetime = 1h});
  Call call{.executor = &this->world_.executor};
  this->world_.connect_time = 2h;
  auto lease = TypeParam::acquire(*this->pool_, 1, call);
  ASSERT_TRUE(lease);
  EXPECT_EQ(call.now, this->world_.executor.now());
  lease->give_back();  // young: it lives from the end of its connect
  EXPECT_EQ(this->pool_->stats().idle, 1U);
  this->world_.executor.advance(10s);
  Call later{.executor = &this->world_.executor};
  EXPECT_EQ(TypeParam::acquire(*this->pool_, 1, later).value()->number(), 1);
  EXPECT_EQ(later.now, this->world_.executor.now());
}

TYPED_TEST(connection_pool, closes_one_that_was_idle_too_long_with_every_use_of_its_key) {
  this->make({.max_idle = 10s});
  {
    auto first = this->lease(1);
    auto second = this->lease(1);
    auto third = this->lease(1);
    first.give_back();
    second.give_back();
    third.give_back();
  }
  // Only the last one is ever used.
  for (int use = 0; use < 4; ++use) {
    this->world_.executor.advance(6s);
    this->lease(1).give_back();
  }
  EXPECT_EQ(this->world_.closed, (std::vector{1, 2}));
  EXPECT_EQ(this->pool_->stats().idle, 1U);
  this->expect_at_rest();
}

// Several waiters at once: coroutines.
class waiting_line : public ::testing::Test {
 protected:
  using Options = AsyncPool::Options;

  AsyncPool& make(Options options) { return pool_.emplace(AsyncTransport{{&world_}}, options); }
  // Acquires, notes its name, holds for a second, gives back.
  Task<void> visit(int key, std::string name, Call call = {}) {
    call.executor = &world_.executor;
    Result<AsyncPool::Lease> lease = co_await pool_->acquire(key, call);
    if (!lease) {
      order_.push_back(name + ":" + std::string{to_string(lease.error().kind())});
      co_return;
    }
    order_.push_back(name);
    static_cast<void>(
        co_await wait_until(world_.executor, world_.executor.now() + 1s, StopToken{}));
    lease->give_back();
  }
  AsyncPool::Lease lease(int key) {
    Call call{.executor = &world_.executor};
    return *sync_wait(world_.executor, pool_->acquire(key, call));
  }
  // Lets what was spawned run as far as it gets without time passing.
  void settle() { world_.executor.run_for(0s); }

  World world_;
  std::optional<AsyncPool> pool_;
  std::vector<std::string> order_;
};

TEST_F(waiting_line, serves_the_callers_of_a_key_in_the_order_they_came) {
  make({.max_per_key = 2});
  Scope scope{world_.executor};
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) scope.spawn(visit(1, name));
  scope.wait();
  EXPECT_EQ(order_, (std::vector<std::string>{"a", "b", "c", "d", "e", "f"}));
  EXPECT_EQ(world_.opened, 2);
}

TEST_F(waiting_line, lets_no_newcomer_overtake_who_was_granted_but_has_not_run) {
  make({.max_per_key = 1});
  auto held = lease(1);
  Scope scope{world_.executor};
  scope.spawn(visit(1, "first"));
  settle();
  held.give_back();
  scope.spawn(visit(1, "newcomer"));
  scope.wait();
  EXPECT_EQ(order_, (std::vector<std::string>{"first", "newcomer"}));
}

TEST_F(waiting_line, counts_connects_in_progress_against_the_cap_of_a_key) {
  make({.max_per_key = 2});
  world_.connect_time = 5s;
  Scope scope{world_.executor};
  for (const char* name : {"a", "b", "c"}) scope.spawn(visit(1, name));
  settle();
  EXPECT_EQ(world_.connecting, 2);
  EXPECT_EQ(pool_->stats().connections, 2U);
  EXPECT_EQ(pool_->stats().waiting, 1U);
  scope.wait();
  EXPECT_EQ(world_.most_of_a_key, 2U);
  EXPECT_EQ(world_.opened, 2);
}

TEST_F(waiting_line, counts_connects_in_progress_against_the_cap_of_all) {
  make({.max_total = 2});
  world_.connect_time = 5s;
  Scope scope{world_.executor};
  for (const int key : {1, 2, 3}) scope.spawn(visit(key, std::to_string(key)));
  settle();
  EXPECT_EQ(world_.connecting, 2);
  EXPECT_EQ(pool_->stats().waiting, 1U);
  scope.wait();
  EXPECT_EQ(world_.most_in_total, 2U);
  EXPECT_EQ(order_, (std::vector<std::string>{"1", "2", "3"}));
}

TEST_F(waiting_line, closes_up_when_someone_in_the_middle_leaves) {
  make({.max_per_key = 1});
  auto held = lease(1);
  Scope scope{world_.executor};
  StopSource stop;
  scope.spawn(visit(1, "a"));
  scope.spawn(visit(1, "b", Call{.stop = stop.token()}));
  scope.spawn(visit(1, "c"));
  settle();
  stop.request_stop();
  settle();
  held.give_back();
  scope.wait();
  EXPECT_EQ(order_, (std::vector<std::string>{"b:cancelled", "a", "c"}));
}

TEST_F(waiting_line, lets_the_next_try_when_a_connect_fails) {
  make({.max_per_key = 1});
  world_.connect_time = 1s;
  world_.plans = {Plan::refuse, Plan::crash, Plan::open};
  Scope scope{world_.executor};
  for (const char* name : {"a", "b", "c"}) scope.spawn(visit(1, name));
  scope.wait();
  EXPECT_EQ(order_, (std::vector<std::string>{"a:unavailable", "b:exception", "c"}));
}

TEST_F(waiting_line, gives_a_freed_slot_to_the_oldest_of_all_keys) {
  make({.max_per_key = 2, .max_total = 2});
  std::optional first{lease(1)};
  std::optional second{lease(1)};
  Scope scope{world_.executor};
  scope.spawn(visit(3, "three"));
  scope.spawn(visit(1, "one"));
  scope.spawn(visit(2, "two"));
  settle();
  first.reset();
  settle();
  second.reset();
  settle();
  EXPECT_EQ(order_, (std::vector<std::string>{"three", "one"}));
  scope.wait();
  EXPECT_EQ(order_, (std::vector<std::string>{"three", "one", "two"}));
  EXPECT_EQ(world_.most_in_total, 2U);
}

TEST_F(waiting_line, passes_over_waiters_whose_key_is_full) {
  make({.max_per_key = 1, .max_total = 2});
  auto full = lease(1);
  std::optional other{lease(2)};
  Scope scope{world_.executor};
  scope.spawn(visit(1, "of the full key"));
  scope.spawn(visit(3, "of another"));
  settle();
  other.reset();
  settle();
  EXPECT_EQ(order_, std::vector<std::string>{"of another"});
  full.give_back();
  scope.wait();
}

// Its own idle connection counts until it is closed, so it waits; then only the total is in the
// way.
TEST_F(waiting_line, closes_an_idle_one_for_who_came_while_that_of_its_key_was_closed) {
  make({.max_per_key = 1, .max_total = 3});
  for (const int key : {1, 2, 4}) {
    lease(key).give_back();
    world_.executor.advance(1s);
  }
  Scope scope{world_.executor};
  bool came = false;
  world_.in_user_code = [&] {
    if (std::exchange(came, true)) return;
    scope.spawn(visit(1, "late"));
    settle();
    EXPECT_EQ(pool_->stats().waiting, 1U);
  };
  auto other = lease(3);  // evicts 1
  settle();
  EXPECT_EQ(order_, (std::vector<std::string>{"late"}));
  EXPECT_EQ(world_.closed, (std::vector{1, 2}));
  EXPECT_EQ(world_.most_in_total, 3U);
  world_.in_user_code = [] {};
  other.give_back();
  scope.wait();
}

TEST_F(waiting_line, wakes_all_when_the_pool_is_closed) {
  make({.max_per_key = 1, .max_total = 2});
  auto held = lease(1);
  auto other = lease(2);
  Scope scope{world_.executor};
  scope.spawn(visit(1, "a"));
  scope.spawn(visit(1, "b"));
  scope.spawn(visit(3, "c"));
  settle();
  pool_->close();
  scope.wait();
  EXPECT_EQ(order_, (std::vector<std::string>{"a:closed", "b:closed", "c:closed"}));
}

TEST_F(waiting_line, ends_a_wait_once_when_a_cancel_follows_the_close) {
  make({.max_total = 1});
  auto held = lease(1);
  Scope scope{world_.executor};
  StopSource stop;
  scope.spawn(visit(2, "a", Call{.stop = stop.token()}));
  settle();
  pool_->close();
  stop.request_stop();
  scope.wait();
  EXPECT_EQ(order_, std::vector<std::string>{"a:closed"});
}

// Random visits in simulated time; the world checks the caps, the executor every deadlock.
void wander(std::uint64_t seed) {
  World world{seed};
  std::mt19937_64 random{seed};
  const auto below = [&](std::uint64_t limit) { return static_cast<int>(random() % limit); };
  const AsyncPool::Options options{.max_per_key = 1 + random() % 3,
                                   .max_total = 1 + random() % 6,
                                   .max_idle = Duration{1s} * (1 + below(20)),
                                   .max_lifetime = Duration{1s} * (5 + below(50))};
  AsyncPool pool{AsyncTransport{{&world}}, options};
  int ended = 0;
  const auto worker = [&]() -> Task<void> {
    for (int visit = 0; visit < 40; ++visit) {
      StopSource stop;
      Call call{.stop = stop.token(), .executor = &world.executor};
      if (below(3) == 0) call.deadline = world.executor.now() + Duration{1ms} * below(8000);
      if (below(4) == 0) world.plans.push_back(below(2) == 0 ? Plan::refuse : Plan::crash);
      if (below(4) == 0) world.unusable.insert(world.opened);
      world.connect_time = Duration{1ms} * below(1500);
      const bool impatient = below(3) == 0;
      const Time stop_at = world.executor.now() + Duration{1ms} * below(5000);
      if (impatient) world.after(stop_at - world.executor.now(), [&stop] { stop.request_stop(); });
      Result<AsyncPool::Lease> lease = co_await pool.acquire(below(4), call);
      const Time until = world.executor.now() + Duration{1ms} * below(2000);
      static_cast<void>(co_await wait_until(world.executor, until, StopToken{}));
      if (lease && below(4) != 0) lease->give_back();
      // The stop refers to this round: it ends after it.
      if (impatient)
        static_cast<void>(
            co_await wait_until(world.executor, stop_at + Duration{1ms}, StopToken{}));
      EXPECT_LE(world.open_in_total, options.max_total);
    }
    ++ended;
  };
  Scope scope{world.executor};
  for (int started = 0; started < 16; ++started) scope.spawn(worker());
  scope.wait();
  EXPECT_EQ(ended, 16);
  EXPECT_LE(world.most_of_a_key, options.max_per_key);
  EXPECT_LE(world.most_in_total, options.max_total);
  const auto stats = pool.stats();
  EXPECT_EQ(stats.connections, stats.idle);
  EXPECT_EQ(stats.waiting, 0U);
  EXPECT_EQ(stats.opened, stats.discarded + stats.idle);
  EXPECT_EQ(stats.discarded, world.closed.size());
  EXPECT_GT(stats.opened, 0U);
}

TEST(connection_pool_wandering, keeps_its_caps_and_loses_nobody_whatever_happens) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    wander(seed);
  }
}

}  // namespace
}  // namespace penstock
