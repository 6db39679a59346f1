// SPDX-License-Identifier: MIT
#include <chrono>
#include <set>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/provider.hpp>

namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const llm::http::Origin somewhere{"http", "127.0.0.1", 8080};

TEST(provider, is_found_by_name_and_alias_in_any_case) {
  for (const auto& each : llm::providers()) EXPECT_EQ(llm::find_provider(each.name), &each);
  EXPECT_EQ(llm::find_provider("Anthropic"), llm::find_provider("claude"));
  EXPECT_EQ(llm::find_provider("openai-compatible"), llm::find_provider("compatible"));
  EXPECT_EQ(llm::find_provider("nobody"), nullptr);
  EXPECT_EQ(llm::find_provider(""), nullptr);
}

TEST(provider, ships_the_limits_that_were_asked_for) {
  struct Row {
    std::string_view name;
    penstock::Duration timeout;
    unsigned max_batch, max_concurrent;
    penstock::Duration latency;
  };
  const Row rows[] = {{"openai", 60s, 1000, 10, 2s},
                      {"groq", 30s, 500, 20, 1s},
                      {"claude", 45s, 2000, 5, 3s},
                      {"deepseek", 60s, 100, 15, 1500ms}};
  for (const Row& row : rows) {
    const llm::Provider& provider = *llm::find_provider(row.name);
    EXPECT_EQ(provider.timeout, row.timeout) << row.name;
    EXPECT_EQ(provider.max_batch, row.max_batch) << row.name;
    EXPECT_EQ(provider.max_concurrent, row.max_concurrent) << row.name;
    EXPECT_EQ(provider.latency_target, row.latency) << row.name;
  }
}

TEST(provider, has_every_member_filled_in) {
  std::set<std::string_view> names;
  for (const auto& each : llm::providers()) {
    EXPECT_TRUE(names.insert(each.name).second);
    EXPECT_FALSE(each.key_variable.empty());
    EXPECT_FALSE(each.base_url_variable.empty());
    EXPECT_EQ(each.default_base_url.empty(), each.key_rule == llm::KeyRule::optional);
    EXPECT_TRUE(each.encode && each.encode_models && each.decode && each.classify);
    EXPECT_FALSE(each.open_stream()->done());
  }
}

TEST(endpoint, refuses_a_missing_or_broken_key_without_printing_it) {
  const auto& openai = *llm::find_provider("openai");
  const auto missing = llm::make_endpoint(openai, somewhere, "/v1", " \n");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), penstock::ErrorKind::credential);
  EXPECT_THAT(std::string{missing.error().message()}, HasSubstr("OPENAI_API_KEY"));
  const auto broken = llm::make_endpoint(openai, somewhere, "/v1", "sk-se\r\ncret");
  ASSERT_FALSE(broken);
  EXPECT_THAT(std::string{broken.error().message()}, Not(HasSubstr("cret")));
  EXPECT_TRUE(llm::make_endpoint(*llm::find_provider("compatible"), somewhere, "/v1", ""));
}

TEST(endpoint, puts_paths_below_the_base_and_the_key_into_its_header) {
  struct Row {
    std::string_view provider, base, target, header, value;
  };
  const Row rows[] = {
      {"openai", "/v1", "/v1/models", "authorization", "Bearer k"},
      {"openai", "/v1/", "/v1/models", "authorization", "Bearer k"},
      {"openai", "/v1?api-version=1", "/v1/models?api-version=1", "authorization", "Bearer k"},
      {"groq", "/openai/v1", "/openai/v1/models", "authorization", "Bearer k"},
      {"claude", "/", "/v1/models", "x-api-key", "k"},
      {"claude", "/anthropic", "/anthropic/v1/models", "x-api-key", "k"},
  };
  for (const Row& row : rows) {
    const auto endpoint =
        llm::make_endpoint(*llm::find_provider(row.provider), somewhere, row.base, " k\n");
    ASSERT_TRUE(endpoint);
    const auto request = endpoint->provider->encode_models(*endpoint);
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.target, row.target);
    EXPECT_EQ(request.origin, somewhere);
    EXPECT_EQ(request.headers.find(row.header), row.value);
    EXPECT_TRUE(request.body.empty());
  }
  const auto open = llm::make_endpoint(*llm::find_provider("compatible"), somewhere, "/v1", "");
  EXPECT_FALSE(open->provider->encode_models(*open).headers.contains("authorization"));
}

}  // namespace
