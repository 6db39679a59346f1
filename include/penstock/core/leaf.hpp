// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/service.hpp>

namespace penstock {

/// How a leaf may be called: `leaf(request, call)`, or `leaf(request)` where it needs no call.
template <class Function, class Request>
struct LeafReply {
  using type = void;
};
template <class Function, class Request>
requires std::invocable<Function&, Request, Call&>
struct LeafReply<Function, Request> {
  using type = std::invoke_result_t<Function&, Request, Call&>;
};
template <class Function, class Request>
requires(std::invocable<Function&, Request> &&
         !std::invocable<Function&, Request, Call&>) struct LeafReply<Function, Request> {
  using type = std::invoke_result_t<Function&, Request>;
};
template <class Function, class Request>
using leaf_reply_t = typename LeafReply<Function, Request>::type;

/// A leaf that a stack accepts for this request.
template <class Function, class Request>
concept LeafFor =
    BlockingReply<leaf_reply_t<Function, Request>> || AsyncReplyTo<leaf_reply_t<Function, Request>>;

/// The innermost service: the user's callable. What it throws becomes an `Error` of kind
/// `exception`; a blocking one is followed by the call's second and last clock reading.
template <class Function>
class Leaf {
 public:
  static constexpr bool keeps_time = false;

  template <class Given>
  explicit Leaf(std::in_place_t, Given&& function) : function_(std::forward<Given>(function)) {}

  template <class Request>
  requires BlockingReply<leaf_reply_t<Function, const Request&>>
  [[gnu::always_inline]] leaf_reply_t<Function, const Request&> operator()(const Request& request,
                                                                           Call& call) {
    auto reply = guarded(request, call);
    call.now = call.where().now();
    return reply;
  }

  template <class Request>
  requires AsyncReplyTo<leaf_reply_t<Function, const Request&>>
      leaf_reply_t<Function, const Request&>
  operator()(const Request& request, Call& call) {
    using Reply = leaf_reply_t<Function, const Request&>;
    try {
      return invoke(request, call);
    } catch (...) {
      return AsyncReply<Reply>::ready(Error::from_exception(std::current_exception()));
    }
  }

  [[nodiscard]] std::string describe() const {
    if constexpr (requires {
                    { function_.describe() } -> std::convertible_to<std::string>;
                  }) {
      return function_.describe();
    } else {
      return "leaf";
    }
  }

 private:
  template <class Request>
  decltype(auto) invoke(const Request& request, Call& call) {
    if constexpr (std::invocable<Function&, const Request&, Call&>) {
      return std::invoke(function_, request, call);
    } else {
      return std::invoke(function_, request);
    }
  }
  template <class Request>
  leaf_reply_t<Function, const Request&> guarded(const Request& request, Call& call) noexcept {
    try {
      return invoke(request, call);
    } catch (...) {
      return Error::from_exception(std::current_exception());
    }
  }

  Function function_;  // a reference when the leaf was given as an lvalue
};

}  // namespace penstock
