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

/// The chat completions protocol of OpenAI, which Groq, DeepSeek and most local servers speak too.
namespace llm::openai {

/// The body of POST {base}/chat/completions. `max_tokens_member` is the provider's spelling:
/// reasoning models refuse "max_tokens", older servers do not know "max_completion_tokens".
[[nodiscard]] inline Json chat_body(const ChatRequest& request,
                                    std::string_view max_tokens_member) {
  Json messages = Json::array();
  for (const Message& each : request.messages) {
    Json message = Json::object({{"role", each.role}});
    message.set("content", each.parts.is_null() ? Json{each.content} : each.parts);
    // An assistant turn that only calls tools has null content, which must stay null.
    if (each.parts.is_null() && each.content.empty() && each.extra.contains("tool_calls")) {
      message.set("content", nullptr);
    }
    for (const auto& [name, value] : each.extra.members()) message.set(name, value);
    messages.push(std::move(message));
  }
  Json body = Json::object({{"model", request.model}, {"messages", std::move(messages)}});
  if (request.max_tokens) body.set(max_tokens_member, *request.max_tokens);
  if (request.temperature) body.set("temperature", *request.temperature);
  for (const auto& [name, value] : request.extra.members()) {
    // Refused by servers where nothing is streamed.
    if (name == "stream_options" && request.delivery == Delivery::whole) continue;
    body.set(name, value);
  }
  if (request.delivery == Delivery::stream) {
    body.set("stream", true);
    if (!body.contains("stream_options")) {
      body.set("stream_options", Json::object({{"include_usage", true}}));
    }
  }
  return body;
}

[[nodiscard]] inline http::Request encode(const Endpoint& endpoint, const ChatRequest& request) {
  http::Request out = begin_request(endpoint, "POST", "/chat/completions");
  set_body(out, chat_body(request, endpoint.provider->max_tokens_member), request.delivery);
  return out;
}

[[nodiscard]] inline http::Request encode_models(const Endpoint& endpoint) {
  return begin_request(endpoint, "GET", "/models");
}

[[nodiscard]] inline std::string finish_word(std::string_view reason) {
  if (reason == "tool_calls" || reason == "function_call") return "tool";
  if (reason == "content_filter") return "filtered";
  return std::string{reason};
}

[[nodiscard]] inline Usage read_usage(const Json& body) {
  const Json& usage = body["usage"].is_object() ? body["usage"] : body["x_groq"]["usage"];
  return {
      .input_tokens = std::max<std::int64_t>(0, usage["prompt_tokens"].as_integer().value_or(0)),
      .output_tokens =
          std::max<std::int64_t>(0, usage["completion_tokens"].as_integer().value_or(0))};
}

/// A chat.completion object as a reply; an error where it holds one or has no answer in it.
[[nodiscard]] inline Result<ChatReply> read_reply(Json body) {
  if (!body["error"].is_null()) return classify_body(body);
  const Json& choice = body["choices"][0];
  if (!choice.is_object()) return Error{ErrorKind::transient, "the reply holds no choices"};
  const std::string_view reason = choice["finish_reason"].text();
  if (reason == "insufficient_system_resource") {
    return Error{ErrorKind::unavailable, "the provider ran out of capacity amid the answer"};
  }
  const Json& message = choice["message"];
  ChatReply reply{.id = std::string{body["id"].text()},
                  .model = std::string{body["model"].text()},
                  .text = content_text(message["content"]),
                  .finish_reason = finish_word(reason),
                  .usage = read_usage(body),
                  .body = {}};
  if (const std::string_view refusal = message["refusal"].text(); !refusal.empty()) {
    reply.text = refusal;
    reply.finish_reason = "filtered";
  }
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

/// Gathers chat.completion.chunk events. The reply's body is the chat.completion they amount to.
/// *Not synchronized.*
class Stream final : public StreamDecoder {
 public:
  [[nodiscard]] Result<std::string_view> feed(std::string_view /*event*/,
                                              std::string_view data) override {
    if (failure_) return *failure_;
    if (done_ || data.empty()) return std::string_view{};
    if (data == "[DONE]") {
      done_ = true;
      return std::string_view{};
    }
    const auto chunk = parse(data);
    if (!chunk) return fail(damaged_event(chunk.error()));
    if (!(*chunk)["error"].is_null()) return fail(classify_body(*chunk));
    if (const Json& stopped = (*chunk)["x_groq"]["error"]; stopped.is_string()) {
      return fail({ErrorKind::transient, std::string{stopped.text()}});
    }
    const std::size_t before = text_.size();
    take(*chunk);
    return std::string_view{text_}.substr(before);
  }

  [[nodiscard]] bool done() const noexcept override { return done_; }

  [[nodiscard]] Result<ChatReply> finish() override {
    if (failure_) return *failure_;
    if (!done_) {
      return Error{ErrorKind::transient, "the stream ended before its end marker [DONE]"};
    }
    Json body = top_;
    Json choices = Json::array();
    for (const Choice& each : choices_) {
      Json message = each.message;
      if (!each.tool_calls.empty()) {
        Json calls = Json::array();
        for (const ToolCall& call : each.tool_calls) {
          calls.push(
              Json::object({{"id", call.id}, {"type", "function"}, {"function", call.function}}));
        }
        message.set("tool_calls", std::move(calls));
      }
      choices.push(Json::object({{"index", each.index},
                                 {"message", std::move(message)},
                                 {"logprobs", nullptr},
                                 {"finish_reason", each.finish_reason}}));
    }
    body.set("choices", std::move(choices));
    if (!usage_.is_null()) body.set("usage", usage_);
    return read_reply(std::move(body));
  }

 private:
  struct ToolCall {
    std::int64_t index;
    Json id;
    Json function;
  };
  struct Choice {
    std::int64_t index;
    Json message;
    Json finish_reason;
    std::vector<ToolCall> tool_calls;
  };

  Error fail(Error error) {
    failure_ = error;
    return error;
  }

  void take(const Json& chunk) {
    for (const auto& [name, value] : chunk.members()) {
      if (name == "choices" || name == "usage" || name == "object" || name == "obfuscation") {
        continue;
      }
      // The first that says something holds; Azure's first chunk has the id "".
      const Json& known = top_[name];
      if (known.is_null() || known.as_string() == "") top_.set(name, value);
    }
    if (chunk["usage"].is_object()) {
      usage_ = chunk["usage"];
    } else if (chunk["x_groq"]["usage"].is_object()) {
      usage_ = chunk["x_groq"]["usage"];
    }
    // The usage chunk and Azure's first one hold no choice at all.
    for (const Json& each : chunk["choices"].items()) {
      Choice& choice = find_choice(each["index"].as_integer().value_or(0));
      if (!each["finish_reason"].is_null()) choice.finish_reason = each["finish_reason"];
      for (const auto& [name, value] : each["delta"].members()) {
        if (name == "tool_calls") {
          for (const Json& part : value.items()) take_tool_call(choice, part);
        } else if (name != "role") {
          take_member(choice.message, name, value);
          if (choice.index == 0 && (name == "content" || name == "refusal")) text_ += value.text();
        }
      }
    }
  }

  Choice& find_choice(std::int64_t index) {
    const auto found = std::ranges::find(choices_, index, &Choice::index);
    if (found != choices_.end()) return *found;
    const auto place = std::ranges::upper_bound(choices_, index, {}, &Choice::index);
    return *choices_.insert(
        place, Choice{index, Json::object({{"role", "assistant"}, {"content", nullptr}}), {}, {}});
  }

  // Texts grow piece by piece; anything else is as it came last.
  static void take_member(Json& message, const std::string& name, const Json& value) {
    if (value.is_null()) {
      if (!message.contains(name)) message.set(name, nullptr);
    } else if (value.is_string()) {
      message.append_text(name, value.text());
    } else {
      message.set(name, value);
    }
  }

  static void take_tool_call(Choice& choice, const Json& part) {
    const auto next = static_cast<std::int64_t>(choice.tool_calls.size());
    const std::int64_t index = part["index"].as_integer().value_or(next);
    auto found = std::ranges::find(choice.tool_calls, index, &ToolCall::index);
    if (found == choice.tool_calls.end()) {
      choice.tool_calls.push_back({index, {}, {}});
      found = choice.tool_calls.end() - 1;
    }
    if (!part["id"].text().empty()) found->id = part["id"];
    for (const auto& [name, value] : part["function"].members()) {
      take_member(found->function, name, value);
    }
  }

  Json top_ = Json::object({{"id", ""}, {"object", "chat.completion"}});
  Json usage_;
  std::vector<Choice> choices_;
  std::string text_;
  std::optional<Error> failure_;
  bool done_ = false;
};

[[nodiscard]] inline std::unique_ptr<StreamDecoder> open_stream() {
  return std::make_unique<Stream>();
}

}  // namespace llm::openai
