// SPDX-License-Identifier: MIT
#include <chrono>
#include <utility>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/store/connection_pool.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Call;
using penstock::ConnectionPool;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::Result;
using penstock::StopSource;
using penstock::Task;
namespace sync = penstock::sync;

// What is open in the world: counted by the connections themselves.
struct World {
  sync::atomic<int> open{0};
  sync::atomic<int> most{0};
};

class Connection {
 public:
  explicit Connection(World& world) : world_(&world) {
    const int now = ++world.open;
    int most = world.most.load();
    while (most < now && !world.most.compare_exchange_strong(most, now)) {
    }
  }
  Connection(Connection&& other) noexcept
      : world_(std::exchange(other.world_, nullptr)),
        used_(other.used_) {}
  Connection& operator=(Connection&& other) noexcept {
    std::swap(world_, other.world_);
    std::swap(used_, other.used_);
    return *this;
  }
  ~Connection() {
    if (world_ != nullptr) --world_->open;
  }
  // Plain: a connection in two hands is a race.
  void use() noexcept { ++used_; }

 private:
  World* world_;
  int used_ = 0;
};

struct Blocking {
  using Key = int;
  using Connection = explore::Connection;
  World* world;
  [[nodiscard]] Result<Connection> connect(int, Call&) { return Connection{*world}; }
  [[nodiscard]] bool usable(Connection&) const noexcept { return true; }
};
struct Refusing {
  using Key = int;
  using Connection = explore::Connection;
  World* world;
  int* refusals;
  [[nodiscard]] Result<Connection> connect(int, Call&) {
    if (*refusals > 0) {
      --*refusals;
      return ErrorKind::unavailable;
    }
    return Connection{*world};
  }
  [[nodiscard]] bool usable(Connection&) const noexcept { return true; }
};
struct Awaited {
  using Key = int;
  using Connection = explore::Connection;
  World* world;
  [[nodiscard]] Task<Result<Connection>> connect(int, Call&) { co_return Connection{*world}; }
  [[nodiscard]] bool usable(Connection&) const noexcept { return true; }
};

template <class Pool>
void expect_empty_handed(const Pool& pool) {
  const auto stats = pool.stats();
  check(stats.waiting == 0, "somebody waits who has left");
  check(stats.connections == stats.idle, "a place in the pool was lost");
}

void two_callers_share_one_connection() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    const auto use = [&] {
      Call call;
      auto lease = pool.acquire(1, call);
      check(lease.has_value(), "a caller without a deadline was refused");
      (*lease)->use();
      lease->give_back();
    };
    sync::thread one{use};
    sync::thread two{use};
    use();
    one.join();
    two.join();
    expect_empty_handed(pool);
    check(pool.stats().opened == 1 && pool.stats().reused == 2, "not one connection for all");
  }
  check(world.open == 0 && world.most == 1, "a connection was left open");
}

void a_grant_meets_cancel() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    Call call;
    auto lease = pool.acquire(1, call);
    StopSource source;
    sync::thread waiter{[&] {
      Call mine{.stop = source.token()};
      auto second = pool.acquire(1, mine);
      if (second) {
        (*second)->use();
        second->give_back();
      } else {
        check(second.error().kind() == ErrorKind::cancelled, "ended by neither");
      }
    }};
    sync::thread stopper{[&] { source.request_stop(); }};
    lease->give_back();
    waiter.join();
    stopper.join();
    expect_empty_handed(pool);
    check(pool.stats().idle == 1, "the connection was lost");
  }
  check(world.open == 0, "a connection was left open");
}

void a_grant_meets_a_deadline() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    Call call;
    auto lease = pool.acquire(1, call);
    sync::thread waiter{[&] {
      Call mine{.deadline = sync::now() + 1s};
      auto second = pool.acquire(1, mine);
      if (!second) check(second.error().kind() == ErrorKind::deadline, "ended by neither");
    }};
    lease->give_back();
    waiter.join();
    expect_empty_handed(pool);
  }
  check(world.open == 0, "a connection was left open");
}

void a_grant_meets_close() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    Call call;
    auto lease = pool.acquire(1, call);
    sync::thread waiter{[&] {
      Call mine;
      auto second = pool.acquire(1, mine);
      if (second) {
        second->give_back();
      } else {
        check(second.error().kind() == ErrorKind::closed, "ended by neither");
      }
    }};
    sync::thread closer{[&] { pool.close(); }};
    lease->give_back();
    waiter.join();
    closer.join();
    expect_empty_handed(pool);
    check(pool.stats().connections == 0, "a closed pool kept a connection");
  }
  check(world.open == 0, "a connection was left open");
}

// The key of the waiter has no connection, and is forgotten as soon as nobody waits for it.
void close_meets_cancel_of_another_key() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    Call call;
    auto lease = pool.acquire(1, call);
    StopSource source;
    sync::thread waiter{[&] {
      Call mine{.stop = source.token()};
      auto second = pool.acquire(2, mine);
      check(!second, "a connection beyond the cap");
      check(second.error().kind() == ErrorKind::closed ||
                second.error().kind() == ErrorKind::cancelled,
            "ended by neither");
    }};
    sync::thread stopper{[&] { source.request_stop(); }};
    pool.close();
    waiter.join();
    stopper.join();
    lease->give_back();
    expect_empty_handed(pool);
  }
  check(world.open == 0, "a connection was left open");
}

void a_dropped_lease_makes_room() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    const auto drop = [&] {
      Call call;
      auto lease = pool.acquire(1, call);
      check(lease.has_value(), "a caller without a deadline was refused");
    };
    sync::thread other{drop};
    drop();
    other.join();
    expect_empty_handed(pool);
  }
  check(world.open == 0 && world.most == 1, "more connections than the cap");
}

void keys_share_the_total() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    const auto use = [&](int key) {
      Call call;
      auto lease = pool.acquire(key, call);
      check(lease.has_value(), "a caller without a deadline was refused");
      lease->give_back();
    };
    sync::thread other{[&] { use(2); }};
    use(1);
    other.join();
    expect_empty_handed(pool);
  }
  check(world.open == 0 && world.most == 1, "more connections than the cap");
}

// One idle connection is evicted for a caller that stays; who comes for it meanwhile must find that
// the other may be closed for it.
void who_comes_while_its_connection_is_evicted_is_served() {
  World world;
  {
    ConnectionPool<Blocking> pool{{&world}, {.max_per_key = 1, .max_total = 2}};
    const auto acquire = [&](int key) {
      Call call;
      auto lease = pool.acquire(key, call);
      check(lease.has_value(), "a caller without a deadline was refused");
      return *std::move(lease);
    };
    acquire(1).give_back();
    acquire(2).give_back();
    sync::thread other{[&] { acquire(1).give_back(); }};
    auto held = acquire(3);
    other.join();
    held.give_back();
    expect_empty_handed(pool);
  }
  check(world.open == 0 && world.most == 2, "more connections than the cap");
}

void a_failed_connect_passes_its_place_on() {
  World world;
  int refusals = 1;
  {
    ConnectionPool<Refusing> pool{{&world, &refusals}, {.max_per_key = 1, .max_total = 1}};
    int opened = 0;
    const auto use = [&] {
      Call call;
      auto lease = pool.acquire(1, call);  // one at a time is in `connect`
      if (lease) {
        ++opened;
        lease->give_back();
      } else {
        check(lease.error().kind() == ErrorKind::unavailable, "ended by neither");
      }
    };
    sync::thread other{use};
    use();
    other.join();
    expect_empty_handed(pool);
    check(opened == 1, "not one refusal and one connection");
  }
  check(world.open == 0, "a connection was left open");
}

void a_coroutine_waits_for_a_thread() {
  World world;
  {
    Inline executor;
    ConnectionPool<Awaited> pool{{&world}, {.max_per_key = 1, .max_total = 1}};
    StopSource source;
    Call call{.executor = &executor};
    auto held = sync_wait(executor, pool.acquire(1, call));
    sync::thread giver{[&] { held->give_back(); }};
    sync::thread stopper{[&] { source.request_stop(); }};
    Call mine{.stop = source.token(), .executor = &executor};
    auto lease = sync_wait(executor, pool.acquire(1, mine));
    if (lease) {
      (*lease)->use();
      lease->give_back();
    } else {
      check(lease.error().kind() == ErrorKind::cancelled, "ended by neither");
    }
    giver.join();
    stopper.join();
    expect_empty_handed(pool);
  }
  check(world.open == 0, "a connection was left open");
}

const Scenario scenarios[] = {
    {"connection_pool/two_callers_share_one_connection", two_callers_share_one_connection},
    {"connection_pool/a_grant_meets_cancel", a_grant_meets_cancel},
    {"connection_pool/a_grant_meets_a_deadline", a_grant_meets_a_deadline},
    {"connection_pool/a_grant_meets_close", a_grant_meets_close},
    {"connection_pool/close_meets_cancel_of_another_key", close_meets_cancel_of_another_key},
    {"connection_pool/a_dropped_lease_makes_room", a_dropped_lease_makes_room},
    {"connection_pool/keys_share_the_total", keys_share_the_total},
    {"connection_pool/who_comes_while_its_connection_is_evicted_is_served",
     who_comes_while_its_connection_is_evicted_is_served},
    {"connection_pool/a_failed_connect_passes_its_place_on", a_failed_connect_passes_its_place_on},
    {"connection_pool/a_coroutine_waits_for_a_thread", a_coroutine_waits_for_a_thread},
};

}  // namespace
}  // namespace explore
