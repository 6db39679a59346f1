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
#include <penstock/core/service.hpp>
#include <penstock/exec/pause.hpp>

namespace penstock {

/// Decides whether a call may pass, and when: what a breaker and a limiter have in common.
///
/// `admit(call)` gives a permit or the refusal. `permit.ready(now)` is when the call may go on,
/// now or later; a permit without it never has to wait. `permit.settle(outcome, now)` reports how
/// it went, once. A permit that is destroyed unsettled gives back what it holds, neutrally: no
/// cancel, timeout or exception leaks one.
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

template <Gate G, class Inner>
class GateService;
template <class Service>
inline constexpr bool is_gated = false;
template <Gate G, class Inner>
inline constexpr bool is_gated<GateService<G, Inner>> = true;

/// The permits of one call at the gates that stand next to each other, outermost first.
template <class Service>
struct Passage {};
template <Gate G, class Inner>
struct Passage<GateService<G, Inner>> {
  std::optional<typename G::Permit> permit{};
  [[no_unique_address]] Passage<Inner> inner{};
};

/// Asks the gate, waits if told to, calls, reports the outcome. The waits are here, once for
/// blocking and once for coroutine services; they end early with `cancelled`. Gates that stand
/// next to each other share one coroutine, the outermost one's.
template <Gate G, class Inner>
class GateService {
 public:
  static constexpr bool keeps_time = true;

  GateService(G gate, Inner inner) : gate_(std::move(gate)), inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&>
  [[gnu::always_inline]] reply_t<Inner, const Request&> operator()(const Request& request,
                                                                   Call& call) {
    Passage<GateService> passage;
    for (;;) {
      const Result<Time> ready = admit(passage, call);
      if (!ready) return ready.error();
      if (*ready <= call.now) return admitted(passage, request, call);
      if (!block_until(call, *ready)) return ErrorKind::cancelled;
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    Passage<GateService> passage;
    for (;;) {
      const Result<Time> ready = admit(passage, call);
      if (!ready) co_return ready.error();
      if (*ready <= call.now) break;
      const bool came = co_await pause_until(call.where(), *ready, call.stop);
      call.now = call.where().now();
      if (!came) co_return ErrorKind::cancelled;
    }
    auto result = co_await behind()(request, call);
    keep_time<std::remove_reference_t<decltype(behind())>>(call);
    settle(passage, outcome_of(result), call.now);
    co_return result;
  }

  /// Goes on to the first gate that refuses or has to be waited for; from there again after the
  /// wait. Gives when to go on: `call.now` when all gates are passed.
  [[nodiscard, gnu::always_inline]] Result<Time> admit(Passage<GateService>& passage,
                                                       const Call& call) noexcept {
    if (!passage.permit) {
      Result<typename G::Permit> permit = gate_.admit(call);
      if (!permit) return std::move(permit).error();
      passage.permit.emplace(*std::move(permit));
      if (const Time ready = ready_time(*passage.permit, call.now); ready > call.now) return ready;
    }
    if constexpr (is_gated<Inner>) {
      return inner_.admit(passage.inner, call);
    } else {
      return call.now;
    }
  }
  /// Reports to all gates passed, innermost first.
  void settle(Passage<GateService>& passage, Outcome outcome, Time now) noexcept {
    if constexpr (is_gated<Inner>) inner_.settle(passage.inner, outcome, now);
    passage.permit->settle(outcome, now);
  }
  /// The service behind the last of these gates.
  [[nodiscard]] auto& behind() noexcept {
    if constexpr (is_gated<Inner>) {
      return inner_.behind();
    } else {
      return inner_;
    }
  }

  [[nodiscard]] std::string describe() const {
    return gate_.describe() + " > " + inner_.describe();
  }

 private:
  // A function of its own, so that the result is made where the caller wants it.
  template <class Request>
  [[gnu::always_inline]] reply_t<Inner, const Request&> admitted(Passage<GateService>& passage,
                                                                 const Request& request,
                                                                 Call& call) {
    auto result = behind()(request, call);
    settle(passage, outcome_of(result), call.now);
    return result;
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
