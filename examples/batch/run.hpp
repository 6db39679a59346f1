// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/mode.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/http/async_transport.hpp>
#include <penstock/http/socket_transport.hpp>
#include <penstock/policy/release.hpp>

#include <batch/ledger.hpp>
#include <batch/reporter.hpp>
#include <batch/worker.hpp>
#include <cli/command_line.hpp>
#include <cli/signals.hpp>

namespace batch {

namespace http = penstock::http;

/// What the program returns to the shell.
enum class Exit : int {
  answered = 0,
  some_failed = 1,
  unusable = 2,
  stopped = 3,
  interrupted = 130
};

inline int complain(Exit code, const std::string& sentence) {
  std::fprintf(stderr, "penstock-batch: %s\n", sentence.c_str());
  return static_cast<int>(code);
}

/// Every attempt counts, whatever went wrong; the first waits are short because the limits of a
/// provider come with its own advice when to come back.
[[nodiscard]] inline penstock::RetryPolicy retry_policy(std::uint32_t max_attempts) {
  using namespace std::chrono_literals;
  using penstock::Backoff;
  using penstock::Jitter;
  penstock::RetryPolicy::Options options{.max_attempts = max_attempts, .rules = {}};
  const std::uint32_t retries = max_attempts - 1;
  for (const ErrorKind kind : {ErrorKind::transient, ErrorKind::timeout, ErrorKind::unavailable})
    options.rules[kind] = {retries, Backoff::exponential(200ms, 10s), Jitter::equal};
  options.rules[ErrorKind::rate_limited] = {retries, Backoff::linear(100ms, 20s), Jitter::equal};
  options.rules[ErrorKind::circuit_open] = {retries, Backoff::none(), Jitter::none};
  options.rules[ErrorKind::limited] = {retries, Backoff::none(), Jitter::none};
  return penstock::RetryPolicy{options};
}

/// Writes what has gathered while the lines before were being written: one system call for many.
[[nodiscard]] inline Result<void> write_lines(Journal& journal, std::span<JournalLine> lines) {
  std::vector<std::string> answers;
  std::vector<std::string> failures;
  for (JournalLine& line : lines)
    (line.failure ? failures : answers).push_back(std::move(line.text));
  if (Result<void> written = journal.append(answers); !written) return written;
  return journal.append_errors(failures);
}

[[nodiscard]] inline penstock::ModeOptions mode_options(const Options& options) {
  return {.mode = options.mode, .concurrency = options.concurrency};
}

[[nodiscard]] inline Writer::Options writer_options() {
  // No age: a line leaves as soon as the file is free, and waits for company only meanwhile.
  return {.release = penstock::SizeWeightAge{{.max_items = 1024, .max_age = Duration::zero()}},
          .capacity = 20'000};
}

/// What is left to say once the workers are done.
struct Traffic {
  std::uint64_t requests = 0;
  std::uint64_t connections = 0;
};

template <class Transport>
[[nodiscard]] Result<void> add_models(llm::ModelFactory<Transport>& factory,
                                      const Options& options) {
  for (const llm::ModelSpec& spec : options.models) {
    if (Result<void> added = factory.add(spec, options.base_url); !added) return added;
    // Said once here, not of each prompt: it would be given up before it was sent.
    const http::Origin& origin = factory[factory.size() - 1].origin();
    if (!http::SocketTransport::refuse_tls(origin)) {
      return Error{ErrorKind::permanent,
                   http::to_string(origin) +
                       " needs TLS, which this program does not speak; run a local proxy that "
                       "does and write --base-url http://127.0.0.1:8080/v1"};
    }
  }
  return {};
}

[[nodiscard]] inline llm::ModelOptions model_options(const Options& options) {
  return {.retry = retry_policy(options.max_attempts),
          .requests_per_minute = static_cast<double>(options.requests_per_minute.value_or(0)),
          .tokens_per_minute = static_cast<double>(options.tokens_per_minute.value_or(0))};
}

/// As many prompts in flight as asked for: by workers that block, or coroutines on the loop.
template <class Transport, class ExecutorType>
void work(const Options& options,
          Ledger& ledger,
          Journal& journal,
          llm::ModelFactory<Transport>& factory,
          ExecutorType& executor) {
  const auto write_with = [&](Executor& disk) {
    Writer writer{disk,
                  [&](std::span<JournalLine> lines) { return write_lines(journal, lines); },
                  writer_options()};
    std::optional<penstock::ThreadPool> reader;
    Desk<Transport> desk{ledger, factory, writer, options, executor};
    if constexpr (std::same_as<ExecutorType, penstock::EventLoop>) {
      if (ledger.waits()) desk.reader = &reader.emplace(1U);
    }
    penstock::run_workers(executor, mode_options(options).workers(), [&] {
      if constexpr (std::same_as<ExecutorType, penstock::EventLoop>) {
        return work_async(desk);
      } else {
        work_blocking(desk);
      }
    });
  };
  if constexpr (std::same_as<ExecutorType, penstock::Inline>) {
    write_with(executor);
  } else {
    penstock::ThreadPool disk{1};
    write_with(disk);
  }
}

/// Reports while the workers run and sums up when they are done.
template <class Transport, class ExecutorType>
int run_on(const Options& options,
           Ledger& ledger,
           Journal& journal,
           Transport& transport,
           ExecutorType& executor) {
  llm::ModelFactory<Transport> factory{transport, model_options(options)};
  if (const Result<void> added = add_models(factory, options); !added)
    return complain(added.error().kind() == ErrorKind::credential ? Exit::stopped : Exit::unusable,
                    std::string{added.error().message()});
  const auto tally = [&] {
    Tally now = ledger.tally();
    now.retried = factory.counters().retried.load();
    now.refused = factory.counters().refused.load();
    return now;
  };
  const ProgressStyle style = style_for(STDERR_FILENO, options.progress);
  if (style == ProgressStyle::bar) ledger.set_bar_width(terminal_width(STDERR_FILENO));
  Reporter reporter{style, tally};
  work(options, ledger, journal, factory, executor);
  const Duration elapsed = reporter.elapsed();
  reporter.finish();
  ledger.set_bar_width(0);

  const Ending ending = ledger.ending();
  const Result<void> finished =
      journal.finish(ending == Ending::finished ? Coverage::whole : Coverage::part);
  const Tally total = tally();
  if (style == ProgressStyle::plain || style == ProgressStyle::bar) {
    const LatencyHistogram latencies = ledger.latencies();
    std::fputs(to_string(Summary{.tally = total,
                                 .elapsed = elapsed,
                                 .latencies = &latencies,
                                 .requests_made = factory.counters().requests.load(),
                                 .connections_opened = transport.pool().stats().opened,
                                 .output = journal.path(),
                                 .errors = journal.errors_path()})
                   .c_str(),
               stderr);
  }
  const std::string again = "; the same command again goes on where this one stopped";
  switch (ending) {
    case Ending::unwritable:
      return complain(Exit::unusable, ledger.reason() + again);
    case Ending::unreadable:
      return complain(Exit::unusable, ledger.reason());
    case Ending::stopped:
      return complain(Exit::stopped, "stopped: " + ledger.reason() + again);
    case Ending::interrupted:
      return complain(Exit::interrupted, "interrupted" + again);
    case Ending::unanswered:
      return complain(Exit::some_failed,
                      "gave up, prompt after prompt failed alike: " + ledger.reason() + again);
    case Ending::limited:
    case Ending::finished:
      break;
  }
  if (!finished) return complain(Exit::unusable, std::string{finished.error().message()});
  return static_cast<int>(total.failed + total.malformed == 0 ? Exit::answered : Exit::some_failed);
}

/// What was asked for on standard output is there, or it was not done.
[[nodiscard]] inline int finish_printing(Exit code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return static_cast<int>(code);
  return complain(Exit::unusable, "cannot write to standard output");
}

/// Checks the input and says what a run would ask.
inline int dry_run(const Options& options) {
  Result<InputReader> reader = InputReader::open(options.input);
  if (!reader) return complain(Exit::unusable, std::string{reader.error().message()});
  std::uint64_t prompts = 0;
  std::uint64_t tokens = 0;
  std::uint64_t malformed = 0;
  while (const std::optional<Result<Prompt>> next = reader->next()) {
    if (*next) {
      ++prompts;
      tokens += llm::estimate_tokens((*next)->request);
    } else {
      complain(Exit::some_failed, std::string{next->error().message()});
      if (next->error().kind() == ErrorKind::unavailable) return static_cast<int>(Exit::unusable);
      ++malformed;
    }
  }
  std::printf("%llu prompts, about %llu tokens, %llu malformed lines\n",
              static_cast<unsigned long long>(prompts),
              static_cast<unsigned long long>(tokens),
              static_cast<unsigned long long>(malformed));
  return finish_printing(malformed == 0 ? Exit::answered : Exit::some_failed);
}

/// Both names lead to one file that is there.
[[nodiscard]] inline bool same_file(const std::string& one, const std::string& other) {
  struct stat first {};
  struct stat second {};
  return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/// Lets this process open a connection for every call in flight, as far as it is allowed to.
[[nodiscard]] inline Result<void> raise_file_limit(const Options& options) {
  constexpr ::rlim_t besides = 16;  // files, pipes and the loop's own
  const ::rlim_t needed = mode_options(options).workers() + besides;
  ::rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return {};
  limit.rlim_cur = std::min(needed, limit.rlim_max);
  if (limit.rlim_max >= needed && ::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  std::string sentence = "-c " + std::to_string(options.concurrency) + " needs " +
                         std::to_string(needed) + " open files, of which " +
                         std::to_string(limit.rlim_max) + " are allowed; raise that by ulimit -n";
  if (limit.rlim_max > besides)
    sentence += " or write -c " + std::to_string(limit.rlim_max - besides);
  return Error{ErrorKind::permanent, std::move(sentence)};
}

inline int run(const Options& options) {
  if (const Result<void> raised = raise_file_limit(options); !raised)
    return complain(Exit::unusable, std::string{raised.error().message()});
  for (const std::string& written : {options.output, sibling_path(options.output, "errors")}) {
    if (same_file(options.input, written))
      return complain(
          Exit::unusable,
          "the input " + cli::quoted(options.input) + " is a file this run writes: answers go to " +
              cli::quoted(options.output) + ", failures beside it; write another file after -o");
  }
  Result<InputReader> reader = InputReader::open(options.input);
  if (!reader) return complain(Exit::unusable, std::string{reader.error().message()});
  const Result<std::uint64_t> lines = count_lines(options.input);
  if (!lines) return complain(Exit::unusable, std::string{lines.error().message()});
  Result<Journal> journal = Journal::open(options.output);
  if (!journal) return complain(Exit::unusable, std::string{journal.error().message()});
  if (journal->bytes_cut() != 0)
    complain(Exit::answered,
             "the last line of " + journal->path() + " was torn; cut " +
                 std::to_string(journal->bytes_cut()) + " bytes, its prompt is asked again");
  Ledger ledger{options, std::move(*reader), *journal, *lines};
  const cli::Signals signals{[&](int how_often) { ledger.interrupt(how_often); }};

  const std::size_t connections = mode_options(options).workers();
  return penstock::with_executor(mode_options(options), [&](auto& executor) {
    if constexpr (std::same_as<decltype(executor), penstock::EventLoop&>) {
      http::AsyncTransport transport{http::AsyncSocketTransport{executor},
                                     {.max_per_key = connections, .max_total = connections}};
      return run_on(options, ledger, *journal, transport, executor);
    } else {
      http::BlockingTransport transport{http::SocketTransport{},
                                        {.max_per_key = connections, .max_total = connections}};
      return run_on(options, ledger, *journal, transport, executor);
    }
  });
}

}  // namespace batch
