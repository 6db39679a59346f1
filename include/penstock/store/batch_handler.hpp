// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <functional>
#include <ranges>
#include <span>
#include <type_traits>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {

/// One reply per item, in the order of the items: a vector, an array, a span, …
template <class Range, class Reply>
concept BatchReplies = std::ranges::random_access_range<Range> && std::ranges::sized_range<Range> &&
    std::constructible_from<Result<Reply>, std::ranges::range_rvalue_reference_t<Range>>;

template <class>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<Task<T>> = true;

namespace exec {
template <class T>
struct Awaited {
  using type = T;
};
template <class T>
struct Awaited<Task<T>> {
  using type = T;
};

template <class Handler, class Item>
struct BatchInvocation {};
template <class Handler, class Item>
requires std::invocable<Handler&, std::span<Item>, Call&> struct BatchInvocation<Handler, Item> {
  using type = std::invoke_result_t<Handler&, std::span<Item>, Call&>;
};
template <class Handler, class Item>
requires(!std::invocable<Handler&, std::span<Item>, Call&> &&
         std::invocable<Handler&, std::span<Item>>) struct BatchInvocation<Handler, Item> {
  using type = std::invoke_result_t<Handler&, std::span<Item>>;
};

template <class Answer, class Reply>
inline constexpr bool answers_batch = BatchReplies<Answer, Reply>;
template <class Reply>
inline constexpr bool answers_batch<void, Reply> = std::is_void_v<Reply>;
template <class T, class Reply>
inline constexpr bool answers_batch<Result<T>, Reply> = answers_batch<T, Reply>;
}  // namespace exec

/// What `handler(items, call)`, or `handler(items)` if it takes no call, returns.
template <class Handler, class Item>
using batch_return_t = typename exec::BatchInvocation<Handler, Item>::type;
/// The same after `co_await`, where it is a task.
template <class Handler, class Item>
using batch_answer_t = typename exec::Awaited<batch_return_t<Handler, Item>>::type;

/// Works on many items at once. Takes `std::span<Item>`, whose items it may move from, and if it
/// likes a `Call&`; so a pipeline over a leaf that takes a span is one. Returns
///
/// - one reply per item: any `BatchReplies`, such as `std::vector<Result<Reply>>`, or
///   `std::vector<Reply>` where no single item can fail;
/// - the same in a `Result`, where the whole batch can fail;
/// - for `Reply = void`, `void` or `Result<void>`: all done;
/// - or a `Task` of any of these.
template <class Handler, class Item, class Reply>
concept BatchHandler = requires {
  typename batch_answer_t<Handler, Item>;
}
&&exec::answers_batch<batch_answer_t<Handler, Item>, Reply>;

/// Calls the handler in the one of the two ways that it knows.
template <class Handler, class Item>
decltype(auto) call_batch_handler(Handler& handler, std::span<Item> items, Call& call) {
  if constexpr (std::invocable<Handler&, std::span<Item>, Call&>) {
    return std::invoke(handler, items, call);
  } else {
    return std::invoke(handler, items);
  }
}

}  // namespace penstock
