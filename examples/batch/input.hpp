// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>

#include <batch/file.hpp>
#include <llm/chat.hpp>
#include <llm/json.hpp>

namespace batch {

/// One line of the input, ready to ask.
struct Prompt {
  std::size_t line = 0;
  std::string custom_id;  ///< the line's own, else "line-17"
  /// `model` is the line's own and may be empty; the answer is always wanted whole.
  llm::ChatRequest request;
};

inline constexpr std::size_t longest_input_line = 16 * 1024 * 1024;

namespace input {

using llm::Json;

[[nodiscard]] inline Error malformed(std::string sentence) {
  return Error{ErrorKind::permanent, std::move(sentence)};
}

[[nodiscard]] inline std::string own_id(std::size_t line) {
  return "line-" + std::to_string(line);
}

[[nodiscard]] inline Result<llm::ChatRequest> read_text(const Json& text, std::string_view name) {
  if (!text.is_string()) return malformed(std::string{name} + " must be a string");
  if (text.text().empty()) return malformed(std::string{name} + " is empty");
  llm::ChatRequest request{.model = "", .messages = {}};
  request.messages.push_back({.role = "user", .content = std::string{text.text()}});
  return request;
}

/// An OpenAI chat body, which here may leave the model to the command line.
[[nodiscard]] inline Result<llm::ChatRequest> read_body(Json body) {
  const bool names_model = !body["model"].text().empty();
  if (body.is_object() && !names_model) body.set("model", "any");
  auto request = llm::read_chat_body(body);
  if (!request) return request;
  if (!names_model) request->model.clear();
  request->delivery = llm::Delivery::whole;
  request->extra.remove("stream_options");
  return request;
}

[[nodiscard]] inline bool text_only(const Json& content) {
  if (content.is_string()) return true;
  if (!content.is_array()) return false;
  for (const Json& block : content.items())
    if (block["type"].text() != "text" || !block["text"].is_string()) return false;
  return true;
}

/// The body of Anthropic's /v1/messages in the words of a chat body, as far as both have them.
[[nodiscard]] inline Result<llm::ChatRequest> read_messages_body(Json body) {
  constexpr std::string_view advice = "; write it as a /v1/chat/completions body";
  for (const std::string_view name : {"tools", "tool_choice"}) {
    if (body.contains(name)) {
      return malformed("a /v1/messages body with \"" + std::string{name} + "\" is not understood" +
                       std::string{advice});
    }
  }
  for (const Json& message : body["messages"].items()) {
    if (!text_only(message["content"])) {
      return malformed("a /v1/messages body is understood with text only" + std::string{advice});
    }
  }
  if (const Json system = body["system"]; !system.is_null()) {
    if (!text_only(system)) return malformed("\"system\" must be a string or blocks of text");
    Json messages = Json::array();
    messages.push(Json::object({{"role", "system"}, {"content", llm::content_text(system)}}));
    for (const Json& message : body["messages"].items()) messages.push(message);
    if (messages.size() > 1) body.set("messages", std::move(messages));
    body.remove("system");
  }
  if (const Json stop = body["stop_sequences"]; body.remove("stop_sequences")) {
    body.set("stop", stop);
  }
  return read_body(std::move(body));
}

/// An OpenAI Batch line: custom_id, method, url, body.
[[nodiscard]] inline Result<llm::ChatRequest> read_batch_line(const Json& line) {
  if (const Json& method = line["method"]; !method.is_null() && method.text() != "POST") {
    return malformed("the method of a batch line must be \"POST\"");
  }
  if (!line["body"].is_object()) return malformed("the body of a batch line must be an object");
  const Json& url = line["url"];
  if (url.is_null() || url.text() == "/v1/chat/completions") return read_body(line["body"]);
  if (url.text() == "/v1/messages") return read_messages_body(line["body"]);
  return malformed("the url of a batch line must be /v1/chat/completions or /v1/messages, not " +
                   llm::to_string(url));
}

/// Of an object that is no batch line only the prompt itself is read: what stands beside a
/// "prompt" or "question" (an expected "answer", say) is never sent to the model.
[[nodiscard]] inline Result<llm::ChatRequest> read_request(Json line) {
  if (line.is_string()) return read_text(line, "the prompt");
  if (!line.is_object()) return malformed("a line must be a JSON object or string");
  if (line.contains("body") || line.contains("url") || line.contains("method")) {
    return read_batch_line(line);
  }
  if (line.contains("messages")) {
    line.remove("custom_id");
    return read_body(std::move(line));
  }
  for (const std::string_view name : {"prompt", "question"}) {
    if (line.contains(name)) return read_text(line[name], "\"" + std::string{name} + "\"");
  }
  return malformed("the object has none of \"prompt\", \"question\", \"messages\" and \"body\"");
}

}  // namespace input

/// One line of the input. The error is a sentence that does not name the line.
[[nodiscard]] inline Result<Prompt> read_prompt(std::string_view text, std::size_t line) {
  auto parsed = llm::parse(text);
  if (!parsed) {
    // Within one line of JSONL the codec's own line number is always 1 and would mislead.
    constexpr std::string_view prefix = "invalid JSON at line 1, ";
    std::string problem{parsed.error().message()};
    if (problem.starts_with(prefix)) problem.replace(0, prefix.size(), "invalid JSON at ");
    return input::malformed(std::move(problem));
  }
  std::string custom_id = input::own_id(line);
  if (parsed->contains("custom_id")) {
    custom_id = (*parsed)["custom_id"].text();
    if (custom_id.empty()) return input::malformed("\"custom_id\" must be a string, not empty");
  }
  auto request = input::read_request(*std::move(parsed));
  if (!request) return std::move(request).error();
  return Prompt{line, std::move(custom_id), *std::move(request)};
}

/// Gives the prompts of a JSONL file one by one. *Not synchronized*, but for `stop`.
///
/// Memory: the longest line, a bit for each line without a custom_id, and every custom_id given,
/// because two lines with one identity could not both be answered.
class InputReader {
 public:
  /// "-" is standard input. Fails where the file cannot be read.
  [[nodiscard]] static Result<InputReader> open(const std::string& path) {
    Descriptor file = path == "-" ? Descriptor{::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)}
                                  : Descriptor::open(path, O_RDONLY);
    if (file.get() < 0) return file_error("read", path, errno);
    struct stat status {};
    if (::fstat(file.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
      return file_error("read", path, EISDIR);
    }
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return file_error("read", path, errno);
    return InputReader{std::move(file),
                       path == "-" ? "standard input" : path,
                       Descriptor{ends[0]},
                       Descriptor{ends[1]},
                       S_ISREG(status.st_mode) ? Waits::never : Waits::for_its_writer};
  }

  /// Whether `next` can block for long: a pipe or a terminal has lines when somebody writes them.
  [[nodiscard]] bool waits() const noexcept { return waits_ == Waits::for_its_writer; }
  /// Lets a `next` that waits end as at the end of the file. From any thread, once.
  void stop() const noexcept { static_cast<void>(::write(stopper_.get(), "", 1)); }

  /// The next prompt, or why the next line is none (`permanent`, naming the line), or why reading
  /// stopped (`unavailable`). Blank lines are passed over. Nothing at the end.
  [[nodiscard]] std::optional<Result<Prompt>> next() {
    int failure = 0;
    while (auto line = reader_.next(failure)) {
      if (line->number == 1 && line->text.starts_with("\xEF\xBB\xBF")) line->text.remove_prefix(3);
      if (line->blank()) continue;
      if (line->too_long) {
        return at(line->number,
                  "it is longer than " + std::to_string(longest_input_line >> 20) + " MiB");
      }
      auto prompt = read_prompt(line->text, line->number);
      if (!prompt) return at(line->number, prompt.error().message());
      if (const std::size_t earlier = claim(*prompt); earlier != 0) {
        return at(line->number,
                  "its custom_id \"" + prompt->custom_id + "\" is already that of line " +
                      std::to_string(earlier));
      }
      return prompt;
    }
    if (failure == 0) return std::nullopt;
    Error stopped{ErrorKind::unavailable};
    stopped.add_message(std::string{file_error("read", name_, failure).message()});
    return stopped;
  }

 private:
  enum class Waits : std::uint8_t { never, for_its_writer };

  InputReader(
      Descriptor file, std::string name, Descriptor stopped, Descriptor stopper, Waits waits)
      : file_(std::move(file)),
        name_(std::move(name)),
        stopped_(std::move(stopped)),
        stopper_(std::move(stopper)),
        waits_(waits),
        reader_(file_.get(), longest_input_line, stopped_.get()) {}

  [[nodiscard]] Error at(std::size_t line, std::string_view sentence) const {
    return input::malformed("line " + std::to_string(line) + " of " + name_ + ": " +
                            std::string{sentence});
  }

  /// Takes the identity; where it is taken, the line that has it.
  std::size_t claim(const Prompt& prompt) {
    const std::string& id = prompt.custom_id;
    if (id == input::own_id(prompt.line)) {
      if (const auto found = lines_.find(id); found != lines_.end()) return found->second;
      if (numbered_.size() <= prompt.line) numbered_.resize(prompt.line + 1);
      numbered_[prompt.line] = true;
      return 0;
    }
    // A given id may read as that of an earlier line which was known by its number.
    if (const std::size_t number = number_in(id);
        number < numbered_.size() && numbered_[number] && id == input::own_id(number)) {
      return number;
    }
    const auto [place, added] = lines_.try_emplace(id, prompt.line);
    return added ? 0 : place->second;
  }

  static std::size_t number_in(std::string_view id) noexcept {
    constexpr std::string_view prefix = "line-";
    if (!id.starts_with(prefix) || id.size() > prefix.size() + 18) return 0;
    std::size_t number = 0;
    for (const char digit : id.substr(prefix.size())) {
      if (digit < '0' || digit > '9') return 0;
      number = number * 10 + static_cast<std::size_t>(digit - '0');
    }
    return number;
  }

  Descriptor file_;
  std::string name_;
  Descriptor stopped_;  // a pipe, readable once `stop` was called
  Descriptor stopper_;
  Waits waits_;
  LineReader reader_;
  std::unordered_map<std::string, std::size_t> lines_;
  std::vector<bool> numbered_;
};

/// Lines of the file that are not blank, for the total of a progress bar; 0 where counting would
/// use the input up (a pipe).
[[nodiscard]] inline Result<std::uint64_t> count_lines(const std::string& path) {
  struct stat status {};
  if (path == "-" || ::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return 0U;
  const Descriptor file = Descriptor::open(path, O_RDONLY);
  if (file.get() < 0) return file_error("read", path, errno);
  LineReader reader{file.get(), longest_input_line};
  std::uint64_t count = 0;
  int failure = 0;
  while (const auto line = reader.next(failure)) count += line->blank() ? 0 : 1;
  if (failure != 0) return file_error("read", path, failure);
  return count;
}

}  // namespace batch
