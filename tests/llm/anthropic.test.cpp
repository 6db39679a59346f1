// SPDX-License-Identifier: MIT
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/provider.hpp>

namespace {

using llm::ChatRequest;
using llm::Delivery;
using llm::Json;
using llm::parse;
using llm::http::Response;
using penstock::ErrorKind;
using penstock::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Events = std::vector<std::pair<std::string_view, std::string_view>>;

Json translated(std::string_view chat_body) {
  return llm::anthropic::messages_body(*llm::read_chat_body(*parse(chat_body)));
}

Result<llm::ChatReply> decode(std::string body, int status = 200) {
  return llm::anthropic::decode(Response{status, "", {}, std::move(body)});
}

Result<llm::ChatReply> streamed(const Events& events, std::string& deltas) {
  const auto decoder = llm::anthropic::open_stream();
  for (const auto& [event, data] : events) {
    const auto delta = decoder->feed(event, data);
    if (!delta) break;
    deltas += *delta;
  }
  return decoder->finish();
}

TEST(anthropic, encodes_version_key_and_a_token_limit_always) {
  const auto endpoint = *llm::make_endpoint(
      *llm::find_provider("claude"), {"https", "api.anthropic.com", 443}, "", "sk-ant");
  ChatRequest request{.model = "claude-haiku-4-5", .messages = {{"user", "Hello"}}};
  const auto sent = endpoint.provider->encode(endpoint, request);
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.target, "/v1/messages");
  EXPECT_EQ(sent.headers.find("x-api-key"), "sk-ant");
  EXPECT_EQ(sent.headers.find("anthropic-version"), "2023-06-01");
  EXPECT_FALSE(sent.headers.contains("authorization"));
  EXPECT_EQ(*parse(sent.body), *parse(R"({"model":"claude-haiku-4-5","max_tokens":1024,
                       "messages":[{"role":"user","content":"Hello"}]})"));
  request.max_tokens = 5;
  request.delivery = Delivery::stream;
  const Json body = *parse(endpoint.provider->encode(endpoint, request).body);
  EXPECT_EQ(body["max_tokens"].as_integer(), 5);
  EXPECT_EQ(body["stream"].as_bool(), true);
}

TEST(anthropic, lifts_system_and_developer_messages_out_of_the_turns) {
  EXPECT_EQ(translated(R"({"model":"m","max_tokens":7,"messages":[
                {"role":"developer","content":"Be brief."},
                {"role":"system","content":[{"type":"text","text":"Be kind."}]},
                {"role":"user","content":"a"},{"role":"user","content":"b"}]})"),
            *parse(R"({"model":"m","max_tokens":7,"system":"Be brief.\n\nBe kind.",
                "messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]})"));
}

TEST(anthropic, translates_images_tools_and_their_answers) {
  EXPECT_EQ(translated(R"({"model":"m","messages":[
      {"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"text","text":""},
          {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
          {"type":"image_url","image_url":{"url":"https://example.org/a.png"}}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",
          "function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}}]},
      {"role":"tool","tool_call_id":"call_1","content":"12 C"}],
      "tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"},"strict":false}}],
      "tool_choice":"required","parallel_tool_calls":false})"),
            *parse(R"({"model":"m","max_tokens":1024,"messages":[
      {"role":"user","content":[{"type":"text","text":"What is this?"},
          {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},
          {"type":"image","source":{"type":"url","url":"https://example.org/a.png"}}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Paris"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"12 C"}]}],
      "tools":[{"name":"weather","description":"d","input_schema":{"type":"object"}}],
      "tool_choice":{"type":"any","disable_parallel_tool_use":true}})"));
  const Json named =
      Json::object({{"type", "function"}, {"function", Json::object({{"name", "weather"}})}});
  EXPECT_EQ(to_string(llm::anthropic::translate_tool_choice(named, nullptr)),
            R"({"type":"tool","name":"weather"})");
  EXPECT_EQ(to_string(llm::anthropic::translate_tool_choice("none", false)), R"({"type":"none"})");
}

TEST(anthropic, keeps_members_it_knows_and_names_those_it_leaves_out) {
  const std::string_view text =
      R"({"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1.7,"top_p":0.9,
          "stop":"END","user":"u1","service_tier":"flex","n":2,"seed":7,
          "response_format":{"type":"json_object"},"stream_options":{"include_usage":true}})";
  EXPECT_EQ(translated(text),
            *parse(R"({"model":"m","max_tokens":1024,"messages":[{"role":"user","content":"x"}],
                "temperature":1.0,"top_p":0.9,"stop_sequences":["END"],"metadata":{"user_id":"u1"}})"));
  EXPECT_THAT(llm::anthropic::members_left_out(*llm::read_chat_body(*parse(text))),
              ElementsAre("n", "seed", "response_format"));
}

TEST(anthropic, decodes_a_recorded_reply) {
  const std::string text =
      R"({"model":"claude-sonnet-4-5-20250929","id":"msg_01VdEj","type":"message","role":"assistant",
 "content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Hello"},{"type":"text","text":"!"}],
 "stop_reason":"end_turn","stop_sequence":null,
 "usage":{"input_tokens":12,"cache_creation_input_tokens":3,"cache_read_input_tokens":5,
          "cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},
          "output_tokens":29,"service_tier":"standard","inference_geo":"not_available"}})";
  const auto reply = decode(text);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id, "msg_01VdEj");
  EXPECT_EQ(reply->model, "claude-sonnet-4-5-20250929");
  EXPECT_EQ(reply->text, "Hello!");
  EXPECT_EQ(reply->finish_reason, "stop");
  EXPECT_EQ(reply->usage.input_tokens, 20);
  EXPECT_EQ(reply->usage.output_tokens, 29);
  EXPECT_EQ(reply->body, *parse(text));
}

TEST(anthropic, names_every_way_an_answer_ends) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"end_turn", "stop"},
      {"stop_sequence", "stop"},
      {"max_tokens", "length"},
      {"tool_use", "tool"},
      {"refusal", "filtered"},
      {"pause_turn", "paused"},
      {"model_context_window_exceeded", "length"},
      {"something_new", "something_new"},
  };
  for (const auto& [reason, word] : cases) {
    const auto reply = decode(R"({"content":[],"stop_reason":")" + std::string{reason} + R"("})");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->finish_reason, word);
    EXPECT_EQ(reply->text, "");
  }
}

TEST(anthropic, does_not_take_a_damaged_success_for_an_answer) {
  for (const std::string_view body :
       {"", "{\"content\":[{\"type\":\"te", "[]", "{}", R"({"content":null})"}) {
    const auto reply = decode(std::string{body});
    ASSERT_FALSE(reply) << body;
    EXPECT_EQ(reply.error().kind(), ErrorKind::transient);
  }
  EXPECT_EQ(decode(R"({"type":"error","error":{"type":"overloaded_error","message":"x"}})", 529)
                .error()
                .kind(),
            ErrorKind::unavailable);
}

const Events recorded{
    {"message_start",
     R"({"type":"message_start","message":{"model":"claude-sonnet-4-5-20250929","id":"msg_01QC","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}})"},
    {"content_block_start",
     R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})"},
    {"ping", R"({"type":"ping"})"},
    {"content_block_delta",
     R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}})"},
    {"content_block_delta",
     R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}})"},
    {"content_block_stop", R"({"type":"content_block_stop","index":0})"},
    {"message_delta",
     R"({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":61,"output_tokens":30}})"},
    {"message_stop", R"({"type":"message_stop"})"}};

TEST(anthropic, follows_a_recorded_stream_and_believes_the_last_usage) {
  std::string deltas;
  const auto reply = streamed(recorded, deltas);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(deltas, "Hello");
  EXPECT_EQ(reply->text, "Hello");
  EXPECT_EQ(reply->usage.input_tokens, 61);
  EXPECT_EQ(reply->usage.output_tokens, 30);
  EXPECT_EQ(
      reply->body,
      *parse(
          R"({"model":"claude-sonnet-4-5-20250929","id":"msg_01QC","type":"message","role":"assistant",
              "content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,
              "usage":{"input_tokens":61,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":30,"service_tier":"standard"}})"));
}

TEST(anthropic, takes_a_stream_without_its_end_marker_for_cut) {
  for (std::size_t count = 0; count < recorded.size(); ++count) {
    std::string deltas;
    const auto reply =
        streamed({recorded.begin(), recorded.begin() + static_cast<long>(count)}, deltas);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind(), ErrorKind::transient);
    EXPECT_THAT(std::string{reply.error().message()}, HasSubstr("message_stop"));
  }
}

TEST(anthropic, ignores_repeated_starts_and_events_it_does_not_know) {
  Events events = recorded;
  events.insert(events.begin() + 1, recorded[0]);
  events.insert(events.begin() + 3, {"news", R"({"type":"news","index":0})"});
  events.insert(
      events.begin() + 4,
      {"content_block_delta",
       R"({"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"stray"}})"});
  events.push_back({"ping", "{"});
  std::string deltas;
  const auto reply = streamed(events, deltas);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(deltas, "Hello");
}

TEST(anthropic, joins_thinking_and_tool_input_from_their_pieces) {
  std::string deltas;
  const auto reply = streamed(
      {recorded[0],
       {"",
        R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})"},
       {"",
        R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}})"},
       {"",
        R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}})"},
       {"",
        R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}})"},
       {"",
        R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}})"},
       {"",
        R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}})"},
       {"",
        R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":1}"}})"},
       {"",
        R"({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}})"},
       {"",
        R"({"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":3}})"},
       {"", R"({"type":"message_stop"})"}},
      deltas);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(deltas, "");
  EXPECT_EQ(reply->finish_reason, "tool");
  EXPECT_EQ(reply->usage.input_tokens, 12);
  EXPECT_EQ(to_string(reply->body["content"]),
            R"([{"type":"thinking","thinking":"hm","signature":"sig"},)"
            R"({"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}},)"
            R"({"type":"tool_use","id":"toolu_2","name":"g","input":{}}])");
}

TEST(anthropic, stops_at_an_error_event_even_as_the_first) {
  const auto decoder = llm::anthropic::open_stream();
  const auto first = decoder->feed(
      "error",
      R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"})");
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(first.error().message(), "Overloaded");
  EXPECT_EQ(decoder->feed("message_stop", R"({"type":"message_stop"})").error().kind(),
            ErrorKind::unavailable);
  EXPECT_EQ(decoder->finish().error().kind(), ErrorKind::unavailable);
  EXPECT_EQ(llm::anthropic::open_stream()->feed("x", "{").error().kind(), ErrorKind::transient);
}

}  // namespace
