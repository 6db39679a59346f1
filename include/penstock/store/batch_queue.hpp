// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/linked_list.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/policy/release.hpp>
#include <penstock/store/batch.hpp>
#include <penstock/store/batch_backlog.hpp>
#include <penstock/store/batch_handler.hpp>

namespace penstock {

/// Gathers the items of many callers into batches, gives the batches to one handler, and each
/// caller the reply to its own item. *Safe from any thread.*
///
/// - Every `submit` returns exactly once: with its reply, with the error of its batch (a handler
///   that throws, or returns too few or too many replies, gives every item of that batch kind
///   `exception`), or with the reason why it left early. It never outlives the queue.
/// - A batch leaves when a slot is free (fewer than `max_running` batches in the handler) and
///   `Policy` says so, or at once after `flush`, after `close`, or while a caller waits for
///   room. It begins with the oldest item, then takes high before normal before low priority, in
///   the order of arrival, as long as it fits; an item too heavy for any batch travels
///   alone. So an item is overtaken in as many batches as there were older items, at most.
/// - Stop and deadline of a call end its wait at once. An item that has not left is withdrawn,
///   in O(1), and its place goes to the next: `cancelled`, or `deadline` as nothing was sent. An
///   item in the handler goes on without its caller, who is not touched again, and its reply is
///   dropped: `cancelled`, or `timeout`.
/// - Beyond `capacity` callers wait for room, first come, first served.
///
/// The handler runs as a job on `executor`, never in the submitter's stack and never under the
/// lock, up to `max_running` times at once. A batch holds one thread of a pool while a blocking
/// handler runs. `Policy` is asked under the lock. A timer is armed only while items wait for
/// an instant: an idle queue wakes nobody.
///
/// Cost: a submit takes one lock, two with a stop token or deadline, and nothing is allocated
/// but the coroutine's frame; the vectors of the batches are kept from batch to batch.
template <class Item, class Reply = void, ReleasePolicy Policy = SizeWeightAge>
class BatchQueue {
  static_assert(std::is_object_v<Item> && std::move_constructible<Item> &&
                    !std::same_as<Item, bool>,
                "penstock: the items of a BatchQueue are moved into a span: Item must be an object "
                "type that can be moved, and for bool write char");

 public:
  struct Options {
    Policy release{};               ///< when a batch leaves, and what fits into it
    std::size_t capacity = 10'000;  ///< items accepted and not completed, at least 1
    unsigned max_running = 1;       ///< batches in the handler at once, at least 1
  };
  struct Stats {
    std::size_t waiting = 0;      ///< callers waiting for room
    std::size_t queued = 0;       ///< items accepted that have not left
    std::size_t running = 0;      ///< batches in the handler
    std::uint64_t batches = 0;    ///< that have left
    std::uint64_t completed = 0;  ///< items the handler is done with, their callers there or not
    std::uint64_t withdrawn = 0;  ///< items that never left: cancelled, expired, closed
  };

  /// The executor must outlive the queue; for `handler` see `BatchHandler`. Throws
  /// std::invalid_argument for options that cannot work.
  template <class Handler>
  BatchQueue(Executor& executor, Handler handler, Options options = {})
      : executor_(executor),
        max_running_(options.max_running),
        policy_(std::move(options.release)),
        backlog_(options.capacity),
        age_(*this) {
    constexpr bool fits = BatchHandler<Handler, Item, Reply>;
    static_assert(fits,
                  "penstock: the handler of a BatchQueue<Item, Reply> takes std::span<Item>, and a "
                  "Call& if it likes, and returns std::vector<Result<Reply>>, the same in a "
                  "Result, Result<void> where Reply is void, or a Task of one of these");
    if (options.capacity == 0 || max_running_ == 0)
      throw std::invalid_argument{
          "penstock: BatchQueue needs room for an item and for a running batch; write "
          "{.capacity = 10'000, .max_running = 1}"};
    if constexpr (fits)
      handler_ = std::make_unique<BatchHandlerOf<Handler, Item, Reply>>(std::move(handler));
    while (slots_.size() < max_running_) free_slot(slots_.emplace_back(*this));
  }
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  /// Closes, and waits on the executor until every batch is done and every caller has left: the
  /// executors on which they wait must be running, or live in this thread.
  ~BatchQueue() {
    close();
    Parker gone;
    {
      const Lock lock{mutex_};
      gone_ = &gone;
      tell_if_gone();
    }
    static_cast<void>(executor_.wait(gone, never));
    const Lock lock{mutex_};  // whoever told us may still hold it
  }

  /// Gives the reply to `item`. The caller resumes on `call.where()`.
  [[nodiscard]] Task<Result<Reply>> submit(Item item, Call call = {}) {
    Entry entry{item, call, executor_.now()};
    if (const Result<void> fine = may_enter(entry, call); !fine) co_return fine.error();
    SuspendedWaiter<LeaveEarly> waiter{call, LeaveEarly{this, &entry}};
    entry.waiter = &waiter;
    if (!enter(entry)) co_return ErrorKind::closed;
    const WaitEnd end = co_await waiter;
    co_return reply_of(entry, end, call);
  }

  /// The same for a blocking caller. It waits on `call.executor`, or else on the executor it is
  /// on, or else on the queue's, and drives one that lives in its thread. On the pool that runs
  /// the handler it must leave the handler a thread.
  [[nodiscard]] Result<Reply> submit_and_wait(Item item, Call call = {}) {
    Entry entry{item, call, executor_.now()};
    if (const Result<void> fine = may_enter(entry, call); !fine) return fine.error();
    wait_somewhere(call);
    BlockingWaiter<LeaveEarly> waiter{LeaveEarly{this, &entry}};
    entry.waiter = &waiter;
    if (!enter(entry)) return ErrorKind::closed;
    const WaitEnd end = waiter.wait(call);
    return reply_of(entry, end, call);
  }

  /// What has been submitted leaves as soon as there are slots; later items may join it, but do
  /// not leave early themselves.
  void flush() noexcept {
    const Time now = executor_.now();
    Lock lock{mutex_};
    backlog_.flush();
    advance(lock, now);
  }

  /// Flushes, and waits until the handler is done with all that was submitted before, not with
  /// what comes meanwhile. Success, or `cancelled` or `timeout` when `call` ends first. The caller
  /// resumes on `call.where()`.
  [[nodiscard]] Task<Result<void>> drain(Call call = {}) {
    Drain drain;
    SuspendedWaiter<EndDrain> waiter{call, EndDrain{this, &drain}};
    drain.waiter = &waiter;
    begin(drain);
    const WaitEnd end = co_await waiter;
    co_return ended(end);
  }
  /// The same, blocking; it waits where `submit_and_wait` does.
  Result<void> drain_and_wait(Call call = {}) {
    wait_somewhere(call);
    Drain drain;
    BlockingWaiter<EndDrain> waiter{EndDrain{this, &drain}};
    drain.waiter = &waiter;
    begin(drain);
    const WaitEnd end = waiter.wait(call);
    return ended(end);
  }

  /// From now on `submit` gives `closed`, also to callers that wait for room. What was accepted
  /// is still handled, and leaves at once.
  void close() noexcept { shut(&BatchBacklog::take_outside); }

  /// As `close`, but nothing more leaves: it is given `closed`. The stop token in the `Call` of
  /// the batches in the handler fires.
  void abort() noexcept {
    shut(&BatchBacklog::take_all);
    abort_.request_stop();
  }

  [[nodiscard]] Stats stats() const noexcept {
    const Lock lock{mutex_};
    return {
        backlog_.outside(), backlog_.items(), running_.size(), batches_, completed_, withdrawn_};
  }
  /// "batch_queue(release(32 items, age 10ms), capacity 10000, max_running 1)"
  [[nodiscard]] std::string describe() const {
    std::string text = "batch_queue(";
    if constexpr (requires { policy_.describe(); }) text.append(policy_.describe()).append(", ");
    text.append("capacity ").append(std::to_string(backlog_.capacity()));
    return text.append(", max_running ").append(std::to_string(max_running_)).append(")");
  }

 private:
  using Lock = std::unique_lock<sync::mutex>;
  using Place = BatchEntry::Place;
  using Entry = BatchItem<Item, Reply>;

  // A caller that drains, in its frame: it waits for what has a number below `end`.
  struct Drain {
    Waiter* waiter = nullptr;
    Drain* previous = nullptr;
    Drain* next = nullptr;
    std::uint64_t end = 0;
    bool settled = false;  // not linked: decided
  };

  struct LeaveEarly {
    BatchQueue* queue;
    Entry* entry;
    bool operator()(Waiter&) const noexcept { return queue->withdraw(*entry); }
  };
  struct EndDrain {
    BatchQueue* queue;
    Drain* drain;
    bool operator()(Waiter&) const noexcept { return queue->withdraw(*drain); }
  };

  // A place in the handler, and the job that fills it.
  class Slot final : public Batch<Item, Reply>, public Job {
   public:
    explicit Slot(BatchQueue& owner) noexcept
        : Batch<Item, Reply>(owner.mutex_),
          Job([](Job& job) noexcept {
            Slot& slot = static_cast<Slot&>(job);
            slot.queue.form(slot);
          }),
          queue(owner) {}
    static void finish(Batch<Item, Reply>& batch) noexcept {
      Slot& slot = static_cast<Slot&>(batch);
      slot.queue.release(slot);
    }
    BatchQueue& queue;
    Slot* previous = nullptr;  // running, or only `next`: free
    Slot* next = nullptr;
  };

  struct AgeTimer final : Timer {
    enum class State : std::uint8_t { idle, armed, disarming };
    explicit AgeTimer(BatchQueue& owner) noexcept
        : Timer([](Timer& timer) noexcept { static_cast<AgeTimer&>(timer).queue.on_age(); }),
          queue(owner) {}
    BatchQueue& queue;
    State state = State::idle;
  };

  static Result<void> may_enter(const Entry& entry, Call& call) noexcept {
    call.now = entry.arrived;
    return may_go_on(call);
  }
  // A plain thread that parks would leave an executor that lives in it without a driver.
  void wait_somewhere(Call& call) const noexcept {
    if (call.executor == nullptr && &Executor::current() == &calling_thread())
      call.executor = &executor_;
  }

  // False: closed.
  [[nodiscard]] bool enter(Entry& entry) noexcept {
    Lock lock{mutex_};
    if (closed_) return false;
    if (entry.can_leave) ++leavers_;
    backlog_.enter(entry);
    advance(lock, entry.arrived);
    return true;
  }
  [[nodiscard]] bool withdraw(Entry& entry) noexcept {
    Lock lock{mutex_};
    switch (entry.place) {
      case Place::settled:
        return false;
      case Place::moving:
        entry.leaves = true;
        return false;
      case Place::running:
        entry.batch->remove(entry);
        entry.place = Place::settled;
        return true;
      case Place::outside:
      case Place::queued:
        break;
    }
    backlog_.withdraw(entry);
    ++withdrawn_;
    conclude(lock, executor_.now());
    return true;
  }
  [[nodiscard]] Result<Reply> reply_of(Entry& entry, WaitEnd end, const Call& call) {
    if (entry.can_leave) leave();
    if (entry.reply) return *std::move(entry.reply);
    // Woken without a reply: it wished to leave while its item was being moved.
    const bool stopped =
        end == WaitEnd::granted ? call.stop.stop_requested() : end == WaitEnd::stopped;
    if (stopped) return ErrorKind::cancelled;
    return entry.batch != nullptr ? ErrorKind::timeout : ErrorKind::deadline;
  }
  // The last use of the queue by a caller that could leave early; the others use it no more once
  // they wait.
  void leave() noexcept {
    const Lock lock{mutex_};
    --leavers_;
    tell_if_gone();
  }

  void begin(Drain& drain) noexcept {
    const Time now = executor_.now();
    Lock lock{mutex_};
    ++leavers_;
    drain.end = backlog_.flush();
    drains_.push(drain);
    conclude(lock, now);
  }
  [[nodiscard]] bool withdraw(Drain& drain) noexcept {
    const Lock lock{mutex_};
    if (std::exchange(drain.settled, true)) return false;
    drains_.remove(drain);
    return true;
  }
  [[nodiscard]] Result<void> ended(WaitEnd end) noexcept {
    leave();
    if (end == WaitEnd::granted) return {};
    return end == WaitEnd::stopped ? ErrorKind::cancelled : ErrorKind::timeout;
  }

  void shut(BatchBacklog::Entries (BatchBacklog::*refuse)()) noexcept {
    const Time now = executor_.now();
    Lock lock{mutex_};
    closed_ = true;
    backlog_.close();
    BatchBacklog::Entries refused = (backlog_.*refuse)();
    withdrawn_ += refused.size();
    conclude(lock, now);
    while (BatchEntry* const entry = refused.pop()) {
      static_cast<Entry&>(*entry).reply.emplace(ErrorKind::closed);
      entry->waiter->wake();
    }
  }

  // Ends a locked section after which somebody may have been drained.
  void conclude(Lock& lock, Time now) noexcept {
    LinkedList<Drain> drained = take_drained();
    advance(lock, now);
    lock.unlock();
    while (Drain* const drain = drained.pop()) drain->waiter->wake();
  }

  [[nodiscard]] LinkedList<Drain> take_drained() noexcept {
    LinkedList<Drain> drained;
    if (drains_.empty()) return drained;
    std::uint64_t lowest = backlog_.lowest_number();
    running_.for_each([&lowest](Slot& slot) { lowest = std::min(lowest, slot.lowest_number()); });
    while (!drains_.empty() && drains_.first()->end <= lowest) {
      Drain& drain = *drains_.pop();
      drain.settled = true;
      drained.push(drain);
    }
    return drained;
  }

  // Does what a change made possible. The last step under a lock: the queue may be gone when it
  // is released. Releases it for a moment where the timer has to be disarmed.
  void advance(Lock& lock, Time now) noexcept {
    for (;;) {
      Time when = never;
      if (!backlog_.empty() && !forming_ && free_ != nullptr) {
        when = leaves_at(now);
        if (when <= now) {
          when = never;
          forming_ = true;
          executor_.post(*std::exchange(free_, free_->next));
        }
      }
      if (age_.state == AgeTimer::State::idle && when != never) {
        age_.state = AgeTimer::State::armed;
        age_.when = when;
        executor_.arm(age_);
      }
      // A timer that fires early finds nothing due and is armed again, which is cheaper than to
      // follow every batch that leaves before its time.
      if (age_.state != AgeTimer::State::armed || (!backlog_.empty() && age_.when <= when)) break;
      age_.state = AgeTimer::State::disarming;
      lock.unlock();
      executor_.disarm(age_);  // may wait for `on_age`, which takes the lock
      lock.lock();
      age_.state = AgeTimer::State::idle;
    }
    tell_if_gone();
  }
  void on_age() noexcept {
    const Time now = executor_.now();
    Lock lock{mutex_};
    if (age_.state == AgeTimer::State::armed) age_.state = AgeTimer::State::idle;
    advance(lock, now);
  }
  [[nodiscard]] Time leaves_at(Time now) noexcept {
    const Backlog seen = backlog_.seen();
    const Release release = policy_.decide(seen, now);
    return seen.flushing ? now : release.when;
  }

  // What the job finds makes the batch, not what there was when it was posted.
  void form(Slot& slot) noexcept {
    const Time now = executor_.now();
    {
      Lock lock{mutex_};
      forming_ = false;
      if (backlog_.empty() || leaves_at(now) > now) {
        free_slot(slot);
        advance(lock, now);
        return;
      }
      take(slot, now);
      advance(lock, now);
    }
    if (slot.load()) {
      handler_->run(slot, &Slot::finish);
    } else {
      release(slot);
    }
  }
  void take(Slot& slot, Time now) noexcept {
    Call call{.stop = abort_.token(), .executor = &executor_};
    call.now = now;
    slot.begin(call);
    for (BatchEntry* entry = backlog_.oldest();
         entry != nullptr &&
         (slot.count() == 0 || policy_.fits(slot.count(), slot.weight(), entry->weight));
         entry = backlog_.most_urgent())
      slot.take(*entry, backlog_);
    running_.push(slot);
    ++batches_;
  }
  // The queue may be gone when this returns.
  void release(Slot& slot) noexcept {
    slot.unload();
    const Time now = executor_.now();
    Lock lock{mutex_};
    running_.remove(slot);
    completed_ += slot.count();
    backlog_.give_room(slot.count());
    free_slot(slot);
    conclude(lock, now);
  }
  void free_slot(Slot& slot) noexcept { slot.next = std::exchange(free_, &slot); }

  // Tells the destructor when nothing of the queue runs, waits or will take the lock.
  void tell_if_gone() noexcept {
    if (gone_ != nullptr && backlog_.empty() && backlog_.outside() == 0 && running_.empty() &&
        !forming_ && leavers_ == 0 && age_.state == AgeTimer::State::idle)
      gone_->unpark();
  }

  Executor& executor_;
  const unsigned max_running_;
  std::unique_ptr<AnyBatchHandler<Item, Reply>> handler_;
  std::deque<Slot> slots_;  // max_running_ of them
  StopSource abort_;

  mutable sync::mutex mutex_;  // guards all below, and entries and slots as said there
  Policy policy_;
  BatchBacklog backlog_;
  LinkedList<Slot> running_;
  LinkedList<Drain> drains_;  // by their `end`
  AgeTimer age_;
  Slot* free_ = nullptr;
  bool forming_ = false;  // the job of a slot is posted and has not run
  bool closed_ = false;
  std::size_t leavers_ = 0;  // callers that may still call `withdraw`, or are draining
  std::uint64_t batches_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t withdrawn_ = 0;
  Parker* gone_ = nullptr;  // the destructor waits
};

}  // namespace penstock
