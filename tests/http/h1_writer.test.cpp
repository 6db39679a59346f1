// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <penstock/http/h1_writer.hpp>

namespace {

using namespace penstock;
using namespace penstock::http;

template <class Message>
std::string encoded(const Message& message) {
  std::string out;
  const Result<void> result = encode(message, out);
  EXPECT_TRUE(result);
  return out;
}

template <class Message>
void expect_refused(const Message& message) {
  std::string out = "earlier";
  const Result<void> result = encode(message, out);
  ASSERT_FALSE(result) << out;
  EXPECT_EQ(result.error().kind(), ErrorKind::permanent);
  EXPECT_GT(result.error().message().size(), 10u);
  EXPECT_EQ(out, "earlier");
}

Request get(std::string target = "/") {
  Request request;
  request.origin = {"http", "example.com", 80};
  request.target = std::move(target);
  return request;
}

TEST(h1_request_writer, writes_the_request_line_host_and_fields_in_order) {
  Request request = get("/v1/models?limit=2");
  request.headers = {{"b", "2"}, {"a", "1"}, {"B", "3"}};
  EXPECT_EQ(encoded(request),
            "GET /v1/models?limit=2 HTTP/1.1\r\nHost: example.com\r\nb: 2\r\na: 1\r\nB: 3\r\n\r\n");
  EXPECT_EQ(encoded(get("")), "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
}

TEST(h1_request_writer, names_the_port_unless_it_is_the_default_and_brackets_ipv6) {
  EXPECT_EQ(host_field({"http", "a", 80}), "a");
  EXPECT_EQ(host_field({"https", "a", 443}), "a");
  EXPECT_EQ(host_field({"https", "a", 80}), "a:80");
  EXPECT_EQ(host_field({"http", "a", 8080}), "a:8080");
  EXPECT_EQ(host_field({"http", "::1", 80}), "[::1]");
  EXPECT_EQ(host_field({"http", "::1", 8080}), "[::1]:8080");
}

TEST(h1_request_writer, gives_a_length_to_every_body_and_every_method_that_calls_for_one) {
  using testing::EndsWith;
  using testing::HasSubstr;
  Request request = get();
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    request.method = method;
    EXPECT_THAT(encoded(request), EndsWith("\r\nContent-Length: 0\r\n\r\n"));
  }
  request.body = "hello";
  EXPECT_THAT(encoded(request), EndsWith("\r\nContent-Length: 5\r\n\r\nhello"));
  request.method = "DELETE";
  EXPECT_THAT(encoded(request), EndsWith("\r\nContent-Length: 5\r\n\r\nhello"));
  request.body.clear();
  EXPECT_THAT(encoded(request), testing::Not(HasSubstr("Content-Length")));
}

TEST(h1_request_writer, lets_the_caller_replace_the_host_but_not_the_framing) {
  Request request = get();
  request.method = "POST";
  request.body = "abc";
  request.headers = {{"HOST", "other"},
                     {"content-length", "99"},
                     {"Transfer-Encoding", "chunked"},
                     {"Connection", "close"}};
  EXPECT_EQ(encoded(request),
            "POST / HTTP/1.1\r\nHost: other\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
}

TEST(h1_request_writer, refuses_bytes_that_could_start_another_line_or_message) {
  for (const std::string& bad : {std::string{"a\rb"},
                                 std::string{"a\nb"},
                                 std::string{"a\r\nx: y"},
                                 std::string{"a\0b", 3}}) {
    Request request = get();
    request.method = bad;
    expect_refused(request);
    expect_refused(get("/" + bad));
    request = get();
    request.origin.host = bad;
    expect_refused(request);
    request = get();
    request.headers = {{bad, "v"}};
    expect_refused(request);
    request.headers = {{"n", bad}};
    expect_refused(request);
    request.headers = {{"host", bad}};
    expect_refused(request);
    // Dropped fields are checked all the same.
    request.headers = {{"content-length", bad}};
    expect_refused(request);

    Response response{200, "", {{"n", bad}}, ""};
    expect_refused(response);
    response = {200, "", {{bad, "v"}}, ""};
    expect_refused(response);
    response = {200, bad, {}, ""};
    expect_refused(response);
  }
}

TEST(h1_request_writer, refuses_requests_that_a_server_would_misread) {
  Request request = get();
  request.method = "";
  expect_refused(request);
  request.method = "CONNECT";
  expect_refused(request);
  expect_refused(get("v1/models"));
  expect_refused(get("/a b"));
  expect_refused(get("/\xc3\xa9"));
  expect_refused(get("*"));
  request = get();
  request.origin.host = "";
  expect_refused(request);
  request.origin.host = "a/b";
  expect_refused(request);
  request.origin.host = "a:80";
  expect_refused(request);
  request = get();
  request.headers = {{"host", "a"}, {"Host", "b"}};
  expect_refused(request);
  request.headers = {{"name with space", "v"}};
  expect_refused(request);
  request.headers = {{"", "v"}};
  expect_refused(request);
}

TEST(h1_request_writer, sends_absolute_and_asterisk_targets_where_they_belong) {
  EXPECT_THAT(encoded(get("http://a/b")), testing::StartsWith("GET http://a/b HTTP/1.1\r\n"));
  Request request = get("*");
  request.method = "OPTIONS";
  EXPECT_THAT(encoded(request), testing::StartsWith("OPTIONS * HTTP/1.1\r\n"));
}

TEST(h1_response_writer, writes_the_status_line_length_and_body) {
  EXPECT_EQ(encoded(Response{200, "", {{"x", "y"}}, "hi"}),
            "HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(encoded(Response{429, "Slow Down", {{"content-length", "7"}}, ""}),
            "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(encoded(Response{499, "", {}, ""}), "HTTP/1.1 499 \r\nContent-Length: 0\r\n\r\n");
}

TEST(h1_response_writer, gives_no_body_to_replies_that_have_none) {
  EXPECT_EQ(encoded(Response{204, "", {}, ""}), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(encoded(Response{304, "", {}, ""}), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_EQ(encoded(Response{100, "", {}, ""}), "HTTP/1.1 100 Continue\r\n\r\n");
  expect_refused(Response{204, "", {}, "x"});
  expect_refused(Response{304, "", {}, "x"});
  expect_refused(Response{100, "", {}, "x"});
  expect_refused(Response{0, "", {}, ""});
  expect_refused(Response{1000, "", {}, ""});
  std::string out;
  ASSERT_TRUE(encode(Response{200, "", {}, "body"}, out, "HEAD"));
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
}

TEST(h1_response_writer, streams_in_chunks) {
  std::string out;
  ASSERT_TRUE(encode_streamed_head(Response{200, "", {{"content-length", "3"}}, ""}, out));
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  out.clear();
  append_chunk(out, "hello");
  append_chunk(out, "");
  append_chunk(out, std::string(26, 'x'));
  append_last_chunk(out);
  EXPECT_EQ(out, "5\r\nhello\r\n1a\r\n" + std::string(26, 'x') + "\r\n0\r\n\r\n");
  EXPECT_FALSE(encode_streamed_head(Response{204, "", {}, ""}, out));
  EXPECT_FALSE(encode_streamed_head(Response{200, "", {}, "x"}, out));
}

}  // namespace
