// SPDX-License-Identifier: MIT
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/exec/inline.hpp>
#include <penstock/http/socket_transport.hpp>

#include <batch/file.hpp>
#include <batch/temporary_directory.hpp>
#include <llm/json.hpp>
#include <support/process.hpp>

namespace support {

using batch::contents;
using batch::TemporaryDirectory;
using llm::Json;
namespace http = penstock::http;

/// The program as the build made it, unless the environment names another build of it.
[[nodiscard]] inline std::string program(const char* variable, const char* built) {
  const char* const other = std::getenv(variable);
  return other != nullptr ? other : built;
}
[[nodiscard]] inline std::string batch_program() {
  return program("PENSTOCK_BATCH", PENSTOCK_BATCH);
}
[[nodiscard]] inline std::string simulator_program() {
  return program("PENSTOCK_SIMULATOR", PENSTOCK_SIMULATOR);
}

/// penstock-simulator on a free port for as long as this lives.
class Simulator {
 public:
  /// Waits until it listens. `flags` come after --port.
  explicit Simulator(const Arguments& flags = {}, std::uint16_t port = 0)
      : process_(Arguments{simulator_program(),
                           "--port",
                           std::to_string(port),
                           "--port-file",
                           directory_.file("port")} +
                 flags) {
    const bool listens = eventually(
        [&] { return contents(directory_.file("port")) != "(missing)" || !process_.running(); });
    if (!listens || !process_.running())
      throw std::runtime_error{"the simulator does not start: " + process_.err()};
    origin_ = {"http", "127.0.0.1", static_cast<std::uint16_t>(std::stoi(port_file()))};
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return origin_.port; }
  [[nodiscard]] std::string port_file() const { return contents(directory_.file("port")); }
  [[nodiscard]] std::string url() const { return http::to_string(origin_); }
  /// For -m.
  [[nodiscard]] std::string openai() const { return "openai:sim-small@" + url() + "/v1"; }
  [[nodiscard]] std::string claude() const { return "claude:sim-small@" + url(); }

  [[nodiscard]] http::Response send(http::Request request) {
    request.origin = origin_;
    penstock::Inline executor;
    penstock::Call call{.executor = &executor};
    call.deadline = penstock::saturating_add(executor.now(), patience);
    auto response = transport_(request, call);
    if (!response) throw std::runtime_error{penstock::to_string(response.error())};
    return *std::move(response);
  }
  [[nodiscard]] http::Response get(std::string target) {
    http::Request request;
    request.target = std::move(target);
    return send(std::move(request));
  }
  [[nodiscard]] http::Response post(std::string target,
                                    std::string body,
                                    http::Headers headers = {}) {
    http::Request request;
    request.method = "POST";
    request.target = std::move(target);
    request.headers = std::move(headers);
    request.body = std::move(body);
    return send(std::move(request));
  }

  [[nodiscard]] Json stats() { return llm::parse(get("/admin/stats").body).value_or(Json{}); }
  /// One number of the stats.
  [[nodiscard]] std::int64_t count(std::string_view name) {
    return stats()[name].as_integer().value_or(-1);
  }
  [[nodiscard]] std::int64_t replies(std::string_view status) {
    return stats()["statuses"][status].as_integer().value_or(0);
  }
  /// Connections that others than this test opened.
  [[nodiscard]] std::int64_t connections() {
    const std::int64_t all = count("connections");
    return all - static_cast<std::int64_t>(transport_.pool().stats().opened);
  }

  [[nodiscard]] Process& process() noexcept { return process_; }

 private:
  TemporaryDirectory directory_;
  Process process_;
  http::Origin origin_;
  http::BlockingTransport transport_{http::SocketTransport{}};
};

/// A port of loopback that belongs to the test: nobody answers there until it listens, and no
/// other program can get it.
class Port {
 public:
  Port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    ::socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<::sockaddr*>(&address);
    if (::bind(socket_.get(), generic, size) != 0 ||
        ::getsockname(socket_.get(), generic, &size) != 0)
      throw std::runtime_error{"no free port"};
    number_ = ::ntohs(address.sin_port);
  }

  [[nodiscard]] std::string openai() const {
    return "openai:scripted@http://127.0.0.1:" + std::to_string(number_) + "/v1";
  }

  void listen() const { ::listen(socket_.get(), 16); }

  /// A request that waits for its reply; closed when this goes.
  struct Asked {
    batch::Descriptor client;
    std::string request;  ///< as it came; "" when nobody did

    void reply(std::string_view bytes) const {
      const auto sent = ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent != static_cast<::ssize_t>(bytes.size())) throw std::runtime_error{"cannot reply"};
    }
  };

  /// The request of the next connection, whole.
  [[nodiscard]] Asked take() const {
    Asked asked{
        batch::Descriptor{ready(socket_.get()) ? ::accept(socket_.get(), nullptr, nullptr) : -1},
        ""};
    while (!whole(asked.request) && ready(asked.client.get())) {
      char bytes[4096];
      const auto got = ::read(asked.client.get(), bytes, sizeof bytes);
      if (got <= 0) break;
      asked.request.append(bytes, static_cast<std::size_t>(got));
    }
    return asked;
  }

  /// Answers the next connection's request with these bytes and closes it; gives what came.
  [[nodiscard]] std::string answer(std::string_view reply) const {
    Asked asked = take();
    asked.reply(reply);
    return std::move(asked.request);
  }

 private:
  static bool ready(int descriptor) {
    constexpr int milliseconds = static_cast<int>(patience.count()) * 1000;
    ::pollfd poll{descriptor, POLLIN, 0};
    return descriptor >= 0 && ::poll(&poll, 1, milliseconds) == 1;
  }
  static bool whole(std::string_view request) {
    constexpr std::string_view field = "content-length: ";
    const auto head = request.find("\r\n\r\n");
    if (head == request.npos) return false;
    const auto at = std::min(request.find(field), request.find("Content-Length: "));
    const std::size_t body =
        at == request.npos ? 0 : std::stoul(std::string{request.substr(at + field.size(), 12)});
    return request.size() >= head + 4 + body;
  }

  batch::Descriptor socket_;
  std::uint16_t number_ = 0;
};

/// A batch in a directory of its own: its files, and the runs over them.
class Batch {
 public:
  /// `count` prompts, each of which can be told from its answer.
  explicit Batch(std::size_t count) : Batch(prompts(count)) {}
  explicit Batch(std::string_view input) { directory_.write("prompts.jsonl", input); }

  [[nodiscard]] static std::string prompt(std::size_t number) {
    return "what is " + std::to_string(number) + " times seven?";
  }
  [[nodiscard]] static std::string prompts(std::size_t count) {
    std::string text;
    for (std::size_t number = 1; number <= count; ++number)
      text += llm::to_string(Json::object({{"prompt", prompt(number)}})) + "\n";
    return text;
  }

  [[nodiscard]] std::string file(std::string_view name) const { return directory_.file(name); }
  [[nodiscard]] std::string input() const { return file("prompts.jsonl"); }
  [[nodiscard]] std::string output() const { return file("prompts.out.jsonl"); }
  [[nodiscard]] std::string errors() const { return file("prompts.out.errors.jsonl"); }
  [[nodiscard]] const TemporaryDirectory& directory() const noexcept { return directory_; }

  /// What a run is started with, up to the flags that differ.
  [[nodiscard]] Arguments command(const Arguments& flags) const {
    return Arguments{batch_program(), "-i", input()} + flags;
  }
  [[nodiscard]] static Arguments keys() {
    return {"OPENAI_API_KEY=sk-open-4711", "ANTHROPIC_API_KEY=sk-ant-4711"};
  }

  /// Runs it to its end.
  int run(const Arguments& flags, const Arguments& environment = keys()) {
    Process process{command(flags), environment};
    const int code = process.wait();
    err_ = process.err();
    out_ = process.out();
    return code;
  }
  /// What the last `run` printed.
  [[nodiscard]] const std::string& err() const noexcept { return err_; }
  [[nodiscard]] const std::string& out() const noexcept { return out_; }

  /// The lines of a JSONL file that are JSON; null for one that is not.
  [[nodiscard]] static std::vector<Json> lines(const std::string& path) {
    std::vector<Json> all;
    const std::string text = contents(path);
    if (text == "(missing)") return all;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      all.push_back(llm::parse(text.substr(begin, end - begin)).value_or(Json{}));
      begin = end + 1;
    }
    return all;
  }

  /// The text of an answer in either protocol.
  [[nodiscard]] static std::string text_of(const Json& line) {
    const Json& body = line["response"]["body"];
    const Json& content = body["content"][std::size_t{0}]["text"];
    return std::string{content.is_null()
                           ? body["choices"][std::size_t{0}]["message"]["content"].text()
                           : content.text()};
  }

  /// custom_id and answer. An id that comes twice has "(twice)" in place of its answer.
  [[nodiscard]] std::map<std::string, std::string> answers() const {
    std::map<std::string, std::string> all;
    for (const Json& line : lines(output())) {
      const auto [place, added] =
          all.try_emplace(std::string{line["custom_id"].text()}, text_of(line));
      if (!added) place->second = "(twice)";
    }
    return all;
  }
  /// What `answers` gives when the first `count` prompts are answered, each once and rightly.
  [[nodiscard]] static std::map<std::string, std::string> expected(std::size_t count) {
    std::map<std::string, std::string> all;
    for (std::size_t number = 1; number <= count; ++number)
      all.emplace("line-" + std::to_string(number), "echo: " + prompt(number));
    return all;
  }

 private:
  TemporaryDirectory directory_;
  std::string err_;
  std::string out_;
};

/// Whole lines of a file; 0 where there is none.
[[nodiscard]] inline std::size_t lines_in(const std::string& path) {
  const std::string text = contents(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Lines of a text, without their line feeds.
[[nodiscard]] inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    all.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return all;
}

}  // namespace support
