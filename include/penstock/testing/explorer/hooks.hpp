// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <penstock/core/time.hpp>

/// What the controlled words of the seam ask of the engine. Declared here, defined once by
/// `explorer/runtime.hpp`, so that the engine itself is never instrumented.
namespace penstock::testing::explorer {

enum class Kind : std::uint8_t { atomic, mutex, condition };

/// What a plain access does to its memory.
enum class Access : std::uint8_t { read, write };

/// A controlled object, known to the engine by a number of the execution it was made in. Every
/// use is checked: the object must still live, and the calling thread must have learnt of it.
class Controlled {
 public:
  Controlled(const Controlled&) = delete;
  Controlled& operator=(const Controlled&) = delete;

 protected:
  explicit Controlled(Kind kind, std::uint64_t initial = 0) noexcept;
  ~Controlled();

 private:
  friend class Engine;
  mutable std::uint32_t index_ = 0;
  mutable std::uint32_t execution_ = 0;  // 0: made outside of one
  std::uint64_t initial_;
  Kind kind_;
};

/// Up to 64 bits with a history of stores.
class AtomicWord : private Controlled {
 public:
  explicit AtomicWord(std::uint64_t initial) noexcept : Controlled(Kind::atomic, initial) {}
  [[nodiscard]] std::uint64_t load(std::memory_order order) const noexcept;
  void store(std::uint64_t value, std::memory_order order) noexcept;
  /// `change(old, operand)` is the new value. Returns the old one.
  using Change = std::uint64_t (*)(std::uint64_t, std::uint64_t) noexcept;
  std::uint64_t modify(Change change, std::uint64_t operand, std::memory_order order) noexcept;
  enum class Strength : std::uint8_t { weak, strong };
  bool compare_exchange(std::uint64_t& expected,
                        std::uint64_t desired,
                        std::memory_order success,
                        std::memory_order failure,
                        Strength strength) noexcept;
  /// Sleeps if the word is `expected`. False: `until` has passed first.
  bool sleep(std::uint64_t expected, Time until) const noexcept;
  /// Wakes one that sleeps on the word, which may be gone.
  static void wake(const AtomicWord* word) noexcept;

 private:
  friend class Engine;
};

class Mutex : private Controlled {
 public:
  Mutex() noexcept : Controlled(Kind::mutex) {}
  void lock() noexcept;
  [[nodiscard]] bool try_lock() noexcept;
  void unlock() noexcept;

 private:
  friend class Engine;
};

class Condition : private Controlled {
 public:
  Condition() noexcept : Controlled(Kind::condition) {}
  /// Releases the mutex, sleeps, takes it again. False: `until` has passed first.
  bool wait(Mutex& mutex, Time until) noexcept;
  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  friend class Engine;
};

namespace hook {
using Body = void (*)(void*);
/// The number of the new thread, which runs `body(argument)`.
[[nodiscard]] std::uint32_t start_thread(Body body, void* argument) noexcept;
void join(std::uint32_t thread) noexcept;
/// Fails the execution: a thread object went while its thread could still be joined.
void unjoined(std::uint32_t thread) noexcept;
[[nodiscard]] std::uint32_t this_thread() noexcept;
[[nodiscard]] Time now() noexcept;
/// One object per controlled thread and `key`, destroyed when the thread ends.
[[nodiscard]] void* per_thread(const void* key,
                               std::size_t size,
                               void (*construct)(void*),
                               void (*destroy)(void*) noexcept) noexcept;
/// A plain access to be checked against all others.
void access(const volatile void* where, std::size_t size, Access access) noexcept;
/// From now on in this execution time passes only when nothing else can go on.
void let_time_wait() noexcept;
/// Fails the execution: what a scenario checks does not hold.
void broken(const char* sentence) noexcept;
}  // namespace hook

}  // namespace penstock::testing::explorer
