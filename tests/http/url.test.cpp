// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <penstock/http/grammar.hpp>
#include <penstock/http/url.hpp>

namespace {

using namespace penstock;
using namespace penstock::http;

TEST(url, fills_in_the_default_port_and_path) {
  struct Case {
    std::string_view text;
    Url url;
  };
  const Case cases[] = {
      {"http://example.com", {{"http", "example.com", 80}, "/"}},
      {"https://example.com", {{"https", "example.com", 443}, "/"}},
      {"HTTP://Example.COM/Path", {{"http", "example.com", 80}, "/Path"}},
      {"http://example.com:/x", {{"http", "example.com", 80}, "/x"}},
      {"https://example.com:80/", {{"https", "example.com", 80}, "/"}},
      {"http://127.0.0.1:11434/v1?a=b/c", {{"http", "127.0.0.1", 11434}, "/v1?a=b/c"}},
      {"http://example.com?q=1", {{"http", "example.com", 80}, "/?q=1"}},
      {"http://example.com/a#b?c", {{"http", "example.com", 80}, "/a"}},
      {"http://example.com#b", {{"http", "example.com", 80}, "/"}},
      {"http://[::1]/x", {{"http", "::1", 80}, "/x"}},
      {"http://[FE80::1]:65535", {{"http", "fe80::1", 65535}, "/"}},
      {"http://a/b@c", {{"http", "a", 80}, "/b@c"}},
      {"http://my_host.local:1/%20", {{"http", "my_host.local", 1}, "/%20"}},
  };
  for (const Case& one : cases) {
    const Result<Url> url = parse_url(one.text);
    ASSERT_TRUE(url) << one.text;
    EXPECT_EQ(url->origin, one.url.origin) << one.text;
    EXPECT_EQ(url->target, one.url.target) << one.text;
  }
}

TEST(url, refuses_what_is_no_http_url_with_a_sentence) {
  for (const std::string_view text : {"",
                                      "http",
                                      "http:",
                                      "http:/x",
                                      "http://",
                                      "http:///path",
                                      "https://:443",
                                      "ftp://a/",
                                      "example.com/x",
                                      "://a",
                                      " http://a",
                                      "http://a ",
                                      "http://a b/",
                                      "http://a/\r\nx: y",
                                      "http://a/\x7f",
                                      "http://a/\xc3\xa9",
                                      "http://user@a/",
                                      "http://user:secret@a/",
                                      "http://a:0/",
                                      "http://a:65536/",
                                      "http://a:99999999999999999999/",
                                      "http://a:-1/",
                                      "http://a:+80/",
                                      "http://a:8x/",
                                      "http://a:80:80/",
                                      "http://::1/",
                                      "http://[::1/",
                                      "http://[::1]x/",
                                      "http://[::1]80/",
                                      "http://[a]/",
                                      "http://[]/",
                                      "http://[:::g]/",
                                      "http://a\\b/",
                                      "http://a<b/"}) {
    const Result<Url> url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind(), ErrorKind::permanent) << text;
    EXPECT_GT(url.error().message().size(), 20u) << text;
  }
  // A password must not reach a log through the message.
  EXPECT_THAT(std::string{parse_url("http://user:secret@a/").error().message()},
              testing::Not(testing::HasSubstr("secret")));
}

TEST(url, joins_a_path_below_a_base) {
  EXPECT_EQ(join_target("/v1", "/chat/completions"), "/v1/chat/completions");
  EXPECT_EQ(join_target("/v1/", "chat/completions"), "/v1/chat/completions");
  EXPECT_EQ(join_target("/v1//", "//chat"), "/v1/chat");
  EXPECT_EQ(join_target("/", "/models"), "/models");
  EXPECT_EQ(join_target("", "models"), "/models");
  EXPECT_EQ(join_target("/v1", ""), "/v1");
  EXPECT_EQ(join_target("", ""), "/");
  EXPECT_EQ(join_target("/openai?api-version=1", "/chat"), "/openai/chat?api-version=1");
  EXPECT_EQ(join_target("/openai?a=1", "/chat?b=2"), "/openai/chat?a=1&b=2");
  EXPECT_EQ(join_target("/v1", "/models?limit=2"), "/v1/models?limit=2");
  EXPECT_EQ(join_target("/v1?", "/m?"), "/v1/m");
}

TEST(grammar, knows_tokens_values_and_numbers) {
  static_assert(is_token("x-ratelimit-reset_1") && !is_token("") && !is_token("a b"));
  static_assert(!is_token("a:") && !is_token("a\r") && !is_token("\xc3\xa9"));
  static_assert(is_field_value("a\tb \xc3\xa9") && !is_field_value("a\rb"));
  static_assert(!is_field_value(std::string_view{"a\0b", 3}) && !is_field_value("\x7f"));
  static_assert(trim_whitespace(" \t a b \t") == "a b" && trim_whitespace(" \t ").empty());
  static_assert(parse_unsigned("0012", 10) == 12 && parse_unsigned("fF", 16) == 255);
  static_assert(!parse_unsigned("", 10) && !parse_unsigned("+5", 10) && !parse_unsigned("-1", 10));
  static_assert(!parse_unsigned("0x5", 16) && !parse_unsigned("5 ", 10) &&
                !parse_unsigned("a", 10));
  static_assert(parse_unsigned("9223372036854775807", 10) == 9223372036854775807u);
  static_assert(!parse_unsigned("9223372036854775808", 10));
  static_assert(parse_unsigned("7fffffffffffffff", 16) && !parse_unsigned("8000000000000000", 16));
  const Headers headers{{"Connection", "a, ,Close"}, {"x", "keep-alive"}, {"connection", "b"}};
  EXPECT_TRUE(has_element(headers, "connection", "close"));
  EXPECT_TRUE(has_element(headers, "Connection", "B"));
  EXPECT_FALSE(has_element(headers, "connection", "keep-alive"));
}

}  // namespace
