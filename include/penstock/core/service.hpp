// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>

namespace penstock {

/// What `co_await` gives for an asynchronous reply, specialised by the coroutine type with
/// `type` and `ready(value)`, a reply that is there already. Void marks a type that is not one.
template <class Reply>
struct AsyncReply {
  using type = void;
};

/// `service(request, call)`.
template <class Service, class Request>
using reply_t = std::invoke_result_t<Service&, Request, Call&>;

template <class Reply>
concept BlockingReply = is_result<Reply>;
template <class Reply>
concept AsyncReplyTo = is_result<typename AsyncReply<Reply>::type>;

/// A service whose call returns when it is done: `Result<Reply>`.
template <class S, class Request>
concept BlockingService = std::invocable<S&, Request, Call&> && BlockingReply<reply_t<S, Request>>;

/// A service whose call returns something to `co_await` that gives a `Result<Reply>`.
template <class S, class Request>
concept AsyncService = std::invocable<S&, Request, Call&> && AsyncReplyTo<reply_t<S, Request>>;

/// Anything that answers a request: `service(request, call)`.
template <class S, class Request>
concept Service = BlockingService<S, Request> || AsyncService<S, Request>;

/// The `Result<Reply>` a service gives in the end, in either form.
template <class Reply>
struct ResultOf {
  using type = typename AsyncReply<Reply>::type;
};
template <class T>
struct ResultOf<Result<T>> {
  using type = Result<T>;
};
template <class S, class Request>
using result_t = typename ResultOf<reply_t<S, Request>>::type;

}  // namespace penstock
