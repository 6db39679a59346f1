// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <exception>
#include <future>
#include <optional>
#include <type_traits>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {

namespace exec {

template <class T>
Task<void> keep_promise(Task<T> task, std::promise<T> promise) {
  std::exception_ptr thrown;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      { const Task<T> finished = std::move(task); }  // before its references go with the future's
      promise.set_value();
    } else {
      std::optional<T> value{co_await std::move(task)};
      { const Task<T> finished = std::move(task); }
      promise.set_value(*std::move(value));
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  if (!thrown) co_return;
  { const Task<T> finished = std::move(task); }
  promise.set_exception(std::move(thrown));
}

template <class T>
struct CallbackValue {
  using type = Result<T>;
};
template <class T>
requires is_result<T>
struct CallbackValue<T> {
  using type = T;
};
template <class T>
using callback_value_t = typename CallbackValue<T>::type;

template <class T>
Task<callback_value_t<T>> guarded(Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
    co_return {};
  } else {
    co_return co_await std::move(task);
  }
}

template <class T, class Callback>
Task<void> call_back(Task<T> task, Callback callback) {
  callback_value_t<T> value = co_await guarded(std::move(task));
  callback(std::move(value));
}

}  // namespace exec

/// Starts the task in the scope and gives its value as a `std::future`, for code that knows
/// nothing of coroutines. What the task throws comes out of `get`. Do not block on it in the
/// thread that drives the scope's executor: nothing would run there. Throws std::bad_alloc, and
/// then has started nothing; allocates the future's state beside the frames.
template <class T>
[[nodiscard]] std::future<T> to_future(Scope& scope, Task<T> task) {
  std::promise<T> promise;
  std::future<T> future = promise.get_future();
  scope.spawn(exec::keep_promise<T>(std::move(task), std::move(promise)));
  return future;
}

/// Starts the task in the scope and calls `callback(result)` once, on the scope's executor, when
/// it has finished: a `Result<T>`, also for a task of a plain `T`, whose exception it carries. What
/// the callback throws goes to the scope. Throws std::bad_alloc, and then has started nothing.
template <class T, std::invocable<exec::callback_value_t<T>> Callback>
void on_done(Scope& scope, Task<T> task, Callback callback) {
  scope.spawn(exec::call_back<T>(std::move(task), std::move(callback)));
}

}  // namespace penstock
