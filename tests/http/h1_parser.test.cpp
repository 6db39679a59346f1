// SPDX-License-Identifier: MIT
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <penstock/http/h1.hpp>

#include "h1_reading.hpp"

namespace {

using namespace penstock;
using namespace penstock::http;
using namespace penstock::http::tests;

TEST(response_parser, reads_a_reply_with_a_length) {
  const Reading reading =
      good_reply({ok + "Content-Type: text/plain\r\nX:\t padded \t\r\nempty:\r\n"
                       "Content-Length: 5\r\n\r\nhello"});
  EXPECT_EQ(reading.start, "200 OK");
  EXPECT_EQ(reading.body, "hello");
  EXPECT_TRUE(reading.persistent);
  EXPECT_EQ(reading.headers,
            (std::vector<Header>{{"Content-Type", "text/plain"},
                                 {"X", "padded"},
                                 {"empty", ""},
                                 {"Content-Length", "5"}}));
}

TEST(response_parser, leaves_bytes_after_the_reply_to_the_caller) {
  const std::string message = ok + "Content-Length: 2\r\n\r\nhi";
  const Reading reading = good_reply({message + "HTTP/1.1 200 OK\r\n"});
  EXPECT_EQ(reading.taken, message.size());
  EXPECT_EQ(reading.body, "hi");
  const std::string chunked = chunked_ok + "2\r\nhi\r\n0\r\n\r\n";
  EXPECT_EQ(good_reply({chunked + "\r\n"}).taken, chunked.size());
  EXPECT_EQ(good_reply({"HTTP/1.1 204 No Content\r\n\r\nevil"}).taken, 27u);
}

TEST(response_parser, reads_status_lines_as_servers_write_them) {
  for (const auto& [line, start] : std::vector<std::pair<std::string, std::string>>{
           {"HTTP/1.1 200 OK", "200 OK"},
           {"HTTP/1.1 200 ", "200 "},
           {"HTTP/1.1 200", "200 "},
           {"HTTP/1.0 404 Not  Found ", "404 Not  Found "},
           {"HTTP/1.2 200 Newer", "200 Newer"},
           {"HTTP/1.1 999 \xc3\xa9", "999 \xc3\xa9"}})
    EXPECT_EQ(good_reply({line + "\r\ncontent-length: 0\r\n\r\n"}).start, start);
  for (const std::string line :
       {"HTTP/2.0 200 OK",   "HTTP/2 200 OK",    "http/1.1 200 OK", "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",    "HTTP/1.1 2000 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK",
        "HTTP/1.1 +20 OK",   "HTTP/1.1",         "HTTP/1.1 ",       "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",  "HTTP/1.10 200 OK", "HTTP/11 200 OK",  "HTTP/1.1 200 a\x01",
        "HTTP/1.1 200 a\rb", "ICY 200 OK",       "SSH-2.0-x",       "<html>",
        " HTTP/1.1 200 OK"})
    expect_bad_reply(line + "\r\ncontent-length: 0\r\n\r\n");
}

TEST(response_parser, finds_no_body_where_there_is_none_whatever_the_fields_say) {
  for (const std::string fields :
       {"", "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: x\r\n"}) {
    for (const std::string status : {"204 No Content", "304 Not Modified"})
      EXPECT_TRUE(good_reply({"HTTP/1.1 " + status + "\r\n" + fields + "\r\n"}).persistent);
    EXPECT_TRUE(good_reply({ok + fields + "\r\n", "HEAD"}).persistent);
  }
  const Reading tunnel = good_reply({ok + "Content-Length: 3\r\n\r\n", "CONNECT"});
  EXPECT_FALSE(tunnel.persistent);
  EXPECT_EQ(good_reply({"HTTP/1.1 407 X\r\nContent-Length: 3\r\n\r\nabc", "CONNECT"}).body, "abc");
}

TEST(response_parser, skips_informational_replies) {
  const Reading reading =
      good_reply({"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n"
                  "Content-Length: 9\r\n\r\n" +
                  ok + "Content-Length: 2\r\n\r\nhi"});
  EXPECT_EQ(reading.start, "200 OK");
  EXPECT_EQ(reading.body, "hi");
  EXPECT_EQ(reading.headers.size(), 1u);
  const Reading waiting = reply({"HTTP/1.1 100 Continue\r\n\r\n"});
  EXPECT_FALSE(waiting.head_done || waiting.done || waiting.error);
  EXPECT_TRUE(waiting.started);
  expect_bad_reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ErrorKind::permanent);
}

TEST(response_parser, bounds_informational_replies_by_the_head_limit) {
  std::string endless;
  for (int i = 0; i != 20; ++i) endless += "HTTP/1.1 102 Processing\r\n\r\n";
  const Reading reading = reply({endless, "GET", Ending::open, {.head = 300}});
  EXPECT_EQ(reading.error, ErrorKind::too_large);
}

TEST(response_parser, undoes_chunks_with_extensions_and_trailers) {
  const Reading reading = good_reply(
      {chunked_ok + "3\r\nabc\r\n00000A;x=1;y=\"a;b\"\r\n0123456789\r\n1  \r\n-\r\n2 ;q\r\n\r\n\r\n"
                    "000;last\r\nX-Trailer: t\r\nContent-Length: 5\r\n\r\n"});
  EXPECT_EQ(reading.body, "abc0123456789-\r\n");
  EXPECT_TRUE(reading.persistent);
  EXPECT_EQ(reading.headers.size(), 1u);
  EXPECT_EQ(reading.trailers, (std::vector<Header>{{"X-Trailer", "t"}, {"Content-Length", "5"}}));
  EXPECT_EQ(good_reply({ok + "transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n"}).body, "");
}

TEST(response_parser, refuses_malformed_chunks) {
  for (const std::string chunk : {"\r\n",
                                  " 3\r\nabc\r\n",
                                  "+3\r\nabc\r\n",
                                  "-3\r\nabc\r\n",
                                  "0x3\r\nabc\r\n",
                                  "3zz\r\nabc\r\n",
                                  "g\r\n",
                                  ";x\r\n",
                                  "3 3\r\nabc\r\n",
                                  "8000000000000000\r\n",
                                  "ffffffffffffffff\r\n",
                                  "10000000000000003\r\nabc\r\n",
                                  "3\nabc\r\n",
                                  "3;x\nabc\r\n",
                                  "3;\rx\r\nabc\r\n",
                                  "3\r\r\nabc\r\n",
                                  "3;\x01\r\nabc\r\n",
                                  "3\r\nabcd\r\n",
                                  "3\r\nabc\n0\r\n",
                                  "3\r\nabc\rX",
                                  "3\r\nabcX",
                                  "3\r\nabc\n\r\n",
                                  "0\r\nbad trailer\r\n\r\n",
                                  "0\r\n folded\r\n\r\n",
                                  "0\r\nx: a\rb\r\n\r\n"})
    expect_bad_reply(chunked_ok + chunk);
}

TEST(response_parser, reads_until_the_connection_closes_where_nothing_else_ends_the_body) {
  for (const std::string fields : {"",
                                   "Transfer-Encoding: gzip\r\n",
                                   "Transfer-Encoding: chunked, gzip\r\n",
                                   "Transfer-Encoding: identity\r\nContent-Length: 2\r\n"}) {
    const Reading reading = good_reply({ok + fields + "\r\nabc\r\n", "GET", Ending::closed});
    EXPECT_EQ(reading.body, "abc\r\n") << fields;
    EXPECT_FALSE(reading.persistent) << fields;
    EXPECT_FALSE(reply({ok + fields + "\r\nabc"}).done) << fields;
  }
  EXPECT_EQ(good_reply({ok + "\r\n", "GET", Ending::closed}).body, "");
}

TEST(response_parser, calls_a_cut_reply_transient_and_says_whether_it_had_begun) {
  const Reading nothing = reply({"", "GET", Ending::closed});
  EXPECT_EQ(nothing.error, ErrorKind::transient);
  EXPECT_FALSE(nothing.started);
  for (const std::string& whole :
       {ok + "Content-Length: 3\r\n\r\nabc",
        chunked_ok + "3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n"}) {
    for (std::size_t size = 1; size != whole.size(); ++size) {
      const Reading cut = read_reply({.bytes = whole, .ending = Ending::closed},
                                     {std::string_view{whole}.substr(0, size)});
      EXPECT_EQ(cut.error, ErrorKind::transient) << size;
      EXPECT_EQ(cut.message, "connection closed in the middle of a reply");
      EXPECT_TRUE(cut.started);
      EXPECT_FALSE(cut.done || cut.persistent);
    }
    good_reply({whole, "GET", Ending::closed});
  }
}

TEST(response_parser, keeps_the_connection_only_when_both_sides_would) {
  const auto persistent = [](const std::string& version, const std::string& fields) {
    return good_reply({version + " 200 OK\r\nContent-Length: 0\r\n" + fields + "\r\n"}).persistent;
  };
  EXPECT_TRUE(persistent("HTTP/1.1", ""));
  EXPECT_TRUE(persistent("HTTP/1.1", "Connection: keep-alive\r\n"));
  EXPECT_TRUE(persistent("HTTP/1.1", "Connection: closed\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.1", "Connection: close\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.1", "connection: x, CLOSE ,y\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.0", ""));
  EXPECT_TRUE(persistent("HTTP/1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

TEST(response_parser, never_reuses_a_connection_whose_framing_is_in_doubt) {
  const Reading both = good_reply(
      {ok + "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"});
  EXPECT_EQ(both.body, "hi");
  EXPECT_FALSE(both.persistent);
  EXPECT_FALSE(good_reply({"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked"
                           "\r\n\r\n0\r\n\r\n"})
                   .persistent);
  // The coding is framing as well when other codings come before it.
  EXPECT_EQ(good_reply({ok + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "1\r\nz\r\n0\r\n\r\n"})
                .body,
            "z");
}

TEST(response_parser, accepts_lengths_that_agree_and_refuses_the_rest) {
  for (const std::string fields : {"Content-Length: 2\r\nContent-Length: 2\r\n",
                                   "Content-Length: 2, 2\r\n",
                                   "Content-Length: 002\r\ncontent-length: 2 ,2\r\n"})
    EXPECT_EQ(good_reply({ok + fields + "\r\nhi"}).body, "hi");
  for (const std::string value : {"2, 3",
                                  "2\r\nContent-Length: 3",
                                  "+5",
                                  "-1",
                                  "0x5",
                                  "5x",
                                  "",
                                  "5,",
                                  ",5",
                                  "5 5",
                                  "5;5",
                                  "1e1",
                                  "5.0",
                                  "18446744073709551616",
                                  "18446744073709551621",
                                  "9223372036854775808",
                                  "\xd9\xa5"})
    expect_bad_reply(ok + "Content-Length: " + value + "\r\n\r\nhello");
}

TEST(response_parser, refuses_fields_that_readers_disagree_about) {
  for (const std::string field : {"Transfer-Encoding : chunked",
                                  "Transfer-Encoding\t: chunked",
                                  "Content-Length : 2",
                                  " leading: space",
                                  "\tleading: tab",
                                  "x: a\r\n folded",
                                  "x: a\r\n\tfolded",
                                  "no colon",
                                  ": no name",
                                  "na me: x",
                                  "n\xc3\xa9: x",
                                  "n\x01: x",
                                  "x: a\rb",
                                  "x: a\r\r",
                                  "x\r: a",
                                  "x: a\x01",
                                  "x: a\x7f",
                                  "Transfer-Encoding:\x0b"
                                  "chunked",
                                  "Transfer-Encoding: chunked;q=1",
                                  "Transfer-Encoding: chunked, chunked",
                                  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                                  "Transfer-Encoding: ",
                                  "Transfer-Encoding: ,chunked"})
    expect_bad_reply(ok + field + "\r\n\r\n0\r\n\r\n");
  expect_bad_reply(ok + std::string{"x: a\0b\r\n\r\n", 10});
  expect_bad_reply(ok + std::string{"x\0: ab\r\n\r\n", 10});
}

TEST(response_parser, accepts_bare_line_feeds_only_in_the_head) {
  EXPECT_EQ(good_reply({"\r\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nhi"}).body, "hi");
  EXPECT_EQ(good_reply({chunked_ok + "1\r\na\r\n0\r\nx: y\n\n"}).body, "a");
  expect_bad_reply(chunked_ok + "1\na\n0\n\n");
}

TEST(response_parser, refuses_what_is_beyond_the_limits) {
  const auto kind = [](const std::string& bytes, MessageLimits limits) {
    return reply({bytes, "GET", Ending::closed, limits}).error;
  };
  const std::string small = ok + "Content-Length: 3\r\n\r\nabc";
  EXPECT_EQ(kind(small, {.head = small.size() - 3}), std::nullopt);
  EXPECT_EQ(kind(small, {.head = small.size() - 4}), ErrorKind::too_large);
  EXPECT_EQ(kind(std::string(500, 'x'), {.head = 499}), ErrorKind::too_large);
  EXPECT_EQ(kind(ok + "a: b\r\nContent-Length: 0\r\n\r\n", {.fields = 2}), std::nullopt);
  EXPECT_EQ(kind(ok + "a: b\r\nContent-Length: 0\r\n\r\n", {.fields = 1}), ErrorKind::too_large);
  EXPECT_EQ(kind(small, {.body = 3}), std::nullopt);
  EXPECT_EQ(kind(small, {.body = 2}), ErrorKind::too_large);
  EXPECT_EQ(kind(ok + "\r\nabc", {.body = 3}), std::nullopt);
  EXPECT_EQ(kind(ok + "\r\nabc", {.body = 2}), ErrorKind::too_large);
  EXPECT_EQ(kind(chunked_ok + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", {.body = 3}), std::nullopt);
  EXPECT_EQ(kind(chunked_ok + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", {.body = 2}), ErrorKind::too_large);
  EXPECT_EQ(kind(chunked_ok + "7fffffffffffffff\r\n", {}), ErrorKind::too_large);
  EXPECT_EQ(kind(chunked_ok + "1;xxxx\r\na\r\n0\r\n\r\n", {.chunk_line = 8}), std::nullopt);
  EXPECT_EQ(kind(chunked_ok + "1;xxxxx\r\na\r\n0\r\n\r\n", {.chunk_line = 8}),
            ErrorKind::too_large);
  EXPECT_EQ(kind(chunked_ok + "0\r\na: b\r\n\r\n", {.head = chunked_ok.size() + 8}), std::nullopt);
  EXPECT_EQ(kind(chunked_ok + "0\r\na: b\r\n\r\n", {.head = chunked_ok.size() + 7}),
            ErrorKind::too_large);
  EXPECT_EQ(kind(chunked_ok + "0\r\na: b\r\n\r\n", {.fields = 1}), ErrorKind::too_large);
  EXPECT_THROW((ResponseParser{"GET", {.head = 0}}), std::invalid_argument);
  EXPECT_THROW((RequestParser{{.chunk_line = 2}}), std::invalid_argument);
}

TEST(response_parser, hands_the_body_of_a_success_to_the_sink_without_a_limit) {
  const MessageLimits tiny{.body = 1};
  for (const std::string& tail :
       {std::string{"Content-Length: 5\r\n\r\nhello"},
        std::string{"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"},
        std::string{"\r\nhello"}}) {
    const Reading success =
        good_reply({"HTTP/1.1 201 X\r\n" + tail, "GET", Ending::closed, tiny, true});
    EXPECT_EQ(success.streamed, "hello");
    EXPECT_EQ(success.body, "");
    const Reading failure =
        good_reply({"HTTP/1.1 500 X\r\n" + tail, "GET", Ending::closed, {}, true});
    EXPECT_EQ(failure.streamed, "");
    EXPECT_EQ(failure.body, "hello");
    EXPECT_EQ(reply({"HTTP/1.1 500 X\r\n" + tail, "GET", Ending::closed, tiny, true}).error,
              ErrorKind::too_large);
  }
}

TEST(response_parser, reads_a_long_head_byte_by_byte_in_linear_work) {
  std::string message = ok + "x: " + std::string(8'000'000, 'y') + "\r\nContent-Length: 0\r\n\r\n";
  ResponseParser parser{"GET", {.head = 16u << 20u}};
  for (const char& byte : message) ASSERT_TRUE(parser.feed({&byte, 1}));
  EXPECT_TRUE(parser.done());
}

TEST(request_parser, reads_a_request) {
  const Reading reading =
      request({"POST /v1/x?y=z HTTP/1.1\r\nHost: Example.com:8080\r\n"
               "Content-Length: 2\r\n\r\nhi"});
  EXPECT_EQ(reading.start, "POST http://example.com:8080 /v1/x?y=z");
  EXPECT_EQ(reading.body, "hi");
  EXPECT_TRUE(reading.done && reading.persistent && !reading.error);
  EXPECT_EQ(request({"GET / HTTP/1.1\r\nHost:\r\n\r\n"}).start, "GET http://:80 /");
  EXPECT_EQ(request({"\r\nGET / HTTP/1.1\r\nHost: [::1]:81\r\n\r\n"}).start,
            "GET http://[::1]:81 /");
  EXPECT_EQ(request({post + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"}).body, "hi");
  EXPECT_EQ(request({post + "\r\n"}).body, "");
}

TEST(request_parser, lets_an_absolute_target_outrank_the_host_field) {
  EXPECT_EQ(request({"GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n"}).start,
            "GET http://b:81 /c?d");
  EXPECT_EQ(request({"GET https://b HTTP/1.1\r\nHost: a\r\n\r\n"}).start, "GET https://b:443 /");
  EXPECT_EQ(request({"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"}).start, "OPTIONS http://a:80 *");
}

TEST(request_parser, leaves_pipelined_requests_for_the_next_turn) {
  const std::string bytes =
      post + "Content-Length: 1\r\n\r\naGET /b HTTP/1.0\r\n\r\nGET /c HTTP/1.1\r\nHost: c\r\n\r\n";
  RequestParser parser;
  std::string_view rest = bytes;
  std::vector<std::string> targets;
  while (!rest.empty()) {
    const Result<std::size_t> taken = parser.feed(rest);
    ASSERT_TRUE(taken);
    ASSERT_TRUE(parser.done());
    rest.remove_prefix(*taken);
    EXPECT_EQ(parser.understands_chunks(), targets.size() != 1);
    EXPECT_EQ(parser.keep_alive(), targets.size() != 1);
    targets.push_back(parser.take().target);
    EXPECT_FALSE(parser.started() || parser.head_done());
    EXPECT_TRUE(parser.finish());
  }
  EXPECT_EQ(targets, (std::vector<std::string>{"/", "/b", "/c"}));
}

TEST(request_parser, says_when_the_client_waits_for_continue) {
  EXPECT_TRUE(request({post + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"}).expects);
  EXPECT_FALSE(request({post + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\na"}).expects);
  EXPECT_FALSE(request({post + "Expect: 100-continue\r\n"}).expects);
  EXPECT_FALSE(request({post + "Content-Length: 1\r\n\r\n"}).expects);
  EXPECT_FALSE(
      request({"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"}).expects);
}

TEST(request_parser, answers_malformed_request_lines_with_the_fitting_status) {
  const std::string rest = "\r\nHost: a\r\n\r\n";
  for (const std::string line : {"GET /",
                                 "GET",
                                 "GET  / HTTP/1.1",
                                 "GET /  HTTP/1.1",
                                 " GET / HTTP/1.1",
                                 "GET / HTTP/1.1 ",
                                 "GET /a b HTTP/1.1",
                                 "GET\t/\tHTTP/1.1",
                                 "G(T / HTTP/1.1",
                                 "GET /\x01 HTTP/1.1",
                                 "GET /\xc3\xa9 HTTP/1.1",
                                 "GET / http/1.1",
                                 "GET / HTTP/1",
                                 "GET / HTTP/1.10",
                                 "GET /\r HTTP/1.1",
                                 "GET a HTTP/1.1",
                                 "GET * HTTP/1.1",
                                 "GET ftp://a/ HTTP/1.1",
                                 "GET http:///x HTTP/1.1",
                                 "GET http://u@a/ HTTP/1.1"})
    expect_bad_request(line + rest);
  expect_bad_request("GET / HTTP/2.0" + rest, 505);
  expect_bad_request("GET / HTTP/0.9" + rest, 505);
  expect_bad_request("CONNECT a:443 HTTP/1.1" + rest, 501);
}

TEST(request_parser, requires_one_valid_host) {
  expect_bad_request("GET / HTTP/1.1\r\n\r\n");
  expect_bad_request("GET http://a/ HTTP/1.1\r\n\r\n");
  expect_bad_request("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n");
  expect_bad_request("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n");
  for (const std::string host : {"a b", "a/b", "u@a", "a:x", "a:0", "::1", "[::1", "a?b"})
    expect_bad_request("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  EXPECT_TRUE(request({"GET / HTTP/1.0\r\n\r\n"}).done);
}

TEST(request_parser, refuses_to_guess_where_a_request_ends) {
  for (const std::string fields : {"Content-Length: 5\r\nTransfer-Encoding: chunked",
                                   "Transfer-Encoding: chunked\r\nContent-Length: 5",
                                   "Content-Length: 5\r\nContent-Length: 6",
                                   "Content-Length: 5, 6",
                                   "Content-Length: +5",
                                   "Content-Length: 0x5",
                                   "Content-Length: -5",
                                   "Content-Length: 5 5",
                                   "Content-Length:",
                                   "Content-Length: 99999999999999999999",
                                   "Transfer-Encoding : chunked",
                                   "Transfer-Encoding: chunked, chunked",
                                   "Transfer-Encoding: chunked;x=y",
                                   "Transfer-Encoding:",
                                   "Content-Length : 5",
                                   "x: y\r\n folded",
                                   "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"})
    expect_bad_request(post + fields + "\r\n\r\n0\r\n\r\n");
  for (const std::string coding :
       {"gzip", "identity", "xchunked", "gzip, chunked", "chunked, gzip"})
    expect_bad_request(post + "Transfer-Encoding: " + coding + "\r\n\r\n0\r\n\r\n", 501);
  expect_bad_request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  for (const std::string chunk :
       {"-1\r\n", "+1\r\na", "0x1\r\na", "ffffffffffffffff\r\n", "1\na", "1\r\nab"})
    expect_bad_request(post + "Transfer-Encoding: chunked\r\n\r\n" + chunk);
}

TEST(request_parser, answers_oversized_requests_with_the_fitting_status) {
  const auto status = [](const std::string& bytes, MessageLimits limits) {
    const Reading reading = request({bytes, Ending::open, limits});
    EXPECT_EQ(reading.error, ErrorKind::too_large);
    return reading.error_status;
  };
  EXPECT_EQ(status(post + "\r\n", {.head = 20}), 431);
  EXPECT_EQ(status(post + "x: y\r\n\r\n", {.fields = 1}), 431);
  EXPECT_EQ(status(post + "Content-Length: 3\r\n\r\n", {.body = 2}), 413);
  EXPECT_EQ(status(post + "Transfer-Encoding: chunked\r\n\r\n3\r\n", {.body = 2}), 413);
}

TEST(request_parser, knows_a_close_between_requests_from_one_within) {
  EXPECT_EQ(request({"", Ending::closed}).error, std::nullopt);
  EXPECT_EQ(request({"GE", Ending::closed}).error, ErrorKind::transient);
  EXPECT_EQ(request({post + "Content-Length: 2\r\n\r\nx", Ending::closed}).error,
            ErrorKind::transient);
}

}  // namespace
