// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <utility>

#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>

// glibc's own switch also switches a shadow stack; six registers do not.
#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__)
#if !defined(__CET__)
#define PENSTOCK_FIBERS_BY_REGISTERS 1
#elif (__CET__ & 2) == 0
#define PENSTOCK_FIBERS_BY_REGISTERS 1
#endif
#endif
#if !defined(PENSTOCK_FIBERS_BY_REGISTERS)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define PENSTOCK_FIBERS_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PENSTOCK_FIBERS_UNDER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PENSTOCK_FIBERS_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PENSTOCK_FIBERS_UNDER_TSAN 1
#endif
#endif

#if defined(PENSTOCK_FIBERS_UNDER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(PENSTOCK_FIBERS_UNDER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace penstock::exec {

#if defined(PENSTOCK_FIBERS_BY_REGISTERS)
/// Keeps the caller's place in `*save` and goes on at `load`; `argument` is there for a function
/// that begins.
extern "C" void penstock_switch_stack(void** save, void* load, void* argument) noexcept;
// System V AMD64 ABI, 3.2.1: what a callee must keep is rbx, rbp, r12 to r15 and the stack; the
// first argument comes in rdi.
asm(R"(
.pushsection .text
.p2align 4
.type penstock_switch_stack,@function
.weak penstock_switch_stack
penstock_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  movq %rdx, %rdi
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size penstock_switch_stack,.-penstock_switch_stack
.popsection
)");
#endif

/// The memory of one fiber's stack, with a page below it that must not be touched. A few are kept
/// per thread for the next fibers.
class FiberStack {
 public:
  static constexpr std::size_t bytes = std::size_t{256} * 1024;

  FiberStack() : base_(spares().take()) {}
  FiberStack(const FiberStack&) = delete;
  FiberStack& operator=(const FiberStack&) = delete;
  ~FiberStack() { spares().keep(base_); }
  [[nodiscard]] void* base() const noexcept { return base_; }

 private:
  static std::size_t guard() noexcept {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return page;
  }
  static void unmap(char* base) noexcept { ::munmap(base - guard(), bytes + guard()); }

  class Spares {
   public:
    Spares() = default;
    Spares(const Spares&) = delete;
    Spares& operator=(const Spares&) = delete;
    ~Spares() {
      while (count_ != 0) unmap(kept_[--count_]);
    }
    char* take() {
      if (count_ != 0) return kept_[--count_];
      void* const memory = ::mmap(nullptr,
                                  bytes + guard(),
                                  PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                  -1,
                                  0);
      if (memory == MAP_FAILED) throw std::bad_alloc{};
      ::mprotect(memory, guard(), PROT_NONE);
      return static_cast<char*>(memory) + guard();
    }
    void keep(char* base) noexcept {
#if defined(PENSTOCK_FIBERS_UNDER_ASAN)
      __asan_unpoison_memory_region(base, bytes);  // its last frames never returned
#endif
      if (count_ == most) return unmap(base);
      kept_[count_++] = base;
    }

   private:
    static constexpr std::size_t most = 32;
    char* kept_[most]{};
    std::size_t count_ = 0;
  };
  static Spares& spares() noexcept {
    static thread_local Spares spares;
    return spares;
  }

  char* base_;
};

/// A line of execution with a stack of its own, in one thread: it runs until it hands over to
/// another by `switch_from`, and goes on there when somebody hands over to it. *One thread at a
/// time.* A switch keeps six registers on x86-64, and takes two system calls (`swapcontext`)
/// elsewhere and in a build for shadow stacks. Signal masks and floating-point modes are not
/// part of it: change neither across a switch.
///
/// Exceptions may be in flight on each of them: what the C++ runtime keeps per thread is kept per
/// fiber. A fiber that is destroyed while it is suspended is not unwound.
class Fiber {
 public:
  using Body = void (*)(void*) noexcept;

  /// The line of execution the calling thread is in, until `prepare` makes another of it.
  Fiber() noexcept { adopt(); }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() { forget(); }

  /// Makes this object, made without a body, stand for the line the calling thread is in now.
  void adopt() noexcept {
#if defined(PENSTOCK_FIBERS_UNDER_TSAN)
    shadow_ = __tsan_get_current_fiber();
#endif
  }

  /// Makes the next switch to it begin with `body(argument)`, on `size` bytes of memory from
  /// `stack`. The body must not return. Whatever it ran before is given up where it stood.
  void prepare(void* stack, std::size_t size, Body body, void* argument) noexcept {
    forget();
    body_ = body;
    argument_ = argument;
    bottom_ = stack;
    size_ = size;
    caught_ = {};
#if defined(PENSTOCK_FIBERS_UNDER_TSAN)
    shadow_ = __tsan_create_fiber(0);
#endif
#if defined(PENSTOCK_FIBERS_BY_REGISTERS)
    const auto top = (reinterpret_cast<std::uintptr_t>(stack) + size) & ~std::uintptr_t{15};
    auto* frame = reinterpret_cast<std::uintptr_t*>(top);
    *--frame = 0;  // the return address of `begin`, and its alignment
    *--frame = reinterpret_cast<std::uintptr_t>(&Fiber::begin);
    for (int saved = 0; saved < 6; ++saved) *--frame = 0;
    at_ = frame;
#else
    ::getcontext(&context_);
    context_.uc_stack.ss_sp = stack;
    context_.uc_stack.ss_size = size;
    context_.uc_link = nullptr;
    // makecontext passes ints: a pointer goes in two halves.
    const auto word = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(this));
    ::makecontext(&context_,
                  reinterpret_cast<void (*)()>(&Fiber::begin_from_halves),
                  2,
                  static_cast<unsigned>(word >> 32U),
                  static_cast<unsigned>(word));
#endif
  }

  /// From `self`, which the thread is in, to this one. Returns when somebody switches to `self`.
  void switch_from(Fiber& self) noexcept {
    entered_from_ = &self;
    auto& caught = *reinterpret_cast<CaughtExceptions*>(abi::__cxa_get_globals());
    self.caught_ = std::exchange(caught, caught_);
#if defined(PENSTOCK_FIBERS_UNDER_ASAN)
    __sanitizer_start_switch_fiber(&self.fake_stack_, bottom_, size_);
#endif
#if defined(PENSTOCK_FIBERS_UNDER_TSAN)
    __tsan_switch_to_fiber(shadow_, 0);
#endif
#if defined(PENSTOCK_FIBERS_BY_REGISTERS)
    penstock_switch_stack(&self.at_, at_, this);
#else
    ::swapcontext(&self.context_, &context_);
#endif
    self.arrive(self.fake_stack_);
  }

 private:
  // The start of __cxa_eh_globals, whose layout the Itanium C++ ABI fixes (exceptions, §2.2.2).
  struct CaughtExceptions {
    void* caught;
    unsigned int uncaught;
  };

  static void begin(Fiber* self) noexcept {
    self->arrive(nullptr);
    self->body_(self->argument_);
    std::terminate();
  }
#if !defined(PENSTOCK_FIBERS_BY_REGISTERS)
  static void begin_from_halves(unsigned high, unsigned low) noexcept {
    const std::uint64_t word = (std::uint64_t{high} << 32U) | low;
    begin(reinterpret_cast<Fiber*>(static_cast<std::uintptr_t>(word)));
  }
#endif

  void arrive([[maybe_unused]] void* fake_stack) noexcept {
#if defined(PENSTOCK_FIBERS_UNDER_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack, &entered_from_->bottom_, &entered_from_->size_);
#endif
  }
  void forget() noexcept {
#if defined(PENSTOCK_FIBERS_UNDER_TSAN)
    if (body_ != nullptr) __tsan_destroy_fiber(shadow_);
#endif
  }

  Body body_ = nullptr;
  void* argument_ = nullptr;
  CaughtExceptions caught_{};
#if defined(PENSTOCK_FIBERS_BY_REGISTERS)
  void* at_ = nullptr;
#else
  ::ucontext_t context_{};
#endif
  Fiber* entered_from_ = nullptr;
  // For the sanitizers, which must be told of every change of stacks.
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;
  [[maybe_unused]] void* shadow_ = nullptr;
};

/// A fiber on a stack of its own. Costs a stack's memory as far as it is touched.
class OwnFiber : private FiberStack, public Fiber {
 public:
  /// `body(argument)` begins at the first switch to it and must not return. Throws std::bad_alloc.
  OwnFiber(Body body, void* argument) { prepare(base(), FiberStack::bytes, body, argument); }
};

}  // namespace penstock::exec

#undef PENSTOCK_FIBERS_BY_REGISTERS
#undef PENSTOCK_FIBERS_UNDER_ASAN
#undef PENSTOCK_FIBERS_UNDER_TSAN
