// SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>

namespace penstock {

/// A service that needs no coroutine of its own names what it keeps of a call its `Passage`. Those
/// that stand next to each other share one coroutine, `go_through`, which asks the outermost:
///
/// - `enter(passage, call)`: when to go on. `call.now` if all of them are passed; a later time, or
///   `never` for the end of a line, where one has to be waited for; or the error of who refuses;
/// - `proceed(passage, request, call, when)`: waits, if that has to be, and calls what is behind;
/// - `settle(passage, result, call)`: tells each of them how the call behind went, innermost first;
///   `drop(passage, result, call)`, where it never came to that, gives back what they hold.
///   `passage.passed()` says which;
/// - `behind()`: the service behind the last of them;
/// - where `has_line` is true, `block_in_line(passage, call)` and `stand_in_line(passage, call)`
///   wait in the line that `enter` has come to;
/// - where `retries` is true, `wants_again(passage, call, result)` and
///   `again(passage, request, call, result)`, whose result is then the final one.
template <class S>
inline constexpr bool shares_coroutine = requires {
  typename S::Passage;
};
/// One that calls what is behind it once.
template <class S>
inline constexpr bool passes_once = [] {
  if constexpr (shares_coroutine<S>) {
    return !S::retries;
  } else {
    return false;
  }
}();

/// The inner service as the one around it sees it: as the next that shares their coroutine, or as
/// what is behind them.
template <bool shares, class Inner>
struct Next {
  struct Passage {
    bool reached = false;
    [[nodiscard]] bool passed() const noexcept { return reached; }
  };
  static constexpr bool has_line = false;
  [[gnu::always_inline]] static Result<Time> enter(Inner&,
                                                   Passage& passage,
                                                   const Call& call) noexcept {
    passage.reached = true;
    return call.now;
  }
  template <class Request>
  static auto proceed(Inner& inner, Passage&, const Request& request, Call& call, Time) {
    return inner(request, call);
  }
  template <class R>
  static void settle(Inner&, Passage&, const R&, const Call&) noexcept {}
  template <class R>
  static void drop(Inner&, Passage&, const R&, const Call&) noexcept {}
  [[nodiscard]] static Inner& behind(Inner& inner) noexcept { return inner; }
};
template <class Inner>
struct Next<true, Inner> {
  using Passage = typename Inner::Passage;
  static constexpr bool has_line = Inner::has_line;
  [[gnu::always_inline]] static Result<Time> enter(Inner& inner,
                                                   Passage& passage,
                                                   Call& call) noexcept {
    return inner.enter(passage, call);
  }
  template <class Request>
  static auto proceed(
      Inner& inner, Passage& passage, const Request& request, Call& call, Time when) {
    return inner.proceed(passage, request, call, when);
  }
  template <class R>
  [[gnu::always_inline]] static void settle(Inner& inner,
                                            Passage& passage,
                                            const R& result,
                                            const Call& call) noexcept {
    inner.settle(passage, result, call);
  }
  template <class R>
  static void drop(Inner& inner, Passage& passage, const R& result, const Call& call) noexcept {
    inner.drop(passage, result, call);
  }
  [[nodiscard]] static auto& behind(Inner& inner) noexcept { return inner.behind(); }
};

/// What `go_through` does without waiting. It stands apart because a coroutine keeps room for all
/// its locals and temporaries, and that one is there once for each call in flight.
template <class S, class Request>
class Walk {
 public:
  using First = Next<shares_coroutine<S>, S>;
  using Passage = typename First::Passage;
  using Reply = reply_t<S, const Request&>;

  static Reply start(S& service, Passage& passage, const Request& request, Call& call) {
    const Result<Time> when = First::enter(service, passage, call);
    if (!when) return AsyncReply<Reply>::ready(when.error());
    return First::proceed(service, passage, request, call, *when);
  }
  /// The same where a call enters its stack. One that is over already enters no passage, and no
  /// retry repeats it.
  static Reply begin(S& service, Passage& passage, const Request& request, Call& call) {
    if (const Result<void> begun = penstock::begin(call); !begun)
      return AsyncReply<Reply>::ready(begun.error());
    return start(service, passage, request, call);
  }
  /// True: what `next` will give is the result instead of this one.
  template <class R>
  static bool goes_on(S& service,
                      Passage& passage,
                      const Request& request,
                      Call& call,
                      const R& result,
                      Reply& next) {
    if constexpr (shares_coroutine<S>) {
      if (passage.passed()) {
        keep_time<std::remove_reference_t<decltype(service.behind())>>(call);
        service.settle(passage, result, call);
      } else {
        service.drop(passage, result, call);
      }
      if constexpr (S::retries) {
        if (service.wants_again(passage, call, result)) {
          next = service.again(passage, request, call, result);
          return true;
        }
      }
    }
    return false;
  }
};

/// The one coroutine of a service, and of all those behind it that share it. `Given` is `Call`
/// where a call enters its stack, which keeps it, and `Call&` for the services inside.
template <class Held, class Given, class S>
reply_t<S, const std::remove_cvref_t<Held>&> go_through(S& service, Held request, Given call) {
  using Here = Walk<S, std::remove_cvref_t<Held>>;
  typename Here::Passage passage;
  auto next = std::is_reference_v<Given> ? Here::start(service, passage, request, call)
                                         : Here::begin(service, passage, request, call);
  for (bool is_last = false;; is_last = true) {
    auto result = co_await std::move(next);
    if (is_last || !Here::goes_on(service, passage, request, call, result, next)) co_return result;
  }
}

}  // namespace penstock
