// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/wait_step.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// Values from many senders to many receivers, coroutine and blocking ones alike, at most
/// `capacity` of them on the way. *Safe from any thread.*
///
/// Values, senders and receivers are each served first come, first served, and nobody overtakes.
/// A value meant for a receiver that waits is moved straight to it. Capacity 0 is a rendezvous:
/// a `send` is done when its value has been received. A value is never lost: a wait that was
/// cancelled leaves the sender's value as it was, one that was granted is delivered. Room for
/// `capacity` values is allocated at construction, nothing after. Values are moved under the lock.
///
/// A wait ends with `deadline` at the call's deadline and `cancelled` on its stop. After `close`,
/// `send` gives `closed`, and `receive` gives what is left and then `closed`. Callers must be
/// gone before the channel is.
template <class T>
class Channel {
  static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                "penstock: a value of a Channel must move without throwing, or it could get lost; "
                "send a std::unique_ptr to it instead");

  struct Offer {  // of a sender: written under the lock
    T* value = nullptr;
    bool refused = false;
  };
  struct Claim {  // of a receiver: empty when it ends, the channel is closed
    std::optional<T> value{};
  };

  // `Value` is T, or T&& for a value that stays the blocked sender's until it is sent.
  template <class Value>
  struct Put {
    Channel* channel;
    Value value;
    Offer offer{};

    bool enter(Waiter& waiter) noexcept {
      offer.value = std::addressof(value);
      return channel->enter(offer, waiter);
    }
    bool withdraw(Waiter& waiter) noexcept { return channel->withdraw(channel->senders_, waiter); }
    Result<void> finish(WaitEnd end) noexcept {
      if (end != WaitEnd::granted) return refusal_of(end);
      if (offer.refused) return ErrorKind::closed;
      return {};
    }
  };
  struct Get {
    Channel* channel;
    Claim claim{};

    bool enter(Waiter& waiter) noexcept { return channel->enter(claim, waiter); }
    bool withdraw(Waiter& waiter) noexcept {
      return channel->withdraw(channel->receivers_, waiter);
    }
    Result<T> finish(WaitEnd end) noexcept {
      if (end != WaitEnd::granted) return refusal_of(end);
      if (!claim.value) return ErrorKind::closed;
      return *std::move(claim.value);
    }
  };

 public:
  using value_type = T;

  /// Throws std::bad_alloc, and std::length_error for more than a vector can hold.
  explicit Channel(std::size_t capacity) : slots_(capacity) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    assert(senders_.empty() && receivers_.empty() && "penstock: a Channel outlives its callers");
  }

  /// What `send` gives: an awaitable that owns the value until it is sent.
  class [[nodiscard]] Send : public Awaiting<Put<T>> {
   public:
    Send(Channel& channel, T&& value, const Call& call) noexcept
        : Awaiting<Put<T>>(call, &channel, std::move(value)) {}
    /// After a refusal: the value, as it was given.
    [[nodiscard]] T& value() noexcept { return this->step().value; }
  };
  /// `Result<void> sent = co_await channel.send(std::move(value), call)`. The caller resumes on
  /// `call.where()`, without suspending when there is room or a receiver waits. A refused value is
  /// in the awaitable, for who wants it back: give that a name.
  [[nodiscard]] Send send(T value, const Call& call = {}) noexcept {
    return Send{*this, std::move(value), call};
  }
  /// The same, blocking. Moves from `value` only when it was sent.
  [[nodiscard]] Result<void> send_and_wait(T&& value, Call call = {}) noexcept {
    return block_on<Put<T&&>>(call, this, std::move(value));
  }
  [[nodiscard]] Result<void> send_and_wait(const T& value,
                                           Call call = {}) requires std::copy_constructible<T> {
    return block_on<Put<T>>(call, this, value);
  }
  /// At once or not at all: `overloaded` when there is no room, `closed`. Moves from `value` only
  /// when it was sent.
  [[nodiscard]] Result<void> try_send(T&& value) noexcept {
    Offer offer{std::addressof(value)};
    if (!enter(offer)) return ErrorKind::overloaded;
    if (offer.refused) return ErrorKind::closed;
    return {};
  }

  using Receive = Awaiting<Get>;
  /// `while (Result<T> value = co_await channel.receive(call)) …`. The caller resumes on
  /// `call.where()`, without suspending when there is a value.
  [[nodiscard]] Receive receive(const Call& call = {}) noexcept { return Receive{call, this}; }
  /// The same, blocking.
  [[nodiscard]] Result<T> receive_and_wait(Call call = {}) noexcept {
    return block_on<Get>(call, this);
  }
  /// Empty when there is nothing now.
  [[nodiscard]] std::optional<T> try_receive() noexcept {
    Claim claim;
    static_cast<void>(enter(claim));
    return std::move(claim.value);
  }

  /// Refuses senders from now on, those that wait included; receivers still get what was
  /// accepted.
  void close() noexcept {
    WakeList refused;
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
      while (Waiter* const sender = senders_.pop()) {
        offer_of(*sender).refused = true;
        refused.push(*sender);
      }
      while (Waiter* const receiver = receivers_.pop()) refused.push(*receiver);
    }
    refused.wake_all();
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }
  [[nodiscard]] std::size_t size_approx() const noexcept {
    const std::lock_guard lock{mutex_};
    return size_;
  }

 private:
  static Offer& offer_of(Waiter& waiter) noexcept { return *static_cast<Offer*>(waiter.record); }
  static Claim& claim_of(Waiter& waiter) noexcept { return *static_cast<Claim*>(waiter.record); }

  // Invariants, under the lock: senders wait only while the buffer is full and no receiver waits;
  // receivers wait only while the buffer is empty, no sender waits and the channel is open.

  bool enter(Offer& offer, Waiter& waiter) noexcept {
    return !settled(offer, [&] {
      waiter.record = &offer;
      senders_.push(waiter);
    });
  }
  bool enter(Offer& offer) noexcept {
    return settled(offer, [] {});
  }
  bool enter(Claim& claim, Waiter& waiter) noexcept {
    return !settled(claim, [&] {
      waiter.record = &claim;
      receivers_.push(waiter);
    });
  }
  bool enter(Claim& claim) noexcept {
    return settled(claim, [] {});
  }

  template <class Otherwise>
  bool settled(Offer& offer, Otherwise wait) noexcept {
    WakeList served;
    {
      const std::lock_guard lock{mutex_};
      if (closed_) {
        offer.refused = true;
      } else if (Waiter* const receiver = receivers_.pop(); receiver != nullptr) {
        claim_of(*receiver).value.emplace(std::move(*offer.value));
        served.push(*receiver);
      } else if (size_ < slots_.size()) {
        put(*offer.value);
      } else {
        wait();
        return false;
      }
    }
    served.wake_all();
    return true;
  }

  template <class Otherwise>
  bool settled(Claim& claim, Otherwise wait) noexcept {
    WakeList served;
    {
      const std::lock_guard lock{mutex_};
      Waiter* const sender = senders_.pop();
      if (size_ != 0) {
        take(claim);
        if (sender != nullptr) put(*offer_of(*sender).value);
      } else if (sender != nullptr) {
        claim.value.emplace(std::move(*offer_of(*sender).value));
      } else if (!closed_) {
        wait();
        return false;
      }
      if (sender != nullptr) served.push(*sender);
    }
    served.wake_all();
    return true;
  }

  bool withdraw(WaitList& list, Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    return list.remove(waiter);
  }

  void put(T& value) noexcept {
    const std::size_t end = first_ + size_;
    slots_[end < slots_.size() ? end : end - slots_.size()].emplace(std::move(value));
    ++size_;
  }
  void take(Claim& claim) noexcept {
    claim.value.emplace(*std::move(slots_[first_]));
    slots_[first_].reset();
    if (++first_ == slots_.size()) first_ = 0;
    --size_;
  }

  mutable sync::mutex mutex_;
  // Guarded by mutex_. The values are a ring: `size_` of them from `first_` on.
  std::vector<std::optional<T>> slots_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  WaitList senders_;
  WaitList receivers_;
  bool closed_ = false;
};

}  // namespace penstock
