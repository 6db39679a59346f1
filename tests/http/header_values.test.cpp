// SPDX-License-Identifier: MIT
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <penstock/http/header_values.hpp>
#include <penstock/http/status.hpp>

namespace {

using namespace penstock;
using namespace penstock::http;
using namespace std::chrono_literals;

TEST(go_duration, reads_what_providers_send) {
  static_assert(parse_go_duration("12ms") == 12ms);
  static_assert(parse_go_duration("0s") == 0s);
  static_assert(parse_go_duration("8.64s") == 8640ms);
  static_assert(parse_go_duration("172.799999ms") == 172'799'999ns);
  static_assert(parse_go_duration("6m0s") == 6min);
  static_assert(parse_go_duration("2m59.56s") == 179'560ms);
  static_assert(parse_go_duration("1h2m3s") == 1h + 2min + 3s);
  static_assert(parse_go_duration("1.5h") == 90min);
  static_assert(parse_go_duration("7us") == 7us && parse_go_duration("7\xC2\xB5s") == 7us);
  static_assert(parse_go_duration("7\xCE\xBCs") == 7us && parse_go_duration("1.9ns") == 1ns);
  static_assert(parse_go_duration("60") == 60s && parse_go_duration(" 0.5 ") == 500ms);
  static_assert(parse_go_duration("1.984999999s") == 1'984'999'999ns);
  SUCCEED();
}

TEST(go_duration, refuses_or_clamps_what_is_hostile) {
  for (const std::string_view text :
       {"",      " ",   "-1",    "-1s",    "+1s", "s",  ".",    ".s",
        "1..2s", "1x",  "1 s",   "1s ago", "1sm", "ms", "1e3s", "1e308",
        "nan",   "inf", "0x10s", "1m2",    "1s2", "1S", "1,5s", "\xC2\xB5s"})
    EXPECT_EQ(parse_go_duration(text), std::nullopt) << text;
  EXPECT_EQ(parse_go_duration("9999999999999999999999h"), Duration::max());
  EXPECT_EQ(parse_go_duration("9223372036s9223372036s"), Duration::max());
  EXPECT_EQ(parse_go_duration(std::string(400, '9')), Duration::max());
  EXPECT_EQ(parse_go_duration("0." + std::string(400, '9') + "s"), 999'999'999ns);
}

TEST(http_date, reads_the_fixed_form_only) {
  using namespace std::chrono;
  static_assert(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == sys_seconds{784111777s});
  static_assert(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT") == sys_seconds{0s});
  static_assert(parse_http_date("Fri, 31 Dec 9999 23:59:60 GMT").has_value());
  for (const std::string_view text : {"",
                                      "0",
                                      "Sunday, 06-Nov-94 08:49:37 GMT",
                                      "Sun Nov  6 08:49:37 1994",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 31 Feb 1994 08:49:37 GMT",
                                      "Sun, 06 nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 Nov 1994 08:60:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:61 GMT",
                                      "Xxx, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 00 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 199  08:49:37 GMT",
                                      "Sun, -6 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 ov  1994 08:49:37 GMT"})
    EXPECT_EQ(parse_http_date(text), std::nullopt) << text;
}

TEST(retry_after, prefers_milliseconds_and_accepts_fractions) {
  EXPECT_EQ(parse_retry_after({}), std::nullopt);
  EXPECT_EQ(parse_retry_after({{"Retry-After", "2"}}), 2s);
  EXPECT_EQ(parse_retry_after({{"retry-after", "0.25"}}), 250ms);
  EXPECT_EQ(parse_retry_after({{"retry-after", "0"}}), 0s);
  EXPECT_EQ(parse_retry_after({{"retry-after", "9"}, {"Retry-After-Ms", "1.5"}}), 1500us);
  EXPECT_EQ(parse_retry_after({{"retry-after", "9"}, {"retry-after-ms", "soon"}}), 9s);
}

TEST(retry_after, counts_a_date_from_the_date_of_the_reply) {
  const auto wait = [](std::string then, std::string now) {
    return parse_retry_after({{"date", std::move(now)}, {"retry-after", std::move(then)}});
  };
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT"), 30s);
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"), 0s);
  EXPECT_EQ(wait("Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT"),
            Duration::max());
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:37 GMT", "yesterday"), std::nullopt);
  EXPECT_EQ(parse_retry_after({{"retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"}}), std::nullopt);
}

TEST(retry_after, takes_hostile_values_for_none_or_for_the_longest_wait) {
  for (const std::string_view value :
       {"", "-1", "-0.5", "+1", "1e308", "nan", "inf", "0x10", "1s", "1 2", "1,2", ".", "\xff"})
    EXPECT_EQ(parse_retry_after({{"retry-after", std::string{value}}}), std::nullopt) << value;
  EXPECT_EQ(parse_retry_after({{"retry-after", std::string(309, '9')}}), Duration::max());
  EXPECT_EQ(parse_retry_after({{"retry-after-ms", std::string(309, '9')}}), Duration::max());
}

TEST(status, maps_to_the_kind_that_decides_about_a_retry) {
  static_assert(error_kind_of(400) == ErrorKind::permanent);
  static_assert(error_kind_of(422) == ErrorKind::permanent);
  static_assert(error_kind_of(301) == ErrorKind::permanent);
  static_assert(error_kind_of(401) == ErrorKind::credential);
  static_assert(error_kind_of(403) == ErrorKind::credential);
  static_assert(error_kind_of(402) == ErrorKind::quota);
  static_assert(error_kind_of(404) == ErrorKind::not_found);
  static_assert(error_kind_of(413) == ErrorKind::too_large);
  static_assert(error_kind_of(408) == ErrorKind::timeout);
  static_assert(error_kind_of(504) == ErrorKind::timeout);
  static_assert(error_kind_of(409) == ErrorKind::transient);
  static_assert(error_kind_of(425) == ErrorKind::transient);
  static_assert(error_kind_of(429) == ErrorKind::rate_limited);
  static_assert(error_kind_of(500) == ErrorKind::transient);
  static_assert(error_kind_of(502) == ErrorKind::transient);
  static_assert(error_kind_of(520) == ErrorKind::transient);
  static_assert(error_kind_of(799) == ErrorKind::transient);
  static_assert(error_kind_of(501) == ErrorKind::permanent);
  static_assert(error_kind_of(503) == ErrorKind::unavailable);
  static_assert(error_kind_of(529) == ErrorKind::unavailable);
  SUCCEED();
}

TEST(status, becomes_an_error_with_the_wait_and_an_excerpt_of_the_body) {
  const Error limited = error_of({429, "Too Many", {{"retry-after", "1.5"}}, "slow down"});
  EXPECT_EQ(limited.kind(), ErrorKind::rate_limited);
  EXPECT_EQ(limited.status(), 429);
  EXPECT_EQ(limited.retry_after(), 1500ms);
  EXPECT_EQ(limited.message(), "slow down");

  const Error bare = error_of({503, "Busy", {}, ""});
  EXPECT_EQ(bare.retry_after(), std::nullopt);
  EXPECT_EQ(bare.message(), "Busy");
  EXPECT_EQ(error_of({500, "", {}, ""}).message(), "");

  EXPECT_EQ(error_of({500, "", {}, std::string(5000, 'x')}).message().size(), 512u);
  // 511 letters, then a character of three bytes: it is left out whole.
  const Error cut = error_of({500, "", {}, std::string(511, 'x') + "\xE2\x82\xAC tail"});
  EXPECT_EQ(cut.message(), std::string(511, 'x'));
}

}  // namespace
