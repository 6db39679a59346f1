// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <penstock/http/h1.hpp>

// What the tests of the HTTP/1.1 parsers share: a message is read in pieces and everything that
// can be learnt of it is compared.
namespace penstock::http::tests {

using Pieces = std::vector<std::string_view>;

inline std::vector<Header> listed(const Headers& headers) {
  return {headers.begin(), headers.end()};
}

// Everything that can be learnt of one message.
struct Reading {
  std::optional<ErrorKind> error;
  int error_status = 0;
  std::string message;
  std::string start;  // "200 OK" or "GET http://host:80 /target"
  std::vector<Header> headers, trailers;
  std::string body, streamed;
  std::size_t taken = 0;
  bool done = false, head_done = false, started = false, persistent = false, expects = false;
  friend bool operator==(const Reading&, const Reading&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const Reading& reading) {
  out << "{" << reading.start << " | " << reading.body << " | " << reading.streamed << " | taken "
      << reading.taken;
  if (reading.done) out << ", done";
  if (reading.persistent) out << ", persistent";
  return out << (reading.error ? ", " + reading.message : std::string{}) << "}";
}

inline void note(Reading& reading, const Error& error) {
  reading.error = error.kind();
  reading.error_status = error.status();
  reading.message = error.message();
}

template <class Parser, class Feed>
void feed_all(Parser& parser, const Pieces& pieces, bool to_end, Reading& reading, Feed feed) {
  for (const std::string_view piece : pieces) {
    const std::string copy{piece};  // so that a view kept too long is caught
    const Result<std::size_t> taken = feed(copy);
    if (!taken) {
      note(reading, taken.error());
      const Result<std::size_t> again = feed("x");
      EXPECT_TRUE(!again && again.error().message() == taken.error().message());
      break;
    }
    EXPECT_LE(*taken, copy.size());
    EXPECT_TRUE(*taken == copy.size() || parser.done());
    reading.taken += *taken;
  }
  if (reading.error) {
    reading.taken = 0;  // how far it came before an error depends on the pieces
    return;
  }
  if (!to_end) return;
  if (const Result<void> finished = parser.finish(); !finished) note(reading, finished.error());
}

enum class Ending { open, closed };

struct ReplyCase {
  std::string bytes;
  std::string method = "GET";
  Ending ending = Ending::open;
  MessageLimits limits{};
  bool streams = false;
};

inline Reading read_reply(const ReplyCase& one, const Pieces& pieces) {
  Reading reading;
  ResponseParser parser{one.method, one.limits};
  const std::function<void(std::string_view)> sink = [&](std::string_view piece) {
    EXPECT_FALSE(piece.empty());
    reading.streamed += piece;
  };
  feed_all(parser, pieces, one.ending == Ending::closed, reading, [&](std::string_view piece) {
    return one.streams ? parser.feed(piece, sink) : parser.feed(piece);
  });
  reading.done = parser.done();
  reading.head_done = parser.head_done();
  reading.started = parser.started();
  reading.persistent = parser.reusable();
  reading.trailers = listed(parser.trailers());
  const Response response = parser.take();
  reading.start = std::to_string(response.status) + " " + response.reason;
  reading.headers = listed(response.headers);
  reading.body = response.body;
  return reading;
}

struct RequestCase {
  std::string bytes;
  Ending ending = Ending::open;
  MessageLimits limits{};
};

inline Reading read_request(const RequestCase& one, const Pieces& pieces) {
  Reading reading;
  RequestParser parser{one.limits};
  feed_all(parser, pieces, one.ending == Ending::closed, reading, [&](std::string_view piece) {
    return parser.feed(piece);
  });
  reading.done = parser.done();
  reading.head_done = parser.head_done();
  reading.started = parser.started();
  reading.persistent = parser.keep_alive();
  reading.expects = parser.expects_continue();
  reading.trailers = listed(parser.trailers());
  const Request request = parser.take();
  reading.start = request.method + " " + to_string(request.origin) + " " + request.target;
  reading.headers = listed(request.headers);
  reading.body = request.body;
  return reading;
}

// Whole, byte by byte, and cut at every place: all must agree.
template <class Case, class Read>
Reading every_way(const Case& one, Read read) {
  const std::string_view bytes = one.bytes;
  const Reading whole = read(one, {bytes});
  Pieces single;
  for (std::size_t i = 0; i != bytes.size(); ++i) single.push_back(bytes.substr(i, 1));
  EXPECT_EQ(read(one, single), whole) << "byte by byte:\n" << bytes;
  for (std::size_t i = 0; i <= bytes.size(); ++i)
    EXPECT_EQ(read(one, {bytes.substr(0, i), bytes.substr(i)}), whole) << "cut at " << i << ":\n"
                                                                       << bytes;
  return whole;
}

inline Reading reply(const ReplyCase& one) {
  return every_way(one, read_reply);
}
inline Reading request(const RequestCase& one) {
  return every_way(one, read_request);
}

inline Reading good_reply(const ReplyCase& one) {
  Reading reading = reply(one);
  EXPECT_EQ(reading.error, std::nullopt) << reading.message << "\n" << one.bytes;
  EXPECT_TRUE(reading.done) << one.bytes;
  return reading;
}

inline void expect_bad_reply(const std::string& bytes, ErrorKind kind = ErrorKind::transient) {
  const Reading reading = reply({bytes});
  EXPECT_EQ(reading.error, kind) << reading << "\n" << bytes;
  EXPECT_FALSE(reading.done) << bytes;
  EXPECT_FALSE(reading.persistent) << bytes;
  EXPECT_EQ(reading.error_status, 0) << bytes;
}

inline void expect_bad_request(const std::string& bytes, int status = 400) {
  const Reading reading = request({bytes});
  EXPECT_EQ(reading.error_status, status) << reading << "\n" << bytes;
  EXPECT_FALSE(reading.done) << bytes;
  EXPECT_FALSE(reading.persistent) << bytes;
}

inline const std::string ok = "HTTP/1.1 200 OK\r\n";
inline const std::string chunked_ok = ok + "Transfer-Encoding: chunked\r\n\r\n";
inline const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";

}  // namespace penstock::http::tests
