// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <mutex>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/policy/concurrency_limit.hpp>

namespace penstock {

/// The places of a concurrency limit and those who wait for one: what `ConcurrencyLimit`,
/// `AdaptiveLimit` and `LoadShed` share. *Safe from any thread.*
///
/// A place costs one compare-exchange to take and one to give back while nobody waits; a refusal
/// costs one load. Waiting takes a lock for O(1) steps, allocates nothing when blocking and at
/// most one recycled frame in a coroutine; a cancelled wait leaves in O(1). Places and callers
/// must be gone before the room is.
class WaitingRoom {
 public:
  /// What happens to a caller who finds no room left to wait in.
  enum class WhenFull : unsigned char {
    refuse,
    displace,  ///< if one of a lower priority waits, that one is refused instead: its oldest
  };
  struct Options {
    std::uint32_t limit;
    WaitRoom room;
    WaitOrder order;
    WhenFull when_full;
    Duration max_wait;
  };

// g++ 12 follows an optional place's moves without its flag and then warns about one not there.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
  /// The right to be inside. Movable; *one thread at a time*. Given back when destroyed.
  class [[nodiscard]] Place {
   public:
    Place(Place&& other) noexcept : room_(std::exchange(other.room_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      if (this != &other) {
        give_back();
        room_ = std::exchange(other.room_, nullptr);
      }
      return *this;
    }
    ~Place() { give_back(); }
    void give_back() noexcept {
      if (room_ != nullptr) std::exchange(room_, nullptr)->leave();
    }
    /// Gives it back; how the call went makes no difference here.
    void settle(Outcome, Time) noexcept { give_back(); }

   private:
    friend WaitingRoom;
    explicit Place(WaitingRoom& room) noexcept : room_(&room) {}
    WaitingRoom* room_;  // null: given back
  };
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

  explicit WaitingRoom(const Options& options) noexcept
      : options_(options),
        word_(Admission{.limit = options.limit}.pack()) {}
  WaitingRoom(const WaitingRoom&) = delete;
  WaitingRoom& operator=(const WaitingRoom&) = delete;
  ~WaitingRoom() {
    assert(now().in_flight == 0 && now().waiting == 0 &&
           "penstock: a limit outlives its callers and the places it gave");
  }

  /// A place if there is one at once, else `overloaded`.
  [[nodiscard]] Result<Place> try_enter() noexcept {
    if (!admits()) return ErrorKind::overloaded;
    return Place{*this};
  }

  /// Waits for a place: `overloaded` at once where there is no room to wait, or after `max_wait`;
  /// `deadline` or `cancelled` when the call ends first. Refreshes `call.now` if it waited.
  [[nodiscard]] Result<Place> enter_and_wait(Call& call) noexcept {
    if (admits()) return Place{*this};
    Waited waited = wait_for(call.where(), call.stop, call.now, call.deadline, call.priority);
    call.now = waited.now;
    return std::move(waited.place);
  }

  /// The same for a coroutine, which resumes on `call.where()` if it waited.
  [[nodiscard]] Task<Result<Place>> enter(Call& call) {
    if (const Result<void> may_wait = may_wait_in(call); !may_wait) co_return may_wait.error();
    const Call waiting = narrowed(call);
    Request request{call.priority};
    SuspendedWaiter<Withdraw> waiter{waiting, Withdraw{this}};
    const Admission::Entry entry = join(request, waiter);
    if (entry == Admission::Entry::admitted) co_return Place{*this};
    if (entry == Admission::Entry::refused) co_return ErrorKind::overloaded;
    const WaitEnd end = co_await waiter;
    call.now = call.where().now();
    co_return finish(end, request, call);
  }

  /// Sets another limit, down to which places drain. Gives how many waiters it promised a place:
  /// for each of them `hand_over` must be called once, which wakes one.
  [[nodiscard]] std::uint32_t resize(std::uint32_t limit) noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const Admission::Resized step = Admission::unpack(word).resize(limit);
      if (change(word, step.state)) return step.admitted;
    }
  }
  /// Keeps a promise: the place goes to the waiter whose turn it is.
  void hand_over() noexcept {
    Waiter* next = nullptr;
    {
      const std::lock_guard lock{mutex_};
      for (std::size_t line = lines_.size(); line-- > 0 && next == nullptr;)
        next = lines_[line].pop();
      assert(next != nullptr);
      record_of(*next).linked = false;
    }
    next->wake();
  }

  /// As it stands; old as soon as it is returned.
  [[nodiscard]] Admission now() const noexcept {
    return Admission::unpack(word_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] const Options& options() const noexcept {
    return options_;
  }

 private:
  // One wait. `linked` and `refused` are guarded by mutex_ until the wait has ended.
  struct Request {
    Priority priority;
    bool linked = false;
    bool refused = false;  // displaced by a higher priority
  };
  struct Withdraw {
    WaitingRoom* room;
    bool operator()(Waiter& waiter) const noexcept { return room->withdraw(waiter); }
  };

  static Request& record_of(Waiter& waiter) noexcept {
    return *static_cast<Request*>(waiter.record);
  }
  WaitList& line_of(Priority priority) noexcept {
    return lines_[options_.order == WaitOrder::arrival ? 0 : index_of(priority)];
  }

  [[nodiscard]] Result<void> may_wait_in(const Call& call) const noexcept {
    if (options_.max_wait <= Duration::zero()) return ErrorKind::overloaded;
    return may_go_on(call);
  }
  [[nodiscard]] Call narrowed(const Call& call) const noexcept {
    Call waiting = call;
    // From now on, which `call.now` is not where a call was made by hand.
    if (options_.max_wait != Duration::max())
      waiting.deadline =
          std::min(call.deadline, saturating_add(call.where().now(), options_.max_wait));
    return waiting;
  }

  // True: one more is in.
  bool admits() noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const Admission::Entered step = Admission::unpack(word).enter(0);
      if (step.entry != Admission::Entry::admitted) return false;
      if (change(word, step.state)) return true;
    }
  }

  // Takes values and stands alone, so that a call which need not wait can live in registers.
  struct Waited {
    Result<Place> place;
    Time now;
  };
  [[nodiscard, gnu::noinline]] Waited wait_for(
      Executor& executor, StopToken stop, Time now, Time deadline, Priority priority) noexcept {
    Call call{.deadline = deadline, .stop = stop, .executor = &executor, .now = now};
    if (const Result<void> may_wait = may_wait_in(call); !may_wait) return {may_wait.error(), now};
    Call waiting = narrowed(call);
    Request request{priority};
    BlockingWaiter<Withdraw> waiter{Withdraw{this}};
    const Admission::Entry entry = join(request, waiter);
    if (entry == Admission::Entry::admitted) return {Place{*this}, now};
    if (entry == Admission::Entry::refused) return {ErrorKind::overloaded, now};
    const WaitEnd end = waiter.wait(waiting);
    call.now = waiting.now;
    return {finish(end, request, call), call.now};
  }

  // acq_rel: what was done inside a place happens before what the next one does there.
  bool change(std::uint64_t& seen, Admission next) noexcept {
    return word_.compare_exchange_weak(
        seen, next.pack(), std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  Admission::Entry join(Request& request, Waiter& waiter) noexcept {
    Waiter* displaced = nullptr;
    {
      const std::lock_guard lock{mutex_};
      std::uint64_t word = word_.load(std::memory_order_relaxed);
      for (;;) {
        const std::uint32_t room = options_.room[index_of(request.priority)];
        const Admission::Entered step = Admission::unpack(word).enter(room);
        if (step.entry == Admission::Entry::refused) {
          displaced = displace(request.priority, word);
          if (displaced == nullptr) return step.entry;
          break;
        }
        if (!change(word, step.state)) continue;
        if (step.entry == Admission::Entry::admitted) return step.entry;
        break;
      }
      waiter.record = &request;
      request.linked = true;
      line_of(request.priority).push(waiter);
    }
    if (displaced != nullptr) displaced->wake();
    return Admission::Entry::queued;
  }

  // Under the lock. One out for one in: the word stays as it is.
  Waiter* displace(Priority priority, std::uint64_t word) noexcept {
    if (options_.when_full != WhenFull::displace || Admission::unpack(word).waiting == 0)
      return nullptr;
    for (std::size_t line = 0; line < index_of(priority); ++line) {
      Waiter* const waiter = lines_[line].pop();
      if (waiter == nullptr) continue;
      record_of(*waiter).linked = false;
      record_of(*waiter).refused = true;
      return waiter;
    }
    return nullptr;
  }

  bool withdraw(Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    Request& request = record_of(waiter);
    if (!request.linked) return false;
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const Admission::Withdrawn step = Admission::unpack(word).withdraw();
      if (!step.withdrawn) return false;  // a place is on its way to each that is linked
      if (change(word, step.state)) break;
    }
    request.linked = false;
    return line_of(request.priority).remove(waiter);
  }

  void leave() noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const Admission::Left step = Admission::unpack(word).leave();
      if (!change(word, step.state)) continue;
      if (step.hands_over) hand_over();
      return;
    }
  }

  Result<Place> finish(WaitEnd end, const Request& request, const Call& call) noexcept {
    if (end == WaitEnd::stopped) return ErrorKind::cancelled;
    if (end == WaitEnd::timed_out)
      return call.now >= call.deadline ? ErrorKind::deadline : ErrorKind::overloaded;
    if (request.refused) return ErrorKind::overloaded;
    Place place{*this};
    // Granted at the last moment: nothing may start any more, and the next one gets the place.
    if (const Result<void> in_time = may_go_on(call); !in_time) return in_time.error();
    return place;
  }

  const Options options_;
  // Admission::pack(). Anyone may admit themselves, leave, or change the limit by a
  // compare-exchange without the lock; `waiting` goes up only under it, together with the link,
  // and down either under it with the link (withdraw) or without it as the promise that exactly
  // one `hand_over` follows. So under the lock as many are linked as wait by the word plus
  // promises not yet kept, and a promise always finds somebody.
  sync::atomic<std::uint64_t> word_;
  sync::mutex mutex_;
  std::array<WaitList, 3> lines_;  // guarded by mutex_; by priority, or all in the first
};

}  // namespace penstock
