// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <batch/temporary_directory.hpp>

namespace support {

using Arguments = std::vector<std::string>;

/// The longest any condition of a test is waited for: far above what a slow machine needs, so that
/// only a hang reaches it.
inline constexpr std::chrono::seconds patience{60};

/// Whether the condition came to hold. Looks again every millisecond.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    const ::timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

[[nodiscard]] inline Arguments operator+(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// A program that runs beside the test, with an environment of exactly what it is given. What it
/// prints goes to files. Killed, with everything its test forgot, when this goes. *Not
/// synchronized.*
class Process {
 public:
  /// `arguments[0]` is the program's path; `environment` holds "NAME=value"; `input` is what it
  /// reads from standard input.
  explicit Process(const Arguments& arguments,
                   const Arguments& environment = {},
                   std::string_view input = {}) {
    const std::string in = files_.write("in", input);
    const std::string out = files_.write("out", "");
    const std::string err = files_.write("err", "");
    const std::vector<char*> argv = pointers(arguments);
    const std::vector<char*> envp = pointers(environment);
    const ::pid_t parent = ::getpid();
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error{"cannot fork"};
    if (id_ > 0) return;
    // The child: only what is safe after a fork, and nothing of the parent's survives it.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    redirect(in.c_str(), O_RDONLY, STDIN_FILENO);
    redirect(out.c_str(), O_WRONLY | O_APPEND, STDOUT_FILENO);
    redirect(err.c_str(), O_WRONLY | O_APPEND, STDERR_FILENO);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (code_) return;
    signal(SIGKILL);
    static_cast<void>(::waitpid(id_, nullptr, 0));
  }

  void signal(int number) const {
    if (!code_) ::kill(id_, number);
  }

  [[nodiscard]] bool running() { return !reap(); }

  /// The exit code as a shell gives it: 128 and the signal's number for a program that a signal
  /// ended. -1 for one that does not end, which is killed.
  int wait() {
    if (eventually([&] { return reap(); })) return *code_;
    ::kill(id_, SIGKILL);
    static_cast<void>(::waitpid(id_, nullptr, 0));
    return *(code_ = -1);
  }

  [[nodiscard]] ::pid_t id() const noexcept { return id_; }
  /// What it has printed so far.
  [[nodiscard]] std::string out() const { return batch::contents(files_.file("out")); }
  [[nodiscard]] std::string err() const { return batch::contents(files_.file("err")); }

 private:
  static std::vector<char*> pointers(const Arguments& strings) {
    std::vector<char*> all;
    for (const std::string& each : strings) all.push_back(const_cast<char*>(each.c_str()));
    all.push_back(nullptr);
    return all;
  }
  static void redirect(const char* path, int flags, int descriptor) noexcept {
    const int file = ::open(path, flags);
    if (file < 0 || ::dup2(file, descriptor) < 0) ::_exit(127);
    if (file != descriptor) ::close(file);
  }

  bool reap() {
    int status = 0;
    if (code_ || ::waitpid(id_, &status, WNOHANG) != id_) return code_.has_value();
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
  }

  batch::TemporaryDirectory files_;
  ::pid_t id_ = -1;
  std::optional<int> code_;
};

}  // namespace support
