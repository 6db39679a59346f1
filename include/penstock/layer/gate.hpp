// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/outcome.hpp>
#include <penstock/core/passage.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>

namespace penstock {

/// Decides whether a call may pass, and when: what a breaker and a limiter have in common.
///
/// `admit(call)` gives a permit or the refusal. `permit.ready(now)` is when the call may go on,
/// now or later; a permit without it never has to wait. `permit.settle(outcome, now)` reports how
/// it went, once; a permit that has `settle(result, now)` is told that way. A permit that is
/// destroyed unsettled gives back what it holds, neutrally: no cancel, timeout or exception leaks
/// one.
template <class G>
concept Gate = requires(G& gate, const G& constant, const Call& call) {
  typename G::Permit;
  requires std::movable<typename G::Permit>;
  { gate.admit(call) }
  noexcept->std::same_as<Result<typename G::Permit>>;
  { constant.describe() } -> std::same_as<std::string>;
  { constant.shared() } -> std::same_as<const void*>;
  requires requires(typename G::Permit & permit, Outcome outcome, Time now) {
    { permit.settle(outcome, now) }
    noexcept;
  };
};

template <class Permit, class R>
[[gnu::always_inline]] inline void settle_by(Permit& permit, const R& result, Time now) noexcept {
  if constexpr (requires { permit.settle(result, now); }) {
    permit.settle(result, now);
  } else {
    permit.settle(outcome_of(result), now);
  }
}
template <class Permit>
[[nodiscard]] Time ready_time(const Permit& permit, Time now) noexcept {
  if constexpr (requires {
                  { permit.ready(now) }
                  noexcept->std::same_as<Time>;
                }) {
    return permit.ready(now);
  } else {
    return now;
  }
}

/// A gate whose `admit` gives an error where one may have to wait in a line, whose end no clock
/// knows. The other two wait there and refresh `call.now` if they did; what they give is final.
template <class G>
concept GateWithLine = Gate<G> && requires(G& gate, Call& call) {
  { gate.stand_in_line(call) } -> std::same_as<Task<Result<typename G::Permit>>>;
  { gate.block_in_line(call) }
  noexcept->std::same_as<Result<typename G::Permit>>;
};

/// Asks the gate, waits if told to, calls, reports the outcome. The waits are here, once for
/// blocking and once for coroutine services; they end early with `cancelled`, and nothing starts
/// after one that ends only when the deadline has passed. Gates that stand
/// next to each other, or with a limit on time between them, share one walk: where one of them
/// refuses, those outside it give back what they gave, neutrally.
template <Gate G, class Inner>
class GateService {
 public:
  static constexpr bool keeps_time = true;

  GateService(G gate, Inner inner) : gate_(std::move(gate)), inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&>
  [[gnu::always_inline]] reply_t<Inner, const Request&> operator()(const Request& request,
                                                                   Call& call) {
    Passage passage;
    for (;;) {
      const Result<Time> when = enter(passage, call);
      if (!when) return refused<Request>(passage, when.error(), call);
      if (*when <= call.now) return admitted(passage, request, call);
      if (const Result<void> waited = block(passage, call, *when); !waited)
        return refused<Request>(passage, waited.error(), call);
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    return go_through<const Request&, Call&>(*this, request, call);
  }

  // One of those who share a coroutine (`core/passage.hpp`), or a blocking walk.
  static constexpr bool retries = false;
  using Within = Next<passes_once<Inner>, Inner>;
  struct Passage {
    std::optional<typename G::Permit> permit{};
    [[no_unique_address]] typename Within::Passage inner{};
    [[nodiscard]] bool passed() const noexcept { return inner.passed(); }
  };
  [[nodiscard, gnu::always_inline]] Result<Time> enter(Passage& passage, Call& call) noexcept {
    if (!passage.permit) {
      Result<typename G::Permit> permit = gate_.admit(call);
      if (!permit) {
        if constexpr (GateWithLine<G>) return never;
        return std::move(permit).error();
      }
      passage.permit.emplace(*std::move(permit));
      if (const Time ready = ready_time(*passage.permit, call.now); ready > call.now) return ready;
    }
    return Within::enter(inner_, passage.inner, call);
  }
  template <class Request>
  reply_t<Inner, const Request&> proceed(Passage& passage,
                                         const Request& request,
                                         Call& call,
                                         Time when) {
    if (when > call.now) return wait_and_proceed(passage, request, call, when);
    return behind()(request, call);
  }
  template <class R>
  [[gnu::always_inline]] void settle(Passage& passage, const R& result, const Call& call) noexcept {
    Within::settle(inner_, passage.inner, result, call);
    settle_by(*passage.permit, result, call.now);
  }
  template <class R>
  void drop(Passage& passage, const R& result, const Call& call) noexcept {
    Within::drop(inner_, passage.inner, result, call);
    passage.permit.reset();
  }
  [[nodiscard]] auto& behind() noexcept { return Within::behind(inner_); }

  static constexpr bool has_line = GateWithLine<G> || Within::has_line;
  [[nodiscard]] Result<void> block_in_line(Passage& passage, Call& call) noexcept {
    if constexpr (GateWithLine<G>) {
      if (!passage.permit) return let_in(passage, gate_.block_in_line(call));
    }
    if constexpr (Within::has_line) return inner_.block_in_line(passage.inner, call);
    return {};
  }
  [[nodiscard]] Task<Result<void>> stand_in_line(Passage& passage, Call& call) {
    if constexpr (GateWithLine<G> && Within::has_line) {
      return passage.permit ? inner_.stand_in_line(passage.inner, call) : stand_here(passage, call);
    } else if constexpr (GateWithLine<G>) {
      return stand_here(passage, call);
    } else {
      return inner_.stand_in_line(passage.inner, call);
    }
  }

  [[nodiscard]] std::string describe() const {
    return gate_.describe() + " > " + inner_.describe();
  }

 private:
  // A function of its own, so that the result is made where the caller wants it.
  template <class Request>
  [[gnu::always_inline]] reply_t<Inner, const Request&> admitted(Passage& passage,
                                                                 const Request& request,
                                                                 Call& call) {
    auto result = behind()(request, call);
    settle(passage, result, call);
    return result;
  }
  template <class Request>
  [[gnu::always_inline]] reply_t<Inner, const Request&> refused(Passage& passage,
                                                                const Error& refusal,
                                                                const Call& call) noexcept {
    reply_t<Inner, const Request&> result{refusal};
    drop(passage, result, call);
    return result;
  }
  Result<void> block(Passage& passage, Call& call, Time when) noexcept {
    if constexpr (has_line) {
      if (when == never) return block_in_line(passage, call);
    }
    if (!block_until(call, when)) return ErrorKind::cancelled;
    return may_go_on(call);
  }
  // Seldom, and so in a frame of its own.
  template <class Request>
  reply_t<Inner, const Request&> wait_and_proceed(Passage& passage,
                                                  const Request& request,
                                                  Call& call,
                                                  Time when) {
    while (when > call.now) {
      if constexpr (has_line) {
        if (when == never) {
          const Result<void> came = co_await stand_in_line(passage, call);
          if (!came) co_return came.error();
        }
      }
      if (when != never) {
        const bool came = co_await wait_until(call.where(), when, call.stop);
        call.now = call.where().now();
        if (!came) co_return ErrorKind::cancelled;
        if (const Result<void> allowed = may_go_on(call); !allowed) co_return allowed.error();
      }
      const Result<Time> next = enter(passage, call);
      if (!next) co_return next.error();
      when = *next;
    }
    co_return co_await behind()(request, call);
  }
  Task<Result<void>> stand_here(Passage& passage, Call& call) {
    co_return let_in(passage, co_await gate_.stand_in_line(call));
  }
  static Result<void> let_in(Passage& passage, Result<typename G::Permit> permit) noexcept {
    if (!permit) return std::move(permit).error();
    passage.permit.emplace(*std::move(permit));
    return {};
  }

  G gate_;
  Inner inner_;
};

/// The layer of a gate.
template <Gate G, LayerKind place>
class GateLayer {
 public:
  static constexpr LayerKind kind = place;
  explicit GateLayer(G gate) : gate_(std::move(gate)) {}
  [[nodiscard]] const void* shared() const noexcept { return gate_.shared(); }
  [[nodiscard]] std::string describe() const { return gate_.describe(); }
  template <class Inner>
  [[nodiscard]] GateService<G, Inner> wrap(Inner inner) && {
    return {std::move(gate_), std::move(inner)};
  }

 private:
  G gate_;
};

}  // namespace penstock
