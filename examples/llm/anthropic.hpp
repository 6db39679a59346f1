// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <llm/classify.hpp>
#include <llm/protocol.hpp>

/// The Messages protocol of Anthropic, and the way there from an OpenAI chat body.
namespace llm::anthropic {

inline constexpr std::string_view version = "2023-06-01";
/// Sent where a request names no limit: the protocol demands one.
inline constexpr int default_max_tokens = 1024;

/// An OpenAI content part as a content block; parts that are blocks already stay as they are.
[[nodiscard]] inline Json content_block(const Json& part) {
  if (part["type"].text() != "image_url") return part;
  const std::string_view url = part["image_url"]["url"].text();
  constexpr std::string_view scheme = "data:";
  constexpr std::string_view encoding = ";base64,";
  const auto mark = url.find(encoding);
  if (url.starts_with(scheme) && mark != std::string_view::npos) {
    return Json::object(
        {{"type", "image"},
         {"source",
          Json::object({{"type", "base64"},
                        {"media_type", url.substr(scheme.size(), mark - scheme.size())},
                        {"data", url.substr(mark + encoding.size())}})}});
  }
  return Json::object(
      {{"type", "image"}, {"source", Json::object({{"type", "url"}, {"url", url}})}});
}

[[nodiscard]] inline Json text_block(std::string_view text) {
  return Json::object({{"type", "text"}, {"text", text}});
}

/// One turn. Tool calls become tool_use blocks, a tool's answer a user turn with a tool_result.
[[nodiscard]] inline Json translate_message(const Message& message) {
  if (message.role == "tool") {
    Json result = Json::object({{"type", "tool_result"},
                                {"tool_use_id", message.extra["tool_call_id"]},
                                {"content", message.content}});
    return Json::object({{"role", "user"}, {"content", Json::array({std::move(result)})}});
  }
  const std::string_view role = message.role == "assistant" ? "assistant" : "user";
  const Json& calls = message.extra["tool_calls"];
  if (message.parts.items().empty() && calls.items().empty()) {
    return Json::object({{"role", role}, {"content", message.content}});
  }
  Json blocks = Json::array();
  if (message.parts.items().empty()) {
    if (!message.content.empty()) blocks.push(text_block(message.content));
  } else {
    for (const Json& part : message.parts.items()) {
      // An empty text block is refused by the server.
      if (part["type"].text() == "text" && part["text"].text().empty()) continue;
      blocks.push(content_block(part));
    }
  }
  for (const Json& call : calls.items()) {
    const auto input = parse(call["function"]["arguments"].text());
    blocks.push(Json::object({{"type", "tool_use"},
                              {"id", call["id"]},
                              {"name", call["function"]["name"]},
                              {"input", input && input->is_object() ? *input : Json::object()}}));
  }
  return Json::object({{"role", role}, {"content", std::move(blocks)}});
}

[[nodiscard]] inline Json translate_tools(const Json& tools) {
  Json out = Json::array();
  for (const Json& tool : tools.items()) {
    const Json& function = tool["function"];
    if (!function.is_object()) {
      out.push(tool);
      continue;
    }
    Json made = Json::object({{"name", function["name"]}});
    if (function["description"].is_string()) made.set("description", function["description"]);
    made.set("input_schema",
             function["parameters"].is_object() ? function["parameters"]
                                                : Json::object({{"type", "object"}}));
    out.push(std::move(made));
  }
  return out;
}

[[nodiscard]] inline Json translate_tool_choice(const Json& choice, const Json& parallel) {
  Json out = Json::object();
  if (choice.is_object() && choice["type"].text() != "function") {
    out = choice;
  } else if (choice.is_object()) {
    out.set("type", "tool").set("name", choice["function"]["name"]);
  } else {
    const std::string_view word = choice.text();
    out.set("type", word == "required" ? "any" : word == "none" ? "none" : "auto");
  }
  if (parallel.as_bool() == false && out["type"].text() != "none") {
    out.set("disable_parallel_tool_use", true);
  }
  return out;
}

/// The members of `request.extra` that the protocol has no place for; `encode` leaves them out. For
/// a caller that would rather warn.
[[nodiscard]] inline std::vector<std::string> members_left_out(const ChatRequest& request) {
  constexpr std::string_view known[] = {"top_p",
                                        "top_k",
                                        "stop",
                                        "stop_sequences",
                                        "tools",
                                        "tool_choice",
                                        "parallel_tool_calls",
                                        "user",
                                        "metadata",
                                        "thinking",
                                        "service_tier",
                                        "system",
                                        "stream_options"};
  std::vector<std::string> names;
  for (const JsonMember& member : request.extra.members())
    if (std::ranges::find(known, member.name) == std::end(known)) names.push_back(member.name);
  return names;
}

/// The body of POST {base}/v1/messages. System and developer messages move to `system`, temperature
/// is clamped to this protocol's 0..1, `max_tokens` is always there, and members the protocol does
/// not know are left out.
[[nodiscard]] inline Json messages_body(const ChatRequest& request) {
  std::string system{request.extra["system"].text()};
  Json messages = Json::array();
  for (const Message& each : request.messages) {
    if (each.role == "system" || each.role == "developer") {
      if (!system.empty() && !each.content.empty()) system += "\n\n";
      system += each.content;
    } else {
      messages.push(translate_message(each));
    }
  }
  Json body = Json::object(
      {{"model", request.model}, {"max_tokens", request.max_tokens.value_or(default_max_tokens)}});
  if (!system.empty()) {
    body.set("system", system);
  } else if (request.extra["system"].is_array()) {
    body.set("system", request.extra["system"]);
  }
  body.set("messages", std::move(messages));
  if (request.temperature) body.set("temperature", std::clamp(*request.temperature, 0.0, 1.0));

  const Json& extra = request.extra;
  for (const std::string_view same : {"top_p", "top_k", "stop_sequences", "thinking"}) {
    if (!extra[same].is_null()) body.set(same, extra[same]);
  }
  if (extra["stop"].is_array()) {
    body.set("stop_sequences", extra["stop"]);
  } else if (extra["stop"].is_string()) {
    body.set("stop_sequences", Json::array({extra["stop"]}));
  }
  if (extra["tools"].size() != 0) {
    body.set("tools", translate_tools(extra["tools"]));
    if (!extra["tool_choice"].is_null() || !extra["parallel_tool_calls"].is_null()) {
      body.set("tool_choice",
               translate_tool_choice(extra["tool_choice"], extra["parallel_tool_calls"]));
    }
  }
  const Json& user = extra["user"].is_string() ? extra["user"] : extra["metadata"]["user_id"];
  if (user.is_string()) body.set("metadata", Json::object({{"user_id", user}}));
  const std::string_view tier = extra["service_tier"].text();
  if (tier == "auto" || tier == "standard_only") body.set("service_tier", tier);
  if (request.delivery == Delivery::stream) body.set("stream", true);
  return body;
}

[[nodiscard]] inline http::Request encode(const Endpoint& endpoint, const ChatRequest& request) {
  http::Request out = begin_request(endpoint, "POST", "/v1/messages");
  out.headers.add("anthropic-version", std::string{version});
  set_body(out, messages_body(request), request.delivery);
  return out;
}

[[nodiscard]] inline http::Request encode_models(const Endpoint& endpoint) {
  http::Request out = begin_request(endpoint, "GET", "/v1/models");
  out.headers.add("anthropic-version", std::string{version});
  return out;
}

[[nodiscard]] inline std::string finish_word(std::string_view reason) {
  if (reason == "end_turn" || reason == "stop_sequence") return "stop";
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return "length";
  if (reason == "tool_use") return "tool";
  if (reason == "refusal") return "filtered";
  if (reason == "pause_turn") return "paused";
  return std::string{reason};
}

/// A message object as a reply. A refusal is a success with no text in it.
[[nodiscard]] inline Result<ChatReply> read_reply(Json body) {
  if (!body["error"].is_null()) return classify_body(body);
  if (!body["content"].is_array()) return Error{ErrorKind::transient, "the reply holds no content"};
  const auto tokens = [&](std::string_view name) {
    return std::max<std::int64_t>(0, body["usage"][name].as_integer().value_or(0));
  };
  ChatReply reply{
      .id = std::string{body["id"].text()},
      .model = std::string{body["model"].text()},
      .text = content_text(body["content"]),
      .finish_reason = finish_word(body["stop_reason"].text()),
      .usage = {.input_tokens = tokens("input_tokens") + tokens("cache_creation_input_tokens") +
                                tokens("cache_read_input_tokens"),
                .output_tokens = tokens("output_tokens")},
      .body = {}};
  reply.body = std::move(body);
  return reply;
}

[[nodiscard]] inline Error classify(const http::Response& response) {
  return classify_reply(response);
}

/// A body that is no JSON under 200 was cut or garbled on its way: `transient`.
[[nodiscard]] inline Result<ChatReply> decode(const http::Response& response) {
  if (response.status < 200 || response.status > 299) return classify(response);
  auto body = parse(response.body);
  if (!body) return damaged_reply(response, body.error());
  return read_reply(*std::move(body));
}

/// Gathers the events of a streamed message. The reply's body is the message they amount to.
/// *Not synchronized.*
class Stream final : public StreamDecoder {
 public:
  [[nodiscard]] Result<std::string_view> feed(std::string_view event,
                                              std::string_view data) override {
    if (failure_) return *failure_;
    if (done_ || data.empty()) return std::string_view{};
    const auto parsed = parse(data);
    if (!parsed) return fail(damaged_event(parsed.error()));
    const Json& value = *parsed;
    const std::string_view type = value["type"].as_string().value_or(event);
    if (type == "error" || !value["error"].is_null()) return fail(classify_body(value));
    const std::size_t before = text_.size();
    if (type == "message_start") {
      // A second one, which some proxies send, says nothing new.
      if (message_.is_null()) message_ = value["message"];
    } else if (type == "content_block_start") {
      start_block(value);
    } else if (type == "content_block_delta") {
      extend_block(value);
    } else if (type == "message_delta") {
      // Its usage counts from the start and may correct what came before: the last value holds.
      Json usage = message_["usage"];
      for (const auto& [name, count] : value["usage"].members())
        if (!count.is_null()) usage.set(name, count);
      message_.set("usage", std::move(usage));
      for (const auto& [name, given] : value["delta"].members()) message_.set(name, given);
    } else if (type == "message_stop") {
      done_ = true;
    }
    return std::string_view{text_}.substr(before);
  }

  [[nodiscard]] bool done() const noexcept override { return done_; }

  [[nodiscard]] Result<ChatReply> finish() override {
    if (failure_) return *failure_;
    if (!done_) {
      return Error{ErrorKind::transient, "the stream ended before its end marker message_stop"};
    }
    Json body = message_;
    Json content = Json::array();
    for (const Block& block : blocks_) content.push(finished(block));
    body.set("content", std::move(content));
    return read_reply(std::move(body));
  }

 private:
  struct Block {
    std::int64_t index;
    Json value;
    std::string input;  // JSON text of a tool's input, arriving in pieces
  };

  Error fail(Error error) {
    failure_ = error;
    return error;
  }

  void start_block(const Json& event) {
    text_ += event["content_block"]["text"].text();
    blocks_.push_back({event["index"].as_integer().value_or(0), event["content_block"], {}});
  }

  void extend_block(const Json& event) {
    const std::int64_t index = event["index"].as_integer().value_or(0);
    const auto found = std::ranges::find(blocks_, index, &Block::index);
    if (found == blocks_.end()) return;
    const Json& delta = event["delta"];
    const std::string_view type = delta["type"].text();
    if (type == "text_delta") {
      found->value.append_text("text", delta["text"].text());
      text_ += delta["text"].text();
    } else if (type == "input_json_delta") {
      found->input += delta["partial_json"].text();
    } else if (type == "thinking_delta") {
      found->value.append_text("thinking", delta["thinking"].text());
    } else if (type == "signature_delta") {
      found->value.append_text("signature", delta["signature"].text());
    }
  }

  // Input cut short by the token limit is no JSON; its text is kept so that nothing is lost.
  static Json finished(const Block& block) {
    Json value = block.value;
    if (block.input.empty()) return value;
    const auto input = parse(block.input);
    value.set("input", input ? *input : Json{block.input});
    return value;
  }

  Json message_;
  std::vector<Block> blocks_;
  std::string text_;
  std::optional<Error> failure_;
  bool done_ = false;
};

[[nodiscard]] inline std::unique_ptr<StreamDecoder> open_stream() {
  return std::make_unique<Stream>();
}

}  // namespace llm::anthropic
