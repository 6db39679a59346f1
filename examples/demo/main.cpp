// SPDX-License-Identifier: MIT
// The main job on one machine: a provider that fails the way real ones do, and penstock-batch
// with a few thousand prompts against it. Checks every answer at the end.
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <penstock/core/call.hpp>
#include <penstock/http/socket_transport.hpp>

#include <llm/json.hpp>

namespace {

namespace fs = std::filesystem;

constexpr int prompt_count = 3000;

std::string prompt_of(int number) {
  return "A pump moves " + std::to_string(number * 7 % 91 + 2) + " litres a second. How many in " +
         std::to_string(number) + " seconds?";
}

/// Where this program stands: `argv[0]` is a bare name when the shell found it by PATH.
fs::path own_path(const char* name) {
  std::error_code failure;
  fs::path path = fs::read_symlink("/proc/self/exe", failure);
  return failure ? fs::absolute(name) : path;
}

::pid_t start(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::pid_t process = 0;
  if (::posix_spawn(&process, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) {
    std::perror(arguments[0]);
    std::exit(1);
  }
  return process;
}

int wait_for(::pid_t process) {
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string await_port(const fs::path& file) {
  for (int tries = 0; tries < 500; ++tries) {
    std::string port;
    if (std::ifstream{file} >> port) return port;
    ::usleep(10'000);
  }
  std::fputs("the simulator did not start\n", stderr);
  std::exit(1);
}

/// Answers that belong to their question, each counted once.
std::size_t matching_answers(const fs::path& output) {
  std::unordered_set<std::string> seen;
  std::ifstream file{output};
  for (std::string text; std::getline(file, text);) {
    const auto line = llm::parse(text);
    if (!line) continue;
    const std::string id{(*line)["custom_id"].text()};
    const llm::Json& body = (*line)["response"]["body"];
    const std::string_view openai = body["choices"][0]["message"]["content"].text();
    const std::string_view answer = openai.empty() ? body["content"][0]["text"].text() : openai;
    const int number = std::atoi(id.c_str() + sizeof "line-" - 1);
    if (answer == "echo: " + prompt_of(number)) seen.insert(id);
  }
  return seen.size();
}

std::string provider_statistics(const std::string& port) {
  penstock::http::BlockingTransport transport{penstock::http::SocketTransport{}};
  penstock::Call call;
  penstock::http::Request request;
  request.origin = {"http", "127.0.0.1", static_cast<std::uint16_t>(std::stoi(port))};
  request.target = "/admin/stats";
  const auto response = transport(request, call);
  return response ? response->body : to_string(response.error()) + "\n";
}

}  // namespace

int main(int, char** argv) {
  std::error_code failure;
  const fs::path programs = own_path(argv[0]).parent_path();
  std::string place = (fs::temp_directory_path(failure) / "penstock-demo-XXXXXX").string();
  if (failure) {
    std::fputs("TMPDIR names no directory; set it to one that can be written, or unset it\n",
               stderr);
    return 1;
  }
  if (::mkdtemp(place.data()) == nullptr) {
    std::perror(place.c_str());
    return 1;
  }
  const fs::path directory = place;
  {
    std::ofstream prompts{directory / "prompts.jsonl"};
    for (int number = 1; number <= prompt_count; ++number)
      prompts << llm::to_string(llm::Json::object({{"prompt", prompt_of(number)}})) << '\n';
  }

  std::printf(
      "A simulated provider that refuses, fails, stalls and hangs up on one request in five:\n");
  std::fflush(stdout);
  const ::pid_t simulator = start({programs / "penstock-simulator",
                                   "--port",
                                   "0",
                                   "--port-file",
                                   directory / "port",
                                   "--latency",
                                   "20ms-60ms",
                                   "--faults",
                                   "429=0.08,500=0.05,503=0.02,slow=0.01,cut=0.02,overload=0.02"});
  const std::string port = await_port(directory / "port");
  std::printf("%d prompts, 64 at a time, a second model to fall back on:\n\n", prompt_count);
  std::fflush(stdout);

  const std::string here = "http://127.0.0.1:" + port;
  const int code = wait_for(start({programs / "penstock-batch",
                                   "-i",
                                   directory / "prompts.jsonl",
                                   "-o",
                                   directory / "answers.jsonl",
                                   "-m",
                                   "openai:sim-large@" + here + "/v1",
                                   "-m",
                                   "claude:sim-small@" + here,
                                   "-c",
                                   "64",
                                   "--max-attempts",
                                   "5",
                                   "--progress",
                                   "bar"}));
  const std::size_t answers = matching_answers(directory / "answers.jsonl");
  std::printf("\n%zu of %d answers belong to their question, each written once (exit code %d)\n",
              answers,
              prompt_count,
              code);
  std::printf("what the provider saw: %s", provider_statistics(port).c_str());
  ::kill(simulator, SIGTERM);
  wait_for(simulator);
  if (answers != prompt_count || code != 0) {
    std::printf("left as it is: %s\n", directory.c_str());
    return 1;
  }
  fs::remove_all(directory);
  return 0;
}
