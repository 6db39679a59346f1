// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/executor.hpp>
#include <penstock/core/random.hpp>
#include <penstock/core/time.hpp>
#include <penstock/exec/fiber.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/timer_queue.hpp>

namespace penstock {

/// How a run of a simulation ended.
enum class SimulationEnd : std::uint8_t {
  idle,      ///< nothing is left to do and nobody waits
  time_up,   ///< the time it was given has passed
  deadlock,  ///< nothing is left to do, and somebody waits: see `Simulation::who_waits`
};

/// An executor in virtual time: an hour of traffic, faults and retries in milliseconds, and the
/// same run again from the same seed. *One thread at a time.*
///
/// Time stands still while anything can run and then jumps to the next timer. What can run at one
/// instant, jobs and timers alike, runs in an order drawn from the seed, so that a thousand seeds
/// are a thousand interleavings. Random bits come from the seed as well. Every decision is folded
/// into `trace_hash`: equal hashes mean equal runs.
///
/// The code is the code of all executors. Coroutines run as they do everywhere; a caller that
/// blocks, be it the program itself, a job or a coroutine's leaf, is set aside on its own stack
/// while the others go on, so any number of blocking callers interleave as threads would, one at
/// a time. Threads of the program's own have no place here: what they post is not part of a seed.
///
/// When nobody can go on, `run` says so and `who_waits` tells who waits for what; outside of `run`
/// (in `sync_wait`, say) there is nobody to tell, and the same text on stderr ends the program.
/// Must be destroyed with nothing posted, armed or waiting.
///
/// A step costs tens of nanoseconds and allocates nothing in steady state; a blocking wait costs
/// two switches of stacks, and 256 KiB of address space while it lasts. Without memory for either
/// the program ends.
class Simulation : public Executor {
 public:
  enum class Order : std::uint8_t {
    seeded,   ///< drawn from the seed
    arrival,  ///< jobs as they were posted, then timers
  };
  struct Options {
    std::uint64_t seed = 1;
    Order order = Order::seeded;
    Time start{std::chrono::seconds{1000}};
  };

  explicit Simulation(std::uint64_t seed = 1) : Simulation(Options{.seed = seed}) {}
  explicit Simulation(const Options& options)
      : options_(options),
        now_(options.start),
        order_(mix_bits(options.seed)),
        random_(~mix_bits(~options.seed)),
        current_(&outside_) {}
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation() {
    assert(ready_.empty() && armed_ == 0 && !somebody_waits() &&
           "penstock: a Simulation outlives what is posted, armed or waiting in it");
  }

  // --- the executor ----------------------------------------------------------------------------

  [[nodiscard]] Time now() const noexcept override {
    ++clock_readings_;
    return now_;
  }
  [[nodiscard]] std::uint64_t random() noexcept override {
    const std::uint64_t bits = random_();
    fold(bits);
    return bits;
  }
  void post(Job& job) noexcept override { ready_.push_back(&job); }
  void arm(Timer& timer) noexcept override {
    timers_.insert(timer);
    ++armed_;
  }
  bool disarm(Timer& timer) noexcept override {
    if (TimerQueue::armed(timer)) {
      timers_.remove(timer);
      --armed_;
      return true;
    }
    for (std::size_t index = 0; index < due_count_; ++index) {
      if (due_[index] != &timer) continue;
      static_cast<void>(take_due(index));
      return true;
    }
    return false;
  }
  bool wait(Parker& parker, Time until) noexcept override {
    Waiter waiter{*this};
    waiter.when = until;
    if (!parker.post_on_unpark(*this, waiter)) return true;
    if (until != never) arm(waiter);
    set_aside(waiter);
    if (waiter.came_by == Waiter::By::job) {
      if (until != never) static_cast<void>(disarm(waiter));
      return parker.unparked();
    }
    if (parker.forget_post()) return false;
    set_aside(waiter);  // unparked at that very instant: the job must leave the queue first
    return true;
  }

  // --- the program -----------------------------------------------------------------------------

  /// Starts a caller of this name: a `Task<void>`, or a callable that may block. It begins in the
  /// next `run`, or wait. What it throws ends the program.
  void spawn(std::string who, Task<void> task) {
    await(*this, std::move(who), std::move(task)).start();
  }
  template <std::invocable<> Body>
  requires std::is_void_v<std::invoke_result_t<Body&>>
  void spawn(std::string who, Body body) {
    post(*new Caller<Body>{*this, std::move(who), std::move(body)});
  }

  /// Runs until nothing is left to do, or until everything up to the instant `until` was done.
  /// After a deadlock the program may end a wait by hand and run on.
  SimulationEnd run(Time until = never) noexcept {
    Waiter waiter{*this};
    waiter.when = until;
    waiter.runs = true;
    if (until != never) arm(waiter);
    set_aside(waiter);
    const bool time_is_up = waiter.came_by == Waiter::By::timer;
    // But for others that run until this very instant, and would let this one go first in turn.
    while (time_is_up && something_is_due() && ready_.size() + due_count_ > runs_at_their_end_) {
      arm(waiter);  // behind, or by chance among, what is due
      ++runs_at_their_end_;
      set_aside(waiter);
      --runs_at_their_end_;
    }
    if (time_is_up) return SimulationEnd::time_up;
    return somebody_waits() ? SimulationEnd::deadlock : SimulationEnd::idle;
  }
  SimulationEnd run_for(Duration time) noexcept { return run(saturating_add(now_, time)); }

  /// Lets time pass without running anything: for code that takes long.
  void advance(Duration elapsed) noexcept {
    now_ = saturating_add(now_, elapsed);
    fold(ticks(now_));
  }

  /// Called between any two steps, when nothing is in the middle of one: for invariants. Must not
  /// throw and must not block.
  void between_steps(std::function<void()> check) { between_steps_ = std::move(check); }

  /// A line of the report on a deadlock while it lives: `who` waits for `what`. Costs two links;
  /// refers to both texts.
  class [[nodiscard]] Waiting {
   public:
    Waiting(Simulation& simulation, std::string_view who, std::string_view what) noexcept
        : simulation_(simulation),
          who_(who),
          what_(what),
          since_(simulation.now_),
          next_(simulation.waiting_) {
      if (next_ != nullptr) next_->previous_ = this;
      simulation.waiting_ = this;
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      (previous_ != nullptr ? previous_->next_ : simulation_.waiting_) = next_;
      if (next_ != nullptr) next_->previous_ = previous_;
    }

   private:
    friend class Simulation;
    Simulation& simulation_;
    std::string_view who_;
    std::string_view what_;
    Time since_;
    Waiting* previous_ = nullptr;
    Waiting* next_;
  };

  /// Who waits for what now, a line each: callers that were spawned and have not returned, what
  /// was noted by `Waiting`, and blocking waits.
  [[nodiscard]] std::string who_waits() const {
    std::vector<const Waiting*> notes;
    for (const Waiting* note = waiting_; note != nullptr; note = note->next_) notes.push_back(note);
    std::string text;
    for (auto note = notes.rbegin(); note != notes.rend(); ++note) {
      const auto says_more = [&](const Waiting* other) {
        return other->who_ == (*note)->who_ && !other->what_.empty();
      };
      if (!(*note)->what_.empty()) {
        add_line(text, (*note)->who_, (*note)->what_, (*note)->since_);
      } else if (std::none_of(notes.begin(), notes.end(), says_more)) {
        add_line(text, (*note)->who_, "something that nobody gives", (*note)->since_);
      }
    }
    for (const Waiter* waiter = blocked_; waiter != nullptr; waiter = waiter->next) {
      if (waiter->runs || !waiter->caller.empty()) continue;
      add_line(text, "a caller without a name", "something that nobody gives", waiter->since);
    }
    return text;
  }

  // --- the record ------------------------------------------------------------------------------

  /// Folds something of the program's own into the trace: a reply, say.
  void fold(std::uint64_t word) noexcept { trace_ = mix_bits(trace_ ^ word) + trace_; }
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return options_.seed; }
  /// Jobs run and timers fired so far.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::size_t jobs_posted() const noexcept { return ready_.size(); }
  [[nodiscard]] std::size_t timers_armed() const noexcept { return armed_; }
  /// How often `now` was asked for.
  [[nodiscard]] std::uint64_t clock_readings() const noexcept { return clock_readings_; }

 private:
  // A line of execution that runs the steps: it becomes a blocked caller when the job it is in
  // blocks, and runs steps again afterwards. `free_` holds those between two steps.
  struct Runner {
    explicit Runner(Simulation& simulation)
        : fiber([](void* self) noexcept { static_cast<Simulation*>(self)->drive(); }, &simulation) {
    }
    exec::OwnFiber fiber;
  };

  // A blocked caller, in its own frame.
  struct Waiter final : Job, Timer {
    enum class By : std::uint8_t { nobody, job, timer };
    explicit Waiter(Simulation& owner) noexcept
        : Job([](Job& job) noexcept { static_cast<Waiter&>(job).go_on(By::job); }),
          Timer([](Timer& timer) noexcept { static_cast<Waiter&>(timer).go_on(By::timer); }),
          simulation(owner),
          fiber(*owner.current_),
          caller(owner.caller_),
          since(owner.now_),
          next(owner.blocked_) {
      if (next != nullptr) next->previous = this;
      owner.blocked_ = this;
    }
    ~Waiter() {
      (previous != nullptr ? previous->next : simulation.blocked_) = next;
      if (next != nullptr) next->previous = previous;
    }
    // Called by a runner: it becomes free, the caller goes on.
    void go_on(By by) noexcept {
      came_by = by;
      Simulation& owner = simulation;
      exec::Fiber& runner = *owner.current_;
      owner.free_.push_back(&runner);
      owner.current_ = &fiber;
      fiber.switch_from(runner);
    }
    Simulation& simulation;
    exec::Fiber& fiber;
    const std::string_view caller;  // its name, where it was spawned with one
    const Time since;
    bool runs = false;  // it is in `run`, and so is not waiting
    By came_by = By::nobody;
    Waiter* previous = nullptr;
    Waiter* next;
  };

  template <class Body>
  struct Caller final : Job {
    Caller(Simulation& owner, std::string who, Body what)
        : Job([](Job& job) noexcept { static_cast<Caller&>(job).call(); }),
          simulation(owner),
          name(std::move(who)),
          body(std::move(what)),
          unfinished(owner, name, {}) {}
    void call() noexcept {
      simulation.caller_ = name;
      body();
      simulation.caller_ = {};
      delete this;
    }
    Simulation& simulation;
    std::string name;
    Body body;
    Waiting unfinished;
  };

  static exec::RootTask await(Simulation& self, std::string who, Task<void> task) {
    const Waiting unfinished{self, who, {}};
    co_await reschedule(self);
    co_await std::move(task);
    { const Task<void> finished = std::move(task); }
  }

  static std::uint64_t ticks(Time time) noexcept {
    return static_cast<std::uint64_t>(time.time_since_epoch().count());
  }

  // The caller blocks: somebody else goes on. Returns when a runner has switched back to it.
  void set_aside(Waiter& waiter) noexcept {
    const CurrentExecutor current{*this};
    caller_ = {};
    exec::Fiber& self = *current_;
    if (&self == &outside_) outside_.adopt();
    if (free_.empty()) free_.push_back(&runners_.emplace_back(*this).fiber);
    exec::Fiber& runner = *free_.back();
    free_.pop_back();
    current_ = &runner;
    runner.switch_from(self);
    caller_ = waiter.caller;
  }

  [[noreturn]] void drive() noexcept {
    for (;;) {
      if (between_steps_) between_steps_();
      if (step()) continue;
      Waiter* const run = innermost_run();
      if (run == nullptr) die();
      run->go_on(Waiter::By::nobody);
    }
  }

  // False: nothing is left to do.
  bool step() noexcept {
    while (!something_is_due()) {
      if (timers_.empty()) return false;
      now_ = timers_.first()->when;
    }
    const std::size_t choices = ready_.size() + due_count_;
    const std::size_t chosen = options_.order == Order::arrival ? 0 : order_() % choices;
    ++steps_;
    fold(ticks(now_) ^ (std::uint64_t{choices} << 40U) ^ (std::uint64_t{chosen} << 52U));
    if (chosen < ready_.size()) {
      std::swap(ready_[chosen], ready_.front());
      Job& job = *ready_.front();
      ready_.pop_front();
      job.run();
    } else {
      take_due(chosen - ready_.size()).fire();
    }
    return true;
  }

  // A few timers of this instant stand beside the jobs to be chosen from.
  bool something_is_due() noexcept {
    while (due_count_ < due_.size() && !timers_.empty() && timers_.first()->when <= now_) {
      Timer& timer = *timers_.first();
      timers_.remove(timer);
      due_[due_count_++] = &timer;
    }
    return due_count_ != 0 || !ready_.empty();
  }
  Timer& take_due(std::size_t index) noexcept {
    Timer& timer = *due_[index];
    for (--due_count_; index < due_count_; ++index) due_[index] = due_[index + 1];
    --armed_;
    return timer;
  }

  // The newest: several callers may be in one, and need not leave in their order.
  [[nodiscard]] Waiter* innermost_run() const noexcept {
    Waiter* waiter = blocked_;
    while (waiter != nullptr && !waiter->runs) waiter = waiter->next;
    return waiter;
  }
  [[nodiscard]] bool somebody_waits() const noexcept {
    const Waiter* blocked = blocked_;
    while (blocked != nullptr && blocked->runs) blocked = blocked->next;
    return waiting_ != nullptr || blocked != nullptr;
  }
  void add_line(std::string& text, std::string_view who, std::string_view what, Time since) const {
    std::array<char, 32> seconds{};
    std::snprintf(seconds.data(),
                  seconds.size(),
                  "%.9g",
                  std::chrono::duration<double>(now_ - since).count());
    text.append("  ").append(who).append(" waits for ").append(what);
    text.append(", for ").append(seconds.data()).append(" s\n");
  }

  [[noreturn]] void die() const noexcept {
    std::fputs("penstock: deadlock: everyone waits, no job is posted and no timer is armed\n",
               stderr);
    std::fputs(who_waits().c_str(), stderr);
    std::terminate();
  }

  const Options options_;
  Time now_;
  Random order_;
  Random random_;
  std::uint64_t trace_ = 0;
  std::uint64_t steps_ = 0;
  mutable std::uint64_t clock_readings_ = 0;

  std::deque<Job*> ready_;
  TimerQueue timers_;
  std::array<Timer*, 16> due_{};  // taken out of the heap; the first `due_count_`
  std::size_t due_count_ = 0;
  std::size_t armed_ = 0;              // in either place
  std::size_t runs_at_their_end_ = 0;  // whose timers are due again, behind what else is
  std::function<void()> between_steps_;

  exec::Fiber outside_;         // whoever is not a runner: the program
  std::deque<Runner> runners_;  // all there ever were at once
  std::vector<exec::Fiber*> free_;
  exec::Fiber* current_;        // the one the thread is in
  std::string_view caller_;     // whose body it is in, if a spawned one that blocks
  Waiter* blocked_ = nullptr;   // newest first, those of `run` among them
  Waiting* waiting_ = nullptr;  // newest first
};

}  // namespace penstock
