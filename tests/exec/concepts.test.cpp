// SPDX-License-Identifier: MIT
// For each concept of `exec/` whose own test does not say so: a type that models it, and for each
// requirement one that breaks that alone.
#include <penstock/exec/wait_step.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {
namespace {

// WaitStep.
struct GoodStep {
  bool enter(Waiter&) noexcept { return true; }
  bool withdraw(Waiter&) noexcept { return true; }
  int finish(WaitEnd) { return 1; }
};
struct EnterMayThrow : GoodStep {
  bool enter(Waiter&) { return true; }
};
struct EntersWithoutAnswer : GoodStep {
  void enter(Waiter&) noexcept {}
};
struct WithdrawMayThrow : GoodStep {
  bool withdraw(Waiter&) { return true; }
};
struct WithdrawsWithoutAnswer : GoodStep {
  void withdraw(Waiter&) noexcept {}
};
struct NeverFinishes : GoodStep {
  void finish(WaitEnd) = delete;
};
static_assert(WaitStep<GoodStep>);
static_assert(!WaitStep<EnterMayThrow>);
static_assert(!WaitStep<EntersWithoutAnswer>);
static_assert(!WaitStep<WithdrawMayThrow>);
static_assert(!WaitStep<WithdrawsWithoutAnswer>);
static_assert(!WaitStep<NeverFinishes>);

// Withdraw.
struct GoodWithdraw {
  bool operator()(Waiter&) noexcept { return true; }
};
struct MayThrow {
  bool operator()(Waiter&) { return true; }
};
struct WithoutAnswer {
  void operator()(Waiter&) noexcept {}
};
struct CannotBeCopied : GoodWithdraw {
  CannotBeCopied(CannotBeCopied&&) = default;
};
static_assert(Withdraw<GoodWithdraw> && Withdraw<WithdrawStep<GoodStep>>);
static_assert(!Withdraw<MayThrow>);
static_assert(!Withdraw<WithoutAnswer>);
static_assert(!Withdraw<CannotBeCopied>);

}  // namespace
}  // namespace penstock
