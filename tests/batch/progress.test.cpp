// SPDX-License-Identifier: MIT
#include <batch/progress.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace batch {
namespace {

using namespace std::chrono_literals;

Tally halfway() {
  return {.answered = 430,
          .skipped = 12,
          .failed = 5,
          .malformed = 3,
          .retried = 42,
          .fell_back = 1,
          .refused = 7,
          .in_flight = 16,
          .total = 1000};
}

TEST(batch_progress, none_shows_nothing) {
  EXPECT_EQ(render(ProgressStyle::none, halfway(), 10s, 80), "");
}

TEST(batch_progress, plain_says_all_in_one_line) {
  EXPECT_EQ(render(ProgressStyle::plain, halfway(), 10s, 80),
            "450 of 1000 (45%), 43.5/s, 13s left, 16 in flight, 5 failed, 3 malformed, 42 retried, "
            "1 fell back, 7 refused, 12 answered before\n");
}

TEST(batch_progress, plain_leaves_out_what_did_not_happen_and_what_is_not_known) {
  EXPECT_EQ(render_plain({.answered = 20, .in_flight = 4}, 10s), "20, 2.0/s, 4 in flight");
  EXPECT_EQ(render_plain({.total = 10}, 0s), "0 of 10 (0%), 0.0/s, 0 in flight");
}

TEST(batch_progress, the_bar_is_redrawn_on_one_line_of_the_terminal) {
  EXPECT_EQ(render_bar(halfway(), 10s, 80),
            "[#####........] 45% 450/1000 43.5/s ETA 13s, 5 failed, 16 in flight, 42 retried");
  EXPECT_EQ(render(ProgressStyle::bar, {.answered = 1, .total = 4}, 2s, 80),
            "\r[#######.......................] 25% 1/4 0.5/s ETA 6s, 0 in flight" +
                std::string(13, ' '));
}

TEST(batch_progress, a_bar_never_reaches_the_last_column) {
  for (std::size_t width = 1; width <= 200; ++width)
    EXPECT_LT(render_bar(halfway(), 10s, width).size(), width);
  for (std::size_t width = 2; width <= 200; ++width)
    EXPECT_EQ(render(ProgressStyle::bar, halfway(), 10s, width).size(), width);
}

TEST(batch_progress, a_narrow_bar_leaves_out_the_least_urgent_first) {
  EXPECT_EQ(render_bar(halfway(), 10s, 50), "[########...........] 45% 450/1000 43.5/s ETA 13s");
}

TEST(batch_progress, without_a_total_there_is_no_bar) {
  EXPECT_EQ(render_bar({.answered = 20, .in_flight = 4}, 10s, 80), "20 2.0/s, 4 in flight");
}

TEST(batch_progress, a_full_bar_is_full) {
  EXPECT_EQ(render_bar({.answered = 4, .total = 4}, 2s, 80),
            "[##############################] 100% 4/4 2.0/s ETA 0s, 0 in flight");
}

TEST(batch_progress, json_is_one_object_with_every_counter) {
  EXPECT_EQ(render(ProgressStyle::json, halfway(), 10s, 80),
            "{\"answered\":430,\"skipped\":12,\"failed\":5,\"malformed\":3,\"retried\":42,"
            "\"fell_back\":1,\"refused\":7,\"in_flight\":16,\"total\":1000,"
            "\"elapsed_seconds\":10.000,\"per_second\":43.500,\"seconds_left\":13}\n");
  EXPECT_NE(render_json({.answered = 1}, 1s).find("\"seconds_left\":null"), std::string::npos);
}

TEST(batch_progress, the_rate_counts_this_run_only) {
  EXPECT_EQ(rate({.answered = 6, .skipped = 1000, .failed = 4, .malformed = 9}, 5s), 2.0);
  EXPECT_EQ(rate({.answered = 6}, 0s), 0.0);
}

TEST(batch_progress, time_left_is_not_guessed) {
  EXPECT_EQ(time_left({.answered = 5, .total = 0}, 1s), std::nullopt);
  EXPECT_EQ(time_left({.skipped = 5, .total = 10}, 1s), std::nullopt);
  EXPECT_EQ(time_left({.answered = 11, .total = 10}, 1s), std::nullopt);
  EXPECT_EQ(time_left({.skipped = 10, .total = 10}, 1s), 0s);
  EXPECT_EQ(time_left({.answered = 5, .total = 10}, 1s), 1s);
  EXPECT_EQ(time_left({.answered = 1, .total = UINT64_MAX}, 1h), 1'000'000'000s);
}

TEST(batch_progress, times_are_short) {
  EXPECT_EQ(brief(812us), "812us");
  EXPECT_EQ(brief(999'999us), "999ms");
  EXPECT_EQ(brief(2'417ms), "2.41s");
  EXPECT_EQ(brief(6s), "6s");
  EXPECT_EQ(brief(9'999ms), "9.99s");
  EXPECT_EQ(brief(10s), "10s");
  EXPECT_EQ(brief(81s), "1m21s");
  EXPECT_EQ(brief(2h + 5min + 59s), "2h05m");
}

TEST(batch_progress, a_bar_becomes_plain_lines_where_there_is_no_terminal) {
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(null, 0);
  EXPECT_EQ(style_for(null, ProgressStyle::bar), ProgressStyle::plain);
  EXPECT_EQ(style_for(null, ProgressStyle::json), ProgressStyle::json);
  EXPECT_EQ(terminal_width(null), 80U);
  ::close(null);
}

TEST(batch_progress, erasing_leaves_the_cursor_at_the_start_of_a_blank_line) {
  EXPECT_EQ(erase_bar(5), "\r    \r");
}

TEST(batch_summary, says_what_became_of_the_prompts_and_where_it_is) {
  LatencyHistogram latencies;
  latencies.record(640ms);
  EXPECT_EQ(to_string(Summary{.tally = halfway(),
                              .elapsed = 81s,
                              .latencies = &latencies,
                              .requests_made = 486,
                              .connections_opened = 16,
                              .output = "out.jsonl",
                              .errors = "out.errors.jsonl"}),
            "430 answered, 5 failed, 3 malformed, 42 retried, 1 fell back, 7 refused, 12 answered "
            "before in 1m21s\n"
            "latency p50 640ms, p99 640ms\n"
            "486 requests over 16 connections, 6.0 requests/s\n"
            "answers: out.jsonl\n"
            "errors: out.errors.jsonl (the same command again asks these prompts again)\n");
}

TEST(batch_summary, of_a_run_with_nothing_to_do_is_short) {
  EXPECT_EQ(to_string(Summary{.tally = {.skipped = 3, .total = 3}, .output = "out.jsonl"}),
            "0 answered, 0 retried, 0 fell back, 0 refused, 3 answered before in 0s\nanswers: "
            "out.jsonl\n");
}

}  // namespace
}  // namespace batch
