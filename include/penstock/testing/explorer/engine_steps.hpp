// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include <penstock/testing/explorer/engine.hpp>

// The steps of the controlled words.
namespace penstock::testing::explorer {

inline std::uint32_t Engine::add_object(const Controlled& object,
                                        Kind kind,
                                        std::uint64_t initial) noexcept {
  if (object_count_ == max_objects) fail("more than %u controlled objects", max_objects);
  const std::uint32_t index = object_count_++;
  Thread& maker = me();
  Object& made = objects_[index];
  made.address = &object;
  made.made_at = place_;
  made.kind = kind;
  made.alive = true;
  made.everybodys = false;
  made.maker = static_cast<std::uint8_t>(current_);
  made.owner = 0;
  made.made = maker.clock.at[current_];
  made.key = chain(maker.key, ++maker.made);
  made.past = made.key;
  made.released = {};
  made.used = {};
  made.stores = 1;
  Store& first = made.last[0];
  first = {};
  first.value = initial;
  first.instant = made.made;
  first.writer = made.maker;
  first.past = made.key;
  object.index_ = index;
  object.execution_ = execution_;
  return index;
}

inline void Engine::create(const Controlled& object, Kind kind, std::uint64_t initial) noexcept {
  if (running_) static_cast<void>(add_object(object, kind, initial));
}

inline Object& Engine::use(const Controlled& object) noexcept {
  if (object.execution_ != execution_ && !arena_.contains(&object)) {
    // Made outside of executions: as new in each of them, and known to all.
    Object& made = objects_[add_object(object, object.kind_, object.initial_)];
    made.everybodys = true;
    made.last[0].instant = 0;
  }
  if (object.execution_ != execution_ || object.index_ == 0 || object.index_ >= object_count_ ||
      objects_[object.index_].address != &object)
    fail("uses a controlled object in memory that was freed or overwritten");
  Object& known = objects_[object.index_];
  if (!known.alive) {
    note("uses", object.index_);
    fail("uses a controlled object after its destructor");
  }
  Thread& user = me();
  if (!known.everybodys && !user.clock.knows(known.maker, known.made)) {
    note("uses", object.index_);
    fail("uses an object that thread %u made, which nothing has handed over", known.maker);
  }
  known.used.at[current_] = user.clock.at[current_];
  return known;
}

inline void Engine::destroy(const Controlled& object) noexcept {
  if (!running_) return;
  Object& known = use(object);
  note("destroys", object.index_);
  if (known.kind == Kind::mutex && known.owner != 0)
    fail("destroys a mutex that thread %u holds", known.owner - 1);
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    const Thread& other = threads_[thread];
    if (other.status == Status::sleeping && other.waits_for == object.index_)
      fail("destroys an object on which thread %u sleeps", thread);
    if (!me().clock.knows(thread, known.used.at[thread])) {
      fail(
          "destroys an object that thread %u may still be using: nothing orders its last use "
          "before this",
          thread);
    }
  }
  known.alive = false;
}

inline void Engine::see(Store& store, std::memory_order order) noexcept {
  Thread& reader = me();
  if (store.seen[current_] == 0) store.seen[current_] = reader.clock.at[current_];
  if (acquires(order)) reader.clock.join(store.release);
}

inline void Engine::put(Object& atomic,
                        std::uint64_t value,
                        std::memory_order order,
                        Sequence sequence) noexcept {
  Thread& writer = me();
  const VectorClock carried =
      sequence == Sequence::carries_on ? atomic.newest().release : VectorClock{};
  Store& store = atomic.last[atomic.stores++ % Object::history];
  store.value = value;
  store.release = carried;
  if (releases(order)) store.release.join(writer.clock);
  store.seen = {};
  store.instant = writer.clock.at[current_];
  store.writer = static_cast<std::uint8_t>(current_);
  store.sequential = order == std::memory_order_seq_cst;
  store.past = atomic.past = writer.past;
  ++writer.clock.at[current_];
}

inline std::uint64_t Engine::load(const AtomicWord& word, std::memory_order order) noexcept {
  if (!running_) return word.initial_;
  point();
  Object& atomic = use(word);
  const std::uint32_t older = atomic.older_visible(me().clock, order);
  const std::uint32_t age = older == 0 ? 0 : schedule_->store(older + 1);
  Store& store = atomic.recent(age);
  event(atomic.key, store.past);
  see(store, order);
  ++me().clock.at[current_];
  note(age == 0 ? "loads" : "loads an old", word.index_, store.value);
  return store.value;
}

inline void Engine::store(AtomicWord& word, std::uint64_t value, std::memory_order order) noexcept {
  if (!running_) {
    word.initial_ = value;
    return;
  }
  point();
  Object& atomic = use(word);
  event(atomic.key, chain(atomic.past, 1));
  put(atomic, value, order, Sequence::begins);
  note("stores", word.index_, value);
}

inline std::uint64_t Engine::modify(AtomicWord& word,
                                    AtomicWord::Change change,
                                    std::uint64_t operand,
                                    std::memory_order order) noexcept {
  if (!running_) {
    const std::uint64_t old = word.initial_;
    word.initial_ = change(old, operand);
    return old;
  }
  point();
  Object& atomic = use(word);
  Store& seen = atomic.newest();
  const std::uint64_t old = seen.value;
  event(atomic.key, chain(atomic.past, 2));
  see(seen, order);
  put(atomic, change(old, operand), order, Sequence::carries_on);
  note("changes", word.index_, atomic.newest().value);
  return old;
}

inline bool Engine::compare_exchange(AtomicWord& word,
                                     std::uint64_t& expected,
                                     std::uint64_t desired,
                                     std::memory_order success,
                                     std::memory_order failure,
                                     AtomicWord::Strength strength) noexcept {
  if (!running_) {
    const bool equal = word.initial_ == expected;
    (equal ? word.initial_ : expected) = equal ? desired : word.initial_;
    return equal;
  }
  point();
  Object& atomic = use(word);
  Store& seen = atomic.newest();
  const bool equal = seen.value == expected;
  if (!equal || (strength == AtomicWord::Strength::weak && schedule_->fails())) {
    event(atomic.key, chain(seen.past, equal ? 3 : 4));
    see(seen, failure);
    ++me().clock.at[current_];
    note(equal ? "fails for nothing to change" : "fails to change", word.index_, seen.value);
    expected = seen.value;
    return false;
  }
  event(atomic.key, chain(atomic.past, 5));
  see(seen, success);
  put(atomic, desired, success, Sequence::carries_on);
  note("changes", word.index_, desired);
  return true;
}

inline void Engine::take(Object& mutex) noexcept {
  Thread& taker = me();
  mutex.owner = static_cast<std::uint8_t>(current_ + 1);
  taker.clock.join(mutex.released);
  event(mutex.key, mutex.past);
  mutex.past = taker.past;
}
inline void Engine::give(Object& mutex) noexcept {
  Thread& giver = me();
  mutex.owner = 0;
  mutex.used.at[current_] = giver.clock.at[current_];
  mutex.released = giver.clock;
  ++giver.clock.at[current_];
  event(mutex.key, 6);
  mutex.past = giver.past;
}

inline void Engine::lock(Mutex& word) noexcept {
  if (!running_) return;
  point();
  Object& mutex = use(word);
  if (owns(mutex)) {
    note("locks", word.index_);
    fail("locks a mutex that it holds already");
  }
  if (mutex.owner != 0) {
    note("waits for", word.index_);
    me().status = Status::locking;
    me().waits_for = word.index_;
    block();
    static_cast<void>(use(word));
  }
  take(mutex);
  note("locks", word.index_);
}
inline bool Engine::try_lock(Mutex& word) noexcept {
  if (!running_) return true;
  point();
  Object& mutex = use(word);
  if (mutex.owner != 0) {
    event(mutex.key, mutex.past);
    note("finds locked", word.index_);
    return false;
  }
  take(mutex);
  note("locks", word.index_);
  return true;
}
inline void Engine::unlock(Mutex& word) noexcept {
  if (!running_) return;
  point();  // whoever tries now finds it locked
  Object& mutex = use(word);
  if (!owns(mutex)) fail("unlocks a mutex that it does not hold");
  give(mutex);
  note("unlocks", word.index_);
}

inline bool Engine::wait(Condition& word, Mutex& lock, Time until) noexcept {
  if (!running_) return true;
  point();
  Object& condition = use(word);
  Object& mutex = use(lock);
  if (!owns(mutex)) fail("waits with a mutex that it does not hold");
  event(condition.key, condition.past);
  condition.past = me().past;
  give(mutex);
  note("sleeps on", word.index_);
  go_to_sleep(word.index_, lock.index_, until);
  static_cast<void>(use(word));
  static_cast<void>(use(lock));
  take(mutex);
  note(me().timed_out ? "wakes in time on" : "wakes on", word.index_);
  return !me().timed_out;
}

template <class SleepsThere>
void Engine::wake_those(SleepsThere sleeps_there, Wake which) noexcept {
  std::array<unsigned, max_threads> asleep{};
  unsigned count = 0;
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    if (threads_[thread].status != Status::sleeping || !sleeps_there(threads_[thread].waits_for))
      continue;
    unsigned place = count++;
    for (; place != 0 && threads_[asleep[place - 1]].since > threads_[thread].since; --place)
      asleep[place] = asleep[place - 1];
    asleep[place] = thread;
  }
  if (count == 0) return;
  unsigned first = 0;
  if (which == Wake::one) {
    first = count == 1 ? 0 : schedule_->sleeper(count);
    count = first + 1;
  }
  for (; first < count; ++first) {
    Thread& sleeper = threads_[asleep[first]];
    sleeper.past = chain(sleeper.past, me().past);
    wake(sleeper);
  }
}

inline void Engine::notify(Condition& word, Wake which) noexcept {
  if (!running_) return;
  point();
  Object& condition = use(word);
  event(condition.key, condition.past);
  condition.past = me().past;
  ++me().clock.at[current_];
  note(which == Wake::all ? "notifies all on" : "notifies one on", word.index_);
  wake_those([&](std::uint32_t object) { return object == word.index_; }, which);
}

// The system looks at the word and puts the thread to sleep in one step.
inline bool Engine::sleep(const AtomicWord& word, std::uint64_t expected, Time until) noexcept {
  if (!running_) return true;
  point();
  Object& atomic = use(word);
  Store& seen = atomic.newest();
  event(atomic.key, chain(atomic.past, 11));
  see(seen, std::memory_order_relaxed);
  ++me().clock.at[current_];
  if (seen.value != expected) {
    note("does not sleep on", word.index_, seen.value);
    return true;
  }
  atomic.past = me().past;
  note("sleeps on", word.index_, expected);
  go_to_sleep(word.index_, 0, until);
  static_cast<void>(use(word));
  note(me().timed_out ? "wakes in time on" : "wakes on", word.index_);
  return !me().timed_out;
}

// Does not use the word: of whoever sleeps there now, and it is a number to the system.
inline void Engine::wake(const AtomicWord* word) noexcept {
  if (!running_) return;
  point();
  const Controlled* const address = word;
  event(12);
  ++me().clock.at[current_];
  note("wakes whoever sleeps on a word");
  std::uint32_t found = 0;
  const auto sleeps_there = [&](std::uint32_t object) {
    return objects_[object].address == address && objects_[object].alive;
  };
  for (unsigned thread = 0; thread < thread_count_; ++thread) {
    if (threads_[thread].status == Status::sleeping && sleeps_there(threads_[thread].waits_for))
      found = threads_[thread].waits_for;
  }
  if (found != 0) {
    event(objects_[found].key, objects_[found].past);
    objects_[found].past = me().past;
  }
  wake_those(sleeps_there, Wake::one);
}

inline Time Engine::now() noexcept {
  if (!running_) return Time{Duration{1'000'000'000'000}};
  Candidates with_time;
  with_time.add(current_);
  with_time.current_first = true;
  while (candidates().clock_last) {
    with_time.clock_last = true;
    with_time.count = 1;
    with_time.add(Candidates::clock);
    if (choose(with_time) != Candidates::clock) break;
    pass_time();
  }
  event(7, clock_hash_);
  return now_;
}

}  // namespace penstock::testing::explorer
