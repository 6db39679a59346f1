// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include <penstock/testing/explorer/engine.hpp>
#include <penstock/testing/explorer/engine_steps.hpp>
#include <penstock/testing/explorer/engine_threads.hpp>

/// The engine behind the words. Include it in exactly one source file of a program, one that is
/// built without `-fsanitize=thread`; the files with the code under test are built with it. It
/// replaces the global allocation functions and is told of every plain access by the
/// instrumentation; the sanitizer's own library is not linked.
///
/// The functions of the thread sanitizer's interface are named by the compilers.

// NOLINTBEGIN(bugprone-reserved-identifier)

namespace penstock::testing::explorer {

#define PENSTOCK_HERE Engine::instance().at(__builtin_return_address(0))

Controlled::Controlled(Kind kind, std::uint64_t initial) noexcept : initial_(initial), kind_(kind) {
  PENSTOCK_HERE;
  Engine::instance().create(*this, kind, initial);
}
Controlled::~Controlled() {
  PENSTOCK_HERE;
  Engine::instance().destroy(*this);
}

std::uint64_t AtomicWord::load(std::memory_order order) const noexcept {
  PENSTOCK_HERE;
  return Engine::instance().load(*this, order);
}
void AtomicWord::store(std::uint64_t value, std::memory_order order) noexcept {
  PENSTOCK_HERE;
  Engine::instance().store(*this, value, order);
}
std::uint64_t AtomicWord::modify(Change change,
                                 std::uint64_t operand,
                                 std::memory_order order) noexcept {
  PENSTOCK_HERE;
  return Engine::instance().modify(*this, change, operand, order);
}
bool AtomicWord::compare_exchange(std::uint64_t& expected,
                                  std::uint64_t desired,
                                  std::memory_order success,
                                  std::memory_order failure,
                                  Strength strength) noexcept {
  PENSTOCK_HERE;
  return Engine::instance().compare_exchange(*this, expected, desired, success, failure, strength);
}

bool AtomicWord::sleep(std::uint64_t expected, Time until) const noexcept {
  PENSTOCK_HERE;
  return Engine::instance().sleep(*this, expected, until);
}
void AtomicWord::wake(const AtomicWord* word) noexcept {
  PENSTOCK_HERE;
  Engine::instance().wake(word);
}

void Mutex::lock() noexcept {
  PENSTOCK_HERE;
  Engine::instance().lock(*this);
}
bool Mutex::try_lock() noexcept {
  PENSTOCK_HERE;
  return Engine::instance().try_lock(*this);
}
void Mutex::unlock() noexcept {
  PENSTOCK_HERE;
  Engine::instance().unlock(*this);
}
bool Condition::wait(Mutex& mutex, Time until) noexcept {
  PENSTOCK_HERE;
  return Engine::instance().wait(*this, mutex, until);
}
void Condition::notify_one() noexcept {
  PENSTOCK_HERE;
  Engine::instance().notify(*this, Engine::Wake::one);
}
void Condition::notify_all() noexcept {
  PENSTOCK_HERE;
  Engine::instance().notify(*this, Engine::Wake::all);
}

namespace hook {
std::uint32_t start_thread(Body body, void* argument) noexcept {
  PENSTOCK_HERE;
  return Engine::instance().start_thread(body, argument);
}
void join(std::uint32_t thread) noexcept {
  PENSTOCK_HERE;
  Engine::instance().join(thread);
}
void unjoined(std::uint32_t thread) noexcept {
  PENSTOCK_HERE;
  Engine::instance().fail("the object of thread %u goes before it was joined", thread - 1);
}
std::uint32_t this_thread() noexcept {
  return Engine::instance().this_thread();
}
Time now() noexcept {
  PENSTOCK_HERE;
  return Engine::instance().now();
}
void* per_thread(const void* key,
                 std::size_t size,
                 void (*construct)(void*),
                 void (*destroy)(void*) noexcept) noexcept {
  return Engine::instance().per_thread(key, size, construct, destroy);
}
void access(const volatile void* where, std::size_t size, Access access) noexcept {
  PENSTOCK_HERE;
  Engine::instance().access(where, size, access);
}
void let_time_wait() noexcept {
  Engine::instance().let_time_wait();
}
void broken(const char* sentence) noexcept {
  PENSTOCK_HERE;
  Engine::instance().fail("%s", sentence);
}

/// Ends an execution whose thread the system stopped; outside of one, ends the program.
inline void on_signal(int signal) {
  Engine& engine = Engine::instance();
  if (!engine.running()) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
      engine.fail("touches memory that is not there");
    case SIGABRT:
      engine.fail("aborts");
    case SIGFPE:
      engine.fail("divides by zero");
    default:
      engine.fail("stops with signal %d", signal);
  }
}

inline void on_terminate() {
  Engine& engine = Engine::instance();
  if (engine.running()) engine.fail("terminates: an exception nobody catches, or std::terminate");
  std::abort();
}

/// Before the first execution.
inline void take_over() noexcept {
#if __has_include(<sys/single_threaded.h>)
  // The standard library counts references without atomics while it believes in one thread.
  __libc_single_threaded = 0;
#endif
  static std::byte stack[64 << 10];
  ::stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  ::sigaltstack(&alternate, nullptr);
  struct ::sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL})
    ::sigaction(signal, &action, nullptr);
  std::set_terminate(&on_terminate);
}
}  // namespace hook

#undef PENSTOCK_HERE

}  // namespace penstock::testing::explorer

namespace {
inline void* explored_allocation(std::size_t size, std::size_t alignment, const void* place) {
  using penstock::testing::explorer::Engine;
  Engine& engine = Engine::instance();
  if (!engine.running()) {
    return alignment <= alignof(std::max_align_t)
               ? std::malloc(size == 0 ? 1 : size)
               : std::aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
  }
  engine.at(place);
  return engine.allocate(size, alignment);
}
inline void explored_free(void* pointer, const void* place) noexcept {
  using penstock::testing::explorer::Engine;
  if (pointer == nullptr) return;
  Engine& engine = Engine::instance();
  if (engine.running()) engine.at(place);
  if (!engine.free(pointer)) std::free(pointer);
}
}  // namespace

void* operator new(std::size_t size) {
  if (void* const memory = explored_allocation(size, 16, __builtin_return_address(0)))
    return memory;
  throw std::bad_alloc{};
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (void* const memory = explored_allocation(
          size, static_cast<std::size_t>(alignment), __builtin_return_address(0)))
    return memory;
  throw std::bad_alloc{};
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return explored_allocation(size, 16, __builtin_return_address(0));
}
void* operator new[](std::size_t size) {
  if (void* const memory = explored_allocation(size, 16, __builtin_return_address(0)))
    return memory;
  throw std::bad_alloc{};
}
void operator delete(void* pointer) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}
void operator delete(void* pointer, std::size_t) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}
void operator delete(void* pointer, std::align_val_t) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}
void operator delete(void* pointer, const std::nothrow_t&) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}
void operator delete[](void* pointer) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}
void operator delete[](void* pointer, std::size_t) noexcept {
  explored_free(pointer, __builtin_return_address(0));
}

extern "C" {

// glibc's: ends the program with a line on stderr. Here it ends the execution.
[[noreturn]] void __assert_fail(const char* expression,
                                const char* file,
                                unsigned line,
                                const char*) noexcept {
  using penstock::testing::explorer::Engine;
  Engine& engine = Engine::instance();
  if (engine.running()) {
    engine.at(__builtin_return_address(0));
    engine.fail("asserts in vain: %s (%s:%u)", expression, file, line);
  }
  std::fprintf(stderr, "%s:%u: assertion failed: %s\n", file, line, expression);
  std::abort();
}

#define PENSTOCK_PLAIN(pointer, size, how)                                                    \
  do {                                                                                        \
    auto& engine = penstock::testing::explorer::Engine::instance();                           \
    if (engine.running()) {                                                                   \
      engine.at(__builtin_return_address(0));                                                 \
      engine.access(                                                                          \
          pointer, static_cast<std::size_t>(size), penstock::testing::explorer::Access::how); \
    }                                                                                         \
  } while (false)

#define PENSTOCK_SIZE(size)                               \
  void __tsan_read##size(void* pointer) {                 \
    PENSTOCK_PLAIN(pointer, size, read);                  \
  }                                                       \
  void __tsan_write##size(void* pointer) {                \
    PENSTOCK_PLAIN(pointer, size, write);                 \
  }                                                       \
  void __tsan_unaligned_read##size(void* pointer) {       \
    PENSTOCK_PLAIN(pointer, size, read);                  \
  }                                                       \
  void __tsan_unaligned_write##size(void* pointer) {      \
    PENSTOCK_PLAIN(pointer, size, write);                 \
  }                                                       \
  void __tsan_read_write##size(void* pointer) {           \
    PENSTOCK_PLAIN(pointer, size, write);                 \
  }                                                       \
  void __tsan_unaligned_read_write##size(void* pointer) { \
    PENSTOCK_PLAIN(pointer, size, write);                 \
  }
PENSTOCK_SIZE(1)
PENSTOCK_SIZE(2)
PENSTOCK_SIZE(4)
PENSTOCK_SIZE(8)
PENSTOCK_SIZE(16)

void __tsan_read_range(void* pointer, unsigned long size) {
  PENSTOCK_PLAIN(pointer, size, read);
}
void __tsan_write_range(void* pointer, unsigned long size) {
  PENSTOCK_PLAIN(pointer, size, write);
}
void __tsan_vptr_read(void** pointer) {
  PENSTOCK_PLAIN(pointer, sizeof(void*), read);
}
void __tsan_vptr_update(void** pointer, void* value) {
  if (*pointer != value) PENSTOCK_PLAIN(pointer, sizeof(void*), write);
}
void* __tsan_memcpy(void* to, const void* from, unsigned long size) {
  PENSTOCK_PLAIN(from, size, read);
  PENSTOCK_PLAIN(to, size, write);
  return std::memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, unsigned long size) {
  PENSTOCK_PLAIN(from, size, read);
  PENSTOCK_PLAIN(to, size, write);
  return std::memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, unsigned long size) {
  PENSTOCK_PLAIN(to, size, write);
  return std::memset(to, value, size);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

// Atomics that are not behind the seam: reference counts of the standard library, and guards.
#define PENSTOCK_FOREIGN(bits, type)                                                               \
  type __tsan_atomic##bits##_load(const volatile type* at, int) {                                  \
    penstock::testing::explorer::Engine::instance().foreign_atomic(at);                            \
    return *at;                                                                                    \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile type* at, type value, int) {                           \
    penstock::testing::explorer::Engine::instance().foreign_atomic(at);                            \
    *at = value;                                                                                   \
  }                                                                                                \
  PENSTOCK_FOREIGN_CHANGE(bits, type, exchange, value)                                             \
  PENSTOCK_FOREIGN_CHANGE(bits, type, fetch_add, static_cast<type>(old + value))                   \
  PENSTOCK_FOREIGN_CHANGE(bits, type, fetch_sub, static_cast<type>(old - value))                   \
  PENSTOCK_FOREIGN_CHANGE(bits, type, fetch_and, static_cast<type>(old & value))                   \
  PENSTOCK_FOREIGN_CHANGE(bits, type, fetch_or, static_cast<type>(old | value))                    \
  PENSTOCK_FOREIGN_CHANGE(bits, type, fetch_xor, static_cast<type>(old ^ value))                   \
  int __tsan_atomic##bits##_compare_exchange_strong(                                               \
      volatile type* at, type* expected, type desired, int, int) {                                 \
    penstock::testing::explorer::Engine::instance().foreign_atomic(at);                            \
    const type old = *at;                                                                          \
    const bool equal = old == *expected;                                                           \
    if (equal) *at = desired;                                                                      \
    *expected = old;                                                                               \
    return equal;                                                                                  \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(                                                 \
      volatile type* at, type* expected, type desired, int success, int failure) {                 \
    return __tsan_atomic##bits##_compare_exchange_strong(at, expected, desired, success, failure); \
  }                                                                                                \
  type __tsan_atomic##bits##_compare_exchange_val(                                                 \
      volatile type* at, type expected, type desired, int success, int failure) {                  \
    __tsan_atomic##bits##_compare_exchange_strong(at, &expected, desired, success, failure);       \
    return expected;                                                                               \
  }
#define PENSTOCK_FOREIGN_CHANGE(bits, type, name, changed)                \
  type __tsan_atomic##bits##_##name(volatile type* at, type value, int) { \
    penstock::testing::explorer::Engine::instance().foreign_atomic(at);   \
    const type old = *at;                                                 \
    static_cast<void>(value);                                             \
    *at = changed;                                                        \
    return old;                                                           \
  }
PENSTOCK_FOREIGN(8, unsigned char)
PENSTOCK_FOREIGN(16, unsigned short)
PENSTOCK_FOREIGN(32, unsigned int)
PENSTOCK_FOREIGN(64, unsigned long)

}  // extern "C"

#undef PENSTOCK_FOREIGN
#undef PENSTOCK_FOREIGN_CHANGE
#undef PENSTOCK_SIZE
#undef PENSTOCK_PLAIN

// NOLINTEND(bugprone-reserved-identifier)
