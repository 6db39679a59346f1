// SPDX-License-Identifier: MIT
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/provider.hpp>

namespace {

using llm::ChatRequest;
using llm::Delivery;
using llm::Endpoint;
using llm::Json;
using llm::parse;
using llm::http::Response;
using penstock::ErrorKind;
using penstock::Result;
using ::testing::HasSubstr;

Endpoint endpoint(std::string_view provider) {
  return *llm::make_endpoint(
      *llm::find_provider(provider), {"http", "127.0.0.1", 8080}, "/v1", "key");
}

Result<llm::ChatReply> decode(std::string body, int status = 200) {
  return llm::openai::decode(Response{status, "", {}, std::move(body)});
}

// Feeds every event; the deltas come back joined.
Result<llm::ChatReply> streamed(const std::vector<std::string_view>& events, std::string& deltas) {
  const auto decoder = llm::openai::open_stream();
  for (const auto data : events) {
    const auto delta = decoder->feed("", data);
    if (!delta) break;
    deltas += *delta;
  }
  return decoder->finish();
}

TEST(openai, encodes_a_request_for_each_spelling_of_the_token_limit) {
  ChatRequest request{.model = "gpt-4.1-nano", .messages = {{"user", "hi \"you\""}}};
  request.max_tokens = 50;
  request.temperature = 0.25;
  const auto sent = llm::openai::encode(endpoint("openai"), request);
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.target, "/v1/chat/completions");
  EXPECT_EQ(sent.headers.find("content-type"), "application/json");
  EXPECT_EQ(sent.headers.find("accept"), "application/json");
  EXPECT_EQ(sent.headers.find("authorization"), "Bearer key");
  EXPECT_EQ(*parse(sent.body),
            *parse(R"({"model":"gpt-4.1-nano","messages":[{"role":"user","content":"hi \"you\""}],
                       "max_completion_tokens":50,"temperature":0.25})"));
  for (const std::string_view name : {"compatible", "deepseek"}) {
    const Json body = *parse(llm::openai::encode(endpoint(name), request).body);
    EXPECT_EQ(body["max_tokens"].as_integer(), 50);
    EXPECT_FALSE(body.contains("max_completion_tokens"));
  }
}

TEST(openai, passes_on_every_member_of_a_body_it_read) {
  const std::string text =
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
      R"({"role":"tool","content":"12 C","tool_call_id":"c"}],"max_completion_tokens":9,"temperature":1.5,)"
      R"("seed":18446744073709551615,"logit_bias":{"50256":-100},"metadata":{"k":"v"}})";
  const auto request = llm::read_chat_body(*parse(text));
  ASSERT_TRUE(request);
  EXPECT_EQ(llm::openai::encode(endpoint("openai"), *request).body, text);
}

TEST(openai, asks_a_stream_for_its_usage_unless_told_otherwise) {
  ChatRequest request{.model = "m", .messages = {{"user", "x"}}, .delivery = Delivery::stream};
  auto sent = llm::openai::encode(endpoint("openai"), request);
  EXPECT_EQ(sent.headers.find("accept"), "text/event-stream");
  Json body = *parse(sent.body);
  EXPECT_EQ(body["stream"].as_bool(), true);
  EXPECT_EQ(body["stream_options"]["include_usage"].as_bool(), true);

  request.extra.set("stream_options", Json::object({{"include_usage", false}}));
  body = *parse(llm::openai::encode(endpoint("openai"), request).body);
  EXPECT_EQ(body["stream_options"]["include_usage"].as_bool(), false);

  request.delivery = Delivery::whole;
  body = *parse(llm::openai::encode(endpoint("openai"), request).body);
  EXPECT_FALSE(body.contains("stream_options"));
  EXPECT_FALSE(body.contains("stream"));
}

TEST(openai, decodes_a_recorded_reply) {
  const std::string text =
      R"({"id":"chatcmpl-D8Z5f52z","object":"chat.completion","created":1770933883,"model":"gpt-4.1-nano-2025-04-14",
 "choices":[{"index":0,
   "message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},
   "logprobs":null,"finish_reason":"stop"}],
 "usage":{"prompt_tokens":16,"completion_tokens":363,"total_tokens":379,
   "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
   "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},
 "service_tier":"default","system_fingerprint":"fp_de604bd877"})";
  const auto reply = decode(text);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->id, "chatcmpl-D8Z5f52z");
  EXPECT_EQ(reply->model, "gpt-4.1-nano-2025-04-14");
  EXPECT_EQ(reply->text, "Hi");
  EXPECT_EQ(reply->finish_reason, "stop");
  EXPECT_EQ(reply->usage.input_tokens, 16);
  EXPECT_EQ(reply->usage.output_tokens, 363);
  EXPECT_EQ(reply->body, *parse(text));
}

TEST(openai, normalises_what_servers_disagree_about) {
  struct Row {
    std::string_view body, text, finish;
  };
  const Row rows[] = {
      {R"(  {"choices":[{"message":{"content":"after blank lines"},"finish_reason":"length"}]})",
       "after blank lines",
       "length"},
      {R"({"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}],"usage":null})",
       "",
       "tool"},
      {R"({"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]})",
       "",
       "filtered"},
      {R"({"choices":[{"message":{"content":null,"refusal":"I will not."},"finish_reason":"stop"}]})",
       "I will not.",
       "filtered"},
      {R"({"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":"stop"}]})",
       "ab",
       "stop"},
      {R"({"choices":[{"message":{"content":"x","reasoning_content":"why"},"finish_reason":null}],"error":null})",
       "x",
       ""},
  };
  for (const Row& row : rows) {
    const auto reply = decode("\r\n\n" + std::string{row.body});
    ASSERT_TRUE(reply) << row.body << to_string(reply.error());
    EXPECT_EQ(reply->text, row.text);
    EXPECT_EQ(reply->finish_reason, row.finish);
    EXPECT_EQ(reply->usage.output_tokens, 0);
  }
}

TEST(openai, does_not_take_a_damaged_or_empty_success_for_an_answer) {
  const std::pair<std::string_view, ErrorKind> cases[] = {
      {"", ErrorKind::transient},
      {"\n\n", ErrorKind::transient},
      {R"({"id":"chatcmpl-1","choices":[{"mess)", ErrorKind::transient},
      {"<html>", ErrorKind::transient},
      {"[]", ErrorKind::transient},
      {R"({"choices":[]})", ErrorKind::transient},
      {R"({"id":"x"})", ErrorKind::transient},
      {R"({"error":{"message":"no money","code":"insufficient_quota"}})", ErrorKind::quota},
      {R"({"choices":[{"message":{"content":"cut"},"finish_reason":"insufficient_system_resource"}]})",
       ErrorKind::unavailable},
  };
  for (const auto& [body, kind] : cases) {
    const auto reply = decode(std::string{body});
    ASSERT_FALSE(reply) << body;
    EXPECT_EQ(reply.error().kind(), kind) << body;
    EXPECT_FALSE(reply.error().message().empty());
  }
  EXPECT_EQ(decode("", 503).error().kind(), ErrorKind::unavailable);
}

TEST(openai, follows_a_recorded_stream_with_a_usage_chunk_of_its_own) {
  std::string deltas;
  const auto reply = streamed(
      {R"({"id":"chatcmpl-X","object":"chat.completion.chunk","created":1770933892,"model":"gpt-4.1-nano-2025-04-14","service_tier":"default","system_fingerprint":"fp_de604bd877","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"Qup1BsQ3"})",
       R"({"id":"chatcmpl-X","object":"chat.completion.chunk","created":1770933892,"model":"gpt-4.1-nano-2025-04-14","choices":[{"index":0,"delta":{"content":"Holi"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"dTh"})",
       R"({"id":"chatcmpl-X","choices":[{"index":0,"delta":{"content":"day"},"logprobs":null,"finish_reason":null}],"usage":null})",
       R"({"id":"chatcmpl-X","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null,"obfuscation":"zap0"})",
       R"({"id":"chatcmpl-X","choices":[],"usage":{"prompt_tokens":16,"completion_tokens":300,"total_tokens":316},"obfuscation":"h9RiQLL"})",
       "[DONE]"},
      deltas);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(deltas, "Holiday");
  EXPECT_EQ(reply->text, "Holiday");
  EXPECT_EQ(reply->finish_reason, "stop");
  EXPECT_EQ(reply->usage.input_tokens, 16);
  EXPECT_EQ(reply->usage.output_tokens, 300);
  EXPECT_EQ(
      reply->body,
      *parse(
          R"({"id":"chatcmpl-X","object":"chat.completion","created":1770933892,"model":"gpt-4.1-nano-2025-04-14",
              "service_tier":"default","system_fingerprint":"fp_de604bd877",
              "choices":[{"index":0,"message":{"role":"assistant","content":"Holiday","refusal":null},"logprobs":null,"finish_reason":"stop"}],
              "usage":{"prompt_tokens":16,"completion_tokens":300,"total_tokens":316}})"));
}

TEST(openai, follows_groq_whose_last_chunk_says_everything_at_once) {
  std::string deltas;
  const auto reply = streamed(
      {R"({"id":"c","model":"m","x_groq":{"id":"req_01k","seed":1},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})",
       R"({"id":"c","model":"m","choices":[{"index":0,"delta":{"reasoning":"hm"},"finish_reason":null}]})",
       R"({"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]})",
       R"({"id":"c","model":"m","x_groq":{"id":"req_01k","usage":{"prompt_tokens":9,"completion_tokens":4}},"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})",
       "[DONE]"},
      deltas);
  ASSERT_TRUE(reply);
  EXPECT_EQ(deltas, "Hello");
  EXPECT_EQ(reply->usage.input_tokens, 9);
  EXPECT_EQ(reply->usage.output_tokens, 4);
  EXPECT_EQ(reply->body["choices"][0]["message"]["reasoning"].text(), "hm");
}

TEST(openai, follows_deepseek_from_reasoning_to_content) {
  std::string deltas;
  const auto reply = streamed(
      {R"({"id":"d","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":""},"finish_reason":null}]})",
       R"({"id":"d","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"think"},"finish_reason":null}]})",
       R"({"id":"d","choices":[{"index":0,"delta":{"content":"answer","reasoning_content":null},"finish_reason":null}]})",
       R"({"id":"d","choices":[{"index":0,"delta":{"content":"","reasoning_content":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})",
       "[DONE]"},
      deltas);
  ASSERT_TRUE(reply);
  EXPECT_EQ(deltas, "answer");
  EXPECT_EQ(reply->body["choices"][0]["message"]["reasoning_content"].text(), "think");
  EXPECT_EQ(reply->usage.output_tokens, 2);
}

TEST(openai, joins_tool_calls_and_keeps_interleaved_choices_apart) {
  std::string deltas;
  const auto reply = streamed(
      {R"({"id":"","choices":[],"prompt_filter_results":[{}]})",
       R"({"id":"t","choices":[{"index":1,"delta":{"content":"B"},"finish_reason":null}]})",
       R"({"id":"t","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]})",
       R"({"id":"t","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"ci"}}]}}]})",
       R"({"id":"t","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ty\":1}"}}]}}]})",
       R"({"id":"t","choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"},{"index":0,"delta":{},"finish_reason":"tool_calls"}]})",
       "[DONE]",
       R"({"choices":[{"index":0,"delta":{"content":"too late"}}]})"},
      deltas);
  ASSERT_TRUE(reply);
  EXPECT_EQ(deltas, "");
  EXPECT_EQ(reply->finish_reason, "tool");
  EXPECT_EQ(
      to_string(reply->body["choices"][0]["message"]["tool_calls"]),
      R"([{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"city\":1}"}}])");
  EXPECT_EQ(reply->body["choices"][1]["message"]["content"].text(), "Bb");
  EXPECT_EQ(reply->id, "t");
}

TEST(openai, takes_a_stream_without_its_end_marker_for_cut) {
  const std::vector<std::string_view> events{
      R"({"id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]})",
      R"({"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})",
      "[DONE]"};
  for (std::size_t count = 0; count < events.size(); ++count) {
    std::string deltas;
    const auto reply =
        streamed({events.begin(), events.begin() + static_cast<long>(count)}, deltas);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind(), ErrorKind::transient);
    EXPECT_THAT(std::string{reply.error().message()}, HasSubstr("[DONE]"));
  }
  std::string deltas;
  EXPECT_EQ(streamed({"[DONE]"}, deltas).error().kind(), ErrorKind::transient);
  EXPECT_TRUE(streamed(events, deltas));
}

TEST(openai, stops_at_an_error_inside_the_stream_and_stays_stopped) {
  const std::pair<std::string_view, ErrorKind> cases[] = {
      {R"({"error":{"message":"x","type":"server_error","param":null,"code":null}})",
       ErrorKind::transient},
      {R"({"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}})",
       ErrorKind::quota},
      {R"({"error":{"message":"x","type":"BadRequestError","param":null,"code":400}})",
       ErrorKind::permanent},
      {R"({"id":"c","x_groq":{"error":"over capacity"},"choices":[]})", ErrorKind::transient},
      {R"({"id":"c","choi)", ErrorKind::transient},
  };
  for (const auto& [data, kind] : cases) {
    const auto decoder = llm::openai::open_stream();
    ASSERT_TRUE(decoder->feed("", R"({"choices":[{"index":0,"delta":{"content":"a"}}]})"));
    EXPECT_EQ(decoder->feed("", data).error().kind(), kind) << data;
    EXPECT_EQ(decoder->feed("", "[DONE]").error().kind(), kind);
    EXPECT_EQ(decoder->finish().error().kind(), kind);
  }
}

}  // namespace
