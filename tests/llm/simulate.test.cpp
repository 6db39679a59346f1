// SPDX-License-Identifier: MIT
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/provider.hpp>
#include <llm/simulate.hpp>

namespace {

using namespace std::chrono_literals;
using llm::Json;
using llm::parse;
using llm::http::Response;
using llm::simulate::Fault;
using llm::simulate::Protocol;
using llm::simulate::Stamp;
using penstock::Duration;
using penstock::ErrorKind;
using ::testing::HasSubstr;

constexpr Stamp stamp{.number = 42, .created = 1'755'780'060};

const llm::Provider& client(Protocol protocol) {
  return *llm::find_provider(protocol == Protocol::openai ? "openai" : "claude");
}

// What a client of this library sends, as the simulated provider reads it.
llm::simulate::Incoming sent(Protocol protocol, const llm::ChatRequest& request) {
  const auto endpoint = *llm::make_endpoint(client(protocol), {"http", "localhost", 80}, "", "k");
  return llm::simulate::read_request(
      protocol, endpoint.provider->encode(endpoint, request).body, stamp);
}

TEST(simulate, answers_what_our_own_clients_ask) {
  for (const Protocol protocol : {Protocol::openai, Protocol::anthropic}) {
    llm::ChatRequest request{
        .model = "m",
        .messages = {{"system", "Be brief."}, {"user", "no"}, {"user", "Grüße, Welt"}}};
    const auto incoming = sent(protocol, request);
    ASSERT_FALSE(incoming.refusal);
    const auto answer = llm::simulate::answer(protocol, incoming.chat, stamp);
    EXPECT_TRUE(answer.events.empty());
    const auto reply = client(protocol).decode(answer.response);
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_EQ(reply->text, "echo: Grüße, Welt");
    EXPECT_EQ(reply->model, "m");
    EXPECT_EQ(reply->finish_reason, "stop");
    EXPECT_THAT(reply->id, HasSubstr("42"));
    EXPECT_EQ(reply->usage.output_tokens, 5);
    EXPECT_GT(reply->usage.input_tokens, 5);
  }
}

TEST(simulate, streams_the_same_answer_it_would_give_whole) {
  for (const Protocol protocol : {Protocol::openai, Protocol::anthropic}) {
    llm::ChatRequest request{
        .model = "m", .messages = {{"user", "one two  three "}}, .delivery = llm::Delivery::stream};
    const auto incoming = sent(protocol, request);
    ASSERT_FALSE(incoming.refusal);
    const auto answer = llm::simulate::answer(protocol, incoming.chat, stamp);
    EXPECT_EQ(answer.response.headers.find("content-type"), "text/event-stream; charset=utf-8");
    EXPECT_TRUE(answer.response.body.empty());
    ASSERT_GT(answer.events.size(), 4u);
    const auto decoder = client(protocol).open_stream();
    std::string deltas;
    for (const auto& event : answer.events) {
      EXPECT_FALSE(decoder->done());
      const auto delta = decoder->feed(event.name, event.data);
      ASSERT_TRUE(delta);
      deltas += *delta;
    }
    EXPECT_TRUE(decoder->done());
    const auto reply = decoder->finish();
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_EQ(deltas, "echo: one two  three ");
    const auto whole = client(protocol).decode(
        {200, "", {}, to_string(llm::simulate::answer_body(protocol, incoming.chat, stamp))});
    EXPECT_EQ(reply->text, whole->text);
    EXPECT_EQ(reply->usage.input_tokens, whole->usage.input_tokens);
    EXPECT_EQ(reply->usage.output_tokens, whole->usage.output_tokens);
    EXPECT_EQ(reply->finish_reason, whole->finish_reason);
  }
}

TEST(simulate, sends_a_usage_chunk_only_where_it_was_asked_for) {
  const auto chunks = [](std::string_view options) {
    const auto incoming = llm::simulate::read_request(
        Protocol::openai,
        R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true)" +
            std::string{options} + "}",
        stamp);
    return llm::simulate::openai_events(incoming.chat, stamp);
  };
  const auto without = chunks("");
  const auto with = chunks(R"(,"stream_options":{"include_usage":true})");
  EXPECT_EQ(with.size(), without.size() + 1);
  for (const auto& event : without) EXPECT_THAT(event.data, Not(HasSubstr("usage")));
  EXPECT_EQ(parse(with[with.size() - 2].data)->operator[]("choices").size(), 0u);
  EXPECT_EQ(with.back().data, "[DONE]");
}

TEST(simulate, echoes_the_text_parts_of_a_message) {
  const auto incoming = llm::simulate::read_request(
      Protocol::anthropic,
      R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}]})",
      stamp);
  EXPECT_EQ(llm::simulate::echo(incoming.chat), "echo: ab");
}

TEST(simulate, refuses_bad_bodies_as_the_providers_do) {
  struct Row {
    Protocol protocol;
    std::string_view body, message;
  };
  const Row rows[] = {
      {Protocol::openai, "{", "could not parse the JSON"},
      {Protocol::openai, "[]", "could not parse the JSON"},
      {Protocol::openai, R"({"messages":[]})", "'model'"},
      {Protocol::openai, R"({"model":"m"})", "'messages'"},
      {Protocol::openai, R"({"model":"m","messages":[]})", "at least one message"},
      {Protocol::anthropic, "", "not valid JSON"},
      {Protocol::anthropic, R"({"model":"m","max_tokens":1})", "messages: Field required"},
      {Protocol::anthropic,
       R"({"model":"m","messages":[{"role":"user","content":"x"}]})",
       "max_tokens: Field required"},
  };
  for (const Row& row : rows) {
    const auto incoming = llm::simulate::read_request(row.protocol, row.body, stamp);
    ASSERT_TRUE(incoming.refusal) << row.body;
    EXPECT_EQ(incoming.refusal->status, 400);
    const auto error = client(row.protocol).classify(*incoming.refusal);
    EXPECT_EQ(error.kind(), ErrorKind::permanent);
    EXPECT_THAT(std::string{error.message()}, HasSubstr(std::string{row.message}));
    EXPECT_THAT(std::string{error.message()}, HasSubstr("req_sim42"));
  }
}

TEST(simulate, sends_faults_that_clients_judge_rightly) {
  struct Row {
    Fault fault;
    ErrorKind kind;
    int openai, anthropic;
  };
  const Row rows[] = {
      {Fault::bad_request, ErrorKind::permanent, 400, 400},
      {Fault::bad_key, ErrorKind::credential, 401, 401},
      {Fault::not_found, ErrorKind::not_found, 404, 404},
      {Fault::too_large, ErrorKind::too_large, 429, 413},
      {Fault::quota, ErrorKind::quota, 429, 400},
      {Fault::rate_limited, ErrorKind::rate_limited, 429, 429},
      {Fault::internal, ErrorKind::transient, 500, 500},
      {Fault::unavailable, ErrorKind::unavailable, 503, 503},
      {Fault::overloaded, ErrorKind::unavailable, 503, 529},
  };
  for (const Row& row : rows) {
    for (const Protocol protocol : {Protocol::openai, Protocol::anthropic}) {
      const Response response = llm::simulate::refuse(protocol, row.fault, stamp);
      EXPECT_EQ(response.status, protocol == Protocol::openai ? row.openai : row.anthropic);
      EXPECT_EQ(client(protocol).classify(response).kind(), row.kind) << response.body;
      const Json body = *parse(response.body);
      for (const std::string_view member : {"message", "type"}) {
        EXPECT_TRUE(body["error"][member].is_string());
      }
      if (protocol == Protocol::openai) {
        EXPECT_TRUE(body["error"].contains("param") && body["error"].contains("code"));
      } else {
        EXPECT_EQ(body["type"].text(), "error");
      }
    }
  }
}

TEST(simulate, ends_a_stream_with_an_error_event) {
  for (const Protocol protocol : {Protocol::openai, Protocol::anthropic}) {
    const auto event = llm::simulate::error_event(protocol, Fault::quota, stamp);
    EXPECT_EQ(client(protocol).open_stream()->feed(event.name, event.data).error().kind(),
              ErrorKind::quota);
  }
  EXPECT_EQ(llm::simulate::to_wire({"ping", "{}"}), "event: ping\ndata: {}\n\n");
  EXPECT_EQ(llm::simulate::to_wire({"", "[DONE]"}), "data: [DONE]\n\n");
}

TEST(simulate, computes_reset_as_the_time_until_the_bucket_is_full) {
  struct Row {
    double limit, remaining;
    Duration window;
    std::string_view reset;
  };
  // Values recorded from real replies.
  const Row rows[] = {{5000, 4999, 1min, "12ms"},
                      {800000, 799986, 1min, "1ms"},
                      {800000, 799972, 1min, "2ms"},
                      {5000000, 4999944, 1min, "0s"},
                      {500000, 499999, 24h, "172ms"},
                      {10, 10, 1min, "0s"},
                      {0, 0, 1min, "0s"},
                      {1, 0, 6min, "6m0s"}};
  for (const Row& row : rows) {
    EXPECT_EQ(llm::simulate::go_duration(
                  llm::simulate::time_to_full({row.limit, row.remaining, row.window})),
              row.reset);
  }
  EXPECT_EQ(llm::simulate::time_until({60, 0.5, 1min}, 1), Duration{500ms});
  EXPECT_EQ(llm::simulate::time_until({60, 2, 1min}, 1), Duration::zero());
}

TEST(simulate, writes_durations_and_instants_in_their_grammars) {
  const std::pair<Duration, std::string_view> durations[] = {{-1s, "0s"},
                                                             {999us, "0s"},
                                                             {1s, "1s"},
                                                             {8640ms, "8.64s"},
                                                             {1050ms, "1.05s"},
                                                             {60s, "1m0s"},
                                                             {179560ms, "2m59.56s"},
                                                             {3723s, "1h2m3s"},
                                                             {3600s, "1h0m0s"},
                                                             {86400s, "24h0m0s"}};
  for (const auto& [duration, text] : durations) {
    EXPECT_EQ(llm::simulate::go_duration(duration), text);
    if (duration >= 1ms) {
      EXPECT_EQ(llm::http::parse_go_duration(text), duration);
    }
  }
  EXPECT_EQ(llm::simulate::rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(llm::simulate::rfc3339(1'755'780'060), "2025-08-21T12:41:00Z");
  EXPECT_EQ(llm::simulate::rfc3339(1'709'164'799), "2024-02-28T23:59:59Z");
}

TEST(simulate, refuses_a_rate_with_a_wait_that_is_long_enough) {
  const llm::simulate::Limits limits{.requests = {60, 0.25, 1min}, .tokens = {30000, 63, 1min}};
  for (const Protocol protocol : {Protocol::openai, Protocol::anthropic}) {
    const Response response = llm::simulate::refuse_rate(
        protocol, stamp, "gpt-4o", llm::simulate::Dimension::tokens, limits, 385);
    EXPECT_EQ(response.status, 429);
    EXPECT_EQ(response.headers.find("retry-after"), "1");
    const auto error = client(protocol).classify(response);
    EXPECT_EQ(error.kind(), ErrorKind::rate_limited);
    EXPECT_EQ(error.retry_after(), protocol == Protocol::openai ? Duration{644ms} : Duration{1s});
  }
  const Response openai = llm::simulate::refuse_rate(
      Protocol::openai, stamp, "gpt-4o", llm::simulate::Dimension::tokens, limits, 385);
  EXPECT_THAT(openai.body,
              HasSubstr("on tokens per min (TPM): Limit 30000, Used 29937, Requested 385. "
                        "Please try again in 644ms."));
  EXPECT_EQ(openai.headers.find("x-ratelimit-limit-requests"), "60");
  EXPECT_EQ(openai.headers.find("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(openai.headers.find("x-ratelimit-reset-tokens"), "59.874s");
  const Response anthropic = llm::simulate::refuse_rate(
      Protocol::anthropic, stamp, "m", llm::simulate::Dimension::requests, limits, 1);
  EXPECT_EQ(anthropic.headers.find("anthropic-ratelimit-requests-limit"), "60");
  EXPECT_EQ(anthropic.headers.find("anthropic-ratelimit-requests-reset"), "2025-08-21T12:42:00Z");
  EXPECT_EQ(anthropic.headers.find("anthropic-ratelimit-input-tokens-remaining"), "63");
}

TEST(simulate, lists_its_models) {
  const std::vector<std::string> ids{"a", "b"};
  const Json openai = *parse(llm::simulate::list_models(Protocol::openai, ids, stamp).body);
  EXPECT_EQ(openai["object"].text(), "list");
  EXPECT_EQ(openai["data"][1]["id"].text(), "b");
  EXPECT_EQ(openai["data"][1]["created"].as_integer(), stamp.created);
  const Json anthropic = *parse(llm::simulate::list_models(Protocol::anthropic, ids, stamp).body);
  EXPECT_EQ(anthropic["data"][0]["type"].text(), "model");
  EXPECT_EQ(anthropic["data"][0]["created_at"].text(), "2025-08-21T12:41:00Z");
  EXPECT_EQ(anthropic["last_id"].text(), "b");
  EXPECT_EQ(anthropic["has_more"].as_bool(), false);
  EXPECT_TRUE(parse(llm::simulate::list_models(Protocol::anthropic, {}, stamp).body)
                  ->
                  operator[]("last_id")
                  .is_null());
}

}  // namespace
