// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <cstdint>
#include <exception>

#include <penstock/core/random_bits.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

/// One piece of work for an executor: an intrusive node, so posting allocates nothing. The owner
/// keeps it alive until `run` has been called; it may be posted again from then on.
class Job {
 public:
  using Run = void (*)(Job&) noexcept;
  explicit Job(Run work) noexcept : run_(work) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  /// For executors: calls the work. The job may be gone when this returns.
  void run() noexcept { run_(*this); }

 protected:
  ~Job() = default;

 private:
  friend class JobQueue;
  Run run_;
  Job* next_ = nullptr;
};

/// Jobs in the order they came. *Not synchronized.*
class JobQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void push(Job& job) noexcept {
    job.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &job;
    last_ = &job;
  }
  /// Takes all of the other's jobs, behind its own.
  void append(JobQueue& other) noexcept {
    if (other.first_ == nullptr) return;
    (last_ != nullptr ? last_->next_ : first_) = other.first_;
    last_ = other.last_;
    other.first_ = other.last_ = nullptr;
  }
  [[nodiscard]] Job* pop() noexcept {
    Job* const job = first_;
    if (job != nullptr) {
      first_ = job->next_;
      if (first_ == nullptr) last_ = nullptr;
    }
    return job;
  }

 private:
  Job* first_ = nullptr;
  Job* last_ = nullptr;
};

/// One pending instant of an executor: an intrusive node, armed at most once at a time.
class Timer {
 public:
  using Fire = void (*)(Timer&) noexcept;
  explicit Timer(Fire action) noexcept : fire_(action) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  /// Set before arming; read-only while armed.
  Time when = never;
  /// For executors. The timer may be gone when this returns.
  void fire() noexcept { fire_(*this); }

 protected:
  ~Timer() = default;

 private:
  friend class TimerHeap;
  friend class TimerQueue;
  static constexpr unsigned char unarmed = 0;
  static constexpr unsigned char in_heap = 1;  // and from there on the runs of the queue
  Fire fire_;
  // Links, of whatever it is in while it is armed.
  Timer* child_ = nullptr;
  Timer* sibling_ = nullptr;   // the right one
  Timer* previous_ = nullptr;  // the left one, or the parent of the leftmost child
  unsigned char place_ = unarmed;
};

class Executor;

/// Blocks one thread until another wakes it: a one-shot event, three words, no lock.
///
/// `unpark` touches nothing of a parker any more once the woken thread can know, so that thread
/// may destroy it at once. *Safe from any thread*; one thread waits.
class Parker {
 public:
  inline void unpark() noexcept;
  /// True when unparked, false when `until` has passed first, or when called.
  [[nodiscard]] bool park_until(Time until) noexcept {
    if (!turn(State::idle, State::asleep)) return unparked();
    for (;;) {
      const bool in_time = sync::sleep_on(state_, State::asleep, until);
      const std::uint32_t state = state_.load(std::memory_order_acquire);
      if (state != State::asleep) return state == State::unparked;
      if (!in_time && turn(State::asleep, State::idle)) return false;
    }
  }
  [[nodiscard]] bool unparked() const noexcept {
    return state_.load(std::memory_order_acquire) == State::unparked;
  }

  /// For executors whose waiting thread goes on running jobs: `unpark` posts `wake` there. False:
  /// already unparked, nothing will be posted.
  [[nodiscard]] bool post_on_unpark(Executor& executor, Job& wake) noexcept {
    executor_ = &executor;
    wake_ = &wake;
    return turn(State::idle, State::posting);
  }
  /// False: unparked before, `wake` has been posted or is about to be. The executor and the parker
  /// must stay until it has run.
  [[nodiscard]] bool forget_post() noexcept { return turn(State::posting, State::idle); }

  /// For executors that have something else to do for the thread that parks, or is about to: ends
  /// its `park_until`, once. Nothing if it is unparked. The parker must stay meanwhile.
  void call() noexcept {
    // One that is neither has been unparked or has just found its time past: it comes in any case.
    if (!turn(State::idle, State::called) && turn(State::asleep, State::called))
      sync::wake_on(&state_);
  }
  /// By the thread that was called, before it waits again.
  void answer_call() noexcept { static_cast<void>(turn(State::called, State::idle)); }

 private:
  // The waiting thread turns idle into asleep or posting, and back where its time has passed;
  // `call` turns idle or asleep into called, and the waiting thread that back into idle; `unpark`
  // turns any of them into unparked, which is the end.
  struct State {
    static constexpr std::uint32_t idle = 0;
    static constexpr std::uint32_t asleep = 1;   // or about to: told by a wake-up of the word
    static constexpr std::uint32_t posting = 2;  // told by a post of `wake_`
    static constexpr std::uint32_t called = 3;
    static constexpr std::uint32_t unparked = 4;
  };

  // By the waiting thread. False: unparked. Release, as `unpark` must see what it is to post;
  // acquire, as the one who waited must see what was done before `unpark`.
  bool turn(std::uint32_t from, std::uint32_t to) noexcept {
    return state_.compare_exchange_strong(
        from, to, std::memory_order_acq_rel, std::memory_order_acquire);
  }

  sync::atomic<std::uint32_t> state_{State::idle};
  // Written by the waiting thread before it turns to posting; read by `unpark` after it has ended
  // that state, for which the waiting thread waits in turn, until `wake_` has run.
  Executor* executor_ = nullptr;
  Job* wake_ = nullptr;
};

/// Where waiting happens: in the calling thread, on a pool, on an event loop, in simulated time.
///
/// The whole surface that layers and stores need, so that one piece of code runs in all of them.
/// Every function is *Safe from any thread.* and allocates nothing.
class Executor {
 public:
  /// The monotonic time here; simulated time in a simulation.
  [[nodiscard]] virtual Time now() const noexcept = 0;

  /// Runs the job once, on this executor, never inside `post`.
  virtual void post(Job& job) noexcept = 0;

  /// Fires the timer once, on this executor, not before `timer.when`.
  virtual void arm(Timer& timer) noexcept = 0;

  /// True: taken back, it will not fire. False: it has fired. Returns only when it is not being
  /// fired by another thread, so the timer's memory is free to go.
  virtual bool disarm(Timer& timer) noexcept = 0;

  /// Blocks the calling thread until the parker is unparked (true) or `until` has passed
  /// (false). An executor that lives in the calling thread runs its jobs and timers meanwhile.
  virtual bool wait(Parker& parker, Time until) noexcept = 0;

  /// 64 random bits: seeded, and so repeatable, in a simulation.
  [[nodiscard]] virtual std::uint64_t random() noexcept { return random_bits(); }

  /// The executor whose job, timer or wait this thread is in; `calling_thread()` outside of one.
  [[nodiscard]] static inline Executor& current() noexcept;

 protected:
  ~Executor() = default;
};

/// The plain thread: real time, blocking waits. Has no queue of its own: `post` runs the job
/// here at once and `arm` is refused by an assertion; a coroutine that waits needs one of the
/// executors of `exec/`.
[[nodiscard]] inline Executor& calling_thread() noexcept;

/// Makes an executor `Executor::current()` of this thread for a scope.
class [[nodiscard]] CurrentExecutor {
 public:
  explicit CurrentExecutor(Executor& executor) noexcept : previous_(slot()) { slot() = &executor; }
  CurrentExecutor(const CurrentExecutor&) = delete;
  CurrentExecutor& operator=(const CurrentExecutor&) = delete;
  ~CurrentExecutor() { slot() = previous_; }

 private:
  friend class Executor;
  struct Slot {
    Executor* current = nullptr;
  };
  static Executor*& slot() noexcept { return sync::per_thread<Slot>().current; }
  Executor* previous_;
};

inline void Parker::unpark() noexcept {
  const auto* const word = &state_;
  // acq_rel: to `turn`. One that is not posting may be gone from here on.
  const std::uint32_t before = state_.exchange(State::unparked, std::memory_order_acq_rel);
  if (before == State::asleep) sync::wake_on(word);
  if (before == State::posting) executor_->post(*wake_);
}

namespace exec {

class CallingThread final : public Executor {
 public:
  [[nodiscard]] Time now() const noexcept override { return sync::now(); }
  void post(Job& job) noexcept override { job.run(); }
  void arm(Timer&) noexcept override {
    assert(false &&
           "penstock: a coroutine that waits needs an executor: run it with sync_wait(task), "
           "on a ThreadPool or on an EventLoop");
    std::terminate();
  }
  bool disarm(Timer&) noexcept override { return false; }
  bool wait(Parker& parker, Time until) noexcept override { return parker.park_until(until); }
};

}  // namespace exec

inline Executor& calling_thread() noexcept {
  static exec::CallingThread thread;
  return thread;
}

inline Executor& Executor::current() noexcept {
  Executor* const current = CurrentExecutor::slot();
  return current != nullptr ? *current : calling_thread();
}

}  // namespace penstock
