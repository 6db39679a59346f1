// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/children.hpp>
#include <penstock/exec/one_shot.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {

/// Which of the tasks decided a `when_any`, and what it gave; `std::monostate` for a `Task<void>`.
template <class T>
struct Winner {
  std::size_t index;  ///< in the order of the tasks
  exec::kept_t<T> value;
};

namespace exec {

template <class T>
void require_some(const std::vector<Task<T>>& tasks) {
  if (tasks.empty())
    throw std::invalid_argument{
        "penstock: when_any of no tasks would wait for ever; give it at least one"};
}
template <class T, std::same_as<Task<T>>... More>
[[nodiscard]] std::vector<Task<T>> listed(Task<T> first, More... more) {
  std::vector<Task<T>> tasks;
  tasks.reserve(1 + sizeof...(More));
  tasks.push_back(std::move(first));
  (tasks.push_back(std::move(more)), ...);
  return tasks;
}

template <class T>
Task<Winner<T>> any_of(StopSource& losers, std::vector<Child<T>> children) {
  Family family{children.size(), Decides::success, &losers};
  co_await JoinAll{children, family};
  const std::size_t index =
      family.first_success() != Family::none ? family.first_success() : family.first_failure();
  co_return Winner<T>{index, children[index].take()};
}

/// What the contestants of a detached `when_any` share; the last of them to end frees it.
template <class T>
class Race {
 public:
  using Finish = OneShot<Winner<T>>;
  Race(std::size_t contestants, typename Finish::Setter setter) noexcept
      : left_(contestants),
        setter_(std::move(setter)) {}

  void ended(std::size_t index, T value) noexcept {
    const bool won = value.has_value();
    std::optional<Winner<T>> decides;
    {
      const std::lock_guard lock{mutex_};
      --left_;
      if (decided_) return;
      if (won) {
        decides.emplace(Winner<T>{index, std::move(value)});
      } else {
        if (!first_failure_) first_failure_.emplace(Winner<T>{index, std::move(value)});
        if (left_ == 0) decides = std::move(first_failure_);
      }
      decided_ = decides.has_value();
    }
    if (decides) setter_.set(*std::move(decides));
  }

  static Task<void> run(std::shared_ptr<Race> race, std::size_t index, Task<T> task) {
    T value = co_await std::move(task);
    { const Task<T> finished = std::move(task); }  // before its references go with the caller
    race->ended(index, std::move(value));
  }

 private:
  sync::mutex mutex_;
  // Guarded by mutex_.
  std::size_t left_;
  bool decided_ = false;  // nobody else sets, though who decided it may still be about to
  std::optional<Winner<T>> first_failure_;

  typename Finish::Setter setter_;
};

template <class T>
Task<Winner<T>> first_of(Scope& losers, std::vector<Task<T>> tasks) {
  typename Race<T>::Finish finish;
  auto race = std::make_shared<Race<T>>(tasks.size(), finish.setter());
  for (std::size_t index = 0; index < tasks.size(); ++index) {
    try {
      losers.spawn(Race<T>::run(race, index, std::move(tasks[index])));
    } catch (...) {
      race->ended(index, Error::from_exception(std::current_exception()));
    }
  }
  auto first = finish.wait();
  Result<Winner<T>> winner = co_await first;
  co_return *std::move(winner);
}

}  // namespace exec

/// Runs the tasks side by side until one succeeds: gives a `Result` with a value, or, where the
/// tasks give no `Result`, does not throw. Then `losers` is stopped, whose token the tasks were
/// made with, and all are joined, so that nothing they refer to can go too early.
///
///     LinkedStopSource losers{call.stop};
///     auto [index, reply] = co_await when_any(losers, ask(a, {.stop = losers.token()}), …);
///
/// An error does not win. When nobody succeeds, the first failure is given, or rethrown. Each is
/// started in the caller's thread, in turn. The caller resumes when the last has ended: without
/// suspending when none waits, otherwise where that one finished. Allocates one array.
template <class T>
[[nodiscard]] Task<Winner<T>> when_any(StopSource& losers, std::vector<Task<T>> tasks) {
  exec::require_some(tasks);
  return exec::any_of<T>(losers, exec::children_of(std::move(tasks)));
}
template <class T, std::same_as<Task<T>>... More>
[[nodiscard]] Task<Winner<T>> when_any(StopSource& losers, Task<T> first, More... more) {
  return when_any(losers, exec::listed(std::move(first), std::move(more)...));
}

/// The same without waiting for the losers: they are left to the scope, which runs and joins
/// all of the tasks. Nobody stops them unless you do (`scope.request_stop()`), and what they
/// refer to must live as long as the scope. For tasks of a `Result`; a loser's is dropped.
///
/// The tasks start on the scope's executor. The caller resumes, when one has succeeded or all
/// have failed, on the executor it was on. A task for which there is no memory fails.
template <class T>
requires is_result<T>
[[nodiscard]] Task<Winner<T>> when_any(Scope& losers, std::vector<Task<T>> tasks) {
  exec::require_some(tasks);
  return exec::first_of<T>(losers, std::move(tasks));
}
template <class T, std::same_as<Task<T>>... More>
requires is_result<T>
[[nodiscard]] Task<Winner<T>> when_any(Scope& losers, Task<T> first, More... more) {
  return when_any(losers, exec::listed(std::move(first), std::move(more)...));
}

}  // namespace penstock
