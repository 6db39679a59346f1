// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/waiter.hpp>
#include <penstock/policy/coalesce.hpp>
#include <penstock/store/in_flight.hpp>

namespace penstock {

/// A function that gives the key of a request.
template <class F, class Request, class Key>
concept KeyFunctionFor =
    std::same_as<std::remove_cvref_t<std::invoke_result_t<F&, const Request&>>, Key>;

/// Of those who want the same at once one calls inside, and the others get its reply.
template <class Key, class Reply, class KeyFunction, class Inner>
class CoalesceService {
  using Members = InFlight<Key, Reply>;
  using Member = typename Members::Member;
  using Role = typename Members::Role;
  using R = Result<Reply>;

 public:
  static constexpr bool keeps_time = true;

  CoalesceService(Members& in_flight, KeyFunction key, CoalescePolicy policy, Inner inner)
      : in_flight_(&in_flight),
        key_(std::move(key)),
        policy_(policy),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    constexpr bool fits = check<Request>();
    if constexpr (fits) {
      try {
        return ask(request, call);
      } catch (...) {
        return Error::from_exception(std::current_exception());
      }
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    constexpr bool fits = check<Request>();
    if constexpr (fits) {
      decltype(auto) key = std::invoke(key_, request);
      Member member{*in_flight_, key};
      {
        SuspendedWaiter waiter{call, member.withdraw()};
        if (member.join(waiter) == Role::follows) {
          const WaitEnd end = co_await waiter;
          call.now = call.where().now();
          if (end != WaitEnd::granted) co_return left(end);
          if (member.role() == Role::follows) co_return member.reply();
        }
      }
      if (const Result<void> allowed = may_go_on(call); !allowed) co_return allowed.error();
      Call own = call;
      R result = co_await inner_(request, own);
      keep_time<Inner>(own);
      call.now = own.now;
      settle(member, result, call);
      co_return result;
    }
  }

  [[nodiscard]] std::string describe() const {
    return policy_.describe() + " > " + inner_.describe();
  }

 private:
  template <class Request>
  static constexpr bool check() noexcept {
    constexpr bool replies = std::same_as<result_t<Inner, const Request&>, R>;
    static_assert(replies,
                  "penstock: coalesce keeps another reply than the leaf gives: write "
                  "InFlight<Key, Reply> with the leaf's Reply");
    constexpr bool keys = KeyFunctionFor<KeyFunction, Request, Key>;
    static_assert(keys,
                  "penstock: coalesce needs the key of a request: write coalesce(in_flight, key) "
                  "with key(request) returning the Key of its InFlight<Key, Reply>");
    return replies && keys;
  }

  template <class Request>
  R ask(const Request& request, Call& call) {
    decltype(auto) key = std::invoke(key_, request);
    Member member{*in_flight_, key};
    {
      BlockingWaiter waiter{member.withdraw()};
      if (member.join(waiter) == Role::follows) {
        const WaitEnd end = waiter.wait(call);
        if (end != WaitEnd::granted) return left(end);
        if (member.role() == Role::follows) return member.reply();
      }
    }
    if (const Result<void> allowed = may_go_on(call); !allowed) return allowed.error();
    Call own = call;
    R result = inner_(request, own);
    call.now = own.now;
    settle(member, result, call);
    return result;
  }

  // A follower that gave up: its request was sent, by another.
  static Error left(WaitEnd end) noexcept {
    return Error{end == WaitEnd::stopped ? ErrorKind::cancelled : ErrorKind::timeout};
  }
  void settle(Member& member, const R& result, const Call& call) const noexcept {
    if (result || policy_.shares(result.error().kind(), call.now, call.deadline)) {
      member.land(result);
    } else {
      member.hand_over();
    }
  }

  Members* in_flight_;
  KeyFunction key_;
  CoalescePolicy policy_;
  Inner inner_;
};

template <class Key, class Reply, class KeyFunction>
class CoalesceLayer {
 public:
  static constexpr LayerKind kind = LayerKind::coalesce;
  CoalesceLayer(InFlight<Key, Reply>& in_flight, KeyFunction key, CoalescePolicy policy)
      : in_flight_(&in_flight),
        key_(std::move(key)),
        policy_(policy) {}
  [[nodiscard]] const void* shared() const noexcept { return in_flight_; }
  [[nodiscard]] std::string describe() const { return policy_.describe(); }
  template <class Inner>
  [[nodiscard]] CoalesceService<Key, Reply, KeyFunction, Inner> wrap(Inner inner) && {
    return {*in_flight_, std::move(key_), policy_, std::move(inner)};
  }

 private:
  InFlight<Key, Reply>* in_flight_;
  KeyFunction key_;
  CoalescePolicy policy_;
};
static_assert(Layer<CoalesceLayer<int, int, std::identity>>);

/// Single flight: of the callers that want the same key at once the first makes the call and the
/// others wait for its reply, each with its own deadline and stop token. Outside `retry`.
///
/// When the leader is cancelled or runs out of its own time, the first who waits makes the call
/// instead; errors are given to all or not, as the policy says. `key(request)` is called once per
/// call, outside every lock; without it the request is the key. A follower resumes on
/// `call.where()` with a copy of the reply. *Safe from any thread.* `in_flight` may be shared by
/// several stacks, blocking and coroutine, and must outlive their calls. A call that nobody
/// follows allocates nothing.
template <class Key, class Reply, class KeyFunction = std::identity>
[[nodiscard]] CoalesceLayer<Key, Reply, KeyFunction> coalesce(InFlight<Key, Reply>& in_flight,
                                                              KeyFunction key = {},
                                                              CoalescePolicy policy = {}) {
  return {in_flight, std::move(key), policy};
}
template <class Key, class Reply, class... Rest>
void coalesce(const InFlight<Key, Reply>&&, Rest&&...) = delete;  // name it: it is shared

}  // namespace penstock
