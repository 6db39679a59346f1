// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/idle_threads.hpp>
#include <penstock/exec/run_queue.hpp>
#include <penstock/exec/submission.hpp>
#include <penstock/exec/turns.hpp>

namespace penstock {

/// A fixed number of threads: an executor, and a bounded queue of functions for its users.
/// *Safe from any thread.*
///
/// Meant for blocking calls: a job may block, in `wait` or in the system, and then holds its
/// thread. As an executor (`post`, timers) it allocates nothing, refuses nothing and runs jobs in
/// the order they were posted, until it is destroyed. Functions are submitted: their number is
/// bounded, they have priorities, they can be refused, and what they throw is an `Error`. Of jobs,
/// high, normal and low functions, as long as all of them wait, 8, 8, 4 and 1 start in turn.
///
/// To end it: `drain` lets what was submitted finish, `stop` only what has started; from then on
/// submissions end with `closed`. The destructor drains, runs what has been posted, and joins, all
/// threads serving until the last of them has nothing to do; timers still armed then never fire, so
/// whoever armed them must have finished before.
class ThreadPool final : public Executor {
 public:
  /// Twice the cores: the usual number for calls that mostly wait.
  [[nodiscard]] static unsigned for_blocking_calls() noexcept {
    return 2 * sync::hardware_threads();
  }

  struct Options {
    unsigned threads = for_blocking_calls();
    /// Functions that may wait for a thread; posted jobs do not count.
    std::size_t max_queue = std::numeric_limits<std::size_t>::max();
  };

  ThreadPool() : ThreadPool(Options{}) {}
  explicit ThreadPool(unsigned threads) : ThreadPool(Options{.threads = threads}) {}
  /// Throws std::invalid_argument for no threads or no queue, std::system_error when a thread
  /// cannot start.
  explicit ThreadPool(Options settings) : max_queue_(settings.max_queue) {
    if (settings.threads == 0)
      throw std::invalid_argument{
          "penstock: ThreadPool needs at least one thread; write ThreadPool{4}, or ThreadPool{} "
          "for twice the cores"};
    if (settings.max_queue == 0)
      throw std::invalid_argument{
          "penstock: ThreadPool needs room for a function that waits; write .max_queue = 1, or "
          "leave it out for no bound"};
    threads_.reserve(settings.threads);
    workers_.reserve(settings.threads);
    try {
      for (unsigned count = 0; count < settings.threads; ++count)
        threads_.emplace_back([this] { work(); });
    } catch (...) {
      join();
      throw;
    }
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    if (is_worker()) {
      std::fputs(
          "penstock: a ThreadPool was destroyed by one of its own jobs, which it would have to "
          "wait for; let a thread outside of it destroy it\n",
          stderr);
      std::terminate();
    }
    close();
    join();
  }

  [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }

  /// Gives `function` to the pool, without waiting: `overloaded` when the queue is full, `closed`
  /// when the pool is. One allocation when accepted, none when refused. A `std::packaged_task` is
  /// a function too, and makes a `std::future` of it.
  template <std::invocable F>
  [[nodiscard]] Result<Submission<exec::submitted_t<F>>> try_submit(
      F function, Priority priority = Priority::normal) noexcept {
    if (const Result<void> room = look_for_room(); !room) return room.error();
    return give(function, priority, never, [this](exec::Work& work, Priority level) {
      WakeList called;
      {
        const RunQueue::Lock lock{queue_.mutex};
        if (const Result<void> room = room_now(); !room) return room;
        accept(work, level);
        idle_.call_one(called);
      }
      called.wake_all();
      return Result<void>{};
    });
  }

  /// The same, waiting for room, first come first served: `cancelled` when `call` is stopped
  /// meanwhile, `deadline` at its deadline, by which the function must also have started. Its
  /// priority counts. A thread of this pool never waits here, as the room may never come:
  /// `overloaded` at once.
  template <std::invocable F>
  [[nodiscard]] Result<Submission<exec::submitted_t<F>>> submit(F function,
                                                                Call call = {}) noexcept {
    if (const Result<void> entered = enter(call); !entered) return entered.error();
    return give(function, call.priority, call.deadline, [&](exec::Work& work, Priority level) {
      Admission admission{&work, level};
      BlockingWaiter waiter{Withdraw{&queue_, &for_room_}};
      const Result<Place> place = queue_up(admission, waiter);
      if (!place) return Result<void>{place.error()};
      if (*place == Place::queue) return Result<void>{};
      return admitted(waiter.wait(call), admission);
    });
  }

  /// `co_await pool.run(function)`: the outcome, or why it was refused as by `submit`, without
  /// holding a thread but the one that runs it. The caller resumes on `call.where()`. When it is
  /// stopped or its time passes the function will not start; one that has goes on by itself.
  template <std::invocable F>
  [[nodiscard]] Task<Result<exec::submitted_t<F>>> run(F function, Call call = {}) {
    if (const Result<void> entered = enter(call); !entered) co_return entered.error();
    auto* const state = new exec::FunctionState<F>{std::move(function)};
    state->deadline = call.deadline;
    Submission<exec::submitted_t<F>> submission{*state};
    // Before it is queued: it must not run where nobody can wait for it.
    Task<Result<exec::submitted_t<F>>> finished = submission.outcome(call);
    if (!finished.valid()) {
      state->release();
      throw std::bad_alloc{};
    }
    Admission admission{state, call.priority};
    SuspendedWaiter waiter{call, Withdraw{&queue_, &for_room_}};
    const Result<Place> place = queue_up(admission, waiter);
    Result<void> queued = place ? Result<void>{} : Result<void>{place.error()};
    if (place && *place == Place::line) {
      const WaitEnd end = co_await waiter;
      queued = admitted(end, admission);
    }
    if (!queued) {
      state->release();
      co_return std::move(queued).error();
    }
    Result<exec::submitted_t<F>> outcome = co_await std::move(finished);
    submission.cancel();  // where it was not waited for to the end
    co_return outcome;
  }

  /// Refuses what is submitted from now on, and who waits for room, with `closed`.
  void close() noexcept {
    RunQueue::Lock lock{queue_.mutex};
    closed_ = true;
    wake_all(lock, for_room_);
  }
  /// Closes, and waits until everything that was submitted has finished: `cancelled` or
  /// `deadline` when the call ends first, and `permanent` from a thread of this pool, which
  /// would wait for itself; either way the pool stays closed.
  Result<void> drain(Call call = {}) noexcept {
    close();
    return wait_until_done(call);
  }
  /// The same, but what has not started never does and ends with `closed`.
  Result<void> stop(Call call = {}) noexcept {
    close();
    drop_queued();
    return wait_until_done(call);
  }

  /// Functions that wait for a thread, and those that have one.
  [[nodiscard]] std::size_t queued_approx() const noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    return queued_;
  }
  [[nodiscard]] std::size_t running_approx() const noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    return running_;
  }

  [[nodiscard]] Time now() const noexcept override { return sync::now(); }

  void post(Job& job) noexcept override {
    WakeList called;
    {
      const RunQueue::Lock lock{queue_.mutex};
      queue_.post(job);
      idle_.call_one(called);
    }
    called.wake_all();
  }
  void arm(Timer& timer) noexcept override {
    WakeList called;
    {
      const RunQueue::Lock lock{queue_.mutex};
      if (!queue_.arm(timer)) return;
      idle_.call_timekeeper(called);
    }
    called.wake_all();
  }
  bool disarm(Timer& timer) noexcept override {
    RunQueue::Lock lock{queue_.mutex};
    return queue_.disarm(lock, timer);
  }
  bool wait(Parker& parker, Time until) noexcept override { return parker.park_until(until); }

 private:
  // What a submitter that waits for room is to have put in the queue.
  struct Admission {
    exec::Work* work;
    Priority priority;
    bool accepted = false;  // by the worker that wakes its waiter
  };
  struct Withdraw {
    RunQueue* queue;
    WaitList* list;
    bool operator()(Waiter& waiter) const noexcept {
      const RunQueue::Lock lock{queue->mutex};
      return list->remove(waiter);
    }
  };

  static Result<void> enter(Call& call) noexcept {
    if (call.deadline != never) call.now = call.where().now();
    return may_go_on(call);
  }

  template <class F, class Queue>
  Result<Submission<exec::submitted_t<F>>> give(F& function,
                                                Priority priority,
                                                Time deadline,
                                                Queue queue) noexcept {
    try {
      auto* const state = new exec::FunctionState<F>{std::move(function)};
      state->deadline = deadline;
      Submission<exec::submitted_t<F>> submission{*state};
      if (const Result<void> queued = queue(*state, priority); !queued) {
        state->release();  // for the pool, which never had it
        return queued.error();
      }
      return submission;
    } catch (...) {
      return Error::from_exception(std::current_exception());
    }
  }

  [[nodiscard]] Result<void> look_for_room() noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    return room_now();
  }
  [[nodiscard]] Result<void> room_now() const noexcept {
    if (closed_) return ErrorKind::closed;
    // Nobody overtakes those who wait: a place goes to the first of them as it comes free.
    if (queued_ >= max_queue_) return ErrorKind::overloaded;
    return {};
  }
  enum class Place : unsigned char { queue, line };
  // In the queue, or in line for it, or refused. Of one in line only its waiter tells more.
  [[nodiscard]] Result<Place> queue_up(Admission& admission, Waiter& waiter) noexcept {
    WakeList called;
    RunQueue::Lock lock{queue_.mutex};
    const Result<void> room = room_now();
    if (room) {
      accept(*admission.work, admission.priority);
      idle_.call_one(called);
      lock.unlock();
      called.wake_all();
      return Place::queue;
    }
    if (room.error().kind() != ErrorKind::overloaded || holds_this_thread()) return room.error();
    waiter.record = &admission;
    for_room_.push(waiter);
    return Place::line;
  }
  [[nodiscard]] static Result<void> admitted(WaitEnd end, const Admission& admission) noexcept {
    if (end == WaitEnd::stopped) return ErrorKind::cancelled;
    if (end == WaitEnd::timed_out) return ErrorKind::deadline;
    if (!admission.accepted) return ErrorKind::closed;
    return {};
  }
  void accept(exec::Work& work, Priority priority) noexcept {
    submitted_[submitted_.size() - 1 - static_cast<std::size_t>(priority)].push(work);
    ++queued_;
  }

  void drop_queued() noexcept {
    JobQueue dropped;
    RunQueue::Lock lock{queue_.mutex};
    for (JobQueue& level : submitted_) dropped.append(level);
    // They run, though not far, until whoever waits for them knows.
    const std::size_t count = std::exchange(queued_, 0);
    running_ += count;
    lock.unlock();
    while (Job* const job = dropped.pop()) {
      static_cast<exec::Work&>(*job).refusal = ErrorKind::closed;
      job->run();
    }
    lock.lock();
    finished(lock, count);
  }
  void finished(RunQueue::Lock& lock, std::size_t count) noexcept {
    running_ -= count;
    if (queued_ == 0 && running_ == 0) wake_all(lock, for_the_end_);
  }

  Result<void> wait_until_done(Call& call) noexcept {
    BlockingWaiter waiter{Withdraw{&queue_, &for_the_end_}};
    {
      const RunQueue::Lock lock{queue_.mutex};
      if (holds_this_thread()) return would_wait_for_itself();
      if (queued_ == 0 && running_ == 0) return {};
      for_the_end_.push(waiter);
    }
    switch (waiter.wait(call)) {
      case WaitEnd::stopped:
        return ErrorKind::cancelled;
      case WaitEnd::timed_out:
        return ErrorKind::deadline;
      case WaitEnd::granted:
        break;
    }
    return {};
  }
  static Result<void> would_wait_for_itself() noexcept {
    try {
      return Error{ErrorKind::permanent,
                   "penstock: a thread of a ThreadPool cannot wait for its end; call close() "
                   "there, and drain() or stop() from outside"};
    } catch (...) {
      return ErrorKind::permanent;
    }
  }

  void work() noexcept {
    const CurrentExecutor current{*this};
    RunQueue::Lock lock{queue_.mutex};
    workers_.push_back(sync::this_thread_id());
    for (;;) {
      const Time first = queue_.first_timer();
      if (const Time instant = first != never ? now() : Time{}; first <= instant) {
        leave_the_rest(lock);
        lock.lock();
        static_cast<void>(queue_.fire_timer(lock, instant));
        continue;
      }
      if (queued_ == 0 ? run_posted(lock) : run_next(lock)) continue;
      ++resting_;
      // Not before all have come to rest: what one is at may still need another.
      if (ending_ && resting_ == threads_.size()) break;
      idle_.rest(lock, first);
      --resting_;
    }
    WakeList called;
    idle_.call_all(called);
    lock.unlock();
    called.wake_all();
  }

  // Before this thread runs something, which may take long, or wait for what is still queued: calls
  // another for that. Releases the lock.
  void leave_the_rest(RunQueue::Lock& lock) noexcept {
    WakeList called;
    if (queue_.has_jobs() || queued_ != 0 || (queue_.first_timer() != never && !idle_.keeps_time()))
      idle_.call_one(called);
    lock.unlock();
    called.wake_all();
  }

  bool run_posted(RunQueue::Lock& lock) noexcept {
    Job* const job = queue_.next_job();
    if (job == nullptr) return false;
    leave_the_rest(lock);
    job->run();
    lock.lock();
    return true;
  }

  // Something was submitted, and perhaps posted too.
  bool run_next(RunQueue::Lock& lock) noexcept {
    const std::size_t level = turns_.next({queue_.has_jobs(),
                                           !submitted_[0].empty(),
                                           !submitted_[1].empty(),
                                           !submitted_[2].empty()});
    if (level == 0) return run_posted(lock);
    exec::Work& work = static_cast<exec::Work&>(*submitted_[level - 1].pop());
    --queued_;
    ++running_;
    Waiter* const admitted = for_room_.pop();
    if (admitted != nullptr) {
      Admission& admission = *static_cast<Admission*>(admitted->record);
      accept(*admission.work, admission.priority);
      admission.accepted = true;
    }
    leave_the_rest(lock);
    if (admitted != nullptr) admitted->wake();
    if (work.deadline != never && now() >= work.deadline) work.refusal = ErrorKind::deadline;
    work.run();
    lock.lock();
    finished(lock, 1);
    return true;
  }

  // Whoever is in the list when it is called is woken, without the lock.
  static void wake_all(RunQueue::Lock& lock, WaitList& waiters) noexcept {
    while (Waiter* const waiter = waiters.pop()) {
      lock.unlock();
      waiter->wake();
      lock.lock();
    }
  }

  [[nodiscard]] bool is_worker() noexcept {
    const RunQueue::Lock lock{queue_.mutex};
    return holds_this_thread();
  }
  [[nodiscard]] bool holds_this_thread() const noexcept {
    return std::ranges::find(workers_, sync::this_thread_id()) != workers_.end();
  }

  void join() noexcept {
    WakeList called;
    {
      const RunQueue::Lock lock{queue_.mutex};
      ending_ = true;
      idle_.call_one(called);  // to see it, where all rest
    }
    called.wake_all();
    for (sync::thread& thread : threads_) thread.join();
  }

  const std::size_t max_queue_;
  mutable RunQueue queue_;
  // All guarded by queue_.mutex.
  IdleThreads idle_;
  bool closed_ = false;  // to submissions
  bool ending_ = false;
  std::size_t resting_ = 0;            // threads that sleep, or have ended
  std::array<JobQueue, 3> submitted_;  // high first
  std::size_t queued_ = 0;             // in them
  std::size_t running_ = 0;            // taken from them and not finished
  Turns<8, 8, 4, 1> turns_;            // posted jobs, then as `submitted_`
  WaitList for_room_;
  WaitList for_the_end_;
  std::vector<sync::thread_id> workers_;
  std::vector<sync::thread> threads_;
};

}  // namespace penstock
