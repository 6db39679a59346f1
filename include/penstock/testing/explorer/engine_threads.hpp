// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <exception>

#include <penstock/testing/explorer/engine.hpp>

// Threads, time, and the memory between the steps.
namespace penstock::testing::explorer {

inline unsigned Engine::add_thread(hook::Body body, void* argument) noexcept {
  if (thread_count_ == max_threads) fail("more than %u threads", max_threads);
  const unsigned number = thread_count_++;
  Thread& thread = threads_[number];
  thread.status = Status::ready;
  thread.joined = false;
  thread.timed_out = false;
  thread.deadline = never;
  thread.clock = {};
  thread.key = 1;
  thread.made = 0;
  if (number != 0) {
    thread.clock = me().clock;
    thread.key = chain(me().key, ++me().made);
    ++me().clock.at[current_];
    event(8, thread.key);
    thread.past = chain(thread.key, me().past);
  } else {
    thread.past = thread.key;
  }
  thread.clock.at[number] = 1;
  thread.body = body;
  thread.argument = argument;
  thread.local_count = 0;
  // What belongs to a thread lies at the far end of its stack: at the same place in every
  // execution, whatever the threads allocated before.
  thread.local_memory = arena_.stack(number) + Arena::usable_stack();
  thread.fiber.prepare(
      arena_.stack(number),
      Arena::usable_stack() - local_size,
      [](void* engine) noexcept { static_cast<Engine*>(engine)->enter(); },
      this);
  return number;
}

inline void Engine::enter() noexcept {
  Thread& thread = me();
  place_ = nullptr;
  try {
    thread.body(thread.argument);
  } catch (const std::exception& thrown) {
    fail("an exception leaves the thread: %s", thrown.what());
  } catch (...) {
    fail("an exception leaves the thread");
  }
  finish();
}

inline void Engine::finish() noexcept {
  Thread& thread = me();
  while (thread.local_count != 0) {
    const Local& local = thread.locals[--thread.local_count];
    local.destroy(local.object);
  }
  thread.status = Status::finished;
  place_ = nullptr;
  event(9);
  note("ends");
  if (current_ != 0) {
    block();
    __builtin_unreachable();
  }
  for (unsigned other = 1; other < thread_count_; ++other) {
    if (threads_[other].status != Status::finished)
      fail("the scenario ends while thread %u still runs", other);
  }
  leave(Verdict::passed);
}

inline Candidates Engine::candidates() const noexcept {
  Candidates found;
  if (can_go_on(threads_[current_])) {
    found.add(current_);
    found.current_first = threads_[current_].status == Status::ready;
  }
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    if (thread != current_ && can_go_on(threads_[thread])) found.add(thread);
  }
  if (sleepers_ != 0 && !(time_waits_ && found.count != 0)) {
    for (unsigned thread = 0; thread < thread_count_; ++thread) {
      if (threads_[thread].status != Status::sleeping || threads_[thread].deadline == never)
        continue;
      found.add(Candidates::clock);
      found.clock_last = true;
      break;
    }
  }
  return found;
}

inline unsigned Engine::choose(const Candidates& from) noexcept {
  if (from.count == 1) return from.who[0];
  if (schedule_->explored(state(), from)) leave(Verdict::pruned);
  return from.who[schedule_->thread(from)];
}

inline void Engine::point() noexcept {
  if (++steps_ > limits_.steps)
    fail("livelock: no end after %u steps", static_cast<unsigned>(limits_.steps));
  if (sleepers_ != 0) maybe_wake_for_nothing();
  for (;;) {
    const unsigned next = choose(candidates());
    if (next != Candidates::clock) return go_to(next);
    pass_time();
  }
}

inline void Engine::block() noexcept {
  for (;;) {
    const Candidates able = candidates();
    if (able.count == 0) deadlock();
    const unsigned next = choose(able);
    if (next == Candidates::clock) {
      pass_time();
      continue;
    }
    go_to(next);
    me().status = Status::ready;
    return;
  }
}

inline void Engine::pass_time() noexcept {
  Time first = never;
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    if (threads_[thread].status == Status::sleeping)
      first = std::min(first, threads_[thread].deadline);
  }
  now_ = std::max(now_, first);
  clock_hash_ = chain(clock_hash_, static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  if (tracing_) {
    trace_.push_back({"time passes",
                      Candidates::clock,
                      0,
                      static_cast<std::uint64_t>(now_.time_since_epoch().count()),
                      nullptr});
  }
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    Thread& sleeper = threads_[thread];
    if (sleeper.status != Status::sleeping || sleeper.deadline > now_) continue;
    sleeper.timed_out = true;
    sleeper.past = chain(sleeper.past, clock_hash_);
    wake(sleeper);
  }
}

inline void Engine::maybe_wake_for_nothing() noexcept {
  const unsigned chosen = schedule_->spurious(sleepers_);
  if (chosen >= sleepers_) return;
  unsigned asleep = 0;
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    if (threads_[thread].status != Status::sleeping || asleep++ != chosen) continue;
    if (tracing_)
      trace_.push_back({"wakes for nothing on", thread, threads_[thread].waits_for, 0, nullptr});
    return wake(threads_[thread]);
  }
}

inline std::uint64_t Engine::state() const noexcept {
  std::uint64_t sum = clock_hash_;
  for (unsigned thread = 0; thread < thread_count_; ++thread)
    sum += chain(threads_[thread].past, threads_[thread].key);
  return sum;
}

inline void Engine::deadlock() noexcept {
  std::array<char, 1500> text{};
  std::size_t used = 0;
  const auto say = [&](const char* format, auto... values) {
    if (used >= text.size()) return;
    const int more = std::snprintf(text.data() + used, text.size() - used, format, values...);
    if (more > 0) used += static_cast<std::size_t>(more);
  };
  const char* between = "";
  for (unsigned number = 0; number < thread_count_; ++number) {
    const Thread& thread = threads_[number];
    if (thread.status == Status::finished) continue;
    say("%sthread %u ", between, number);
    between = ", ";
    if (thread.status == Status::locking) {
      say("waits for mutex %u, which thread %u holds",
          thread.waits_for,
          objects_[thread.waits_for].owner - 1U);
    } else if (thread.status == Status::sleeping) {
      say("sleeps on %s %u",
          objects_[thread.waits_for].kind == Kind::atomic ? "atomic" : "condition variable",
          thread.waits_for);
    } else if (thread.status == Status::joining) {
      say("joins thread %u", thread.waits_for);
    }
  }
  fail("deadlock: %s", text.data());
}

inline std::uint32_t Engine::start_thread(hook::Body body, void* argument) noexcept {
  if (!running_) {
    std::fputs("penstock: a controlled thread was started outside of a scenario\n", stderr);
    std::abort();
  }
  const unsigned number = add_thread(body, argument);
  note("starts thread", 0, number);
  return number + 1;
}

inline void Engine::join(std::uint32_t number) noexcept {
  if (!running_) return;
  point();
  if (number == 0 || number > thread_count_) fail("joins a thread that cannot be joined");
  Thread& other = threads_[number - 1];
  if (number - 1 == current_) fail("joins itself");
  if (other.status != Status::finished) {
    me().status = Status::joining;
    me().waits_for = number - 1;
    block();
  }
  other.joined = true;
  me().clock.join(other.clock);
  event(10, other.past);
  note("joins thread", 0, number - 1);
}

inline void* Engine::per_thread(const void* key,
                                std::size_t size,
                                void (*construct)(void*),
                                void (*end)(void*) noexcept) noexcept {
  // Code that runs between executions has its objects nowhere else than the first thread had.
  Thread& thread = me();
  for (unsigned index = 0; index < thread.local_count; ++index) {
    if (thread.locals[index].key == key) return thread.locals[index].object;
  }
  if (!running_) {
    std::fputs("penstock: a scenario's executor was used outside of the scenario\n", stderr);
    std::abort();
  }
  const std::size_t room = (size + 15) & ~std::size_t{15};
  std::byte* const bottom = arena_.stack(current_) + Arena::usable_stack() - local_size;
  if (thread.local_count == thread.locals.size() ||
      static_cast<std::size_t>(thread.local_memory - bottom) < room)
    fail("no room for one more object per thread");
  thread.local_memory -= room;
  construct(thread.local_memory);
  thread.locals[thread.local_count++] = {key, thread.local_memory, end};
  return thread.local_memory;
}

// --- memory ---

inline void Engine::check(const Shadow::Found& found,
                          const volatile void* where,
                          std::size_t bytes,
                          const char* doing) noexcept {
  if (found.fault == Shadow::Fault::none) return;
  if (found.fault == Shadow::Fault::freed)
    fail("%s memory that thread %u has freed", doing, found.thread);
  raced_ = {arena_.offset_of(where), bytes, found.thread};
  fail("data race: %s %zu bytes that thread %u %s, and nothing orders the two",
       doing,
       bytes,
       found.thread,
       found.wrote ? "wrote" : "read");
}

inline void Engine::access(const volatile void* where, std::size_t bytes, Access access) noexcept {
  if (!running_) return;
  const std::size_t offset = arena_.offset_of(where);
  if (offset >= Arena::size) return;
  if (watching_.bytes != 0 && current_ == watching_.by &&
      offset < watching_.offset + watching_.bytes && watching_.offset < offset + bytes)
    watched_by_ = place_;
  check(shadow_.access(offset, bytes, access, current_, me().clock),
        where,
        bytes,
        access == Access::write ? "writes" : "reads");
}

inline void* Engine::allocate(std::size_t bytes, std::size_t alignment) noexcept {
  void* const memory = arena_.allocate(bytes, std::max(alignment, std::size_t{16}), place_);
  if (memory == nullptr) fail("more than %zu bytes of memory", Arena::heap_size);
  return memory;
}

inline bool Engine::free(void* pointer) noexcept {
  if (!arena_.contains(pointer)) return false;
  if (!running_) return true;  // left over from an execution that was ended
  const Arena::Freed freed = arena_.free(pointer);
  if (freed.fault != nullptr) fail("%s memory", freed.fault);
  check(shadow_.free(arena_.offset_of(pointer), freed.bytes, current_, me().clock),
        pointer,
        freed.bytes,
        "frees");
  return true;
}

inline void Engine::foreign_atomic(const volatile void* where) noexcept {
  if (!running_ || !arena_.contains(where)) return;
  const std::size_t first = arena_.offset_of(where) / 4;
  for (std::size_t probe = 0; probe < foreign_.size(); ++probe) {
    Foreign& foreign = foreign_[(first + probe) % foreign_.size()];
    if (foreign.execution != execution_) {
      foreign.where = where;
      foreign.execution = execution_;
      foreign.clock = {};
    } else if (foreign.where != where) {
      continue;
    }
    me().clock.join(foreign.clock);
    foreign.clock = me().clock;
    ++me().clock.at[current_];
    return;
  }
  fail("more than %zu atomics that are not behind the seam", foreign_.size());
}

inline void Engine::look_at_the_heap() noexcept {
  place_ = nullptr;
  if (const void* const by = arena_.spoilt_by()) {
    std::snprintf(failure_.data(), failure_.size(), "memory was written to after it was freed");
    failed_at_ = by;
  } else if (arena_.live() != 0) {
    std::snprintf(
        failure_.data(), failure_.size(), "%zu blocks of memory were never freed", arena_.live());
    failed_at_ = arena_.leaked_by();
  } else {
    return;
  }
  verdict_ = Verdict::failed;
}

}  // namespace penstock::testing::explorer
