// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <list>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/store/pool_transport.hpp>

namespace penstock {

/// Open connections, kept for reuse by key. *Safe from any thread* where its transport is.
///
/// Hard caps per key and in total count every connection: idle, in use and being opened. Who
/// finds no room waits in one first-come queue per pool, blocking and coroutine callers alike; a
/// connection given back goes straight to the oldest waiter of its key, a freed slot to the
/// oldest waiter that may use it, and nobody overtakes. Idle connections are handed out newest
/// first, after a look at their age and the transport's `usable`; the least recently used one of
/// another key is closed when only the total is in the way. Nothing is closed, opened or probed
/// under the lock. No thread and no timer: idle ones beyond their age go at the next uses of their
/// key, each of which closes one.
///
/// A wait ends with `deadline` at the call's deadline, `cancelled` on its stop, `closed` when the
/// pool closes. Leases and callers must be gone before the pool is.
template <PoolTransport Transport>
class ConnectionPool {
 public:
  using Key = typename Transport::Key;
  using Connection = typename Transport::Connection;

  struct Options {
    std::size_t max_per_key = 16;
    std::size_t max_total = 256;
    Duration max_idle = std::chrono::seconds{60};      ///< unused for longer: closed, not reused
    Duration max_lifetime = std::chrono::minutes{30};  ///< less up to a tenth, drawn for each
  };

  struct Stats {
    std::uint64_t opened = 0;
    std::uint64_t reused = 0;
    std::uint64_t failed = 0;     ///< connects that failed or threw
    std::uint64_t discarded = 0;  ///< connections closed instead of kept
    std::size_t connections = 0;  ///< now, those being opened included
    std::size_t idle = 0;
    std::size_t waiting = 0;
  };

 private:
  struct Kept {
    Connection connection;
    Time expires;      // its lifetime's end
    Time last_used{};  // when it became idle
  };
  struct PerKey {
    std::size_t count = 0;   // connections idle, in use and being opened
    std::list<Kept> idle{};  // newest last
    WaitList waiters{};
  };
  using Place = typename std::map<Key, PerKey>::iterator;

  // One call of `acquire`. Admitted with a connection in `kept`, or with a slot to open one in.
  struct Request {
    Place place{};
    std::uint64_t number = 0;  // order of arrival
    std::list<Kept> kept{};
    bool refused = false;  // the pool is closed
  };

 public:
  /// A connection in use. Give it back to keep it; one that is dropped is closed, which is right
  /// after any error. Movable; *one thread at a time*.
  class [[nodiscard]] Lease {
   public:
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          place_(other.place_),
          kept_(std::move(other.kept_)),
          clock_(other.clock_),
          reused_(other.reused_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        drop();
        pool_ = std::exchange(other.pool_, nullptr);
        place_ = other.place_;
        kept_ = std::move(other.kept_);
        clock_ = other.clock_;
        reused_ = other.reused_;
      }
      return *this;
    }
    ~Lease() { drop(); }

    [[nodiscard]] Connection& operator*() const noexcept { return kept_.front().connection; }
    [[nodiscard]] Connection* operator->() const noexcept { return &kept_.front().connection; }
    /// It has served before: that it is closed now may be nobody's fault.
    [[nodiscard]] bool reused() const noexcept { return reused_; }

    /// It is in order: to the next waiter, or back among the idle. Reads the clock of the call
    /// that acquired it.
    void give_back() noexcept {
      if (pool_ != nullptr)
        std::exchange(pool_, nullptr)->put(place_, std::move(kept_), clock_->now());
    }

   private:
    friend class ConnectionPool;
    Lease(ConnectionPool& pool,
          Place place,
          std::list<Kept> kept,
          const Executor& clock,
          bool reused) noexcept
        : pool_(&pool),
          place_(place),
          kept_(std::move(kept)),
          clock_(&clock),
          reused_(reused) {}
    void drop() noexcept {
      if (pool_ == nullptr) return;
      kept_.clear();  // closed before its slot is free
      std::exchange(pool_, nullptr)->discard(place_, Share::freed);
    }

    ConnectionPool* pool_;
    Place place_;
    mutable std::list<Kept> kept_;
    const Executor* clock_;
    bool reused_;
  };

  /// Throws std::invalid_argument for caps or ages of nothing.
  explicit ConnectionPool(Transport transport, Options options = {})
      : transport_(std::move(transport)),
        options_(options) {
    if (options.max_per_key == 0 || options.max_total == 0)
      throw std::invalid_argument{
          "penstock: ConnectionPool needs room for a connection; write {.max_per_key = 16}"};
    if (options.max_idle <= Duration::zero() || options.max_lifetime <= Duration::zero())
      throw std::invalid_argument{
          "penstock: ConnectionPool needs positive ages; write .max_idle = 60s and "
          ".max_lifetime = 30min"};
  }
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;
  ~ConnectionPool() {
    for ([[maybe_unused]] const auto& [key, at] : keys_)
      assert(at.waiters.empty() && at.count == at.idle.size() &&
             "penstock: a ConnectionPool outlives its callers and its leases");
  }

  /// A connection to `key`: an idle one, or a new one, or the next to come free. Refreshes
  /// `call.now`; nothing is done for a call that is stopped or past its deadline.
  [[nodiscard]] Result<Lease> acquire(const Key& key,
                                      Call& call) requires ConnectsBlocking<Transport> {
    call.now = call.where().now();
    if (const Result<void> in_time = may_go_on(call); !in_time) return in_time.error();
    Request request;
    BlockingWaiter<Withdrawn> waiter{Withdrawn{this}};
    if (!admit(key, request, waiter)) {
      const WaitEnd end = waiter.wait(call);
      if (end != WaitEnd::granted) return refusal_of(end);
    }
    if (request.refused) return ErrorKind::closed;
    if (take_usable(request, call)) return lease(request, call);
    Slot slot{*this, request.place};
    try {
      return fill(slot, transport_.connect(key, call), call);
    } catch (...) {
      return Error::from_exception(std::current_exception());
    }
  }

  /// The same where `connect` is awaited. The caller resumes where that finished, or on
  /// `call.where()` after a wait. A key without a name is kept, in one more frame.
  [[nodiscard]] Task<Result<Lease>> acquire(const Key& key,
                                            Call& call) requires(!ConnectsBlocking<Transport>) {
    call.now = call.where().now();
    if (const Result<void> in_time = may_go_on(call); !in_time) co_return in_time.error();
    Request request;
    SuspendedWaiter<Withdrawn> waiter{call, Withdrawn{this}};
    if (!admit(key, request, waiter)) {
      const WaitEnd end = co_await waiter;
      call.now = call.where().now();
      if (end != WaitEnd::granted) co_return refusal_of(end);
    }
    if (request.refused) co_return ErrorKind::closed;
    if (take_usable(request, call)) co_return lease(request, call);
    Slot slot{*this, request.place};
    Result<Connection> connected = co_await transport_.connect(key, call);
    co_return fill(slot, std::move(connected), call);
  }

  [[nodiscard]] Task<Result<Lease>> acquire(Key&& key,
                                            Call& call) requires(!ConnectsBlocking<Transport>) {
    return acquire_kept(std::move(key), call);
  }

  /// Refuses new callers and those that wait with `closed`, closes the idle connections; those in
  /// use are closed when they come back.
  void close() noexcept {
    std::list<Kept> closing;
    WakeList waking;
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
      for (auto at = keys_.begin(); at != keys_.end();) {
        while (!at->second.idle.empty()) retire(at, at->second.idle.begin(), closing);
        while (Waiter* const waiter = at->second.waiters.pop()) {
          --stats_.waiting;
          record_of(*waiter).refused = true;
          waking.push(*waiter);
        }
        const auto next = std::next(at);
        forget_if_unused(at);
        at = next;
      }
    }
    waking.wake_all();
  }

  [[nodiscard]] Stats stats() const {
    const std::lock_guard lock{mutex_};
    Stats stats = stats_;
    for (const auto& [key, at] : keys_) stats.idle += at.idle.size();
    return stats;
  }
  [[nodiscard]] Transport& transport() noexcept { return transport_; }
  [[nodiscard]] std::string describe() const {
    return "pool(" + std::to_string(options_.max_per_key) + " per key, " +
           std::to_string(options_.max_total) + " in all)";
  }

 private:
  struct Withdrawn {
    ConnectionPool* pool;
    bool operator()(Waiter& waiter) const noexcept {
      const std::lock_guard lock{pool->mutex_};
      // Refused by `close`: its key may be forgotten already.
      if (record_of(waiter).refused) return false;
      const Place place = record_of(waiter).place;
      if (!place->second.waiters.remove(waiter)) return false;
      --pool->stats_.waiting;
      pool->forget_if_unused(place);
      return true;
    }
  };
  // A counted place for a connection that is being opened; gone without one, the connect failed.
  struct Slot {
    Slot(ConnectionPool& owner, Place at) noexcept : pool(&owner), place(at) {}
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
      if (pool != nullptr) pool->release(place, Share::freed, &Stats::failed);
    }
    ConnectionPool* pool;
    Place place;
  };

  Task<Result<Lease>> acquire_kept(Key key, Call& call) {
    co_return co_await acquire(std::as_const(key), call);
  }

  static Request& record_of(Waiter& waiter) noexcept {
    return *static_cast<Request*>(waiter.record);
  }

  // True: admitted or refused at once. False: the waiter is linked and must be waited for.
  bool admit(const Key& key, Request& request, Waiter& waiter) {
    std::list<Kept> closing;
    Place evicted{};
    const bool admitted = admit(key, request, waiter, closing, evicted);
    if (!closing.empty()) {
      closing.clear();
      discard(evicted, Share::passed_on);
    }
    return admitted;
  }
  bool admit(
      const Key& key, Request& request, Waiter& waiter, std::list<Kept>& closing, Place& evicted) {
    const std::lock_guard lock{mutex_};
    if (closed_) {
      request.refused = true;
      return true;
    }
    request.place = keys_.try_emplace(key).first;
    PerKey& at = request.place->second;
    if (at.waiters.empty()) {
      if (!at.idle.empty()) {
        request.kept.splice(request.kept.end(), at.idle, std::prev(at.idle.end()));
        return true;
      }
      if (at.count < options_.max_per_key) {
        if (stats_.connections < options_.max_total) {
          occupy(request.place);
          return true;
        }
        evicted = evict(closing);
        if (!closing.empty()) {
          ++at.count;
          return true;
        }
      }
    }
    request.number = ++arrivals_;
    waiter.record = &request;
    at.waiters.push(waiter);
    ++stats_.waiting;
    return false;
  }

  [[nodiscard]] bool fresh(const Kept& kept, Time now) const noexcept {
    return now < kept.expires && elapsed_between(kept.last_used, now) <= options_.max_idle;
  }

  // Looks at the connection it was given, and at the next idle ones while that is not fit. False:
  // none is, and the request holds the slot to open one in.
  bool take_usable(Request& request, const Call& call) noexcept {
    while (!request.kept.empty()) {
      Kept& kept = request.kept.front();
      if (fresh(kept, call.now) && transport_.usable(kept.connection)) return true;
      request.kept.clear();  // closes it; its slot is ours
      const std::lock_guard lock{mutex_};
      ++stats_.discarded;
      PerKey& at = request.place->second;
      if (!at.idle.empty()) {
        request.kept.splice(request.kept.end(), at.idle, std::prev(at.idle.end()));
        vacate(request.place);  // two slots for one connection
      }
    }
    return false;
  }

  Lease lease(Request& request, const Call& call) {
    {
      const std::lock_guard lock{mutex_};
      ++stats_.reused;
    }
    return Lease{*this, request.place, std::move(request.kept), call.where(), true};
  }

  Result<Lease> fill(Slot& slot, Result<Connection> connected, Call& call) {
    call.now = call.where().now();
    if (!connected) return std::move(connected).error();
    const auto tenth = static_cast<std::uint64_t>(options_.max_lifetime.count() / 10);
    const Duration early{static_cast<std::int64_t>(call.where().random() % (tenth + 1))};
    std::list<Kept> kept;
    kept.push_back(
        {std::move(*connected), saturating_add(call.now, options_.max_lifetime - early)});
    {
      const std::lock_guard lock{mutex_};
      ++stats_.opened;
    }
    slot.pool = nullptr;
    return Lease{*this, slot.place, std::move(kept), call.where(), false};
  }

  void put(Place place, std::list<Kept> kept, Time now) noexcept {
    kept.front().last_used = now;
    WakeList waking;
    Share share = Share::freed;
    {
      const std::lock_guard lock{mutex_};
      PerKey& at = place->second;
      const bool keep = !closed_ && now < kept.front().expires;
      if (Waiter* const waiter = keep ? at.waiters.pop() : nullptr; waiter != nullptr) {
        --stats_.waiting;
        auto& granted = record_of(*waiter).kept;
        granted.splice(granted.end(), kept);
        waking.push(*waiter);
      } else if (const Place other = keep ? oldest_waiter() : keys_.end(); other != keys_.end()) {
        // Another key's waiter needs the room more than we need a spare.
        share = Share::passed_on;
        --stats_.waiting;
        ++other->second.count;
        waking.push(*other->second.waiters.pop());
      } else if (keep) {
        at.idle.splice(at.idle.end(), kept);
        // The newest are used first: without this the others would stay however old they get.
        if (!fresh(at.idle.front(), now)) kept.splice(kept.end(), at.idle, at.idle.begin());
      }
    }
    if (!kept.empty()) {
      kept.clear();
      discard(place, share);
    }
    waking.wake_all();
  }

  // What becomes of the share that a closed connection had in the total.
  enum class Share : unsigned char { freed, passed_on };

  // Always after the connection was closed: the caps count it until then.
  void discard(Place place, Share share) noexcept { release(place, share, &Stats::discarded); }

  void release(Place place, Share share, std::uint64_t Stats::*counted) noexcept {
    WakeList waking;
    std::list<Kept> closing;
    Place evicted{};
    {
      const std::lock_guard lock{mutex_};
      ++(stats_.*counted);
      if (share == Share::freed) {
        vacate(place);
      } else {
        --place->second.count;
      }
      grant_slots(waking);
      forget_if_unused(place);
      // Who came while the one of its key was closed waits now only for room in the total.
      if (oldest_waiter() != keys_.end()) evicted = evict(closing);
    }
    waking.wake_all();
    if (!closing.empty()) {
      closing.clear();
      discard(evicted, Share::freed);
    }
  }

  // Everything below is called with the lock held.

  void occupy(Place place) noexcept {
    ++place->second.count;
    ++stats_.connections;
  }
  void vacate(Place place) noexcept {
    --place->second.count;
    --stats_.connections;
  }
  void forget_if_unused(Place place) noexcept {
    if (place->second.count == 0 && place->second.waiters.empty()) keys_.erase(place);
  }

  void retire(Place place, typename std::list<Kept>::iterator idle, std::list<Kept>& closing) {
    closing.splice(closing.end(), place->second.idle, idle);
    ++stats_.discarded;
    vacate(place);
  }
  // Takes out the idle connection that was not used for longest, if there is one, and gives its
  // key, which counts it until it is discarded.
  Place evict(std::list<Kept>& closing) noexcept {
    Place oldest = keys_.end();
    for (Place at = keys_.begin(); at != keys_.end(); ++at) {
      if (at->second.idle.empty()) continue;
      if (oldest == keys_.end() ||
          at->second.idle.front().last_used < oldest->second.idle.front().last_used)
        oldest = at;
    }
    if (oldest != keys_.end())
      closing.splice(closing.end(), oldest->second.idle, oldest->second.idle.begin());
    return oldest;
  }

  // The key of the oldest waiter whose key has room.
  Place oldest_waiter() noexcept {
    Place oldest = keys_.end();
    for (Place at = keys_.begin(); at != keys_.end(); ++at) {
      if (at->second.waiters.empty() || at->second.count >= options_.max_per_key) continue;
      if (oldest == keys_.end() || record_of(*at->second.waiters.first()).number <
                                       record_of(*oldest->second.waiters.first()).number)
        oldest = at;
    }
    return oldest;
  }
  void grant_slots(WakeList& waking) noexcept {
    while (stats_.connections < options_.max_total) {
      const Place place = oldest_waiter();
      if (place == keys_.end()) return;
      Waiter& waiter = *place->second.waiters.pop();
      --stats_.waiting;
      occupy(place);
      waking.push(waiter);
    }
  }

  Transport transport_;
  Options options_;
  mutable sync::mutex mutex_;
  std::map<Key, PerKey> keys_;  // guarded by mutex_, as all below
  Stats stats_{};               // `connections` and `waiting` are kept here, `idle` is counted
  std::uint64_t arrivals_ = 0;
  bool closed_ = false;
};

}  // namespace penstock
