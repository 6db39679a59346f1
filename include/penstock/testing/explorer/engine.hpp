// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>

#include <penstock/core/time.hpp>
#include <penstock/exec/fiber.hpp>
#include <penstock/testing/explorer/arena.hpp>
#include <penstock/testing/explorer/clock.hpp>
#include <penstock/testing/explorer/hooks.hpp>
#include <penstock/testing/explorer/objects.hpp>
#include <penstock/testing/explorer/schedule.hpp>
#include <penstock/testing/explorer/shadow.hpp>

namespace penstock::testing::explorer {

enum class Verdict : std::uint8_t { passed, failed, pruned };

/// One step of an execution, for the report.
struct Step {
  const char* what;
  unsigned thread;
  std::uint32_t object;  // 0: none
  std::uint64_t value;
  const void* place;  // in the code under test
};

/// Runs a body and the threads it starts in one real thread, one step at a time: every use of a
/// controlled word is a step, and before each the schedule says whose is next.
///
/// What it models, besides the words themselves (see `objects.hpp` for atomics):
/// - A thread switch can happen before any step, and nowhere else. Plain accesses between two
///   steps run together; that no other thread could have disturbed them is checked with vector
///   clocks, where the program is built with `-fsanitize=thread` (the instrumentation alone, the
///   checks are ours) or marks the data with `Var`.
/// - Time stands still until the schedule lets it pass, and then jumps to the next deadline that
///   a thread sleeps for; at the latest when nothing else can go on.
/// - Memory is never reused within an execution. What was freed is poisoned.
class Engine {
 public:
  [[nodiscard]] static Engine& instance() noexcept {
    static Engine engine;
    return engine;
  }

  struct Limits {
    std::uint32_t steps = 20'000;  ///< more in one execution is a livelock
  };

  [[nodiscard]] Verdict run(void (*body)(), Schedule& schedule, Limits limits) noexcept {
    arena_.reset();
    shadow_.reset();
    ++execution_;
    object_count_ = 1;
    thread_count_ = 0;
    steps_ = 0;
    sleepers_ = 0;
    sleeps_ = 0;
    now_ = Time{Duration{1'000'000'000'000}};
    clock_hash_ = 1;
    time_waits_ = false;
    limits_ = limits;
    schedule_ = &schedule;
    body_ = body;
    verdict_ = Verdict::passed;
    trace_.clear();
    watched_by_ = nullptr;
    raced_ = {};
    current_ = add_thread([](void*) { instance().body_(); }, nullptr);
    running_ = true;
    threads_[0].fiber.switch_from(home_);
    running_ = false;
    if (verdict_ == Verdict::passed) look_at_the_heap();
    return verdict_;
  }

  [[nodiscard]] bool running() const noexcept { return running_; }
  [[nodiscard]] const char* failure() const noexcept { return failure_.data(); }
  /// Where the failing step was, and where the other access of a race, or null.
  [[nodiscard]] const void* place() const noexcept { return failed_at_; }
  [[nodiscard]] const void* other_place() const noexcept { return watched_by_; }
  [[nodiscard]] std::uint32_t steps() const noexcept { return steps_; }
  [[nodiscard]] const SystemVector<Step>& trace() const noexcept { return trace_; }
  [[nodiscard]] Kind kind_of(std::uint32_t object) const noexcept { return objects_[object].kind; }
  [[nodiscard]] const void* made_at(std::uint32_t object) const noexcept {
    return objects_[object].made_at;
  }
  [[nodiscard]] std::uint32_t object_count() const noexcept { return object_count_; }
  [[nodiscard]] unsigned thread_count() const noexcept { return thread_count_; }

  /// Keeps every step of the next runs. After a race the run that follows also finds where the
  /// other access was.
  void keep_trace() noexcept {
    tracing_ = true;
    watching_ = raced_;
  }
  void drop_trace() noexcept {
    tracing_ = false;
    watching_ = raced_ = {};
  }

  // --- what the controlled words do ---

  void create(const Controlled& object, Kind kind, std::uint64_t initial) noexcept;
  void destroy(const Controlled& object) noexcept;
  [[nodiscard]] std::uint64_t load(const AtomicWord& word, std::memory_order order) noexcept;
  void store(AtomicWord& word, std::uint64_t value, std::memory_order order) noexcept;
  std::uint64_t modify(AtomicWord& word,
                       AtomicWord::Change change,
                       std::uint64_t operand,
                       std::memory_order order) noexcept;
  bool compare_exchange(AtomicWord& word,
                        std::uint64_t& expected,
                        std::uint64_t desired,
                        std::memory_order success,
                        std::memory_order failure,
                        AtomicWord::Strength strength) noexcept;
  bool sleep(const AtomicWord& word, std::uint64_t expected, Time until) noexcept;
  void wake(const AtomicWord* word) noexcept;
  void lock(Mutex& mutex) noexcept;
  bool try_lock(Mutex& mutex) noexcept;
  void unlock(Mutex& mutex) noexcept;
  bool wait(Condition& condition, Mutex& mutex, Time until) noexcept;
  enum class Wake : std::uint8_t { one, all };
  void notify(Condition& condition, Wake which) noexcept;
  std::uint32_t start_thread(hook::Body body, void* argument) noexcept;
  void join(std::uint32_t number) noexcept;
  [[nodiscard]] std::uint32_t this_thread() const noexcept { return running_ ? current_ + 1 : 1; }
  [[nodiscard]] Time now() noexcept;
  void let_time_wait() noexcept { time_waits_ = true; }
  [[nodiscard]] void* per_thread(const void* key,
                                 std::size_t size,
                                 void (*construct)(void*),
                                 void (*end)(void*) noexcept) noexcept;

  // --- what the code between the steps does ---

  void access(const volatile void* where, std::size_t bytes, Access access) noexcept;
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment) noexcept;
  /// False: not from here.
  bool free(void* pointer) noexcept;
  /// An atomic that is not behind the seam, such as a reference count: it orders, and is no step.
  void foreign_atomic(const volatile void* where) noexcept;

  /// The place in the code that the next steps are reported at.
  void at(const void* place) noexcept { place_ = place; }

  /// Ends the execution, from within it.
  [[noreturn, gnu::format(printf, 2, 3)]] void fail(const char* format, ...) noexcept {
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(failure_.data(), failure_.size(), format, arguments);
    va_end(arguments);
    failed_at_ = place_;
    note("fails here");
    leave(Verdict::failed);
  }

 private:
  enum class Status : std::uint8_t { ready, locking, sleeping, joining, finished };
  struct Local {
    const void* key;
    void* object;
    void (*destroy)(void*) noexcept;
  };
  struct Thread {
    exec::Fiber fiber;
    Status status;
    bool joined;
    bool timed_out;
    std::uint32_t waits_for;   // mutex, condition, atomic, or thread
    std::uint32_t then_locks;  // the mutex to take after the sleep; 0: none
    std::uint64_t since;       // the number of the sleep
    Time deadline;
    VectorClock clock;
    std::uint64_t key;
    std::uint64_t past;  // everything it has done and seen, in one word
    std::uint32_t made;  // objects and threads
    hook::Body body;
    void* argument;
    std::byte* local_memory;
    std::array<Local, 8> locals;
    unsigned local_count;
  };

  Engine() : objects_(max_objects) {}

  [[nodiscard]] Thread& me() noexcept { return threads_[current_]; }
  [[nodiscard]] bool owns(const Object& mutex) const noexcept {
    return mutex.owner == current_ + 1;
  }

  void note(const char* what, std::uint32_t object = 0, std::uint64_t value = 0) {
    if (tracing_ && trace_.size() < 100'000)
      trace_.push_back({what, current_, object, value, place_});
  }
  void event(std::uint64_t what, std::uint64_t with = 0) noexcept {
    me().past = chain(me().past, what ^ with);
  }

  unsigned add_thread(hook::Body body, void* argument) noexcept;
  [[noreturn]] void enter() noexcept;
  [[noreturn]] void finish() noexcept;
  [[noreturn]] void leave(Verdict verdict) noexcept {
    verdict_ = verdict;
    running_ = false;
    home_.switch_from(me().fiber);
    __builtin_unreachable();
  }

  [[nodiscard]] bool can_go_on(const Thread& thread) const noexcept {
    switch (thread.status) {
      case Status::ready:
        return true;
      case Status::locking:
        return objects_[thread.waits_for].owner == 0;
      case Status::joining:
        return threads_[thread.waits_for].status == Status::finished;
      case Status::sleeping:
      case Status::finished:
        break;
    }
    return false;
  }

  /// Before every step.
  void point() noexcept;
  /// The calling thread cannot go on: returns when it can and is chosen.
  void block() noexcept;
  [[nodiscard]] Candidates candidates() const noexcept;
  [[nodiscard]] unsigned choose(const Candidates& from) noexcept;
  void pass_time() noexcept;
  void go_to(unsigned thread) noexcept {
    if (thread == current_) return;
    Thread& from = me();
    const void* const place = place_;
    current_ = thread;
    threads_[thread].fiber.switch_from(from.fiber);
    place_ = place;
  }
  void go_to_sleep(std::uint32_t on, std::uint32_t then_locks, Time until) noexcept {
    Thread& sleeper = me();
    sleeper.status = Status::sleeping;
    sleeper.waits_for = on;
    sleeper.then_locks = then_locks;
    sleeper.deadline = until;
    sleeper.timed_out = false;
    sleeper.since = sleeps_++;
    ++sleepers_;
    block();
  }
  void wake(Thread& sleeper) noexcept {
    sleeper.status = sleeper.then_locks != 0 ? Status::locking : Status::ready;
    sleeper.waits_for = sleeper.then_locks;
    --sleepers_;
  }
  template <class SleepsThere>
  void wake_those(SleepsThere sleeps_there, Wake which) noexcept;
  void maybe_wake_for_nothing() noexcept;
  [[nodiscard]] std::uint64_t state() const noexcept;
  [[noreturn]] void deadlock() noexcept;

  std::uint32_t add_object(const Controlled& object, Kind kind, std::uint64_t initial) noexcept;
  Object& use(const Controlled& object) noexcept;
  [[nodiscard]] std::uint32_t number(const Object& object) const noexcept {
    return static_cast<std::uint32_t>(&object - objects_.data());
  }
  enum class Sequence : std::uint8_t { begins, carries_on };  // a release sequence
  void put(Object& atomic,
           std::uint64_t value,
           std::memory_order order,
           Sequence sequence) noexcept;
  void see(Store& store, std::memory_order order) noexcept;
  void take(Object& mutex) noexcept;
  void give(Object& mutex) noexcept;
  void check(const Shadow::Found& found,
             const volatile void* where,
             std::size_t bytes,
             const char* doing) noexcept;
  void look_at_the_heap() noexcept;

  static constexpr std::uint32_t max_objects = 4096;
  static constexpr std::size_t local_size = 2048;  // of a stack, for its per-thread objects

  Arena arena_;
  Shadow shadow_;
  std::array<Thread, max_threads> threads_{};
  SystemVector<Object> objects_;
  std::uint32_t object_count_ = 1;
  unsigned thread_count_ = 0;
  unsigned current_ = 0;
  unsigned sleepers_ = 0;
  std::uint64_t sleeps_ = 0;
  std::uint32_t execution_ = 0;
  std::uint32_t steps_ = 0;
  bool running_ = false;
  bool tracing_ = false;
  Verdict verdict_ = Verdict::passed;
  Limits limits_;
  Time now_{};
  bool time_waits_ = false;
  std::uint64_t clock_hash_ = 0;
  Schedule* schedule_ = nullptr;
  void (*body_)() = nullptr;
  exec::Fiber home_;
  const void* place_ = nullptr;

  struct Foreign {
    const volatile void* where = nullptr;
    std::uint32_t execution = 0;
    VectorClock clock;
  };
  std::array<Foreign, 256> foreign_{};

  std::array<char, 2000> failure_{};
  const void* failed_at_ = nullptr;
  SystemVector<Step> trace_;
  // A race: where, and by whom the other access was. Its place is found by a second run.
  struct Raced {
    std::size_t offset = 0;
    std::size_t bytes = 0;
    unsigned by = 0;
  };
  Raced raced_;
  Raced watching_;
  const void* watched_by_ = nullptr;
};

}  // namespace penstock::testing::explorer
