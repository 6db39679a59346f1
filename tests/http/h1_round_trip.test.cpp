// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
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

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return engine_() % bound; }
  std::string text(std::string_view alphabet, std::size_t most) {
    std::string made;
    for (std::size_t size = below(most + 1); size != 0; --size)
      made += alphabet[below(alphabet.size())];
    return made;
  }
  std::string bytes(std::size_t most) {
    std::string made;
    for (std::size_t size = below(most + 1); size != 0; --size)
      made += static_cast<char>(below(256));
    return made;
  }
  Headers headers() {
    Headers made;
    for (std::size_t count = below(5); count != 0; --count) {
      std::string value{trim_whitespace(text("abc \t,;=\"\xe9", 12))};
      made.add("x-" + text("abc-", 6), std::move(value));
    }
    return made;
  }
  // Cut into pieces of random size, empty ones included.
  Pieces pieces(std::string_view bytes) {
    Pieces made;
    while (!bytes.empty()) {
      made.push_back(bytes.substr(0, below(std::min<std::size_t>(bytes.size(), 40) + 1)));
      bytes.remove_prefix(made.back().size());
    }
    return made;
  }

 private:
  std::mt19937 engine_;
};

TEST(h1_round_trip, gives_back_every_request_that_was_encoded) {
  Random random{1};
  for (int round = 0; round != 2000; ++round) {
    Request sent;
    const std::string_view methods[] = {"GET", "POST", "PUT", "DELETE", "M-SEARCH"};
    sent.method = methods[random.below(5)];
    sent.origin = {"http",
                   random.below(4) == 0 ? "fe80::1" : "h" + random.text("abc.-", 5),
                   static_cast<std::uint16_t>(1 + random.below(65535))};
    sent.target = "/" + random.text("ab/?=&%20", 12);
    sent.headers = random.headers();
    sent.body = random.bytes(50);
    std::string bytes;
    ASSERT_TRUE(encode(sent, bytes));

    RequestParser parser;
    std::size_t taken = 0;
    for (const std::string_view piece : random.pieces(bytes)) {
      const Result<std::size_t> fed = parser.feed(piece);
      ASSERT_TRUE(fed) << bytes;
      taken += *fed;
    }
    ASSERT_TRUE(parser.done() && parser.keep_alive()) << bytes;
    EXPECT_EQ(taken, bytes.size());
    Request got = parser.take();
    EXPECT_EQ(got.method, sent.method);
    EXPECT_EQ(got.origin, sent.origin);
    EXPECT_EQ(got.target, sent.target);
    EXPECT_EQ(got.body, sent.body);
    got.headers.remove("host");
    got.headers.remove("content-length");
    EXPECT_EQ(listed(got.headers), listed(sent.headers));
  }
}

TEST(h1_round_trip, gives_back_every_reply_that_was_encoded_whole_or_in_chunks) {
  Random random{2};
  for (int round = 0; round != 2000; ++round) {
    Response sent{static_cast<int>(200 + random.below(400)),
                  "r" + random.text("ab c", 6),
                  random.headers(),
                  {}};
    if (never_has_body(sent.status)) continue;
    const std::string body = random.bytes(80);
    std::string bytes;
    if (random.below(2) == 0) {
      sent.body = body;
      ASSERT_TRUE(encode(sent, bytes));
    } else {
      ASSERT_TRUE(encode_streamed_head(sent, bytes));
      for (const std::string_view piece : random.pieces(body)) append_chunk(bytes, piece);
      append_last_chunk(bytes);
    }

    ResponseParser parser{"GET"};
    std::size_t taken = 0;
    for (const std::string_view piece : random.pieces(bytes)) {
      const Result<std::size_t> fed = parser.feed(piece);
      ASSERT_TRUE(fed) << bytes;
      taken += *fed;
    }
    ASSERT_TRUE(parser.done() && parser.reusable()) << bytes;
    EXPECT_EQ(taken, bytes.size());
    Response got = parser.take();
    EXPECT_EQ(got.status, sent.status);
    EXPECT_EQ(got.reason, sent.reason);
    EXPECT_EQ(got.body, body);
    got.headers.remove("content-length");
    got.headers.remove("transfer-encoding");
    EXPECT_EQ(listed(got.headers), listed(sent.headers));
  }
}

TEST(h1_mutation, survives_ten_thousand_damaged_messages_the_same_way_in_any_pieces) {
  const std::vector<std::string> seeds{
      ok + "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
      chunked_ok + "3;a=\"b\"\r\nabc\r\n0a\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\nContent-Length: 2, 2\r\n\r\nno",
      post + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
      post +
          "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
      "GET http://b:81/c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"};
  const std::string_view parts[] = {"\r",
                                    "\n",
                                    "\r\n",
                                    "\r\n\r\n",
                                    " ",
                                    "\t",
                                    ":",
                                    ",",
                                    ";",
                                    "0",
                                    "5",
                                    "f",
                                    "-",
                                    "+",
                                    "ffffffffffffffff",
                                    "chunked",
                                    "Content-Length: 7\r\n",
                                    "Transfer-Encoding: chunked\r\n",
                                    "close",
                                    "HTTP/1.1 ",
                                    "HTTP/1.0"};
  Random random{3};
  for (int round = 0; round != 10'000; ++round) {
    std::string bytes = seeds[random.below(seeds.size())];
    for (std::size_t edits = 1 + random.below(4); edits != 0; --edits) {
      const std::size_t at = random.below(bytes.size() + 1);
      switch (random.below(5)) {
        case 0:
          bytes.insert(at, parts[random.below(std::size(parts))]);
          break;
        case 1:
          bytes.erase(at, 1 + random.below(4));
          break;
        case 2:
          bytes.insert(at, 1, static_cast<char>(random.below(256)));
          break;
        case 3:
          if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
          break;
        case 4:
          bytes.insert(at, bytes.substr(random.below(bytes.size() + 1), random.below(20)));
          break;
      }
    }
    const Pieces pieces = random.pieces(bytes);
    ReplyCase as_reply{bytes, "GET", Ending::closed, {.head = 120, .fields = 4, .body = 30}};
    as_reply.streams = random.below(2) == 0;
    ASSERT_EQ(read_reply(as_reply, pieces), read_reply(as_reply, {bytes})) << bytes;
    const RequestCase as_request{bytes, Ending::closed, {.head = 120, .fields = 4, .body = 30}};
    ASSERT_EQ(read_request(as_request, pieces), read_request(as_request, {bytes})) << bytes;
  }
}

}  // namespace
