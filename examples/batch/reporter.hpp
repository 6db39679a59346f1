// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <unistd.h>

#include <batch/progress.hpp>

namespace batch {

/// Writes progress to standard error from a thread of its own, until it goes; the last state is
/// always written.
class Reporter {
 public:
  Reporter(ProgressStyle style, std::function<Tally()> tally)
      : style_(style),
        tally_(std::move(tally)),
        started_(Clock::now()) {
    if (style_ == ProgressStyle::none) return;
    thread_ = std::thread{[this] { report(); }};
  }
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter() { finish(); }

  void finish() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock{mutex_};
      finished_ = true;
    }
    changed_.notify_one();
    thread_.join();
    write();
    if (style_ == ProgressStyle::bar) std::fputc('\n', stderr);
  }

  [[nodiscard]] Duration elapsed() const { return Clock::now() - started_; }

 private:
  using Clock = std::chrono::steady_clock;

  void report() {
    using namespace std::chrono_literals;
    const auto interval = style_ == ProgressStyle::bar ? 100ms : 1000ms;
    std::unique_lock lock{mutex_};
    while (!changed_.wait_for(lock, interval, [this] { return finished_; })) write();
  }
  void write() const {
    const std::string text = render(style_, tally_(), elapsed(), terminal_width(STDERR_FILENO));
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  }

  ProgressStyle style_;
  std::function<Tally()> tally_;
  Clock::time_point started_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool finished_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace batch
