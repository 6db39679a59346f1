// SPDX-License-Identifier: MIT
#include <limits>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/chat.hpp>

namespace {

using llm::ChatRequest;
using llm::Delivery;
using llm::Json;
using ::testing::HasSubstr;

penstock::Result<ChatRequest> read(std::string_view text) {
  return llm::read_chat_body(*llm::parse(text));
}

TEST(chat, takes_a_body_apart_and_keeps_what_it_has_no_word_for) {
  const auto request = read(R"({"model":"m","messages":[
      {"role":"system","content":"Be brief."},
      {"role":"user","name":"ann","content":[{"type":"text","text":"What is "},
          {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
          {"type":"text","text":"this?"}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"call_1"}]}],
      "max_completion_tokens":256,"temperature":0,"stream":true,"seed":7,"stop":["\n"]})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->model, "m");
  ASSERT_EQ(request->messages.size(), 3u);
  EXPECT_EQ(request->messages[0].content, "Be brief.");
  EXPECT_TRUE(request->messages[0].parts.is_null());
  EXPECT_EQ(request->messages[1].content, "What is this?");
  EXPECT_EQ(request->messages[1].parts.size(), 3u);
  EXPECT_EQ(request->messages[1].extra["name"].text(), "ann");
  EXPECT_EQ(request->messages[2].extra["tool_calls"][0]["id"].text(), "call_1");
  EXPECT_EQ(request->max_tokens, 256);
  EXPECT_EQ(request->temperature, 0.0);
  EXPECT_EQ(request->delivery, Delivery::stream);
  EXPECT_EQ(to_string(request->extra), R"({"seed":7,"stop":["\n"]})");
}

TEST(chat, says_what_a_body_lacks) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"[]", "object"},
      {R"({"messages":[{"role":"user","content":"x"}]})", "\"model\""},
      {R"({"model":3,"messages":[{"role":"user","content":"x"}]})", "\"model\""},
      {R"({"model":"m"})", "\"messages\""},
      {R"({"model":"m","messages":[]})", "\"messages\""},
      {R"({"model":"m","messages":["x"]})", "\"role\""},
      {R"({"model":"m","messages":[{"role":"user"}],"max_tokens":"many"})", "\"max_tokens\""},
      {R"({"model":"m","messages":[{"role":"user"}],"max_tokens":-1})", "\"max_tokens\""},
      {R"({"model":"m","messages":[{"role":"user"}],"max_tokens":3000000000})", "\"max_tokens\""},
      {R"({"model":"m","messages":[{"role":"user"}],"temperature":"hot"})", "\"temperature\""},
  };
  for (const auto& [text, word] : cases) {
    const auto request = read(text);
    ASSERT_FALSE(request) << text;
    EXPECT_EQ(request.error().kind(), penstock::ErrorKind::permanent);
    EXPECT_THAT(std::string{request.error().message()}, HasSubstr(std::string{word}));
  }
  EXPECT_TRUE(
      read(R"({"model":"m","messages":[{"role":"user"}],"max_tokens":null,"temperature":null})"));
}

TEST(chat, estimates_four_bytes_to_a_token_plus_framing_and_the_allowed_output) {
  ChatRequest request{.model = "m", .messages = {{"user", std::string(400, 'x')}}};
  EXPECT_EQ(llm::estimate_tokens(request), 3u + 4u + 100u);
  request.messages.push_back({"user", "12345"});
  EXPECT_EQ(llm::estimate_tokens(request), 107u + 4u + 2u);
  request.max_tokens = 50;
  EXPECT_EQ(llm::estimate_tokens(request), 163u);
  EXPECT_EQ(llm::estimate_prompt_tokens(request), 113u);
  request.max_tokens = std::numeric_limits<int>::max();
  EXPECT_EQ(llm::estimate_tokens(request), 2147483647u + 113u);
}

TEST(chat, does_not_take_the_length_of_an_image_for_its_cost) {
  const std::string image(1'000'000, 'A');
  ChatRequest request{.model = "m", .messages = {{"user", ""}}};
  request.messages[0].parts = Json::array(
      {Json::object({{"type", "image_url"},
                     {"image_url", Json::object({{"url", "data:image/png;base64," + image}})}})});
  EXPECT_EQ(llm::estimate_tokens(request), 1007u);
}

}  // namespace
