// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/wait_step.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// Permits for coroutine and blocking callers, in one first-come queue. *Safe from any thread.*
///
/// Nobody overtakes: while somebody waits, free permits are kept for the first in the queue, so
/// that a request for many is served too. A permit given back goes straight to that waiter. A
/// wait that is withdrawn costs O(1) and lets those behind it through; every other step is O(1)
/// per caller served. No step allocates, nobody is woken under the lock.
///
/// A wait ends with `deadline` at the call's deadline, `cancelled` on its stop, `closed` when the
/// semaphore closes. Callers and permits must be gone before the semaphore is.
class Semaphore {
 public:
  /// What was taken, given back by the destructor. Movable, also to another thread; *one thread
  /// at a time*.
  class [[nodiscard("a permit that is dropped is given back at once")]] Permit {
   public:
    Permit(Permit && other) noexcept
        : semaphore_(std::exchange(other.semaphore_, nullptr)),
          count_(other.count_) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        give_back();
        semaphore_ = std::exchange(other.semaphore_, nullptr);
        count_ = other.count_;
      }
      return *this;
    }
    ~Permit() {
      give_back();
    }

    void give_back() noexcept {
      if (semaphore_ != nullptr) std::exchange(semaphore_, nullptr)->put(count_, count_);
    }
    /// It never comes back: the semaphore has that many fewer from now on.
    void forget() noexcept {
      if (semaphore_ != nullptr) std::exchange(semaphore_, nullptr)->put(count_, 0);
    }

   private:
    friend class Semaphore;
    Permit(Semaphore & semaphore, std::size_t count) noexcept
        : semaphore_(&semaphore),
          count_(count) {}
    Semaphore* semaphore_;
    std::size_t count_;
  };

 private:
  struct Take {
    Semaphore* semaphore;
    std::size_t count;
    bool refused = false;  // closed; written under the lock

    bool enter(Waiter& waiter) noexcept { return semaphore->enter(*this, waiter); }
    bool withdraw(Waiter& waiter) noexcept { return semaphore->withdraw(waiter); }
    Result<Permit> finish(WaitEnd end) noexcept {
      if (end != WaitEnd::granted) return refusal_of(end);
      if (refused) return ErrorKind::closed;
      return Permit{*semaphore, count};
    }
  };

 public:
  /// None at first is fine: `add` brings them.
  explicit Semaphore(std::size_t permits) noexcept : free_(permits) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() {
    assert(waiters_.empty() && out_ == 0 &&
           "penstock: a Semaphore outlives its callers and its permits");
  }

  using Acquire = Awaiting<Take>;
  /// `Result<Permit> permit = co_await semaphore.acquire(call)`: takes `count` permits. The
  /// caller resumes on `call.where()`, without suspending when they are free.
  [[nodiscard]] Acquire acquire(const Call& call = {}, std::size_t count = 1) noexcept {
    return Acquire{call, this, count};
  }
  /// The same, blocking.
  [[nodiscard]] Result<Permit> acquire_and_wait(Call call = {}, std::size_t count = 1) noexcept {
    return block_on<Take>(call, this, count);
  }
  /// Empty when they are not free, somebody waits, or the semaphore is closed.
  [[nodiscard]] std::optional<Permit> try_acquire(std::size_t count = 1) noexcept {
    const std::lock_guard lock{mutex_};
    if (closed_ || !waiters_.empty() || free_ < count) return std::nullopt;
    grant(count);
    return Permit{*this, count};
  }

  /// That many more permits from now on.
  void add(std::size_t count) noexcept { put(0, count); }

  /// Refuses those that wait, and everyone from now on, with `closed`. Permits that are out stay
  /// good.
  void close() noexcept {
    WakeList refused;
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
      while (Waiter* const waiter = waiters_.pop()) {
        take_of(*waiter).refused = true;
        refused.push(*waiter);
      }
    }
    refused.wake_all();
  }

  [[nodiscard]] std::size_t free_approx() const noexcept {
    const std::lock_guard lock{mutex_};
    return free_;
  }

 private:
  static Take& take_of(Waiter& waiter) noexcept { return *static_cast<Take*>(waiter.record); }

  bool enter(Take& take, Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    if (closed_) {
      take.refused = true;
      return false;
    }
    if (waiters_.empty() && free_ >= take.count) {
      grant(take.count);
      return false;
    }
    waiter.record = &take;
    waiters_.push(waiter);
    return true;
  }

  bool withdraw(Waiter& waiter) noexcept {
    WakeList granted;
    {
      const std::lock_guard lock{mutex_};
      if (!waiters_.remove(waiter)) return false;
      serve(granted);  // it may have stood before requests for less
    }
    granted.wake_all();
    return true;
  }

  // `returned` permits are out no more, and `count` are free again.
  void put(std::size_t returned, std::size_t count) noexcept {
    WakeList granted;
    {
      const std::lock_guard lock{mutex_};
      out_ -= returned;
      free_ += count;
      serve(granted);
    }
    granted.wake_all();
  }

  // Both with the lock.
  void grant(std::size_t count) noexcept {
    free_ -= count;
    out_ += count;
  }
  void serve(WakeList& granted) noexcept {
    while (!waiters_.empty() && take_of(*waiters_.first()).count <= free_) {
      Waiter& waiter = *waiters_.pop();
      grant(take_of(waiter).count);
      granted.push(waiter);
    }
  }

  mutable sync::mutex mutex_;
  // Guarded by mutex_.
  std::size_t free_;
  std::size_t out_ = 0;  // in permits
  WaitList waiters_;
  bool closed_ = false;
};

}  // namespace penstock
