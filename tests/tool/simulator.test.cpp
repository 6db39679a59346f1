// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/http/sse.hpp>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// A chat body either protocol accepts.
std::string body(std::string_view text, llm::Json stream = false) {
  return llm::to_string(Json::object(
      {{"model", "sim-large"},
       {"max_tokens", 100},
       {"stream", std::move(stream)},
       {"messages", Json::array({Json::object({{"role", "user"}, {"content", text}})})}}));
}

const http::Headers anthropic{{"anthropic-version", "2023-06-01"}, {"x-api-key", "k"}};
const http::Headers openai{{"authorization", "Bearer k"}};

Json json(const http::Response& response) {
  return llm::parse(response.body).value_or(Json{});
}

struct Event {
  std::string type;
  std::string data;
};

std::vector<Event> events(const http::Response& response) {
  std::vector<Event> all;
  http::SseParser parser;
  EXPECT_TRUE(parser.feed(response.body, [&](const http::SseEvent& event) {
    all.push_back({std::string{event.event}, std::string{event.data}});
  }));
  return all;
}

TEST(simulator_program, answers_the_openai_protocol_whole) {
  Simulator simulator;
  const http::Response response = simulator.post("/v1/chat/completions", body("hi there"), openai);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.find("content-type"), "application/json");
  EXPECT_TRUE(response.headers.contains("x-request-id"));
  const Json reply = json(response);
  EXPECT_EQ(reply["object"].text(), "chat.completion");
  EXPECT_EQ(reply["model"].text(), "sim-large");
  const Json& choice = reply["choices"][std::size_t{0}];
  EXPECT_EQ(choice["message"]["content"].text(), "echo: hi there");
  EXPECT_EQ(choice["finish_reason"].text(), "stop");
  EXPECT_GT(reply["usage"]["total_tokens"].as_integer().value_or(0), 0);
}

TEST(simulator_program, answers_the_openai_protocol_streamed) {
  Simulator simulator;
  const http::Response response =
      simulator.post("/v1/chat/completions", body("hi there", true), openai);
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(std::string{response.headers.find("content-type").value_or("")},
              StartsWith("text/event-stream"));
  std::string text;
  const std::vector<Event> all = events(response);
  for (const Event& event : all) {
    const Json chunk = llm::parse(event.data).value_or(Json{});
    text += chunk["choices"][std::size_t{0}]["delta"]["content"].text();
  }
  EXPECT_EQ(text, "echo: hi there");
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().data, "[DONE]");
}

TEST(simulator_program, answers_the_anthropic_protocol_whole) {
  Simulator simulator;
  const http::Response response = simulator.post("/v1/messages", body("hi there"), anthropic);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.headers.contains("request-id"));
  const Json reply = json(response);
  EXPECT_EQ(reply["type"].text(), "message");
  EXPECT_EQ(reply["content"][std::size_t{0}]["text"].text(), "echo: hi there");
  EXPECT_EQ(reply["stop_reason"].text(), "end_turn");
}

TEST(simulator_program, answers_the_anthropic_protocol_streamed) {
  Simulator simulator;
  std::string text;
  std::vector<std::string> types;
  for (const Event& event :
       events(simulator.post("/v1/messages", body("hi there", true), anthropic))) {
    const Json data = llm::parse(event.data).value_or(Json{});
    EXPECT_EQ(data["type"].text(), event.type);
    text += data["delta"]["text"].text();
    if (types.empty() || types.back() != event.type) types.push_back(event.type);
  }
  EXPECT_EQ(text, "echo: hi there");
  EXPECT_THAT(types,
              ElementsAre("message_start",
                          "content_block_start",
                          "ping",
                          "content_block_delta",
                          "content_block_stop",
                          "message_delta",
                          "message_stop"));
}

TEST(simulator_program, lists_its_models) {
  Simulator simulator;
  const Json list = json(simulator.get("/v1/models"));
  EXPECT_EQ(list["data"][std::size_t{0}]["id"].text(), "sim-small");
  EXPECT_EQ(list["data"].size(), 2U);
}

TEST(simulator_program, describes_a_model_it_has_and_no_other) {
  Simulator simulator;
  EXPECT_EQ(json(simulator.get("/v1/models/sim-large"))["id"].text(), "sim-large");
  EXPECT_EQ(simulator.get("/v1/models/sim-huge").status, 404);
}

TEST(simulator_program, refuses_what_real_ones_refuse) {
  Simulator simulator;
  EXPECT_EQ(simulator.post("/v1/chat/completions", "{", openai).status, 400);
  EXPECT_EQ(simulator.post("/v1/chat/completions", "{\"model\":\"x\"}", openai).status, 400);
  EXPECT_EQ(simulator.post("/v1/messages", "{}", anthropic).status, 400);
  EXPECT_EQ(simulator.get("/v1/chat/completions").status, 405);
  EXPECT_EQ(simulator.get("/v1/elsewhere").status, 404);
  const http::Response openai_refusal =
      simulator.post("/v1/chat/completions", body("hi"), {{"authorization", "Bearer sk-wrong"}});
  EXPECT_EQ(openai_refusal.status, 401);
  EXPECT_EQ(json(openai_refusal)["error"]["code"].text(), "invalid_api_key");
  const http::Response anthropic_refusal =
      simulator.post("/v1/messages", body("hi"), {{"x-api-key", "sk-invalid"}});
  EXPECT_EQ(anthropic_refusal.status, 401);
  EXPECT_EQ(json(anthropic_refusal)["error"]["type"].text(), "authentication_error");
  EXPECT_EQ(simulator.count("answers"), 0);
}

TEST(simulator_program, lets_in_one_key_only_where_one_is_given) {
  Simulator simulator{{"--key", "sesame"}};
  const auto status = [&](const std::string& key) {
    return simulator.post("/v1/chat/completions", body("hi"), {{"authorization", "Bearer " + key}})
        .status;
  };
  EXPECT_EQ(status("sesame"), 200);
  EXPECT_EQ(status("Sesame"), 401);
  EXPECT_EQ(simulator.post("/v1/chat/completions", body("hi")).status, 401);
}

TEST(simulator_program, says_with_an_injected_429_when_to_come_back) {
  Simulator simulator{{"--faults", "429=1", "--retry-after", "1250ms"}};
  const http::Response response = simulator.post("/v1/chat/completions", body("hi"), openai);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.find("retry-after"), "1.250");
}

TEST(simulator_program, says_with_a_429_of_its_limit_when_to_come_back) {
  Simulator simulator{{"--rpm", "1"}};
  for (const auto& [path, headers] :
       {std::pair{"/v1/chat/completions", openai}, std::pair{"/v1/messages", anthropic}}) {
    http::Response response = simulator.post(path, body("hi"), headers);
    if (response.status == 200) response = simulator.post(path, body("hi"), headers);
    EXPECT_EQ(response.status, 429);
    const auto wait = response.headers.find("retry-after");
    ASSERT_TRUE(wait);
    EXPECT_GE(std::stoi(std::string{*wait}), 1);
    EXPECT_LE(std::stoi(std::string{*wait}), 60);
  }
  EXPECT_EQ(simulator.replies("429"), 2);
}

TEST(simulator_program, tells_its_limits_in_the_headers_of_its_answers) {
  Simulator simulator{{"--rpm", "100", "--tpm", "5000"}};
  const http::Response response = simulator.post("/v1/chat/completions", body("hi"), openai);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.find("x-ratelimit-limit-requests"), "100");
  EXPECT_EQ(response.headers.find("x-ratelimit-remaining-requests"), "99");
  EXPECT_EQ(response.headers.find("x-ratelimit-limit-tokens"), "5000");
}

TEST(simulator_program, injects_each_fault_it_is_told_to) {
  const auto status = [](const std::string& fault, const std::string& path) {
    Simulator simulator{{"--faults", fault + "=1"}};
    return simulator.post(path, body("hi"), {{"authorization", "Bearer k"}}).status;
  };
  EXPECT_EQ(status("500", "/v1/chat/completions"), 500);
  EXPECT_EQ(status("503", "/v1/chat/completions"), 503);
  EXPECT_EQ(status("overload", "/v1/chat/completions"), 503);
  EXPECT_EQ(status("overload", "/v1/messages"), 529);
  EXPECT_EQ(status("slow=0,429", "/v1/messages"), 429);
  EXPECT_ANY_THROW(static_cast<void>(status("cut", "/v1/messages")));
}

TEST(simulator_program, draws_the_same_faults_from_the_same_seed) {
  const auto statuses = [](const std::string& seed) {
    Simulator simulator{{"--faults", "500=0.5", "--seed", seed}};
    std::string all;
    for (int request = 0; request < 40; ++request)
      all += simulator.post("/v1/chat/completions", body("hi"), openai).status == 200 ? '.' : 'x';
    return all;
  };
  const std::string first = statuses("7");
  EXPECT_EQ(statuses("7"), first);
  EXPECT_NE(statuses("8"), first);
}

TEST(simulator_program, counts_what_it_has_seen) {
  Simulator simulator;
  for (const std::string text : {"a", "b", "b", "c"})
    EXPECT_EQ(simulator.post("/v1/messages", body(text), anthropic).status, 200);
  EXPECT_EQ(simulator.post("/v1/messages", "", anthropic).status, 400);
  const Json expected = Json::object({{"requests", 5},
                                      {"answers", 4},
                                      {"connections", 1},
                                      {"connections_cut", 0},
                                      {"slow", 0},
                                      {"statuses", Json::object({{"200", 4}, {"400", 1}})},
                                      {"prompts_answered", 3},
                                      {"prompts_answered_more_than_once", 1}});
  EXPECT_EQ(simulator.stats(), expected) << llm::to_string(simulator.stats());
}

TEST(simulator_program, says_where_it_listens_and_ends_when_told_to) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Simulator simulator{{"--latency", "10m"}};
    EXPECT_NE(simulator.port(), 0);
    EXPECT_EQ(simulator.port_file(), std::to_string(simulator.port()) + "\n");
    EXPECT_EQ(simulator.process().out(), "listening on " + simulator.url() + "/v1\n");
    EXPECT_EQ(simulator.count("requests"), 0);
    // With a request under way, too.
    Batch batch{1};
    Process asking{batch.command({"-m", simulator.openai(), "--max-attempts", "1"}), Batch::keys()};
    EXPECT_TRUE(eventually([&] { return simulator.count("requests") == 1; }));
    simulator.process().signal(signal);
    EXPECT_EQ(simulator.process().wait(), 0) << simulator.process().err();
    EXPECT_EQ(asking.wait(), 1);
  }
}

TEST(simulator_program, refuses_flags_it_does_not_understand_in_one_sentence) {
  const std::vector<std::pair<Arguments, std::string>> wrong{
      {{"--prot", "0"}, "did you mean --port?"},
      {{"serve"}, "there is no flag serve"},
      {{"--port", "65536"}, "from 0 to 65535"},
      {{"--port"}, "needs a value"},
      {{"--latency", "5"}, "such as 500ms"},
      {{"--latency", "9ms-3ms"}, "the shorter time first"},
      {{"--faults", "429=0.6,500=0.6"}, "together at most 1"},
      {{"--faults", "418=0.1"}, "--faults takes shares"},
      {{"--faults", "429=nan"}, "--faults takes shares"},
      {{"--rpm", "0"}, "whole number from 1"},
      {{"--seed", "-1"}, "whole number from 0"},
  };
  for (const auto& [flags, sentence] : wrong) {
    Process process{Arguments{simulator_program()} + flags};
    EXPECT_EQ(process.wait(), 2) << sentence;
    EXPECT_THAT(lines_of(process.err()),
                ElementsAre(AllOf(StartsWith("penstock-simulator: "), HasSubstr(sentence))));
    EXPECT_EQ(process.out(), "");
  }
}

TEST(simulator_program, says_when_its_port_is_taken) {
  Simulator simulator;
  Process second{{simulator_program(), "--port", std::to_string(simulator.port())}};
  EXPECT_EQ(second.wait(), 2);
  EXPECT_THAT(lines_of(second.err()),
              ElementsAre(HasSubstr("port " + std::to_string(simulator.port()) + ": ")));
}

TEST(simulator_program, says_when_it_cannot_write_its_port) {
  const TemporaryDirectory directory;
  Process process{
      {simulator_program(), "--port", "0", "--port-file", directory.file("nowhere/port")}};
  EXPECT_EQ(process.wait(), 2);
  EXPECT_THAT(lines_of(process.err()), ElementsAre(HasSubstr("cannot write the port")));
}

TEST(simulator_program, helps) {
  Process process{{simulator_program(), "--help"}};
  EXPECT_EQ(process.wait(), 0);
  EXPECT_THAT(process.out(), HasSubstr("--port-file"));
}

}  // namespace
}  // namespace support
