// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <llm/json.hpp>
#include <penstock/core/result.hpp>

namespace llm {

/// One turn of a conversation, in the words of OpenAI's chat format.
struct Message {
  std::string role;     ///< system, developer, user, assistant, tool
  std::string content;  ///< the text; of content given in parts, the text parts joined
  Json parts{};         ///< the content as it came where it was no plain string, else null
  Json extra{};         ///< other members of the message (tool_calls, name, ...), else null
};

/// Whether the answer is wanted in one piece or as server-sent events.
enum class Delivery : std::uint8_t { whole, stream };

struct ChatRequest {
  std::string model;
  std::vector<Message> messages;
  std::optional<int> max_tokens{};
  std::optional<double> temperature{};
  Delivery delivery = Delivery::whole;
  Json extra{};  ///< further members of an OpenAI chat body, passed on as they are; or null
};

struct Usage {
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
};

/// A model's answer. `finish_reason` is one of stop, length (cut: the text is not whole), tool,
/// filtered (refused or moderated; `text` then holds the words of the refusal, if any), paused, or
/// the provider's own word where none of these fits.
struct ChatReply {
  std::string id;
  std::string model;
  std::string text;
  std::string finish_reason;
  Usage usage;
  Json body;  ///< the provider's reply as it came; of a stream, the reply it would have been whole
};

/// The text of a message's content: a string, or the text parts of an array joined.
[[nodiscard]] inline std::string content_text(const Json& content) {
  std::string out{content.text()};
  for (const Json& part : content.items())
    if (part["type"].text() == "text") out += part["text"].text();
  return out;
}

/// Takes an OpenAI chat body (a batch line's `body`) apart. Members this code has no word for
/// survive in `extra`.
[[nodiscard]] inline Result<ChatRequest> read_chat_body(const Json& body) {
  const auto refused = [](std::string sentence) {
    return Error{ErrorKind::permanent, std::move(sentence)};
  };
  if (!body.is_object()) return refused("a chat body must be a JSON object");
  if (body["model"].text().empty()) return refused("a chat body needs the member \"model\"");
  if (body["messages"].items().empty()) {
    return refused("a chat body needs \"messages\", an array of at least one message");
  }
  ChatRequest request;
  for (const Json& each : body["messages"].items()) {
    if (each["role"].text().empty()) {
      return refused("every one of \"messages\" must be an object with a \"role\"");
    }
    Message message{.role = std::string{each["role"].text()}, .content = ""};
    for (const auto& [name, value] : each.members()) {
      if (name == "content") {
        message.content = content_text(value);
        if (!value.is_string()) message.parts = value;
      } else if (name != "role") {
        message.extra.set(name, value);
      }
    }
    request.messages.push_back(std::move(message));
  }
  for (const auto& [name, value] : body.members()) {
    if (name == "model") {
      request.model = value.text();
    } else if (name == "max_tokens" || name == "max_completion_tokens") {
      if (value.is_null()) continue;
      const auto tokens = value.as_integer();
      if (!tokens || *tokens < 0 || *tokens > std::numeric_limits<int>::max()) {
        return refused("\"" + name + "\" must be a whole number, 0 or more");
      }
      request.max_tokens = static_cast<int>(*tokens);
    } else if (name == "temperature") {
      if (value.is_null()) continue;
      request.temperature = value.as_double();
      if (!request.temperature) return refused("\"temperature\" must be a number");
    } else if (name == "stream") {
      request.delivery = value.as_bool().value_or(false) ? Delivery::stream : Delivery::whole;
    } else if (name != "messages") {
      request.extra.set(name, value);
    }
  }
  return request;
}

/// About four bytes to a token. Bytes rather than characters, so that scripts whose characters cost
/// a token each are not undercounted.
[[nodiscard]] constexpr std::uint64_t estimate_text_tokens(std::size_t bytes) noexcept {
  return (static_cast<std::uint64_t>(bytes) + 3) / 4;
}

/// What the prompt may cost: its text, a few tokens of framing per message, the tool descriptions,
/// and a flat guess for each part that is no text (a data URL's length says nothing of its cost).
[[nodiscard]] inline std::uint32_t estimate_prompt_tokens(const ChatRequest& request) {
  constexpr std::uint64_t per_message = 4;
  constexpr std::uint64_t per_other_part = 1000;
  std::uint64_t tokens = 3;
  for (const Message& message : request.messages) {
    tokens += per_message + estimate_text_tokens(message.content.size());
    for (const Json& part : message.parts.items())
      if (part["type"].text() != "text") tokens += per_other_part;
    if (!message.extra.is_null()) tokens += estimate_text_tokens(to_string(message.extra).size());
  }
  const Json& tools = request.extra["tools"];
  if (!tools.is_null()) tokens += estimate_text_tokens(to_string(tools).size());
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(tokens, most));
}

/// What to reserve of a tokens-per-minute allowance before sending: the prompt plus all the output
/// that was allowed. To be settled with `ChatReply::usage` afterwards.
[[nodiscard]] inline std::uint32_t estimate_tokens(const ChatRequest& request) {
  const std::uint64_t tokens =
      std::uint64_t{estimate_prompt_tokens(request)} +
      static_cast<std::uint64_t>(std::max(0, request.max_tokens.value_or(0)));
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(tokens, most));
}

}  // namespace llm
