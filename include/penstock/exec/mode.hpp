// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/thread_pool.hpp>

namespace penstock {

/// Where work is done. One option: the work itself does not change.
enum class Mode : std::uint8_t {
  in_caller,  ///< "inline": one after the other, in the calling thread
  threads,    ///< on a pool of threads
  async,      ///< as coroutines on one event loop
};

[[nodiscard]] constexpr std::string_view to_string(Mode mode) noexcept {
  switch (mode) {
    case Mode::in_caller:
      return "inline";
    case Mode::threads:
      return "threads";
    case Mode::async:
      return "async";
  }
  return "unknown";
}

struct ModeOptions {
  Mode mode = Mode::async;
  /// Pieces of work at a time, 1 at least; `Mode::in_caller` knows only one.
  std::size_t concurrency = 2 * std::size_t{sync::hardware_threads()};

  [[nodiscard]] std::size_t workers() const {
    if (concurrency == 0)
      throw std::invalid_argument{
          "penstock: a mode needs a worker; write .concurrency = 16, or leave it out for twice "
          "the cores"};
    return mode == Mode::in_caller ? 1 : concurrency;
  }
};

/// `use(executor)` with a new executor of the mode: an `Inline`, a `ThreadPool` of `concurrency`
/// threads, or an `EventLoop`; gives back what it returns. Throws what their constructors throw.
template <class Use>
decltype(auto) with_executor(const ModeOptions& options, Use&& use) {
  const std::size_t workers = options.workers();
  if (options.mode == Mode::async) {
    EventLoop loop;
    return std::invoke(use, loop);
  }
  if (options.mode == Mode::threads) {
    if (workers > std::numeric_limits<unsigned>::max())
      throw std::invalid_argument{
          "penstock: no system has that many threads; write .concurrency = 64, or .mode = "
          "Mode::async, which needs none for each"};
    ThreadPool threads{static_cast<unsigned>(workers)};
    return std::invoke(use, threads);
  }
  Inline executor;
  return std::invoke(use, executor);
}

namespace exec {
template <class Worker>
Task<void> block_in(Worker& worker) {
  std::invoke(worker);
  co_return;
}
}  // namespace exec

/// Calls `worker()` `count` times, side by side on the executor, and blocks until all are done.
/// It returns a `Task<void>` to be awaited there, or blocks itself and returns nothing: that needs
/// a thread of the pool for each, and elsewhere goes one by one. A worker must not throw. Throws
/// std::bad_alloc, after those that were started are done.
template <class ExecutorType, std::invocable Worker>
void run_workers(ExecutorType& executor, std::size_t count, Worker&& worker) {
  constexpr bool awaited = std::same_as<std::invoke_result_t<Worker&>, Task<void>>;
  static_assert(awaited || std::is_void_v<std::invoke_result_t<Worker&>>,
                "penstock: a worker blocks and returns nothing, or returns a Task<void>");
  if constexpr (!awaited && std::derived_from<ExecutorType, Driven>) {
    for (std::size_t number = 0; number < count; ++number) std::invoke(worker);
  } else {
    Scope scope{executor};
    std::exception_ptr not_started;
    try {
      for (std::size_t number = 0; number < count; ++number) {
        if constexpr (awaited) {
          scope.spawn(std::invoke(worker));
        } else {
          scope.spawn(exec::block_in(worker));
        }
      }
    } catch (...) {
      not_started = std::current_exception();
    }
    scope.wait();  // also for those before the one that could not be started
    if (not_started) std::rethrow_exception(std::move(not_started));
  }
}

namespace exec {

/// Deals out the items of a list, each once, and keeps their replies in place.
template <class Item, class Reply>
class Deal {
 public:
  Deal(const std::vector<Item>& items, const Call& call) : items_(items), call_(call) {
    replies_.resize(items.size());
  }
  /// The place of the next item; none when all are dealt or the call has ended.
  [[nodiscard]] std::optional<std::size_t> next() noexcept {
    const std::size_t place = next_.fetch_add(1, std::memory_order_relaxed);
    if (place >= items_.size()) return std::nullopt;
    return place;
  }
  [[nodiscard]] const Item& item(std::size_t place) const noexcept { return items_[place]; }
  /// For the item about to start, on `executor`; an error when it is too late for it.
  [[nodiscard]] Result<Call> enter(Executor& executor) const noexcept {
    Call own = call_;
    own.executor = &executor;
    own.now = executor.now();
    if (const Result<void> entered = may_go_on(own); !entered) return entered.error();
    return own;
  }
  void settle(std::size_t place, Result<Reply> reply) noexcept {
    replies_[place].emplace(std::move(reply));
  }
  [[nodiscard]] std::vector<Result<Reply>> replies() && {
    std::vector<Result<Reply>> all;
    all.reserve(replies_.size());
    for (std::optional<Result<Reply>>& reply : replies_) all.push_back(*std::move(reply));
    return all;
  }

 private:
  const std::vector<Item>& items_;
  const Call call_;
  // The next item not dealt. Relaxed: each place is one worker's, and the scope joins them.
  sync::atomic<std::size_t> next_{0};
  std::vector<std::optional<Result<Reply>>> replies_;
};

template <class Item, class Reply, class Service>
void deal_blocking(Deal<Item, Reply>& deal, Service& service, Executor& executor) noexcept {
  while (const std::optional<std::size_t> place = deal.next()) {
    Result<Call> call = deal.enter(executor);
    if (!call) {
      deal.settle(*place, std::move(call).error());
      continue;
    }
    try {
      deal.settle(*place, std::invoke(service, deal.item(*place), *call));
    } catch (...) {
      deal.settle(*place, Error::from_exception(std::current_exception()));
    }
  }
}

template <class Item, class Reply, class Service>
Task<void> deal_async(Deal<Item, Reply>& deal, Service& service, Executor& executor) {
  while (const std::optional<std::size_t> place = deal.next()) {
    Result<Call> call = deal.enter(executor);
    if (!call) {
      deal.settle(*place, std::move(call).error());
      continue;
    }
    try {
      Task<Result<Reply>> asked = std::invoke(service, deal.item(*place), *call);
      Result<Reply> reply = co_await std::move(asked);
      deal.settle(*place, std::move(reply));
    } catch (...) {
      deal.settle(*place, Error::from_exception(std::current_exception()));
    }
  }
}

// A blocking service on a loop: each call on a thread, awaited by the coroutine.
template <class Item, class Reply, class Service>
Task<void> deal_offloaded(Deal<Item, Reply>& deal,
                          Service& service,
                          Executor& executor,
                          ThreadPool& threads) {
  while (const std::optional<std::size_t> place = deal.next()) {
    Result<Call> call = deal.enter(executor);
    if (!call) {
      deal.settle(*place, std::move(call).error());
      continue;
    }
    Call own = *call;
    own.executor = &threads;
    const auto blocking = [&] { return std::invoke(service, deal.item(*place), own); };
    // Without the call: the work refers to this frame, which must not leave before it has ended.
    Task<Result<Reply>> run = threads.run(blocking);
    Result<Reply> reply = co_await std::move(run);
    deal.settle(*place, std::move(reply));
  }
}

}  // namespace exec

/// `service(item, call)` for every item, in the mode and with the concurrency asked for; the
/// replies in the order of the items. Blocks until all are there. The service, such as a stack,
/// may block or give a `Task`, in any mode: a coroutine is driven by the calling thread or by
/// the pool as well, and a call that blocks is, under `Mode::async`, awaited on a thread. Items
/// that have not started when `call` is stopped or its deadline passes get `cancelled` or
/// `deadline`; what the service throws is an `Error`. Unless inline it must be safe from several
/// threads.
template <class Item, class S>
requires Service<S, const Item&> std::vector<result_t<S, const Item&>> run_all(
    const std::vector<Item>& items,
    S&& service,
    const ModeOptions& options = {},
    const Call& call = {}) {
  using Reply = typename result_t<S, const Item&>::value_type;
  exec::Deal<Item, Reply> deal{items, call};
  const std::size_t workers = std::clamp<std::size_t>(items.size(), 1, options.workers());
  const ModeOptions used{options.mode, workers};
  with_executor(used, [&](auto& executor) {
    if constexpr (AsyncService<S, const Item&>) {
      run_workers(executor, workers, [&] { return exec::deal_async(deal, service, executor); });
    } else if constexpr (std::same_as<decltype(executor), EventLoop&>) {
      ThreadPool threads{static_cast<unsigned>(workers)};
      run_workers(executor, workers, [&] {
        return exec::deal_offloaded(deal, service, executor, threads);
      });
    } else {
      run_workers(executor, workers, [&] { exec::deal_blocking(deal, service, executor); });
    }
  });
  return std::move(deal).replies();
}

}  // namespace penstock
