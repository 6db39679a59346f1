// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/error.hpp>

#include <llm/json.hpp>

namespace batch {

/// What one line of the output tells: the answer to one prompt.
struct Answer {
  std::size_t line = 0;  ///< of the prompt in the input; numbers the answer's own id
  std::string_view custom_id;
  int status = 200;
  llm::Json body;                    ///< the provider's reply
  std::string_view request_id = {};  ///< the provider's; empty: it gave none
  std::string_view model = {};       ///< the model that answered, added where the body names none
};

/// What one line of the errors file tells: why a prompt was given up.
struct Failure {
  std::size_t line = 0;
  std::string_view custom_id;
  const penstock::Error& error;
  std::string_view request_id = {};
};

namespace output {

using llm::Json;

// Every line begins with these bytes, by which a torn one is known.
inline constexpr std::string_view line_start = R"({"id":"batch_req_)";

[[nodiscard]] inline Json envelope(std::size_t line, std::string_view custom_id) {
  return Json::object({{"id", "batch_req_" + std::to_string(line)}, {"custom_id", custom_id}});
}

[[nodiscard]] inline Json response(int status, std::string_view request_id, Json body) {
  return Json::object({{"status_code", status},
                       {"request_id", request_id.empty() ? Json{} : Json{request_id}},
                       {"body", std::move(body)}});
}

}  // namespace output

/// A line of an OpenAI Batch output file, without its line feed:
/// {"id":…,"custom_id":…,"response":{"status_code":…,"request_id":…,"body":…},"error":null}.
[[nodiscard]] inline std::string answer_line(Answer answer) {
  using output::Json;
  if (answer.body.is_object() && answer.body["model"].is_null() && !answer.model.empty()) {
    answer.body.set("model", answer.model);
  }
  Json line = output::envelope(answer.line, answer.custom_id);
  line.set("response", output::response(answer.status, answer.request_id, std::move(answer.body)));
  line.set("error", nullptr);
  return llm::to_string(line);
}

/// A line of an OpenAI Batch error file, without its line feed. "error" always holds the kind and
/// a sentence; "response" is null unless the provider answered, and then has its status.
[[nodiscard]] inline std::string error_line(const Failure& failure) {
  using output::Json;
  const penstock::Error& error = failure.error;
  const Json code{to_string(error.kind())};
  const Json message{error.message().empty() ? to_string(error) : std::string{error.message()}};
  Json line = output::envelope(failure.line, failure.custom_id);
  if (error.status() == 0) {
    line.set("response", nullptr);
  } else {
    Json body = Json::object({{"error", Json::object({{"message", message}, {"code", code}})}});
    line.set("response", output::response(error.status(), failure.request_id, std::move(body)));
  }
  line.set("error", Json::object({{"code", code}, {"message", message}}));
  return llm::to_string(line);
}

}  // namespace batch
