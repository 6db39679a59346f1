// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <batch/temporary_directory.hpp>
#include <support/process.hpp>
#include <tuner/model.hpp>
#include <tuner/options.hpp>
#include <tuner/report.hpp>
#include <tuner/search.hpp>

namespace tuner {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Result<Options> parse(std::vector<std::string_view> arguments) {
  return parse_options(arguments);
}
Options traffic(std::uint64_t rate, Duration time = 5s) {
  Options options;
  options.backend.rate = rate;
  options.traffic = time;
  return options;
}

TEST(tuner_model, answers_everything_where_there_is_room) {
  const Measured measured = measure(traffic(50), {.batch = 10, .concurrency = 4});
  EXPECT_NEAR(static_cast<double>(measured.items), 250, 60);
  EXPECT_EQ(measured.answered, measured.items);
  EXPECT_GE(measured.median, 40ms);
}

TEST(tuner_model, gives_the_same_for_the_same_seed_and_not_for_another) {
  Options options = traffic(200);
  const Settings settings{.batch = 10, .age = 10ms};
  const Measured one = measure(options, settings);
  const Measured same = measure(options, settings);
  EXPECT_EQ(rank(one), rank(same));
  options.seed = 2;
  EXPECT_NE(rank(measure(options, settings)), rank(one));
}

TEST(tuner_model, sees_that_batches_save_requests) {
  const Measured single = measure(traffic(50), {.batch = 1, .concurrency = 32});
  const Measured batched = measure(traffic(50), {.batch = 20, .age = 100ms, .concurrency = 32});
  EXPECT_LT(batched.requests_per_item(), single.requests_per_item() / 3);
}

TEST(tuner_model, keeps_to_the_limit_of_the_backend) {
  Options options = traffic(100, 10s);
  options.backend.limit = 20;
  options.backend.failures = 0;
  const Measured measured = measure(options, {.batch = 1, .concurrency = 32});
  EXPECT_LE(measured.requests, 20U + 20U * 40U);  // the traffic, and the deadline of the last
  const Measured batched = measure(options, {.batch = 20, .age = 50ms, .concurrency = 32});
  EXPECT_EQ(batched.answered, batched.items);
}

TEST(tuner_search, finds_the_same_again_and_better_than_the_ends_of_its_grid) {
  const Options options = traffic(200);
  Search search{options};
  const Settings found = search.run();
  EXPECT_GE(search.try_out(found).answered_share(), 0.99);
  EXPECT_LT(search.try_out({.batch = 1, .concurrency = 1}).answered_share(), 0.99);
  for (const std::size_t batch : {1U, 10U, 50U})
    EXPECT_LE(rank(search.try_out(found)),
              rank(search.try_out({.batch = batch, .concurrency = 4})));
  Search again{options};
  EXPECT_EQ(again.run(), found);
}

TEST(tuner_search, says_when_nothing_keeps_up) {
  Options options = traffic(1000, 2s);
  options.backend.slots = 1;
  options.backend.per_item = 100ms;
  options.backend.deadline = 1s;
  Search search{options};
  const Settings found = search.run();
  EXPECT_THAT(report(search, found), HasSubstr("No setting keeps up"));
}

TEST(tuner_report, prints_options_that_compile) {
  const batch::TemporaryDirectory files;
  const std::string source = files.write(
      "tuned.cpp",
      as_code({.batch = 30, .age = 10ms, .concurrency = 8, .retries = 5, .backoff = 2s}) +
          "static_assert(tuned::release.options().max_items == 30);\n"
          "static_assert(tuned::max_running == 8);\n"
          "static_assert(tuned::retries.options().max_attempts == 6);\n");
  support::Process compiler{
      {PENSTOCK_COMPILER, "-std=c++20", "-fsyntax-only", "-I" PENSTOCK_INCLUDE, source},
      {"PATH=/usr/local/bin:/usr/bin:/bin"}};
  EXPECT_EQ(compiler.wait(), 0) << compiler.err();
}

TEST(tuner_options, take_a_description) {
  const auto options = parse({"--rate=500",
                              "--base",
                              "2s",
                              "--per-item",
                              "5ms",
                              "--slots",
                              "0",
                              "--limit",
                              "10",
                              "--failures",
                              "0.05",
                              "--deadline",
                              "1m",
                              "--seed",
                              "7",
                              "--traffic",
                              "10s"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->backend.rate, 500U);
  EXPECT_EQ(options->backend.base, 2s);
  EXPECT_EQ(options->backend.per_item, 5ms);
  EXPECT_EQ(options->backend.slots, 0U);
  EXPECT_EQ(options->backend.limit, 10U);
  EXPECT_EQ(options->backend.failures, 0.05);
  EXPECT_EQ(options->backend.deadline, 1min);
  EXPECT_EQ(options->seed, 7U);
  EXPECT_EQ(options->traffic, 10s);
}

TEST(tuner_options, refuse_what_cannot_be) {
  for (const std::vector<std::string_view>& wrong :
       std::vector<std::vector<std::string_view>>{{"--rates", "1"},
                                                  {"--rate", "0"},
                                                  {"--rate"},
                                                  {"--base", "fast"},
                                                  {"--failures", "2"},
                                                  {"--failures", "x"}}) {
    const auto options = parse(wrong);
    ASSERT_FALSE(options) << wrong[0];
    EXPECT_FALSE(options.error().message().empty());
  }
}

TEST(tuner_program, prints_a_table_and_what_to_use) {
  support::Process program{{PENSTOCK_TUNE, "--rate", "50", "--traffic", "1s"}};
  EXPECT_EQ(program.wait(), 0) << program.err();
  EXPECT_THAT(program.out(), HasSubstr("batch  age"));
  EXPECT_THAT(program.out(), HasSubstr("inline constexpr penstock::SizeWeightAge release"));
}

}  // namespace
}  // namespace tuner
