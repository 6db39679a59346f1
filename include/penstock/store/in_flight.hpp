// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// A key of something kept: hashable by `std::hash` and comparable.
template <class K>
concept StoreKey = std::equality_comparable<K> && requires(const K& key) {
  { std::hash<K>{}(key) } -> std::convertible_to<std::size_t>;
};

/// The calls that are being made, by key: of those who want the same at once one leads and the
/// others follow. *Safe from any thread.*
///
/// Keeps nothing: a member lives in its caller's frame, and a call that nobody follows allocates
/// nothing. Keys are compared under a bucket's lock, one of `buckets`; replies are copied and
/// callers woken outside of it.
template <StoreKey Key, std::copy_constructible Reply>
class InFlight {
  struct Bucket;

 public:
  struct Options {
    std::uint32_t buckets = 64;  ///< a power of two: callers of different ones never meet
  };

  InFlight() : InFlight(Options{}) {}
  explicit InFlight(Options settings) : mask_(settings.buckets - 1U) {
    if (!std::has_single_bit(settings.buckets)) {
      throw std::invalid_argument(
          "penstock: InFlight needs a power of two of buckets; write .buckets = 64");
    }
    buckets_ = std::make_unique<Bucket[]>(settings.buckets);
  }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  enum class Role : unsigned char { leads, follows };

  /// One caller. *One thread at a time.* A leader that goes without having landed hands over.
  ///
  /// Protocol: a member is a leader (linked by `next_` into its bucket's `leaders`) or a
  /// follower (its waiter linked into the bucket's `waiters`, `leader_` its leader), both under
  /// the bucket's lock. The leader unlinks followers, and then each is woken once with a reply or
  /// as the new leader; a follower that gives up unlinks itself.
  class Member {
   public:
    /// Refers to the key.
    Member(InFlight& in_flight, const Key& key)
        : key_(key),
          hash_(spread(std::hash<Key>{}(key))),
          bucket_(in_flight.buckets_[hash_ & in_flight.mask_]) {}
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    ~Member() {
      if (role_ == Role::leads) hand_over();
    }

    struct Withdraw {
      Bucket* bucket;
      bool operator()(Waiter& waiter) const noexcept {
        const std::lock_guard lock{bucket->mutex};
        return bucket->waiters.remove(waiter);
      }
    };
    [[nodiscard]] Withdraw withdraw() noexcept { return {&bucket_}; }

    /// Once. A follower then waits with `waiter`.
    [[nodiscard]] Role join(Waiter& waiter) {
      const std::lock_guard lock{bucket_.mutex};
      for (Member* other = bucket_.leaders; other != nullptr; other = other->next_) {
        if (other->hash_ != hash_ || !(other->key_ == key_)) continue;
        leader_ = other;
        waiter.record = this;
        bucket_.waiters.push(waiter);
        return role_;
      }
      lead();
      return role_;
    }
    [[nodiscard]] Role role() const noexcept { return role_; }

    /// The leader: gives the result to all who follow.
    void land(const Result<Reply>& result) noexcept {
      Member* given = nullptr;
      {
        const std::lock_guard lock{bucket_.mutex};
        leave();
        WaitList others;
        Member** last = &given;
        while (Waiter* const waiter = bucket_.waiters.pop()) {
          Member& member = *static_cast<Member*>(waiter->record);
          if (member.leader_ != this) {
            others.push(*waiter);
            continue;
          }
          member.waiter_ = waiter;
          member.next_ = nullptr;
          *last = &member;
          last = &member.next_;
        }
        bucket_.waiters = others;
      }
      if (given == nullptr) return;
      const std::shared_ptr<const Result<Reply>> shared = share(result);
      while (given != nullptr) {
        Member* const next = given->next_;
        given->reply_ = shared;
        given->waiter_->wake();
        given = next;
      }
    }

    /// The leader: the first who follows leads from now on, the others follow that one.
    void hand_over() noexcept {
      Waiter* heir = nullptr;
      {
        const std::lock_guard lock{bucket_.mutex};
        leave();
        Member* leader = nullptr;
        WaitList others;
        while (Waiter* const waiter = bucket_.waiters.pop()) {
          Member& member = *static_cast<Member*>(waiter->record);
          if (member.leader_ == this && leader == nullptr) {
            leader = &member;
            heir = waiter;
            member.lead();
            continue;
          }
          if (member.leader_ == this) member.leader_ = leader;
          others.push(*waiter);
        }
        bucket_.waiters = others;
      }
      if (heir != nullptr) heir->wake();
    }

    /// A follower that was woken and does not lead: a copy of what its leader got.
    [[nodiscard]] Result<Reply> reply() const noexcept {
      try {
        if (reply_) return *reply_;
        return ErrorKind::exception;  // the leader had no memory for it
      } catch (...) {
        return Error::from_exception(std::current_exception());
      }
    }

   private:
    friend InFlight;
    // Under the lock.
    void lead() noexcept {
      role_ = Role::leads;
      leader_ = nullptr;
      next_ = std::exchange(bucket_.leaders, this);
    }
    void leave() noexcept {
      role_ = Role::follows;
      Member** link = &bucket_.leaders;
      while (*link != this) link = &(*link)->next_;
      *link = next_;
    }
    static std::shared_ptr<const Result<Reply>> share(const Result<Reply>& result) noexcept {
      try {
        return std::make_shared<const Result<Reply>>(result);
      } catch (...) {
        return nullptr;
      }
    }

    const Key& key_;
    const std::size_t hash_;
    Bucket& bucket_;
    Role role_ = Role::follows;  // written under the lock, by itself or before it is woken
    Member* leader_ = nullptr;   // guarded by the lock
    Member* next_ = nullptr;     // guarded by the lock; of a woken follower the waker's own
    Waiter* waiter_ = nullptr;   // the waker's own
    std::shared_ptr<const Result<Reply>> reply_;
  };

  /// Callers that lead now, old as soon as it is returned.
  [[nodiscard]] std::size_t leaders_approx() const noexcept {
    std::size_t number = 0;
    for (std::size_t index = 0; index <= mask_; ++index) {
      const std::lock_guard lock{buckets_[index].mutex};
      for (Member* member = buckets_[index].leaders; member != nullptr; member = member->next_)
        ++number;
    }
    return number;
  }

 private:
  struct Bucket {
    sync::mutex mutex;
    Member* leaders = nullptr;  // guarded by mutex
    WaitList waiters;           // guarded by mutex; of all keys of the bucket
  };
  // std::hash of a whole number is often the number: its low bits choose the bucket.
  static constexpr std::size_t spread(std::size_t hash) noexcept {
    return static_cast<std::size_t>((std::uint64_t{hash} * 0x9E3779B97F4A7C15U) >> 20U);
  }

  std::size_t mask_;
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace penstock
