// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <penstock/store/batch_queue.hpp>

#include "trial.hpp"

namespace simulate {

/// A batch queue whose handler is slow, throws, and answers too little; whose callers, blocking and
/// not, give up; that is flushed, drained, closed and aborted in the middle of it.
class BatchTrial {
 public:
  using Queue = BatchQueue<std::size_t, std::size_t>;
  using Replies = std::vector<Result<std::size_t>>;

  explicit BatchTrial(Trial& trial)
      : trial_(trial),
        max_items_(trial.number(1, 8)),
        max_weight_(trial.number(1, 12)),
        max_running_(static_cast<unsigned>(trial.number(1, 3))),
        slowest_(trial.time(1ms, 200ms)),
        throws_(trial.share(0.4)),
        fails_(trial.share(0.4)),
        miscounts_(trial.share(0.4)),
        capacity_(trial.number(1, 20)),
        queue_(trial.simulation,
               [this](std::span<std::size_t> items, Call& call) { return handle(items, call); },
               {.release = SizeWeightAge{{.max_items = max_items_,
                                          .max_weight = max_weight_,
                                          .max_age = trial.happens(0.3) ? Duration{}
                                                                        : trial.time(1ms, 50ms)}},
                .capacity = capacity_,
                .max_running = max_running_}) {}

  static void play(Trial& trial) {
    auto world = std::make_unique<BatchTrial>(trial);
    const std::size_t count = trial.number(5, 40);
    for (std::size_t number = 0; number < count; ++number) world->items_.emplace_back();
    for (std::size_t number = 0; number < count; ++number)
      world->start_caller(number, Faults::random);
    world->disturb();
    trial.invariant([&world = *world] { world.check(); });
    if (trial.finish()) {
      world->check_end();
      world->recover();
    }
    trial.invariant(nullptr);
    if (trial.broken()) trial.leave(world.release());
  }

 private:
  enum class Faults : std::uint8_t { none, random };
  struct Item {
    Promise promise;
    bool submitted = false;
    int handled = 0;
  };

  static std::size_t reply_to(std::size_t item) { return 2 * item + 1; }
  void check() const {
    trial_.must(queue_.stats().running <= max_running_, "more batches run than allowed");
  }

  Task<Replies> handle(std::span<std::size_t> items, Call& call) {
    trial_.must(items.size() <= max_items_, "a batch has too many items");
    trial_.must(items.size() == 1 || call.weight <= max_weight_, "a batch is too heavy");
    trial_.must(++handling_ <= max_running_, "more batches are in the handler than allowed");
    for (const std::size_t item : items)
      trial_.must(++items_[item].handled == 1, "an item came to the handler twice");
    handled_ += items.size();
    const Time done = trial_.simulation.now() + trial_.time(0s, slowest_);
    static_cast<void>(co_await wait_until(trial_.simulation, done, call.stop));
    --handling_;
    if (trial_.happens(throws_)) throw std::runtime_error{"planted"};
    Replies replies;
    for (const std::size_t item : items) {
      replies.emplace_back(trial_.happens(fails_) ? Result<std::size_t>{ErrorKind::transient}
                                                  : Result<std::size_t>{reply_to(item)});
    }
    if (trial_.happens(miscounts_)) replies.pop_back();
    if (trial_.bug == Bug::swapped_replies && replies.size() > 1) std::swap(replies[0], replies[1]);
    co_return replies;
  }

  void start_caller(std::size_t number, Faults faults) {
    const Duration delay = trial_.time(0s, 500ms);
    const bool hurries = faults == Faults::random && trial_.happens(0.5);
    const Duration limit = hurries ? trial_.time(1ms, 500ms) : 1h;
    std::string name = "caller " + std::to_string(number);
    if (trial_.happens(0.5)) {
      const auto body =
          [](BatchTrial& world, std::size_t index, Duration wait, Duration most) -> Task<void> {
        co_await world.trial_.sleep(wait);
        const Call call = world.begin(index, most);
        Task<Result<std::size_t>> submitted = world.queue_.submit(index, call);
        const Result<std::size_t> result = co_await std::move(submitted);
        world.end(index, result);
      };
      trial_.simulation.spawn(std::move(name), body(*this, number, delay, limit));
    } else {
      trial_.simulation.spawn(std::move(name), [this, number, delay, limit] {
        Call sleeping{.executor = &trial_.simulation};
        static_cast<void>(block_until(sleeping, trial_.simulation.now() + delay));
        const Call call = begin(number, limit);
        const Result<std::size_t> result = queue_.submit_and_wait(number, call);
        end(number, result);
      });
    }
  }
  Call begin(std::size_t number, Duration limit) {
    Item& item = items_[number];
    item.submitted = true;
    item.promise.begin(trial_, number, trial_.simulation.now() + limit);
    return {.deadline = item.promise.deadline(),
            .stop = item.promise.token(),
            .executor = &trial_.simulation,
            .weight = static_cast<std::uint32_t>(trial_.number(1, 4)),
            .priority = static_cast<Priority>(trial_.number(0, 2))};
  }
  void end(std::size_t number, const Result<std::size_t>& result) {
    Item& item = items_[number];
    item.promise.complete(trial_, result);
    const auto says = [&](const char* what) {
      return [this, number, what] { return items_[number].promise.name() + what; };
    };
    if (result) {
      ++successes_;
      trial_.must(*result == reply_to(number), says(" got the reply of another"));
      trial_.must(item.handled == 1, says(" got a reply without being handled"));
      return;
    }
    switch (result.error().kind()) {
      case ErrorKind::deadline:
        trial_.must(item.handled == 0, says(" was sent and ended with `deadline`"));
        break;
      case ErrorKind::closed:
        trial_.must(closed_ && item.handled == 0, says(" was refused by an open queue"));
        break;
      case ErrorKind::timeout:
        trial_.must(item.handled == 1, says(" was not sent and ended with `timeout`"));
        break;
      case ErrorKind::cancelled:
        break;
      default:
        trial_.must(item.handled == 1, says(" failed without being handled"));
    }
  }

  void disturb() {
    for (Item& item : items_) {
      if (trial_.happens(0.3))
        trial_.after(trial_.time(0s, 700ms), [this, &item] { item.promise.cancel(trial_); });
    }
    if (trial_.happens(0.4)) trial_.after(trial_.time(0s, 600ms), [this] { queue_.flush(); });
    for (std::uint64_t drains = trial_.number(0, 2); drains != 0; --drains) {
      const auto body = [](BatchTrial& world, Duration wait, Duration most) -> Task<void> {
        co_await world.trial_.sleep(wait);
        std::vector<std::size_t> before;
        for (std::size_t index = 0; index < world.items_.size(); ++index)
          if (world.items_[index].submitted) before.push_back(index);
        const Call call{.deadline = world.trial_.simulation.now() + most,
                        .executor = &world.trial_.simulation};
        Task<Result<void>> drained = world.queue_.drain(call);
        if (!co_await std::move(drained)) co_return;
        // Woken at this instant at the latest; its caller may run after us.
        co_await world.trial_.sleep(Duration{1});
        for (const std::size_t index : before)
          world.trial_.must(world.items_[index].promise.done(),
                            "a drain was over before an item that came before it");
      };
      trial_.simulation.spawn("a drain", body(*this, trial_.time(0s, 600ms), trial_.time(1ms, 2s)));
    }
    if (trial_.happens(0.4)) {
      const bool hard = trial_.happens(0.5);
      trial_.after(trial_.time(0s, 800ms), [this, hard] {
        closed_ = true;
        hard ? queue_.abort() : queue_.close();
      });
    }
  }

  void check_end() {
    for (const Item& item : items_) item.promise.check_end(trial_);
    const Queue::Stats stats = queue_.stats();
    trial_.must(stats.waiting == 0 && stats.queued == 0 && stats.running == 0,
                "something is still in the queue");
    trial_.must(stats.completed == handled_, "the queue lost count of what was handled");
  }

  // When the faults are over everybody is served, up to the last place and one more.
  void recover() {
    throws_ = fails_ = miscounts_ = 0;
    const std::size_t first = items_.size();
    const std::uint64_t served = successes_;
    for (std::size_t caller = 0; caller <= capacity_; ++caller) items_.emplace_back();
    for (std::size_t number = first; number < items_.size(); ++number)
      start_caller(number, Faults::none);
    if (!trial_.finish()) return;
    check_end();
    if (!closed_ && trial_.bug == Bug::none)
      trial_.must(successes_ == served + capacity_ + 1, "somebody is not served by a calm queue");
  }

  Trial& trial_;
  const std::size_t max_items_;
  const std::uint64_t max_weight_;
  const unsigned max_running_;
  const Duration slowest_;
  double throws_;
  double fails_;
  double miscounts_;
  const std::size_t capacity_;
  std::deque<Item> items_;
  unsigned handling_ = 0;
  std::uint64_t handled_ = 0;
  std::uint64_t successes_ = 0;
  bool closed_ = false;
  Queue queue_;
};

}  // namespace simulate
