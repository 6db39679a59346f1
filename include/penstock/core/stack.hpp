// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/leaf.hpp>
#include <penstock/core/leaf_signature.hpp>
#include <penstock/core/passage.hpp>
#include <penstock/core/service.hpp>

namespace penstock {

/// First argument of `stack` for an order that the checks refuse, when it is meant.
struct InAnyOrder {
  explicit InAnyOrder() = default;
};
inline constexpr InAnyOrder in_any_order{};

/// The place of the first layer of `kind`, counted from the outside; their number when none is.
template <LayerKind kind, class... Layers>
inline constexpr std::size_t first_of = [] {
  constexpr std::size_t count = sizeof...(Layers);
  constexpr std::array<LayerKind, count + 1> kinds{Layers::kind..., LayerKind::other};
  for (std::size_t place = 0; place < count; ++place)
    if (kinds[place] == kind) return place;
  return count;
}();
template <LayerKind kind, class... Layers>
inline constexpr std::size_t count_of = (std::size_t{Layers::kind == kind} + ... + 0U);
template <LayerKind kind, class... Layers>
inline constexpr bool has_layer = count_of<kind, Layers...> != 0;
/// True when both are there and `outer` stands outside `inner`.
template <LayerKind outer, LayerKind inner, class... Layers>
inline constexpr bool stands_outside = has_layer<outer, Layers...>&& has_layer<inner, Layers...> &&
                                       (first_of<outer, Layers...> < first_of<inner, Layers...>);

/// A stack over its leaf: what `stack(...) | leaf` gives.
///
/// Call it as `client(request)` or `client(request, Call{.deadline = …, .stop = …})`: the reply
/// is the leaf's `Result` where the leaf blocks, a `Task` of it where the leaf gives one; a
/// `Task` keeps an rvalue request and refers to an lvalue one. *Safe from any thread* as far as
/// the leaf and the policies are. It must outlive its calls. Costs one clock reading before the
/// leaf and one after it, whatever the layers.
template <class ServiceType, class Function>
class Client {
 public:
  explicit Client(ServiceType service) : service_(std::move(service)) {}

  template <class Request>
  [[nodiscard]] auto operator()(Request&& request, const Call& call) {
    return begin<Request>(request, call);
  }
  // Not a default argument: without a call of the caller's there is none to fetch from memory.
  template <class Request>
  [[nodiscard]] auto operator()(Request&& request) {
    return begin<Request>(request, Call{});
  }

  [[nodiscard]] std::string describe() const { return service_.describe(); }

 private:
  template <class Request>
  [[gnu::always_inline]] auto begin(std::remove_reference_t<Request>& request, Call call) {
    using Given = const std::remove_cvref_t<Request>&;
    constexpr bool fits = LeafFor<Function, Given>;
    static_assert(fits,
                  "penstock: the leaf cannot take this request: it must be callable as "
                  "leaf(request, call) or leaf(request), with a const request, and return "
                  "penstock::Result<Reply>, or penstock::Task<penstock::Result<Reply>>");
    if constexpr (fits) {
      if constexpr (BlockingService<ServiceType, Given>) {
        return run(std::as_const(request), call);
      } else {
        static_assert(!refers_to_a_conversion<Function, Given>,
                      "penstock: this coroutine leaf takes a reference to another type than this "
                      "request, and what the request is converted to would be gone at its first "
                      "wait: call with the leaf's own type, ask(std::string{\"text\"}), or let the "
                      "leaf take it by value");
        return go_through<Request, Call>(service_, std::forward<Request>(request), call);
      }
    }
  }
  template <class Request>
  [[gnu::always_inline]] result_t<ServiceType, const Request&> run(const Request& request,
                                                                   Call& call) {
    if (const Result<void> begun = penstock::begin(call); !begun) return begun.error();
    return service_(request, call);
  }

  ServiceType service_;
};

/// "deadline(60s) > retry(…) > leaf": one flat line with every setting, outermost first.
template <class ServiceType, class Function>
[[nodiscard]] std::string describe(const Client<ServiceType, Function>& client) {
  return client.describe();
}

/// Layers that wait for a leaf; made by `stack(...)`.
template <Layer... Layers>
class Stack {
 public:
  explicit Stack(Layers... layers) : layers_(std::move(layers)...) {}

  /// An lvalue leaf is referred to and must live as long; an rvalue is moved in. Throws
  /// std::invalid_argument when two layers share one state.
  template <class Function>
  [[nodiscard]] friend auto operator|(Stack stack, Function&& function) {
    stack.look_at_shared_state();
    auto service = std::move(stack).template wrap<0>(
        Leaf<Function>{std::in_place, std::forward<Function>(function)});
    return Client<decltype(service), std::remove_cvref_t<Function>>{std::move(service)};
  }

 private:
  template <std::size_t place, class Inner>
  auto wrap(Inner inner) && {
    if constexpr (place == sizeof...(Layers)) {
      return inner;
    } else {
      auto& layer = std::get<sizeof...(Layers) - 1 - place>(layers_);
      return std::move(*this).template wrap<place + 1>(std::move(layer).wrap(std::move(inner)));
    }
  }

  void look_at_shared_state() {
    std::apply(
        [](auto&... layer) {
          const std::array<const void*, sizeof...(Layers) + 1> states{layer.shared()..., nullptr};
          const std::array<std::string, sizeof...(Layers) + 1> names{layer.describe()..., ""};
          for (std::size_t a = 0; a < states.size(); ++a)
            for (std::size_t b = a + 1; b < states.size(); ++b)
              if (states[a] != nullptr && states[a] == states[b])
                throw std::invalid_argument{
                    "penstock: the same state stands twice in one stack and would be asked twice "
                    "for one call: give each layer its own, or write it once: " +
                    names[a]};
          const std::span<const void* const> shared{states.data(), sizeof...(Layers)};
          (tell(layer, shared), ...);
        },
        layers_);
  }
  // `stands_with(states)`: a layer that wants to know what else the stack shares.
  template <class L>
  static void tell(L& layer, std::span<const void* const> states) {
    if constexpr (requires { layer.stands_with(states); }) layer.stands_with(states);
  }

  std::tuple<Layers...> layers_;
};

/// Layers around a leaf that is still to come; the first listed sees the request first. The
/// order may be any.
template <Layer... Layers>
[[nodiscard]] Stack<Layers...> stack(InAnyOrder, Layers... layers) {
  return Stack<Layers...>{std::move(layers)...};
}

/// The same, refusing orders that cannot work. *Safe from any thread*, as everything built here
/// is plain values until it is called.
///
/// The usual order, outermost first: deadline, cache, coalesce, escalation, fallback, load_shed,
/// retry, hedge, circuit_breaker, rate_limit, concurrency_limit, attempt_timeout, chaos. What it is
/// worth, for a call that fails each of its four attempts unless said otherwise. Each number is a
/// test in `tests/core/stack_order.test.cpp`.
///
/// The other way round is refused:
/// - deadline(10s) > retry, attempts that hang: ends after 10 s, not 43 s;
/// - retry > attempt_timeout(10s), the first hangs: answered after 12 s, not given up after 10 s;
/// - fallback > retry, the second would pass: that reply, not the fallback's after one attempt;
/// - fallback > circuit_breaker, a target that is down: opens after 4 calls, not never;
/// - retry > hedge, attempts that fail at once: 4 requests, not 8;
/// - retry > concurrency_limit, 1 s each: a slot is held for 4 s, not for 18 s;
/// - coalesce > retry, ten callers: the budget pays 3 retries, not 30;
/// - cache > retry, an error that is kept: the result of 4 attempts, not of 1 repeated in vain.
///
/// The other way round is allowed, and means something else:
/// - retry > circuit_breaker: the breaker counts 4 failures, not 1;
/// - retry > rate_limit: 4 requests take 4 tokens, not 1;
/// - hedge > rate_limit, one call sent twice: takes 2 tokens, not 1;
/// - cache > circuit_breaker, open: a fresh reply is given, not refused.
template <Layer... Layers>
[[nodiscard]] Stack<Layers...> stack(Layers... layers) {
  using enum LayerKind;
  static_assert(!stands_outside<attempt_timeout, retry, Layers...>,
                "penstock: attempt_timeout stands outside retry and would cut all attempts "
                "together: write retry(...) before attempt_timeout(...), or deadline(...) for a "
                "limit over all attempts; stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<retry, deadline, Layers...>,
                "penstock: deadline stands inside retry and would start anew with every attempt: "
                "write deadline(...) before retry(...), or attempt_timeout(...) for a limit on "
                "each attempt; stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<hedge, deadline, Layers...>,
                "penstock: deadline stands inside hedge and would start anew with every attempt: "
                "write deadline(...) before hedge(...), or attempt_timeout(...) for a limit on "
                "each attempt; stack(in_any_order, ...) if it is meant");
  static_assert(count_of<retry, Layers...> < 2,
                "penstock: a retry inside a retry multiplies the attempts: write one retry(...); "
                "stack(in_any_order, ...) if it is meant");
  static_assert(count_of<hedge, Layers...> < 2,
                "penstock: a hedge inside a hedge multiplies the requests: write one hedge(...) "
                "with .max_hedges; stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<hedge, retry, Layers...>,
                "penstock: hedge stands outside retry: each of its attempts would be retried on "
                "its own, and a wait between retries would count as slow: write retry(...) before "
                "hedge(...); stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<retry, fallback, Layers...>,
                "penstock: fallback stands inside retry and hides from it the failures that it "
                "should retry: write fallback(...) before retry(...); stack(in_any_order, ...) if "
                "it is meant");
  static_assert(!stands_outside<hedge, fallback, Layers...>,
                "penstock: fallback stands inside hedge and would win for the first attempt that "
                "fails: write fallback(...) before hedge(...); stack(in_any_order, ...) if it is "
                "meant");
  static_assert(!stands_outside<circuit_breaker, fallback, Layers...>,
                "penstock: fallback stands inside circuit_breaker, which would count its answers "
                "as successes and never open: write fallback(...) before circuit_breaker(...); "
                "stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<retry, escalation, Layers...> &&
                    !stands_outside<hedge, escalation, Layers...> &&
                    !stands_outside<circuit_breaker, escalation, Layers...>,
                "penstock: escalation stands inside retry, hedge or circuit_breaker, which would "
                "not see what it answers in place of an attempt: write escalation(...) before "
                "them; stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<concurrency_limit, retry, Layers...>,
                "penstock: concurrency_limit stands outside retry and would hold its slot during "
                "the waits between attempts: write retry(...) before concurrency_limit(...); "
                "stack(in_any_order, ...) if it is meant");
  static_assert(!stands_outside<retry, cache, Layers...>,
                "penstock: cache stands inside retry, which would repeat in vain what the cache "
                "keeps: write cache(...) before retry(...); stack(in_any_order, ...) if it is "
                "meant");
  static_assert(!stands_outside<retry, coalesce, Layers...>,
                "penstock: coalesce stands inside retry: all who share a failure would retry it "
                "on their own: write coalesce(...) before retry(...); stack(in_any_order, ...) if "
                "it is meant");
  static_assert(!stands_outside<hedge, coalesce, Layers...>,
                "penstock: coalesce stands inside hedge: a hedge would join the very attempt it is "
                "to overtake: write coalesce(...) before hedge(...); stack(in_any_order, ...) if "
                "it is meant");
  return Stack<Layers...>{std::move(layers)...};
}

}  // namespace penstock
