// SPDX-License-Identifier: MIT
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/classify.hpp>

namespace {

using namespace std::chrono_literals;
using llm::http::Headers;
using llm::http::Response;
using penstock::Duration;
using penstock::Error;
using penstock::ErrorKind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Response reply(int status, std::string body, Headers headers = {}) {
  return {status, "", std::move(headers), std::move(body)};
}

struct Row {
  int status;
  ErrorKind kind;
  std::string_view body;
  std::string_view retry_advice = "";
};

const Row rows[] =
    {
        // OpenAI
        {400,
         ErrorKind::permanent,
         R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}})"},
        {400,
         ErrorKind::too_large,
         R"({"error":{"message":"Requested 453357 tokens, max 300000 tokens per request","type":"max_tokens_per_request","param":null,"code":"max_tokens_per_request"}})"},
        {400,
         ErrorKind::too_large,
         R"({"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})"},
        {401,
         ErrorKind::credential,
         R"({"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}})"},
        {403,
         ErrorKind::credential,
         R"({"error":{"message":"Country, region, or territory not supported","type":"request_forbidden","param":null,"code":"unsupported_country_region_territory"}})"},
        {403,
         ErrorKind::not_found,
         R"({"error":{"message":"Project does not have access to model","type":"invalid_request_error","param":null,"code":"model_not_found"}})"},
        {404,
         ErrorKind::not_found,
         R"({"error":{"message":"The model `x` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}})"},
        {408, ErrorKind::transient, ""},
        {409, ErrorKind::transient, ""},
        {429,
         ErrorKind::rate_limited,
         R"({"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29937, Requested 385. Please try again in 644ms. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}})"},
        {429,
         ErrorKind::too_large,
         R"({"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 31538. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}})"},
        {429,
         ErrorKind::quota,
         R"({"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}})"},
        {429,
         ErrorKind::quota,
         R"({"error":{"message":"","type":"","code":"credit_balance_exhausted"}})"},
        {429,
         ErrorKind::rate_limited,
         R"({"error":{"message":"Slow down","type":"","code":"slow_down"}})"},
        {429,
         ErrorKind::rate_limited,
         R"({"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit. Please retry after 33 seconds."}})"},
        {500,
         ErrorKind::transient,
         R"({"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}})"},
        {503,
         ErrorKind::unavailable,
         R"({"error":{"message":"The engine is currently overloaded","type":"server_error","param":null,"code":null}})"},
        {502, ErrorKind::transient, "<html><body>502 Bad Gateway</body></html>"},
        {504, ErrorKind::transient, ""},
        {520, ErrorKind::transient, "<html>"},
        {524, ErrorKind::transient, "<html>"},
        // Anthropic
        {400,
         ErrorKind::permanent,
         R"({"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_1"})"},
        {400,
         ErrorKind::quota,
         R"({"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}})"},
        {400,
         ErrorKind::quota,
         R"({"type":"error","error":{"type":"invalid_request_error","message":"This workspace has reached its spend limit."}})"},
        {400,
         ErrorKind::too_large,
         R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}})"},
        {401,
         ErrorKind::credential,
         R"({"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}})"},
        {402,
         ErrorKind::quota,
         R"({"type":"error","error":{"type":"billing_error","message":"x"}})"},
        {403,
         ErrorKind::credential,
         R"({"type":"error","error":{"type":"permission_error","message":"x"}})"},
        {404,
         ErrorKind::not_found,
         R"({"type":"error","error":{"type":"not_found_error","message":"model: x"}})"},
        {409,
         ErrorKind::transient,
         R"({"type":"error","error":{"type":"conflict_error","message":"x"}})"},
        {413,
         ErrorKind::too_large,
         R"({"type":"error","error":{"type":"request_too_large","message":"x"}})"},
        {422, ErrorKind::permanent, ""},
        {429,
         ErrorKind::rate_limited,
         R"({"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit"}})"},
        {429,
         ErrorKind::quota,
         R"({"type":"error","error":{"type":"rate_limit_error","message":"enforced_spend_limit_reached"}})"},
        {500,
         ErrorKind::transient,
         R"({"type":"error","error":{"type":"api_error","message":"Internal server error"}})"},
        {504,
         ErrorKind::transient,
         R"({"type":"error","error":{"type":"timeout_error","message":"x"}})"},
        {529,
         ErrorKind::unavailable,
         R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"},
        {529, ErrorKind::unavailable, ""},
        // Groq
        {413,
         ErrorKind::too_large,
         R"({"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 12328","type":"tokens","code":"rate_limit_exceeded"}})"},
        {429,
         ErrorKind::rate_limited,
         R"({"error":{"message":"Rate limit reached for model `m` in organization `o` service tier `on_demand` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s. Need more tokens? Upgrade at https://console.groq.com/settings/billing","type":"tokens","code":"rate_limit_exceeded"}})"},
        {498, ErrorKind::unavailable, R"({"error":{"message":"x","code":"capacity_exceeded"}})"},
        {424, ErrorKind::permanent, ""},
        {499, ErrorKind::permanent, ""},
        {400, ErrorKind::not_found, R"({"error":{"message":"x","code":"model_decommissioned"}})"},
        {400, ErrorKind::not_found, R"({"error":{"message":"x","code":"model_terms_required"}})"},
        {400,
         ErrorKind::credential,
         R"({"error":{"message":"x","code":"organization_restricted"}})"},
        {400, ErrorKind::quota, R"({"error":{"message":"x","code":"blocked_api_access"}})"},
        // DeepSeek
        {402,
         ErrorKind::quota,
         R"({"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}})"},
        {400,
         ErrorKind::permanent,
         R"({"error":{"message":"Empty input messages","type":"invalid_request_error"}})"},
        // Local servers
        {400,
         ErrorKind::permanent,
         R"({"error":{"message":"bad","type":"BadRequestError","param":null,"code":400}})"},
        {404, ErrorKind::not_found, R"({"error":"model 'x' not found"})"},
        {503,
         ErrorKind::unavailable,
         R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})"},
        {501,
         ErrorKind::permanent,
         R"({"error":{"code":501,"message":"x","type":"not_supported_error"}})"},
        // Neither JSON nor a known status
        {418, ErrorKind::permanent, ""},
        {301, ErrorKind::permanent, ""},
        {401, ErrorKind::credential, "<html>"},
        {429, ErrorKind::rate_limited, "<html>"},
        // The other side's own advice decides only what its words leave open
        {400, ErrorKind::transient, "", "true"},
        {500, ErrorKind::permanent, "", "false"},
        {409, ErrorKind::permanent, "", "false"},
        {429, ErrorKind::rate_limited, "", "false"},
        {401, ErrorKind::credential, "", "true"},
        {500, ErrorKind::transient, "", "perhaps"},
};

TEST(classify, judges_by_words_before_status) {
  for (const Row& row : rows) {
    Response response = reply(row.status, std::string{row.body});
    if (!row.retry_advice.empty())
      response.headers.add("x-should-retry", std::string{row.retry_advice});
    const Error error = llm::classify_reply(response);
    EXPECT_EQ(error.kind(), row.kind)
        << row.status << " " << row.body << " -> " << to_string(error);
    EXPECT_EQ(error.status(), row.status);
    EXPECT_FALSE(error.message().empty());
  }
}

TEST(classify, takes_the_wait_from_headers_first_and_from_the_message_second) {
  const std::string body =
      R"({"error":{"message":"Rate limit reached. Please try again in 1.2s. Visit us.","type":"requests"}})";
  const auto wait = [&](Headers headers) {
    return llm::classify_reply(reply(429, body, std::move(headers))).retry_after();
  };
  EXPECT_EQ(wait({{"Retry-After-Ms", "250.5"}, {"retry-after", "9"}}), Duration{250'500us});
  EXPECT_EQ(wait({{"retry-after", "0.5"}}), Duration{500ms});
  EXPECT_EQ(wait({}), Duration{1200ms});
  EXPECT_EQ(wait({{"retry-after", "soon"}}), Duration{1200ms});
  EXPECT_EQ(llm::classify_reply(reply(429, "")).retry_after(), std::nullopt);
}

TEST(classify, gives_no_wait_where_waiting_cannot_help) {
  const Headers headers{{"retry-after", "5"}};
  EXPECT_EQ(llm::classify_reply(reply(401, "", headers)).retry_after(), std::nullopt);
  EXPECT_EQ(llm::classify_reply(reply(503, "", headers)).retry_after(), Duration{5s});
}

TEST(classify, finds_the_wait_a_message_states) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"Please try again in 644ms. Visit", "644ms"},
      {"Please try again in 1.984999999s.", "1.984999999s"},
      {"Please try again in 9m38.016s", "9m38.016s"},
      {"Please retry after 33 seconds. To", "33"},
      {"Please try again in 6m0s, thanks", "6m0s"},
      {"Please try again in a while.", ""},
      {"try again in ", ""},
      {"", ""},
  };
  for (const auto& [message, expected] : cases) EXPECT_EQ(llm::stated_wait(message), expected);
}

TEST(classify, keeps_the_providers_words_and_the_request_id) {
  const Error error = llm::classify_reply(
      reply(500, R"({"error":{"message":"boom"}})", {{"X-Request-Id", "req_7"}}));
  EXPECT_EQ(error.message(), "boom (request req_7)");
  const Error other = llm::classify_reply(reply(
      529,
      R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_8"})"));
  EXPECT_EQ(other.message(), "Overloaded (request req_8)");
}

TEST(classify, says_where_a_redirect_leads) {
  const Error error = llm::classify_reply(
      reply(308, "<html>moved</html>", {{"location", "https://api.example.com/v1"}}));
  EXPECT_EQ(error.kind(), ErrorKind::permanent);
  EXPECT_THAT(error.message(), StartsWith("redirected to \"https://api.example.com/v1\", which"));
}

TEST(classify, keeps_the_first_512_bytes_of_a_body_that_is_not_json) {
  std::string html = "<html>" + std::string(505, 'x') + "\u20ac" + std::string(5000, 'y');
  const Error error = llm::classify_reply(reply(502, html));
  EXPECT_EQ(error.message(), "<html>" + std::string(505, 'x'));
  EXPECT_EQ(llm::classify_reply(reply(502, "")).message(), "a reply without a body");
}

TEST(classify, reads_errors_that_arrive_under_a_good_status) {
  const std::pair<std::string_view, ErrorKind> cases[] = {
      {R"({"error":{"message":"x","type":"server_error","code":null}})", ErrorKind::transient},
      {R"({"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}})",
       ErrorKind::quota},
      {R"({"error":{"message":"x","type":"BadRequestError","code":400}})", ErrorKind::permanent},
      {R"({"error":{"message":"x","type":"InternalServerError","code":500}})",
       ErrorKind::transient},
      {R"({"error":{"message":"x","code":429}})", ErrorKind::rate_limited},
      {R"({"error":{"message":"x","type":"invalid_request_error"}})", ErrorKind::permanent},
      {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})",
       ErrorKind::unavailable},
      {R"({"type":"error","error":{"type":"api_error","message":"x"}})", ErrorKind::transient},
      {R"({"type":"error","code":"rate_limit_exceeded","message":"Please try again in 2s."})",
       ErrorKind::rate_limited},
      {R"({"error":"model 'x' crashed"})", ErrorKind::transient},
  };
  for (const auto& [body, kind] : cases) {
    EXPECT_EQ(llm::classify_body(*llm::parse(body)).kind(), kind) << body;
  }
}

}  // namespace
