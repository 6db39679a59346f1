// SPDX-License-Identifier: MIT
#pragma once

#include <coroutine>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/task.hpp>

namespace penstock::exec {

/// What is kept of a task's value: `void` is kept as nothing.
template <class T>
using kept_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// Which end of a child makes the others pointless.
enum class Decides : unsigned char { nothing, failure, success };

/// The children that one coroutine has started side by side and waits for.
///
/// Protocol of `left_`: the children and their awaiter, one each; a child takes its one off when
/// it has finished, the awaiter when it has started them all. Whoever takes off the last resumes
/// the awaiter: the awaiter by not suspending. acq_rel: what each child wrote is read after.
/// `success_` and `failure_` leave `none` once, for the first child that ends so; written before
/// that child's step of `left_`, read after the last, so their own order may be relaxed.
class Family {
 public:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  /// The first child to end as `decides` says stops `source`.
  explicit Family(std::size_t children,
                  Decides decides = Decides::nothing,
                  StopSource* source = nullptr) noexcept
      : left_(children + 1),
        decides_(decides),
        source_(source) {}
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  void expect(std::coroutine_handle<> awaiter) noexcept { awaiter_ = awaiter; }
  /// By the awaiter, when all are started. True: stay suspended.
  [[nodiscard]] bool all_started() noexcept { return !take_off(); }

  /// By a child, last of all: the awaiter may take everything with it.
  void finished(std::size_t index, bool succeeded) noexcept {
    std::size_t first = none;
    const bool is_first = (succeeded ? success_ : failure_)
                              .compare_exchange_strong(first, index, std::memory_order_relaxed);
    if (is_first && decides_ == (succeeded ? Decides::success : Decides::failure))
      source_->request_stop();
    if (take_off()) awaiter_.resume();
  }

  /// After all have finished; `none` where no child ended so.
  [[nodiscard]] std::size_t first_success() const noexcept {
    return success_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t first_failure() const noexcept {
    return failure_.load(std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] bool take_off() noexcept {
    return left_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  std::coroutine_handle<> awaiter_;
  sync::atomic<std::size_t> left_;
  sync::atomic<std::size_t> success_{none};
  sync::atomic<std::size_t> failure_{none};
  Decides decides_;
  StopSource* source_;  // null when nothing decides
};

/// One task of a family, with no coroutine between them.
template <class T>
class Child final : private Continuation {
 public:
  explicit Child(Task<T> task) noexcept
      : Continuation([](Continuation& next) noexcept { static_cast<Child&>(next).finish(); }),
        task_(std::move(task)) {}
  /// Before it is started.
  Child(Child&& other) noexcept : Child(std::move(other.task_)) {}
  Child& operator=(Child&&) = delete;
  ~Child() = default;

  /// Runs it in this thread until its first wait.
  void start(Family& family, std::size_t index) noexcept {
    family_ = &family;
    index_ = index;
    if (!TaskAccess::start(task_, *this)) finish();
  }
  /// After it has finished.
  [[nodiscard]] kept_t<T> take() {
    if constexpr (std::is_void_v<T>) {
      TaskAccess::take(task_);
      return {};
    } else {
      return TaskAccess::take(task_);
    }
  }

 private:
  void finish() noexcept { family_->finished(index_, TaskAccess::succeeded(task_)); }

  Task<T> task_;
  Family* family_ = nullptr;
  std::size_t index_ = 0;
};

template <class... T>
using Children = std::tuple<Child<T>...>;

template <class T>
[[nodiscard]] std::vector<Child<T>> children_of(std::vector<Task<T>> tasks) {
  std::vector<Child<T>> children;
  children.reserve(tasks.size());
  for (Task<T>& task : tasks) children.emplace_back(std::move(task));
  return children;
}

template <class... T>
[[nodiscard]] constexpr std::size_t count(const Children<T...>&) noexcept {
  return sizeof...(T);
}
template <class T>
[[nodiscard]] std::size_t count(const std::vector<Child<T>>& children) noexcept {
  return children.size();
}

template <class... T>
void start_all(Children<T...>& children, Family& family) noexcept {
  std::size_t index = 0;
  std::apply([&](Child<T>&... child) { (child.start(family, index++), ...); }, children);
}
template <class T>
void start_all(std::vector<Child<T>>& children, Family& family) noexcept {
  for (std::size_t index = 0; index < children.size(); ++index)
    children[index].start(family, index);
}

/// Starts the children one after another and suspends until all have finished.
template <class Brood>
class [[nodiscard]] JoinAll {
 public:
  JoinAll(Brood& children, Family& family) noexcept : children_(children), family_(family) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
    family_.expect(awaiter);
    start_all(children_, family_);
    return family_.all_started();
  }
  void await_resume() const noexcept {}

 private:
  Brood& children_;
  Family& family_;
};

}  // namespace penstock::exec
