// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>

namespace cli {

/// Hands SIGINT and SIGTERM to a function, in a thread of its own where it may do anything that a
/// signal handler may not. Construct it before any other thread, so that all inherit its mask.
class Signals {
 public:
  /// `on_signal(how_many)` is told how many have come so far.
  explicit Signals(std::function<void(int)> on_signal) : on_signal_(std::move(on_signal)) {
    ::sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread{[this] { listen(); }};
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() {
    ended_.store(true);
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

 private:
  void listen() {
    for (int count = 0;;) {
      int signal = 0;
      if (::sigwait(&set_, &signal) != 0) continue;
      if (signal == SIGUSR1) {
        // Anybody may send one; only ours comes after the end.
        if (ended_.load()) return;
        continue;
      }
      on_signal_(++count);
    }
  }

  std::function<void(int)> on_signal_;
  ::sigset_t set_{};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace cli
