// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <llm/chat.hpp>
#include <llm/simulate_faults.hpp>

namespace llm::simulate {

/// One server-sent event of a streamed answer; OpenAI's have no name.
struct Event {
  std::string name;
  std::string data;
};

/// "event: ping\ndata: {}\n\n".
[[nodiscard]] inline std::string to_wire(const Event& event) {
  std::string out;
  if (!event.name.empty()) out += "event: " + event.name + "\n";
  return out + "data: " + event.data + "\n\n";
}

/// A request body as the simulated provider understood it, or the 400 it answers.
struct Incoming {
  ChatRequest chat;
  std::optional<http::Response> refusal;
};

/// Checks a body the way the provider does. `estimate_tokens(incoming.chat)` is what to charge.
[[nodiscard]] inline Incoming read_request(Protocol protocol,
                                           std::string_view body,
                                           const Stamp& stamp) {
  const auto blamed = [&](Blame blame) {
    return Incoming{{}, refuse(protocol, Fault::bad_request, stamp, blame)};
  };
  const bool openai = protocol == Protocol::openai;
  const auto parsed = parse(body);
  if (!parsed || !parsed->is_object()) {
    return blamed({.message = openai ? "We could not parse the JSON body of your request."
                                     : "The request body is not valid JSON"});
  }
  for (const std::string required : {"model", "messages", "max_tokens"}) {
    if (openai && required == "max_tokens") continue;  // only Anthropic demands it
    if (!(*parsed)[required].is_null()) continue;
    return openai ? blamed({.message = "Missing required parameter: '" + required + "'.",
                            .param = required,
                            .code = "missing_required_parameter"})
                  : blamed({.message = required + ": Field required"});
  }
  auto chat = read_chat_body(*parsed);
  if (!chat) return blamed({.message = std::string{chat.error().message()}});
  return {*std::move(chat), std::nullopt};
}

/// "echo: " and the last user message: a pure function of the request, so that a test can tell
/// whether answers were matched to the right questions.
[[nodiscard]] inline std::string echo(const ChatRequest& chat) {
  std::string_view last;
  for (const Message& message : chat.messages)
    if (message.role == "user") last = message.content;
  return "echo: " + std::string{last};
}

[[nodiscard]] inline Usage echo_usage(const ChatRequest& chat, std::string_view text) {
  const std::string system = content_text(chat.extra["system"]);
  return {.input_tokens = static_cast<std::int64_t>(estimate_prompt_tokens(chat) +
                                                    estimate_text_tokens(system.size())),
          .output_tokens = static_cast<std::int64_t>(estimate_text_tokens(text.size()))};
}

/// Word by word, each with the space before it. Spaces are ASCII, so no code point is cut.
[[nodiscard]] inline std::vector<std::string_view> pieces(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' ', 1), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

[[nodiscard]] inline Json openai_usage(const Usage& usage) {
  return Json::object(
      {{"prompt_tokens", usage.input_tokens},
       {"completion_tokens", usage.output_tokens},
       {"total_tokens", usage.input_tokens + usage.output_tokens},
       {"prompt_tokens_details", Json::object({{"cached_tokens", 0}, {"audio_tokens", 0}})},
       {"completion_tokens_details",
        Json::object({{"reasoning_tokens", 0},
                      {"audio_tokens", 0},
                      {"accepted_prediction_tokens", 0},
                      {"rejected_prediction_tokens", 0}})}});
}

[[nodiscard]] inline Json anthropic_usage(const Usage& usage) {
  return Json::object({{"input_tokens", usage.input_tokens},
                       {"cache_creation_input_tokens", 0},
                       {"cache_read_input_tokens", 0},
                       {"output_tokens", usage.output_tokens},
                       {"service_tier", "standard"}});
}

[[nodiscard]] inline std::string answer_id(Protocol protocol, const Stamp& stamp) {
  return (protocol == Protocol::openai ? "chatcmpl-sim" : "msg_sim") + std::to_string(stamp.number);
}

/// The reply in one piece.
[[nodiscard]] inline Json answer_body(Protocol protocol,
                                      const ChatRequest& chat,
                                      const Stamp& stamp) {
  const std::string text = echo(chat);
  const Usage usage = echo_usage(chat, text);
  if (protocol == Protocol::anthropic) {
    return Json::object(
        {{"model", chat.model},
         {"id", answer_id(protocol, stamp)},
         {"type", "message"},
         {"role", "assistant"},
         {"content", Json::array({Json::object({{"type", "text"}, {"text", text}})})},
         {"stop_reason", "end_turn"},
         {"stop_sequence", nullptr},
         {"usage", anthropic_usage(usage)}});
  }
  const Json message = Json::object({{"role", "assistant"},
                                     {"content", text},
                                     {"refusal", nullptr},
                                     {"annotations", Json::array()}});
  const Json choice = Json::object(
      {{"index", 0}, {"message", message}, {"logprobs", nullptr}, {"finish_reason", "stop"}});
  return Json::object({{"id", answer_id(protocol, stamp)},
                       {"object", "chat.completion"},
                       {"created", stamp.created},
                       {"model", chat.model},
                       {"choices", Json::array({choice})},
                       {"usage", openai_usage(usage)},
                       {"service_tier", "default"},
                       {"system_fingerprint", "fp_simulated"}});
}

/// The chunks of OpenAI, with a usage chunk where `stream_options.include_usage` asked for one.
[[nodiscard]] inline std::vector<Event> openai_events(const ChatRequest& chat, const Stamp& stamp) {
  const std::string text = echo(chat);
  const bool with_usage = chat.extra["stream_options"]["include_usage"].as_bool().value_or(false);
  std::vector<Event> events;
  const auto add = [&](Json choices, Json usage) {
    Json chunk = Json::object({{"id", answer_id(Protocol::openai, stamp)},
                               {"object", "chat.completion.chunk"},
                               {"created", stamp.created},
                               {"model", chat.model},
                               {"service_tier", "default"},
                               {"system_fingerprint", "fp_simulated"},
                               {"choices", std::move(choices)}});
    if (with_usage) chunk.set("usage", std::move(usage));
    events.push_back({"", to_string(chunk)});
  };
  const auto choice = [](Json delta, Json finish_reason) {
    return Json::array({Json::object({{"index", 0},
                                      {"delta", std::move(delta)},
                                      {"logprobs", nullptr},
                                      {"finish_reason", std::move(finish_reason)}})});
  };
  add(choice(Json::object({{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}), nullptr),
      nullptr);
  for (const std::string_view piece : pieces(text)) {
    add(choice(Json::object({{"content", piece}}), nullptr), nullptr);
  }
  add(choice(Json::object(), "stop"), nullptr);
  if (with_usage) add(Json::array(), openai_usage(echo_usage(chat, text)));
  events.push_back({"", "[DONE]"});
  return events;
}

[[nodiscard]] inline std::vector<Event> anthropic_events(const ChatRequest& chat,
                                                         const Stamp& stamp) {
  const std::string text = echo(chat);
  const Usage usage = echo_usage(chat, text);
  std::vector<Event> events;
  const auto add = [&](std::string_view type, Json::Object members) {
    Json data = Json::object({{"type", type}});
    for (JsonMember& member : members) data.set(member.name, std::move(member.value));
    events.push_back({std::string{type}, to_string(data)});
  };
  Json message = answer_body(Protocol::anthropic, chat, stamp);
  message.set("content", Json::array())
      .set("stop_reason", nullptr)
      .set("usage", anthropic_usage({.input_tokens = usage.input_tokens, .output_tokens = 1}));
  add("message_start", {{"message", std::move(message)}});
  add("content_block_start",
      {{"index", 0}, {"content_block", Json::object({{"type", "text"}, {"text", ""}})}});
  add("ping", {});
  for (const std::string_view piece : pieces(text)) {
    add("content_block_delta",
        {{"index", 0}, {"delta", Json::object({{"type", "text_delta"}, {"text", piece}})}});
  }
  add("content_block_stop", {{"index", 0}});
  add("message_delta",
      {{"delta", Json::object({{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}})},
       {"usage",
        Json::object(
            {{"input_tokens", usage.input_tokens}, {"output_tokens", usage.output_tokens}})}});
  add("message_stop", {});
  return events;
}

/// A success: `events` is empty and the response has a body, or the events are that body.
struct Answer {
  http::Response response;
  std::vector<Event> events;
};

[[nodiscard]] inline Answer answer(Protocol protocol, const ChatRequest& chat, const Stamp& stamp) {
  if (chat.delivery == Delivery::whole) {
    return {reply_with(protocol, 200, answer_body(protocol, chat, stamp), stamp), {}};
  }
  Answer out;
  out.response = reply_with(protocol, 200, {}, stamp);
  out.response.headers.set("content-type", "text/event-stream; charset=utf-8");
  out.response.body.clear();
  out.events =
      protocol == Protocol::openai ? openai_events(chat, stamp) : anthropic_events(chat, stamp);
  return out;
}

/// A failure inside a stream whose status was 200; nothing follows it.
[[nodiscard]] inline Event error_event(Protocol protocol, Fault fault, const Stamp& stamp) {
  return {protocol == Protocol::openai ? "" : "error",
          to_string(fault_body(protocol, fault, stamp))};
}

/// One model as the provider describes it.
[[nodiscard]] inline Json model_entry(Protocol protocol,
                                      const std::string& id,
                                      const Stamp& stamp) {
  if (protocol == Protocol::anthropic) {
    return Json::object({{"type", "model"},
                         {"id", id},
                         {"display_name", id},
                         {"created_at", rfc3339(stamp.created)}});
  }
  return Json::object(
      {{"id", id}, {"object", "model"}, {"created", stamp.created}, {"owned_by", "simulator"}});
}

/// The reply to GET /v1/models/{id} for a model that exists.
[[nodiscard]] inline http::Response describe_model(Protocol protocol,
                                                   const std::string& id,
                                                   const Stamp& stamp) {
  return reply_with(protocol, 200, model_entry(protocol, id, stamp), stamp);
}

/// The reply to GET /v1/models.
[[nodiscard]] inline http::Response list_models(Protocol protocol,
                                                std::span<const std::string> ids,
                                                const Stamp& stamp) {
  Json data = Json::array();
  for (const std::string& id : ids) data.push(model_entry(protocol, id, stamp));
  if (protocol == Protocol::openai) {
    return reply_with(
        protocol, 200, Json::object({{"object", "list"}, {"data", std::move(data)}}), stamp);
  }
  const auto id_or_null = [&](std::size_t at) { return at < ids.size() ? Json{ids[at]} : Json{}; };
  return reply_with(protocol,
                    200,
                    Json::object({{"data", std::move(data)},
                                  {"has_more", false},
                                  {"first_id", id_or_null(0)},
                                  {"last_id", id_or_null(ids.size() - 1)}}),
                    stamp);
}

}  // namespace llm::simulate
