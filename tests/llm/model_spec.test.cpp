// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/model_spec.hpp>

namespace {

using ::testing::HasSubstr;

TEST(model_spec, splits_provider_model_and_base_url) {
  struct Row {
    std::string_view text, provider, model, base_url;
  };
  const Row rows[] = {
      {"openai:gpt-4.1-nano", "openai", "gpt-4.1-nano", ""},
      {"OpenAI:gpt-4.1-nano", "openai", "gpt-4.1-nano", ""},
      {"openai:gpt-4.1-nano@http://127.0.0.1:8080/v1",
       "openai",
       "gpt-4.1-nano",
       "http://127.0.0.1:8080/v1"},
      {"groq:meta-llama/llama-4:free", "groq", "meta-llama/llama-4:free", ""},
      {"claude:claude-haiku-4-5", "claude", "claude-haiku-4-5", ""},
      {"anthropic:claude@20250101", "claude", "claude@20250101", ""},
      {"compatible:qwen2.5:7b@http://localhost:11434/v1",
       "compatible",
       "qwen2.5:7b",
       "http://localhost:11434/v1"},
      {"openai-compatible:@cf/meta/llama@https://example.org/v1",
       "compatible",
       "@cf/meta/llama",
       "https://example.org/v1"},
  };
  for (const Row& row : rows) {
    const auto spec = llm::parse_model_spec(row.text);
    ASSERT_TRUE(spec) << row.text << ": " << to_string(spec.error());
    EXPECT_EQ(spec->provider->name, row.provider);
    EXPECT_EQ(spec->model, row.model);
    EXPECT_EQ(spec->base_url, row.base_url);
  }
}

TEST(model_spec, says_what_to_write_instead) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "known providers: openai, groq, claude, deepseek, compatible"},
      {"gpt-4", "write provider:model"},
      {":gpt-4", "write provider:model"},
      {"opnai:gpt-4", "known providers: openai, groq"},
      {"openai:", "name of the model is missing"},
      {"openai:@http://localhost/v1", "name of the model is missing"},
      {"openai:m@ftp://localhost", "starts with http:// or https://"},
      {"openai:m@http://localhost/v1/chat/completions", "base url only"},
  };
  for (const auto& [text, words] : cases) {
    const auto spec = llm::parse_model_spec(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_THAT(std::string{spec.error().message()}, HasSubstr(std::string{words}));
  }
}

}  // namespace
