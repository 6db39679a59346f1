// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/store/batch_backlog.hpp>
#include <penstock/store/batch_handler.hpp>

namespace penstock {

/// An entry with its item and the place for its reply. Both are the caller's; the batch has the
/// item while `moving`, and the reply from `settled` until it wakes the caller.
template <class Item, class Reply>
struct BatchItem : BatchEntry {
  BatchItem(Item& given, const Call& call, Time now) noexcept
      : BatchEntry(call, now),
        item(given) {}
  Item& item;
  std::optional<Result<Reply>> reply;
};

/// Some items in the handler, and the callers that still wait for them. Used again and again, so
/// that its vector is allocated once.
///
/// `begin`, `take` and `entries` belong under the queue's lock; all else is for the one job or
/// coroutine that handles the batch and takes that lock itself, never while user code runs.
template <class Item, class Reply>
class Batch {
 public:
  explicit Batch(sync::mutex& queue) noexcept : mutex_(queue) {}
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  /// The call has no deadline as long as one of the items has none, else the latest of theirs.
  void begin(const Call& with) noexcept {
    call_ = with;
    call_.deadline = Time::min();
    call_.priority = Priority::low;
    weight_ = 0;
    count_ = 0;
    lowest_number_ = ~std::uint64_t{0};
  }
  void take(BatchEntry& entry, BatchBacklog& from) noexcept {
    from.take(entry, entries_);
    entry.index = count_++;
    lowest_number_ = std::min(lowest_number_, entry.number);
    weight_ += entry.weight;
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    call_.weight = static_cast<std::uint32_t>(std::min(weight_, most));
    call_.deadline = std::max(call_.deadline, entry.deadline);
    call_.priority = std::max(call_.priority, entry.priority);
  }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t weight() const noexcept { return weight_; }
  [[nodiscard]] std::uint64_t lowest_number() const noexcept { return lowest_number_; }

  [[nodiscard]] std::span<Item> items() noexcept { return items_; }
  [[nodiscard]] Call& call() noexcept { return call_; }

  /// Moves the items in; from then on callers may leave. False: a move threw, all are answered.
  [[nodiscard]] bool load() noexcept {
    try {
      items_.reserve(count_);
      entries_.for_each(
          [this](BatchEntry& entry) { items_.push_back(std::move(whole(entry).item)); });
    } catch (...) {
      fail(Error::from_exception(std::current_exception()));
      return false;
    }
    let_leave();
    return true;
  }
  void unload() noexcept { items_.clear(); }

  /// Gives each caller the reply to its item out of what the handler returned.
  template <class Answer>
  void answer(Answer&& given) noexcept {
    if constexpr (is_result<std::remove_cvref_t<Answer>>) {
      if (!given) {
        fail(given.error());
      } else if constexpr (std::is_void_v<typename std::remove_cvref_t<Answer>::value_type>) {
        settle([](std::size_t) { return Result<void>{}; });
      } else {
        answer(*std::move(given));
      }
    } else {
      const auto replies = static_cast<std::size_t>(std::ranges::size(given));
      if (replies != count_) return fail(wrong_count(replies, count_));
      settle([&given](std::size_t index) {
        using Distance = std::ranges::range_difference_t<Answer>;
        const auto place = std::ranges::begin(given) + static_cast<Distance>(index);
        return Result<Reply>(std::ranges::iter_move(place));
      });
    }
  }
  void fail(const Error& error) noexcept {
    settle([&error](std::size_t) { return Result<Reply>{error}; });
  }

 private:
  using Place = BatchEntry::Place;

  static BatchItem<Item, Reply>& whole(BatchEntry& entry) noexcept {
    return static_cast<BatchItem<Item, Reply>&>(entry);
  }
  void let_leave() noexcept {
    BatchBacklog::Entries leaving;
    {
      const std::lock_guard lock{mutex_};
      entries_.for_each([&](BatchEntry& entry) {
        entry.place = entry.leaves ? Place::settled : Place::running;
        if (!entry.leaves) return;
        entries_.remove(entry);
        leaving.push(entry);
      });
    }
    while (BatchEntry* const entry = leaving.pop()) entry->waiter->wake();
  }
  template <class Give>
  void settle(Give give) noexcept {
    BatchBacklog::Entries told;
    {
      const std::lock_guard lock{mutex_};
      told = std::move(entries_);
      told.for_each([](BatchEntry& entry) { entry.place = Place::settled; });
    }
    while (BatchEntry* const entry = told.pop()) {
      std::optional<Result<Reply>>& reply = whole(*entry).reply;
      try {
        reply.emplace(give(entry->index));
      } catch (...) {
        reply.emplace(Error::from_exception(std::current_exception()));
      }
      entry->waiter->wake();
    }
  }
  static Error wrong_count(std::size_t replies, std::size_t items) noexcept {
    try {
      throw std::length_error{"penstock: the batch handler returned " + std::to_string(replies) +
                              " replies for " + std::to_string(items) +
                              " items; return one for each, in their order"};
    } catch (...) {
      return Error::from_exception(std::current_exception());
    }
  }

  sync::mutex& mutex_;
  BatchBacklog::Entries entries_;  // guarded by mutex_, where not all of them are `moving`
  std::vector<Item> items_;
  Call call_;
  std::uint64_t weight_ = 0;
  std::size_t count_ = 0;
  std::uint64_t lowest_number_ = 0;
};

/// A handler whose type is forgotten. Called for several batches at once where those may run.
template <class Item, class Reply>
class AnyBatchHandler {
 public:
  using Finish = void (*)(Batch<Item, Reply>&) noexcept;
  AnyBatchHandler() = default;
  AnyBatchHandler(const AnyBatchHandler&) = delete;
  AnyBatchHandler& operator=(const AnyBatchHandler&) = delete;
  virtual ~AnyBatchHandler() = default;
  /// Answers the batch, then calls `finish`; after that neither need be there any more.
  virtual void run(Batch<Item, Reply>& batch, Finish finish) noexcept = 0;
};

template <class Handler, class Item, class Reply>
class BatchHandlerOf final : public AnyBatchHandler<Item, Reply> {
 public:
  using typename AnyBatchHandler<Item, Reply>::Finish;
  explicit BatchHandlerOf(Handler handler) : handler_(std::move(handler)) {}

  void run(Batch<Item, Reply>& batch, Finish finish) noexcept override {
    try {
      if constexpr (is_task<batch_return_t<Handler, Item>>) {
        return await(handler_, batch, finish).start();
      } else if constexpr (std::is_void_v<Answer>) {
        call_batch_handler<Handler, Item>(handler_, batch.items(), batch.call());
        batch.answer(Result<void>{});
      } else {
        batch.answer(call_batch_handler<Handler, Item>(handler_, batch.items(), batch.call()));
      }
    } catch (...) {
      batch.fail(Error::from_exception(std::current_exception()));
    }
    finish(batch);
  }

 private:
  using Answer = batch_answer_t<Handler, Item>;

  static exec::RootTask await(Handler& handler, Batch<Item, Reply>& batch, Finish finish) {
    try {
      auto task = call_batch_handler<Handler, Item>(handler, batch.items(), batch.call());
      if constexpr (std::is_void_v<Answer>) {
        co_await std::move(task);
        batch.answer(Result<void>{});
      } else {
        Answer replies = co_await std::move(task);
        batch.answer(std::move(replies));
      }
    } catch (...) {
      batch.fail(Error::from_exception(std::current_exception()));
    }
    finish(batch);
  }

  Handler handler_;
};

}  // namespace penstock
