// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>
#include <penstock/core/stop.hpp>

#include <batch/input.hpp>
#include <batch/journal.hpp>
#include <batch/latency.hpp>
#include <batch/options.hpp>
#include <batch/output_line.hpp>
#include <batch/progress.hpp>
#include <llm/chat.hpp>

namespace batch {

/// Why a run ends before its input does.
enum class Ending : std::uint8_t {
  finished,
  interrupted,  ///< by a signal
  limited,      ///< by --limit
  stopped,      ///< every model refuses the key or the money
  unanswered,   ///< one prompt after the other found no server, or one that takes no more
  unwritable,   ///< the output cannot be written any more
  unreadable,   ///< the input cannot be read any more
};

/// A line on its way to the output file or to the errors file.
struct JournalLine {
  std::string text;
  bool failure = false;
};

/// What the workers of one run share: which prompt is next, what became of each, and when to
/// stop. Decides and counts; never waits. *Safe from any thread.*
class Ledger {
 public:
  Ledger(const Options& options, InputReader reader, Journal& journal, std::uint64_t lines)
      : options_(options),
        reader_(std::move(reader)),
        journal_(journal),
        patience_(std::clamp<std::size_t>(options.concurrency, 3, 16)) {
    tally_.total = lines;
  }

  /// The next prompt that is not answered yet; nothing when the run is over. Malformed lines are
  /// counted and named on the way.
  [[nodiscard]] std::optional<Prompt> take() {
    const std::lock_guard reading{reading_};
    for (;;) {
      if (ending() != Ending::finished) return std::nullopt;
      std::optional<Result<Prompt>> next = reader_.next();
      const std::lock_guard lock{mutex_};
      if (!next || ending_ != Ending::finished) return std::nullopt;
      if (!*next) {
        if (next->error().kind() == ErrorKind::unavailable) {
          end(Ending::unreadable, std::string{next->error().message()});
          return std::nullopt;
        }
        ++tally_.malformed;
        say(std::string{next->error().message()});
        continue;
      }
      Prompt prompt = std::move(**next);
      if (journal_.answered(prompt.custom_id)) {
        ++tally_.skipped;
        continue;
      }
      if (options_.limit && taken_ == *options_.limit) {
        end(Ending::limited, "");
        return std::nullopt;
      }
      ++taken_;
      ++tally_.in_flight;
      return prompt;
    }
  }
  /// Whether `take` can block for long.
  [[nodiscard]] bool waits() const noexcept { return reader_.waits(); }

  /// What to write about a prompt that is done with; nothing where it is left for the next run.
  [[nodiscard]] std::optional<JournalLine> judge(const Prompt& prompt,
                                                 const Result<llm::ChatReply>& reply,
                                                 std::string_view model,
                                                 bool all_stopped) {
    if (reply) {
      return JournalLine{answer_line({.line = prompt.line,
                                      .custom_id = prompt.custom_id,
                                      .status = 200,
                                      .body = reply->body,
                                      .request_id = {},
                                      .model = model}),
                         false};
    }
    const Error& error = reply.error();
    const std::lock_guard lock{mutex_};
    if (error.kind() == ErrorKind::cancelled) {
      --tally_.in_flight;
      return std::nullopt;
    }
    // Another prompt's error can be read after the stop, and is not its reason.
    const bool refused = error.kind() == ErrorKind::credential || error.kind() == ErrorKind::quota;
    if (all_stopped && refused) end(Ending::stopped, to_string(error));
    // A provider that will be at its limit for longer than any prompt has time.
    const bool shut = error.kind() == ErrorKind::rate_limited &&
                      error.retry_after().value_or(penstock::Duration{}) >= options_.deadline;
    if (shut || error.kind() == ErrorKind::unavailable || error.kind() == ErrorKind::circuit_open) {
      if (++unanswered_ >= patience_) end(Ending::unanswered, to_string(error));
    } else {
      unanswered_ = 0;
    }
    return JournalLine{
        error_line({.line = prompt.line, .custom_id = prompt.custom_id, .error = error}), true};
  }

  /// After the line was written, or was not.
  void settle(bool failure, const Result<void>& written, Duration latency) {
    const std::lock_guard lock{mutex_};
    --tally_.in_flight;
    if (!written) {
      end(Ending::unwritable, std::string{written.error().message()});
    } else if (failure) {
      ++tally_.failed;
    } else {
      ++tally_.answered;
      unanswered_ = 0;
      latencies_.record(latency);
    }
  }

  void fell_back() {
    const std::lock_guard lock{mutex_};
    ++tally_.fell_back;
  }

  /// The first time no new prompt is taken, the second time those in flight are cancelled.
  void interrupt(int how_often) {
    {
      const std::lock_guard lock{mutex_};
      end(Ending::interrupted, "");
      if (how_often == 1)
        say("interrupted: waiting for " + std::to_string(tally_.in_flight) +
            " prompts in flight; once more to leave them");
    }
    if (how_often > 1) cancel_.request_stop();
  }
  [[nodiscard]] penstock::StopToken cancelled() noexcept { return cancel_.token(); }
  /// Stopped once what has not been asked yet is to be left for the next run.
  [[nodiscard]] penstock::StopToken over() noexcept { return over_.token(); }

  [[nodiscard]] Tally tally() const {
    const std::lock_guard lock{mutex_};
    return tally_;
  }
  [[nodiscard]] LatencyHistogram latencies() const {
    const std::lock_guard lock{mutex_};
    return latencies_;
  }
  [[nodiscard]] Ending ending() const {
    const std::lock_guard lock{mutex_};
    return ending_;
  }
  /// The sentence that goes with the ending; may be empty.
  [[nodiscard]] std::string reason() const {
    const std::lock_guard lock{mutex_};
    return reason_;
  }

  /// Columns of the bar that a message must wipe first; 0 for none.
  void set_bar_width(std::size_t width) {
    const std::lock_guard lock{mutex_};
    bar_width_ = width;
  }

 private:
  void end(Ending ending, std::string reason) {
    // The first trouble counts, but for answers that could not be kept: nothing is worse.
    const bool trouble = ending_ != Ending::finished && ending_ != Ending::limited;
    if (trouble && (ending != Ending::unwritable || ending_ == Ending::unwritable)) return;
    ending_ = ending;
    reason_ = std::move(reason);
    // Under the lock: it only wakes workers, and none of them waits while it holds the lock.
    if (ending != Ending::limited) over_.request_stop();
    reader_.stop();
  }
  void say(const std::string& sentence) const {
    const std::string wipe = bar_width_ != 0 ? erase_bar(bar_width_) : std::string{};
    std::fprintf(stderr, "%spenstock-batch: %s\n", wipe.c_str(), sentence.c_str());
  }

  const Options& options_;
  std::mutex reading_;        // before mutex_, which is never held while the input is waited for
  InputReader reader_;        // guarded by reading_
  mutable std::mutex mutex_;  // guards all below but the stop sources
  Journal& journal_;
  Tally tally_;
  LatencyHistogram latencies_;
  std::size_t taken_ = 0;
  std::size_t patience_;
  std::size_t unanswered_ = 0;  // prompts in a row, see the ending of this name
  Ending ending_ = Ending::finished;
  std::string reason_;
  std::size_t bar_width_ = 0;
  penstock::StopSource cancel_;
  penstock::StopSource over_;
};

}  // namespace batch
