// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

namespace penstock {

/// The first parameter of a callable that has one signature; void where it has several, or is a
/// template and so has none yet.
template <class Callable>
struct FirstParameter {
  using type = void;
};
template <class R, class First, class... Rest>
struct FirstParameter<R(First, Rest...)> {
  using type = First;
};
template <class R, class First, class... Rest>
struct FirstParameter<R(First, Rest...) noexcept> : FirstParameter<R(First, Rest...)> {};
template <class Callable>
requires std::is_pointer_v<Callable>
struct FirstParameter<Callable> : FirstParameter<std::remove_pointer_t<Callable>> {
};
template <class Owner, class Signature>
struct FirstParameter<Signature Owner::*> : FirstParameter<Signature> {};
template <class R, class First, class... Rest>
struct FirstParameter<R(First, Rest...) const> : FirstParameter<R(First, Rest...)> {};
template <class R, class First, class... Rest>
struct FirstParameter<R(First, Rest...) const noexcept> : FirstParameter<R(First, Rest...)> {};
template <class Callable>
requires requires {
  &Callable::operator();
}
struct FirstParameter<Callable> : FirstParameter<decltype(&Callable::operator())> {};

/// Whether `Function`, given a `Request`, gets a reference to a temporary that the request was
/// converted to. A blocking leaf may; a coroutine would refer to it after it has gone.
template <class Function, class Request>
inline constexpr bool refers_to_a_conversion = [] {
  using First = typename FirstParameter<std::remove_cvref_t<Function>>::type;
  if constexpr (std::is_reference_v<First>) {
    return !std::is_convertible_v<const std::remove_reference_t<Request>*,
                                  const std::remove_reference_t<First>*>;
  } else {
    return false;
  }
}();

}  // namespace penstock
