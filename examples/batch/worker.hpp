// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/executor.hpp>
#include <penstock/core/result.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/store/batch_queue.hpp>

#include <batch/ledger.hpp>
#include <llm/model_factory.hpp>

namespace batch {

using penstock::Call;
using penstock::Executor;
using penstock::Task;
using penstock::Time;

/// Lines that wait to be written together, each submitter until its own is in the file.
using Writer = penstock::BatchQueue<JournalLine, void>;

/// One prompt on its way through the models. What both kinds of worker decide stands here; they
/// differ only in how they wait.
template <class Transport>
class Asking {
 public:
  Asking(Ledger& ledger,
         llm::ModelFactory<Transport>& factory,
         const Options& options,
         Executor& executor,
         Prompt prompt)
      : ledger_(ledger),
        factory_(factory),
        options_(options),
        prompt_(std::move(prompt)),
        started_(executor.now()),
        choice_(factory) {
    call_.stop = ledger.cancelled();
    call_.executor = &executor;
    call_.weight = llm::estimate_tokens(prompt_.request);
  }

  /// What to wait for before `start`, and to ask again after it; nothing when it may begin.
  ///
  /// Our own limits can hold a prompt back for longer than its deadline, which is no fault of its
  /// own: its time runs from where they would let it through. A quarter of it is for the line
  /// within the limiter, in which whoever came first is served first.
  [[nodiscard]] std::optional<Time> hold() const {
    const Time now = call_.where().now();
    llm::Model<Transport>* const model = llm::ModelChoice<Transport>{factory_}.next(now);
    if (model == nullptr) return std::nullopt;
    const Time ready = model->ready_at(now, call_.weight);
    if (ready == penstock::never || ready - now <= options_.deadline / 4) return std::nullopt;
    return ready - options_.deadline / 4;
  }
  void start() {
    started_ = call_.where().now();
    call_.deadline = penstock::saturating_add(started_, options_.deadline);
    choice_ = llm::ModelChoice<Transport>{factory_};
    asked_ = nullptr;
  }
  /// Others came first to our limits after all, and nothing was sent: back to `hold`.
  [[nodiscard]] bool held_back() const {
    if (asked_ == nullptr || reply_) return false;
    const Error& error = reply_.error();
    return error.kind() == ErrorKind::limited && error.retry_after() && error.history().empty();
  }

  /// The model to ask now; null when the reply stands.
  [[nodiscard]] llm::Model<Transport>* next() {
    if (asked_ != nullptr) {
      if (reply_) return nullptr;
      asked_->learn(reply_.error().kind());
      if (!llm::ModelChoice<Transport>::may_fall_back(reply_.error().kind())) return nullptr;
    }
    llm::Model<Transport>* const model = choice_.next(call_.where().now());
    if (model == nullptr) return nullptr;
    if (choice_.fell_back() && !std::exchange(fell_back_, true)) ledger_.fell_back();
    asked_ = model;
    prompt_.request.model = model->name();
    return model;
  }
  void learn(Result<llm::ChatReply> reply) { reply_ = std::move(reply); }

  [[nodiscard]] const llm::ChatRequest& request() const noexcept { return prompt_.request; }
  [[nodiscard]] const Call& call() const noexcept { return call_; }

  /// The line about it, where there is one.
  [[nodiscard]] std::optional<JournalLine> conclude() {
    // Left while it was held back; or the last model stopped after the prompt was taken, and the
    // worker it refused ends the run.
    if (asked_ == nullptr) reply_ = ErrorKind::cancelled;
    if (!reply_ && reply_.error().kind() == ErrorKind::limited && !reply_.error().retry_after()) {
      reply_.error().add_message(
          "it takes about " + std::to_string(static_cast<std::uint64_t>(call_.weight)) +
          " tokens at once, more than --tpm ever lets through; write a larger --tpm");
    }
    latency_ = penstock::elapsed_between(started_, call_.where().now());
    std::optional<JournalLine> line = ledger_.judge(
        prompt_, reply_, asked_ == nullptr ? "" : asked_->name(), factory_.all_stopped());
    failure_ = line && line->failure;
    return line;
  }
  void settle(const Result<void>& written) { ledger_.settle(failure_, written, latency_); }

 private:
  Ledger& ledger_;
  llm::ModelFactory<Transport>& factory_;
  const Options& options_;
  Prompt prompt_;
  Time started_;
  Duration latency_{};
  llm::ModelChoice<Transport> choice_;
  llm::Model<Transport>* asked_ = nullptr;
  Call call_{};
  Result<llm::ChatReply> reply_{ErrorKind::credential};
  bool failure_ = false;
  bool fell_back_ = false;
};

/// What a worker works with.
template <class Transport>
struct Desk {
  Ledger& ledger;
  llm::ModelFactory<Transport>& factory;
  Writer& writer;
  const Options& options;
  Executor& executor;
  /// Where the loop's workers wait for the input; null: it never keeps them waiting.
  Executor* reader = nullptr;
};

/// Answers prompts one after the other in the calling thread until there are no more.
template <class Transport>
void work_blocking(const Desk<Transport>& desk) {
  while (std::optional<Prompt> prompt = desk.ledger.take()) {
    Asking<Transport> asking{
        desk.ledger, desk.factory, desk.options, desk.executor, std::move(*prompt)};
    Call held{.stop = desk.ledger.over(), .executor = &desk.executor};
    do {
      bool go = true;
      for (std::optional<Time> until; go && (until = asking.hold());)
        go = penstock::block_until(held, *until);
      asking.start();
      if (!go) break;
      while (llm::Model<Transport>* const model = asking.next())
        asking.learn(model->generate_response(asking.request(), asking.call()));
    } while (asking.held_back());
    if (std::optional<JournalLine> line = asking.conclude())
      asking.settle(
          desk.writer.submit_and_wait(std::move(*line), Call{.executor = &desk.executor}));
  }
}

/// The same as a coroutine: many of them share one event loop.
template <class Transport>
Task<void> work_async(Desk<Transport> desk) {
  for (;;) {
    if (desk.reader != nullptr) co_await penstock::reschedule(*desk.reader);
    std::optional<Prompt> prompt = desk.ledger.take();
    if (desk.reader != nullptr) co_await penstock::reschedule(desk.executor);
    if (!prompt) co_return;
    Asking<Transport> asking{
        desk.ledger, desk.factory, desk.options, desk.executor, std::move(*prompt)};
    do {
      bool go = true;
      for (std::optional<Time> until; go && (until = asking.hold());)
        go = co_await penstock::wait_until(desk.executor, *until, desk.ledger.over());
      asking.start();
      if (!go) break;
      while (llm::Model<Transport>* const model = asking.next())
        asking.learn(co_await model->generate_response(asking.request(), asking.call()));
    } while (asking.held_back());
    if (std::optional<JournalLine> line = asking.conclude()) {
      const Call call{.executor = &desk.executor};
      asking.settle(co_await desk.writer.submit(std::move(*line), call));
    }
  }
}

}  // namespace batch
