// SPDX-License-Identifier: MIT
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <penstock/http/sse.hpp>

namespace {

using namespace penstock;
using namespace penstock::http;
using namespace std::chrono_literals;

struct Seen {
  std::string event, data, id;
  friend bool operator==(const Seen&, const Seen&) = default;
};

struct Decoded {
  std::vector<Seen> events;
  std::string last_event_id;
  std::optional<Duration> retry;
  std::optional<ErrorKind> error;
  friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded decode(const std::vector<std::string_view>& pieces, SseLimits limits = {}) {
  Decoded decoded;
  SseParser parser{limits};
  for (const std::string_view piece : pieces) {
    const std::string copy{piece};  // so that a view kept too long is caught
    const Result<void> fed = parser.feed(copy, [&](const SseEvent& event) {
      decoded.events.push_back(
          {std::string{event.event}, std::string{event.data}, std::string{event.id}});
    });
    if (!fed) decoded.error = fed.error().kind();
  }
  decoded.last_event_id = parser.last_event_id();
  decoded.retry = parser.retry();
  return decoded;
}

// Whole, byte by byte, and cut at every place: all must agree.
Decoded decode_every_way(std::string_view stream, SseLimits limits = {}) {
  const Decoded whole = decode({stream}, limits);
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i != stream.size(); ++i) bytes.push_back(stream.substr(i, 1));
  EXPECT_EQ(decode(bytes, limits), whole) << "byte by byte: " << stream;
  for (std::size_t i = 0; i <= stream.size(); ++i)
    EXPECT_EQ(decode({stream.substr(0, i), stream.substr(i)}, limits), whole)
        << "cut at " << i << ": " << stream;
  return whole;
}

std::vector<Seen> events_of(std::string_view stream) {
  return decode_every_way(stream).events;
}

TEST(sse, decodes_the_streams_that_others_get_wrong) {
  using testing::ElementsAre;
  EXPECT_THAT(events_of("data: a\n\n"), ElementsAre(Seen{"message", "a", ""}));
  EXPECT_THAT(events_of("data: a\r\rdata: b\r\r"),
              ElementsAre(Seen{"message", "a", ""}, Seen{"message", "b", ""}));
  EXPECT_THAT(events_of("data: a\r\n\r\ndata: b\r\n\r\n"),
              ElementsAre(Seen{"message", "a", ""}, Seen{"message", "b", ""}));
  EXPECT_THAT(events_of("data: a\r\n\n\rdata: b\n\r"),
              ElementsAre(Seen{"message", "a", ""}, Seen{"message", "b", ""}));
  EXPECT_THAT(events_of("data:\ndata: x\n\n"), ElementsAre(Seen{"message", "\nx", ""}));
  EXPECT_THAT(events_of("data\n\n"), ElementsAre(Seen{"message", "", ""}));
  EXPECT_THAT(events_of("data:\n\n"), ElementsAre(Seen{"message", "", ""}));
  EXPECT_THAT(events_of("data\ndata\n\n"), ElementsAre(Seen{"message", "\n", ""}));
  EXPECT_THAT(events_of("data:  two spaces \n\n"),
              ElementsAre(Seen{"message", " two spaces ", ""}));
  EXPECT_THAT(events_of("data:a:b: c\n\n"), ElementsAre(Seen{"message", "a:b: c", ""}));
  EXPECT_THAT(events_of("\xEF\xBB\xBF"
                        "data: a\n\n"),
              ElementsAre(Seen{"message", "a", ""}));
  EXPECT_THAT(events_of("\xEF\xBB\xBF\xEF\xBB\xBF"
                        "data: a\n\ndata: b\n\n"),
              ElementsAre(Seen{"message", "b", ""}));
  EXPECT_THAT(events_of(": keep-alive\n\n:\n\ndata: a\n: between\ndata: b\n\n"),
              ElementsAre(Seen{"message", "a\nb", ""}));
  EXPECT_THAT(events_of("event: ping\ndata: {}\n\n"), ElementsAre(Seen{"ping", "{}", ""}));
  EXPECT_THAT(events_of("event: lost\n\ndata: a\n\n"), ElementsAre(Seen{"message", "a", ""}));
  EXPECT_THAT(events_of("event: x\nevent\ndata: a\n\n"), ElementsAre(Seen{"message", "a", ""}));
  EXPECT_THAT(events_of("Data: a\n data: b\ndata : c\nunknown: d\n\n"), ElementsAre());
  EXPECT_THAT(events_of("data: \xE2\x80\xA8 one line\n\n"),
              ElementsAre(Seen{"message", "\xE2\x80\xA8 one line", ""}));
  EXPECT_THAT(events_of("data: {\"a\":1}\n\ndata: [DONE]\n\n"),
              ElementsAre(Seen{"message", "{\"a\":1}", ""}, Seen{"message", "[DONE]", ""}));
  EXPECT_THAT(events_of(""), ElementsAre());
  EXPECT_THAT(events_of("\n\n\r\n"), ElementsAre());
}

TEST(sse, drops_an_event_that_the_end_cuts_off) {
  EXPECT_EQ(events_of("data: a\n\ndata: b\n").size(), 1u);
  EXPECT_EQ(events_of("data: a\n\ndata: b").size(), 1u);
  EXPECT_EQ(decode_every_way("id: 1\ndata: a\n\nid: 2\ndata: b\n").last_event_id, "1");
}

TEST(sse, keeps_ids_and_the_retry_time) {
  const Decoded decoded =
      decode_every_way({"id: 1\ndata: a\n\ndata: b\n\nid: 2\0 3\ndata: c\n\nid\ndata: d\n\n"
                        "id: 9\n\n",
                        61});
  EXPECT_THAT(decoded.events,
              testing::ElementsAre(Seen{"message", "a", "1"},
                                   Seen{"message", "b", "1"},
                                   Seen{"message", "c", "1"},
                                   Seen{"message", "d", ""}));
  EXPECT_EQ(decoded.last_event_id, "9");
  EXPECT_EQ(decode_every_way("retry: 1500\n").retry, 1500ms);
  EXPECT_EQ(decode_every_way("retry: 7\nretry: 12abc\nretry: -1\nretry:\n").retry, 7ms);
  EXPECT_EQ(decode_every_way("retry: 99999999999999999999999\n").retry, std::nullopt);
}

TEST(sse, refuses_lines_and_events_beyond_the_limits) {
  const SseLimits limits{.line = 10, .event = 12};
  EXPECT_EQ(decode_every_way("data: 1234\n\n", limits).error, std::nullopt);
  EXPECT_EQ(decode_every_way("data: 12345\n\n", limits).error, ErrorKind::too_large);
  EXPECT_EQ(decode_every_way(":2345678901", limits).error, ErrorKind::too_large);
  EXPECT_EQ(decode_every_way("data: 1234\ndata: 6789\n\n", limits).error, std::nullopt);
  EXPECT_EQ(decode_every_way("data: 1234\ndata: 6789\ndata: abc\n\n", limits).error,
            ErrorKind::too_large);
  EXPECT_THROW(SseParser{SseLimits{.line = 0}}, std::invalid_argument);
}

TEST(sse, stays_failed_after_the_first_error) {
  SseParser parser{{.line = 4, .event = 100}};
  const auto never_called = [](const SseEvent&) { FAIL(); };
  EXPECT_FALSE(parser.feed("too long", never_called));
  EXPECT_FALSE(parser.feed("\n\ndata\n\n", never_called));
}

TEST(sse, encodes_events_that_decode_to_the_same) {
  std::mt19937 random{20240611};
  const std::string_view alphabet = "ab:\n \xE2\x82\xAC";
  for (int round = 0; round != 500; ++round) {
    std::string stream;
    std::vector<Seen> sent;
    for (auto events = random() % 4; events != 0; --events) {
      std::string data;
      for (auto size = random() % 12; size != 0; --size)
        data += alphabet[random() % alphabet.size()];
      const std::string type = random() % 2 == 0 ? "message" : "delta";
      append_event(stream, type, data);
      sent.push_back({type, data, ""});
    }
    EXPECT_EQ(events_of(stream), sent);
  }
  std::string stream;
  append_event(stream, "x\ndata: injected", "a\r\nb\rc");
  EXPECT_EQ(stream, "event: x\ndata: a\ndata: b\ndata: c\n\n");
}

TEST(sse, never_breaks_on_random_bytes) {
  std::mt19937 random{7};
  const std::string_view parts[] = {"data",
                                    "event",
                                    "id",
                                    "retry",
                                    ":",
                                    " ",
                                    "\n",
                                    "\r",
                                    "\r\n",
                                    "1",
                                    "x",
                                    "\xEF\xBB\xBF",
                                    "\n\n"};
  for (int round = 0; round != 500; ++round) {
    std::string stream;
    for (auto size = random() % 20; size != 0; --size) stream += parts[random() % std::size(parts)];
    decode_every_way(stream, {.line = 12, .event = 20});
  }
}

}  // namespace
