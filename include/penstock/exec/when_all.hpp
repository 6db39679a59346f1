// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include <penstock/core/stop.hpp>
#include <penstock/exec/children.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {

namespace exec {

// Braces: in the order of the tasks, so that the first exception by position is rethrown.
template <class... T>
[[nodiscard]] std::tuple<kept_t<T>...> take_all(Children<T...>& children) {
  return std::apply([](Child<T>&... child) { return std::tuple<kept_t<T>...>{child.take()...}; },
                    children);
}
template <class T>
[[nodiscard]] std::vector<kept_t<T>> take_all(std::vector<Child<T>>& children) {
  std::vector<kept_t<T>> values;
  values.reserve(children.size());
  for (Child<T>& child : children) values.push_back(child.take());
  return values;
}

template <class Values, class Brood>
Task<Values> all_of(Brood children, StopSource* on_failure) {
  Family family{
      count(children), on_failure != nullptr ? Decides::failure : Decides::nothing, on_failure};
  co_await JoinAll{children, family};
  co_return take_all(children);
}

template <class... T>
using AllTask = Task<std::tuple<kept_t<T>...>>;
template <class T>
using VectorTask = Task<std::vector<kept_t<T>>>;

}  // namespace exec

/// `auto [a, b] = co_await when_all(first(), second())`: runs the tasks side by side and gives all
/// their values, in the order of the tasks; `std::monostate` for a `Task<void>`.
///
/// Each is started in the caller's thread, in turn, and runs there until its first wait. The
/// caller resumes when all have finished, however they ended: without suspending when none
/// waits, otherwise where the last one finished. A `Result` that is an error is a value as any
/// other; of what tasks throw, the first in their order is rethrown once all have finished.
/// Allocates nothing but its own frame; the form for a vector also one array for the children
/// and one for the values.
template <class... T>
[[nodiscard]] exec::AllTask<T...> when_all(Task<T>... tasks) {
  return exec::all_of<std::tuple<exec::kept_t<T>...>>(
      exec::Children<T...>{exec::Child<T>{std::move(tasks)}...}, nullptr);
}
template <class T>
[[nodiscard]] exec::VectorTask<T> when_all(std::vector<Task<T>> tasks) {
  return exec::all_of<std::vector<exec::kept_t<T>>>(exec::children_of(std::move(tasks)), nullptr);
}

/// The same, and the first failure (an error or an exception) stops `on_failure`, so that siblings
/// made with its token end early; they are still waited for.
///
///     LinkedStopSource group{call.stop};
///     auto both = co_await when_all(group, ask(a, {.stop = group.token()}), …);
///
/// A failure before all are started lets the later ones start with their token stopped.
template <class... T>
[[nodiscard]] exec::AllTask<T...> when_all(StopSource& on_failure, Task<T>... tasks) {
  return exec::all_of<std::tuple<exec::kept_t<T>...>>(
      exec::Children<T...>{exec::Child<T>{std::move(tasks)}...}, &on_failure);
}
template <class T>
[[nodiscard]] exec::VectorTask<T> when_all(StopSource& on_failure, std::vector<Task<T>> tasks) {
  return exec::all_of<std::vector<exec::kept_t<T>>>(exec::children_of(std::move(tasks)),
                                                    &on_failure);
}

}  // namespace penstock
