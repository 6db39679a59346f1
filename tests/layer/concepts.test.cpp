// SPDX-License-Identifier: MIT
// For each concept of `layer/` whose own test does not say so: a type that models it, and for each
// requirement one that breaks that alone.
#include <string>
#include <string_view>
#include <utility>

#include <penstock/layer/admit.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/coalesce.hpp>
#include <penstock/layer/escalation.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/layer/keyed.hpp>
#include <penstock/layer/limit_set.hpp>
#include <penstock/layer/observe.hpp>
#include <penstock/store/keyed.hpp>

namespace penstock {
namespace {

template <class F>
struct Unmovable : F {
  Unmovable(Unmovable&&) = delete;
};

// StopNotifier, Observer, TransitionReceiver: told, without a throw.
struct Notifier {
  void operator()(const Error&) noexcept {}
};
struct ThrowingNotifier {
  void operator()(const Error&) {}
};
struct NotifierOfNothing {
  void operator()() noexcept {}
};
static_assert(StopNotifier<Notifier>);
static_assert(!StopNotifier<ThrowingNotifier>);
static_assert(!StopNotifier<NotifierOfNothing>);
static_assert(!StopNotifier<Unmovable<Notifier>>);

struct Watcher {
  void operator()(const Call&, const Error*) noexcept {}
};
struct ThrowingWatcher {
  void operator()(const Call&, const Error*) {}
};
struct WatcherThatChangesTheCall {
  void operator()(Call&, const Error*) noexcept {}
};
struct WatcherOfFailuresOnly {
  void operator()(const Call&, const Error&) noexcept {}
};
static_assert(Observer<Watcher>);
static_assert(!Observer<ThrowingWatcher>);
static_assert(!Observer<WatcherThatChangesTheCall>);
static_assert(!Observer<WatcherOfFailuresOnly>);
static_assert(!Observer<Unmovable<Watcher>>);

struct Receiver {
  void operator()(const Transition&) noexcept {}
};
struct ReceiverThatChangesIt {
  void operator()(Transition&) noexcept {}
};
static_assert(TransitionReceiver<Receiver>);
static_assert(!TransitionReceiver<ReceiverThatChangesIt>);
static_assert(!TransitionReceiver<Unmovable<Receiver>>);

// KeyFunctionFor.
struct User {
  int id;
  std::string name;
};
struct KeyOfUser {
  const std::string& operator()(const User& user) const { return user.name; }
};
struct ChangesTheRequest {
  std::string operator()(User& user) const { return user.name; }
};
struct AlmostTheKey {
  std::string_view operator()(const User& user) const { return user.name; }
};
static_assert(KeyFunctionFor<KeyOfUser, User, std::string>);
static_assert(!KeyFunctionFor<KeyOfUser, User, int>);
static_assert(!KeyFunctionFor<KeyOfUser, int, std::string>);
static_assert(!KeyFunctionFor<ChangesTheRequest, User, std::string>);
static_assert(!KeyFunctionFor<AlmostTheKey, User, std::string>);

// FallbackServiceFor, FallbackFunctionFor.
struct Plan {
  Result<int> operator()(const User&, Call&);
};
struct PlanWithoutCall {
  Result<int> operator()(const User&);
};
struct FunctionOfError {
  Result<int> operator()(const User&, const Error&);
};
struct FunctionThatChangesTheError {
  Result<int> operator()(const User&, Error&);
};
struct Either : Plan, FunctionOfError {
  using FunctionOfError::operator();
  using Plan::operator();
};
static_assert(FallbackServiceFor<Plan, User> && FallbackServiceFor<Either, User>);
static_assert(!FallbackServiceFor<PlanWithoutCall, User>);
static_assert(!FallbackServiceFor<FunctionOfError, User>);
static_assert(!FallbackServiceFor<Plan, std::string>);
static_assert(FallbackFunctionFor<FunctionOfError, User>);
static_assert(!FallbackFunctionFor<Either, User>);  // it is a service already
static_assert(!FallbackFunctionFor<PlanWithoutCall, User>);
static_assert(!FallbackFunctionFor<FunctionThatChangesTheError, User>);
static_assert(!FallbackFunctionFor<FunctionOfError, std::string>);

// ActualWeight.
struct Tokens {
  unsigned operator()(const User& user) { return static_cast<unsigned>(user.id); }
};
struct TokensAsText {
  std::string operator()(const User& user) { return user.name; }
};
static_assert(ActualWeight<Tokens, User>);
static_assert(!ActualWeight<TokensAsText, User>);
static_assert(!ActualWeight<Tokens, std::string>);

// Limiter.
struct GoodPermit {
  void settle(Outcome, Time) noexcept {}
};
template <class P>
struct LimiterOf {
  using Permit = P;
  Result<P> try_acquire(Call&) noexcept;
  Result<P> acquire_and_wait(Call&) noexcept;
  Task<Result<P>> acquire(Call&);
  [[nodiscard]] std::string describe() const;
};
using GoodLimiter = LimiterOf<GoodPermit>;
struct PermitThatMayThrow {
  void settle(Outcome, Time) {}
};
struct PermitWithoutOutcome {
  void settle(Time) noexcept {}
};
struct UnmovablePermit : GoodPermit {
  UnmovablePermit(UnmovablePermit&&) = delete;
};
struct WithoutPermit {
  Result<GoodPermit> try_acquire(Call&) noexcept;
  Result<GoodPermit> acquire_and_wait(Call&) noexcept;
  Task<Result<GoodPermit>> acquire(Call&);
  [[nodiscard]] std::string describe() const;
};
struct TryMayThrow : GoodLimiter {
  Result<GoodPermit> try_acquire(Call&);
};
struct TriesWithoutReason : GoodLimiter {
  bool try_acquire(Call&) noexcept;
};
struct BlockingMayThrow : GoodLimiter {
  Result<GoodPermit> acquire_and_wait(Call&);
};
struct NeverBlocks : GoodLimiter {
  void acquire_and_wait(Call&) noexcept = delete;
};
struct NeverSuspends : GoodLimiter {
  Result<GoodPermit> acquire(Call&);
};
struct WithoutDescription : GoodLimiter {
  void describe() const = delete;
};
static_assert(Limiter<GoodLimiter>);
static_assert(!Limiter<LimiterOf<PermitThatMayThrow>>);
static_assert(!Limiter<LimiterOf<PermitWithoutOutcome>>);
static_assert(!Limiter<LimiterOf<UnmovablePermit>>);
static_assert(!Limiter<WithoutPermit>);
static_assert(!Limiter<TryMayThrow>);
static_assert(!Limiter<TriesWithoutReason>);
static_assert(!Limiter<BlockingMayThrow>);
static_assert(!Limiter<NeverBlocks>);
static_assert(!Limiter<NeverSuspends>);
static_assert(!Limiter<WithoutDescription>);

// KeyedPolicies.
struct GoodKeyed {
  using Policy = CircuitBreaker;
  struct Pin {
    explicit operator bool() const noexcept;
    Policy& operator*() const noexcept;
  };
  Pin pin(std::uint64_t, Time) noexcept;
  [[nodiscard]] const Policy::Options& policy_options() const;
  [[nodiscard]] std::string describe() const;
};
template <class P>
struct KeyedWithPin : GoodKeyed {
  using Pin = P;
  P pin(std::uint64_t, Time) noexcept;
};
struct UnmovablePin : GoodKeyed::Pin {
  UnmovablePin(UnmovablePin&&) = delete;
};
struct PinThatIsNeverEmpty : GoodKeyed::Pin {
  explicit operator bool() const = delete;
};
struct PinOfAConstant : GoodKeyed::Pin {
  const CircuitBreaker& operator*() const noexcept;
};
struct PinMayThrow : GoodKeyed {
  Pin pin(std::uint64_t, Time);
};
struct PinsByPointer : GoodKeyed {
  Policy* pin(std::uint64_t, Time) noexcept;
};
struct WithoutOptions : GoodKeyed {
  void policy_options() const = delete;
};
struct KeyedWithoutDescription : GoodKeyed {
  void describe() const = delete;
};
static_assert(KeyedPolicies<GoodKeyed, CircuitBreaker>);
static_assert(!KeyedPolicies<GoodKeyed, TokenBucket>);
static_assert(!KeyedPolicies<KeyedWithPin<UnmovablePin>, CircuitBreaker>);
static_assert(!KeyedPolicies<KeyedWithPin<PinThatIsNeverEmpty>, CircuitBreaker>);
static_assert(!KeyedPolicies<KeyedWithPin<PinOfAConstant>, CircuitBreaker>);
static_assert(!KeyedPolicies<PinMayThrow, CircuitBreaker>);
static_assert(!KeyedPolicies<PinsByPointer, CircuitBreaker>);
static_assert(!KeyedPolicies<WithoutOptions, CircuitBreaker>);
static_assert(!KeyedPolicies<KeyedWithoutDescription, CircuitBreaker>);

}  // namespace
}  // namespace penstock
