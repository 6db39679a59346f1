// SPDX-License-Identifier: MIT
#pragma once

#include <cxxabi.h>
#include <cstddef>
#include <cstdint>
#include <utility>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace penstock::testing::explorer {

#if defined(__x86_64__)
extern "C" void penstock_explorer_switch(void** save, void* load) noexcept;
// System V AMD64 ABI, 3.2.1: what a callee must keep is rbx, rbp, r12 to r15 and the stack.
asm(R"(
.text
.p2align 4
.type penstock_explorer_switch,@function
.weak penstock_explorer_switch
penstock_explorer_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size penstock_explorer_switch,.-penstock_explorer_switch
)");
#endif

/// A stack of its own to switch to: six registers on x86-64, `ucontext` elsewhere. Exceptions in
/// flight belong to a stack too, so what the C++ runtime keeps of them goes along.
class Fiber {
 public:
  using Entry = void (*)();

  /// Makes the next switch to it call `entry`, which must never return.
  void prepare(void* stack, std::size_t size, Entry entry) noexcept {
    exceptions_ = {};
#if defined(__x86_64__)
    auto top = (reinterpret_cast<std::uintptr_t>(stack) + size) & ~std::uintptr_t{15};
    auto* frame = reinterpret_cast<std::uintptr_t*>(top);
    *--frame = 0;  // the return address of `entry`, and its alignment
    *--frame = reinterpret_cast<std::uintptr_t>(entry);
    for (int saved = 0; saved < 6; ++saved) *--frame = 0;
    at_ = frame;
#else
    ::getcontext(&context_);
    context_.uc_stack.ss_sp = stack;
    context_.uc_stack.ss_size = size;
    context_.uc_link = nullptr;
    ::makecontext(&context_, entry, 0);
#endif
  }

  void switch_to(Fiber& other) noexcept {
    auto& exceptions = *reinterpret_cast<Exceptions*>(abi::__cxa_get_globals());
    exceptions_ = std::exchange(exceptions, other.exceptions_);
#if defined(__x86_64__)
    penstock_explorer_switch(&at_, other.at_);
#else
    ::swapcontext(&context_, &other.context_);
#endif
  }

 private:
  // The Itanium C++ ABI, exception handling, 2.2.2: the stack of caught exceptions and the count
  // of those in flight.
  struct Exceptions {
    void* caught = nullptr;
    unsigned in_flight = 0;
  };
  Exceptions exceptions_;
#if defined(__x86_64__)
  void* at_ = nullptr;
#else
  ::ucontext_t context_{};
#endif
};

}  // namespace penstock::testing::explorer
