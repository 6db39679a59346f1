// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/service.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/frame_cache.hpp>
#include <penstock/exec/pool_scope.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/policy/hedge.hpp>
#include <penstock/policy/retry_budget.hpp>

namespace penstock {

/// Takes memory where coroutine frames come from: in steady state none from the heap.
template <class T>
struct FrameAllocator {
  using value_type = T;
  FrameAllocator() noexcept = default;
  template <class Other>
  FrameAllocator(const FrameAllocator<Other>&) noexcept {}
  [[nodiscard]] T* allocate(std::size_t number) {
    if (void* const memory = FrameCache::allocate(number * sizeof(T)))
      return static_cast<T*>(memory);
    throw std::bad_alloc{};
  }
  void deallocate(T* memory, std::size_t number) noexcept {
    FrameCache::release(memory, number * sizeof(T));
  }
  friend bool operator==(FrameAllocator, FrameAllocator) noexcept { return true; }
};

/// What the caller and the attempts of one hedged call share; the last of them to leave frees it.
/// *Safe from any thread.*
///
/// Protocol: the race is decided once, under `mutex_`, by the first success, or when the last
/// attempt that runs has failed. From then on no attempt enters, and `reply_` is the caller's.
template <class Request, class R>
class HedgeRace {
 public:
  explicit HedgeRace(const Request& request) : request_(request) {}

  [[nodiscard]] const Request& request() const noexcept { return request_; }
  [[nodiscard]] StopToken token() noexcept { return stop_.token(); }
  void stop() noexcept { stop_.request_stop(); }

  /// The number of the attempt that may start now, or none: the race is decided.
  [[nodiscard]] std::optional<std::uint32_t> enter() noexcept {
    const std::lock_guard lock{mutex_};
    if (reply_) return std::nullopt;
    ++running_;
    return entered_++;
  }

  void finish(std::uint32_t number, Time started, Time ended, R result, HedgePolicy& policy) {
    policy.on_end(outcome_of(result), elapsed_between(started, ended));
    Waiter* waiting = nullptr;
    bool overtaken = false;
    {
      const std::lock_guard lock{mutex_};
      --running_;
      if (reply_) {
        overtaken = number == 0 && reply_->has_value() && !result &&
                    result.error().kind() == ErrorKind::cancelled;
      } else {
        if (!result) {
          records_[failed_++] = {number + 1,
                                 result.error().kind(),
                                 static_cast<std::int16_t>(result.error().status()),
                                 started,
                                 elapsed_between(started, ended)};
          if (number == 0) first_error_ = result.error();
        }
        if (result || running_ == 0) {
          reply_.emplace(std::move(result));
          ended_ = ended;
          waiting = waiters_.pop();
        }
      }
    }
    if (waiting != nullptr) waiting->wake();
    if (overtaken) policy.on_overtaken(elapsed_between(started, ended));
  }

  /// False: decided, there is nothing to wait for.
  [[nodiscard]] bool link(Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    if (reply_) return false;
    waiters_.push(waiter);
    return true;
  }
  [[nodiscard]] bool withdraw(Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    return waiters_.remove(waiter);
  }
  [[nodiscard]] bool decided() noexcept {
    const std::lock_guard lock{mutex_};
    return reply_.has_value();
  }

  /// After it is decided, by the caller, once: the first success; or the first attempt's error,
  /// with the history of all when there were several.
  [[nodiscard]] R take(Call& call) {
    call.now = ended_;
    if (*reply_ || entered_ == 1) return std::move(*reply_);
    Error error = std::move(*first_error_);
    try {
      error.add_history({records_.begin(), records_.begin() + failed_});
    } catch (const std::bad_alloc&) {
      return error;  // without memory for the history it is the error all the same
    }
    return error;
  }

 private:
  const Request request_;
  StopSource stop_;
  sync::mutex mutex_;
  // All guarded by mutex_ until `reply_` is there.
  WaitList waiters_;  // the caller, at most
  std::uint32_t entered_ = 0;
  std::uint32_t running_ = 0;
  std::uint32_t failed_ = 0;
  Time ended_{};
  std::optional<R> reply_;
  std::optional<Error> first_error_;
  std::array<AttemptRecord, HedgePolicy::most_hedges + 1> records_{};
};

/// The caller's side of a race, and its one decision: the blocking and the coroutine form differ
/// only in how they wait. Leaving it, on whatever path, stops the attempts that still run.
template <class Request, class R, class Inner>
class HedgedCall {
 public:
  using Race = HedgeRace<Request, R>;

  HedgedCall(const Request& request,
             Inner& inner,
             HedgePolicy& policy,
             RetryBudget* budget,
             Scope& scope,
             const Call& call)
      : race_(std::allocate_shared<Race>(FrameAllocator<Race>{}, request)),
        inner_(inner),
        policy_(policy),
        budget_(budget),
        scope_(scope),
        delay_(policy.delay()),
        callback_(call.stop, OnStop{race_.get()}) {
    send(call, nullptr);
  }
  HedgedCall(const HedgedCall&) = delete;
  HedgedCall& operator=(const HedgedCall&) = delete;
  ~HedgedCall() { race_->stop(); }

  struct Withdraw {
    Race* race;
    bool operator()(Waiter& waiter) const noexcept { return race->withdraw(waiter); }
  };
  [[nodiscard]] Withdraw withdraw() const noexcept { return {race_.get()}; }
  [[nodiscard]] bool link(Waiter& waiter) noexcept { return race_->link(waiter); }

  /// A call whose deadline is the next instant at which something is to be decided.
  [[nodiscard]] Call pause(const Call& call) const noexcept {
    Call pause = call;
    pause.deadline = std::min(call.deadline, next_);
    return pause;
  }

  /// After a wait that ended at `call.now`: what the call ends with, or nothing yet; then
  /// another attempt may have been sent.
  [[nodiscard]] std::optional<R> step(Call& call) {
    if (race_->decided()) {
      R reply = race_->take(call);
      if (reply || !call.stop.stop_requested()) return reply;
    }
    if (call.stop.stop_requested()) return R{ErrorKind::cancelled};
    // Something was sent and has not come back.
    if (call.now >= call.deadline) return R{ErrorKind::timeout};
    if (call.now >= next_) {
      if (budget_ == nullptr || budget_->try_spend(call.now)) {
        send(call, budget_);
      } else {
        next_ = never;
      }
    }
    return std::nullopt;
  }

 private:
  struct OnStop {
    Race* race;
    void operator()() const noexcept { race->stop(); }
  };

  // `payer`: of a hedge, which has been paid for; it gets back what was spent on one not sent.
  void send(const Call& call, RetryBudget* payer) {
    const std::optional<std::uint32_t> number = race_->enter();
    if (!number) return give_back(payer);
    next_ = delay_ && *number < policy_.options().max_hedges ? saturating_add(call.now, *delay_)
                                                             : never;
    Call attempt = call;
    attempt.stop = race_->token();
    attempt.executor = &scope_.executor();
    try {
      scope_.spawn(run(race_, inner_, policy_, payer, attempt, *number));
    } catch (...) {
      give_back(payer);
      race_->finish(
          *number, call.now, call.now, Error::from_exception(std::current_exception()), policy_);
    }
  }

  static Task<void> run(std::shared_ptr<Race> race,
                        Inner& inner,
                        HedgePolicy& policy,
                        RetryBudget* payer,
                        Call call,
                        std::uint32_t number) {
    const Time started = call.now;
    if constexpr (BlockingService<Inner, const Request&>) {
      R result = ask(inner, race->request(), call);
      if (!result && !may_have_been_sent(result.error())) give_back(payer);
      race->finish(number, started, call.now, std::move(result), policy);
    } else {
      R result = co_await inner(race->request(), call);
      keep_time<Inner>(call);
      if (!result && !may_have_been_sent(result.error())) give_back(payer);
      race->finish(number, started, call.now, std::move(result), policy);
    }
    co_return;
  }
  static void give_back(RetryBudget* payer) noexcept {
    if (payer != nullptr) payer->refund();
  }
  static R ask(Inner& inner, const Request& request, Call& call) noexcept {
    try {
      return inner(request, call);
    } catch (...) {
      return Error::from_exception(std::current_exception());
    }
  }

  std::shared_ptr<Race> race_;
  Inner& inner_;
  HedgePolicy& policy_;
  RetryBudget* budget_;
  Scope& scope_;
  std::optional<Duration> delay_;
  Time next_ = never;  // when another attempt is due
  StopCallback<OnStop> callback_;
};

/// Who pays the successes of a call into its budget.
enum class PayIn : unsigned char { here, elsewhere };

/// Sends a slow call again and takes the first success.
template <class Inner, std::derived_from<Scope> ScopeType>
class HedgeService {
 public:
  static constexpr bool keeps_time = true;

  HedgeService(
      HedgePolicy& policy, RetryBudget* budget, PayIn pay_in, ScopeType& scope, Inner inner)
      : policy_(&policy),
        budget_(budget),
        pay_in_(pay_in),
        scope_(&scope),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    constexpr bool on_threads = std::derived_from<ScopeType, PoolScope>;
    static_assert(on_threads,
                  "penstock: hedge over a blocking leaf needs threads to send from: write "
                  "PoolScope scope{pool}; hedge(policy, scope), or take a coroutine leaf");
    check_request<Request>();
    if constexpr (on_threads && std::copy_constructible<Request>) {
      try {
        return race(request, call);
      } catch (...) {
        return Error::from_exception(std::current_exception());
      }
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    check_request<Request>();
    if constexpr (std::copy_constructible<Request>) {
      HedgedCall<Request, result_t<Inner, const Request&>, Inner> hedged{
          request, inner_, *policy_, budget_, *scope_, call};
      for (;;) {
        const Call pause = hedged.pause(call);
        {
          SuspendedWaiter waiter{pause, hedged.withdraw()};
          if (hedged.link(waiter)) {
            [[maybe_unused]] const WaitEnd end = co_await waiter;
            call.now = call.where().now();
          }
        }
        if (auto result = hedged.step(call)) co_return count(std::move(*result), call.now);
      }
    }
  }

  [[nodiscard]] std::string describe() const {
    return policy_->describe() + " > " + inner_.describe();
  }

 private:
  template <class Request>
  static constexpr void check_request() noexcept {
    static_assert(std::copy_constructible<Request>,
                  "penstock: hedge needs a request that can be copied: what it leaves behind when "
                  "the first reply is there still reads it; write a request that shares what is "
                  "big (std::shared_ptr<const Body>)");
  }
  template <class Request>
  reply_t<Inner, const Request&> race(const Request& request, Call& call) {
    HedgedCall<Request, reply_t<Inner, const Request&>, Inner> hedged{
        request, inner_, *policy_, budget_, *scope_, call};
    for (;;) {
      Call pause = hedged.pause(call);
      {
        BlockingWaiter waiter{hedged.withdraw()};
        if (hedged.link(waiter)) static_cast<void>(waiter.wait(pause));
      }
      call.now = pause.now;
      if (auto result = hedged.step(call)) return count(std::move(*result), call.now);
    }
  }
  template <class R>
  R count(R result, Time now) noexcept {
    if (result && budget_ != nullptr && pay_in_ == PayIn::here) budget_->on_success(now);
    return result;
  }

  HedgePolicy* policy_;
  RetryBudget* budget_;
  PayIn pay_in_;
  ScopeType* scope_;
  Inner inner_;
};

template <std::derived_from<Scope> ScopeType>
class HedgeLayer {
 public:
  static constexpr LayerKind kind = LayerKind::hedge;
  HedgeLayer(HedgePolicy& policy, RetryBudget* budget, ScopeType& scope) noexcept
      : policy_(&policy),
        budget_(budget),
        scope_(&scope) {}
  [[nodiscard]] const void* shared() const noexcept { return policy_; }
  /// Of two layers of one stack with the same budget only the other pays in: `retry` does so for
  /// each call.
  void stands_with(std::span<const void* const> states) noexcept {
    if (std::find(states.begin(), states.end(), budget_) != states.end())
      pay_in_ = PayIn::elsewhere;
  }
  [[nodiscard]] std::string describe() const { return policy_->describe(); }
  template <class Inner>
  [[nodiscard]] HedgeService<Inner, ScopeType> wrap(Inner inner) && {
    return {*policy_, budget_, pay_in_, *scope_, std::move(inner)};
  }

 private:
  HedgePolicy* policy_;
  RetryBudget* budget_;
  PayIn pay_in_ = PayIn::here;
  ScopeType* scope_;
};
static_assert(Layer<HedgeLayer<Scope>>);

/// Sends a call that takes long once more and gives the first success; the attempts that are
/// left are told to stop and not waited for. An error wins only when nothing else is under way:
/// then it is the first attempt's, with the history of all. Inside `retry`.
///
/// Nothing is sent any more once the caller has cancelled or its deadline has passed: the call
/// then ends at once with `cancelled` or `timeout`, even if the leaf looks at neither. With
/// `.max_hedges = 0` that is all it does.
///
/// **Lifetime.** Attempts run in `scope`, on its executor, with a copy of the request and of the
/// `Call` whose stop token is theirs. One that lost may go on after the call has returned: join
/// the scope before the stack, its policies and whatever the leaf refers to go. Over a blocking
/// leaf the scope must be a `PoolScope`: each attempt takes a thread, and a leaf that does not look
/// at its token keeps it.
///
/// With a budget a hedge is sent only if it can pay, and one that is refused inside, before it was
/// sent, gets it back; successes pay in, except where a `retry` of the same stack has the same
/// budget. The caller resumes on `call.where()`. *Safe from any
/// thread.* Policy and budget may be shared and must outlive the scope. In steady state a
/// coroutine call allocates nothing from the heap; the request's copy is its own.
template <std::derived_from<Scope> ScopeType>
[[nodiscard]] HedgeLayer<ScopeType> hedge(HedgePolicy& policy, ScopeType& scope) {
  return {policy, nullptr, scope};
}
template <std::derived_from<Scope> ScopeType>
[[nodiscard]] HedgeLayer<ScopeType> hedge(HedgePolicy& policy,
                                          ScopeType& scope,
                                          RetryBudget& budget) {
  return {policy, &budget, scope};
}
template <class... Rest>
void hedge(const HedgePolicy&&, Rest&...) = delete;  // name the policy: it is shared

}  // namespace penstock
