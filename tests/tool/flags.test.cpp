// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

TEST(batch_tool_flags, limit_asks_that_many_and_the_next_run_the_next_ones) {
  Simulator simulator;
  Batch batch{25};
  for (const std::size_t answered : {10U, 20U, 25U, 25U}) {
    EXPECT_EQ(batch.run({"-m", simulator.openai(), "--limit", "10"}), 0) << batch.err();
    EXPECT_EQ(batch.answers(), Batch::expected(answered));
    EXPECT_EQ(lines_in(batch.output()), answered);
    EXPECT_EQ(simulator.count("requests"), static_cast<std::int64_t>(answered));
  }
}

TEST(batch_tool_flags, limits_of_ours_hold_prompts_back_and_fail_none) {
  constexpr std::size_t prompts = 30;
  for (const std::string mode : {"threads", "async"}) {
    Simulator simulator;
    Batch batch{prompts};
    // Ten at once, then ten a second: the last ones come up long after the deadline of the first.
    EXPECT_EQ(
        batch.run(
            {"-m", simulator.openai(), "--mode", mode, "--rpm", "600", "--deadline", "300ms"}),
        0)
        << batch.err();
    EXPECT_EQ(batch.answers(), Batch::expected(prompts));
    EXPECT_EQ(contents(batch.errors()), "(missing)");
  }
}

TEST(batch_tool_flags, an_interrupt_leaves_what_limits_of_ours_hold_back) {
  Simulator simulator;
  Batch batch{30};
  Process run{batch.command({"-m", simulator.openai(), "--rpm", "1", "--deadline", "1s"}),
              Batch::keys()};
  ASSERT_TRUE(eventually([&] { return lines_in(batch.output()) == 1; }));
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 130) << run.err();
  EXPECT_EQ(contents(batch.errors()), "(missing)");
  EXPECT_EQ(simulator.count("requests"), 1);
}

TEST(batch_tool_flags, a_prompt_that_no_limit_of_ours_can_let_through_says_so) {
  Batch batch{1};
  EXPECT_EQ(batch.run({"-m", "openai:sim-small@http://127.0.0.1:1/v1", "--tpm", "1"}), 1);
  EXPECT_THAT(contents(batch.errors()), HasSubstr("tokens at once, more than --tpm ever lets"));
}

TEST(batch_tool_flags, concurrency_gets_the_open_files_that_it_needs) {
  Simulator simulator{{"--latency", "20ms"}};
  Batch batch{120};
  const std::string command = "ulimit -S -n 64; exec \"$0\" -i \"$1\" -m \"$2\" -c 120";
  Process run{{"/bin/sh", "-c", command, batch_program(), batch.input(), simulator.openai()},
              Batch::keys()};
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("120 answered, 0 retried"));
}

// Sanitized programs take more address space than any limit that keeps threads from starting.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(batch_tool_flags, threads_that_cannot_start_are_2_and_say_what_to_write) {
  Batch batch{3};
  const std::string command =
      "ulimit -v 300000; exec \"$0\" -i \"$1\" --mode threads -c 1000 -m "
      "openai:x@http://127.0.0.1:1";
  Process run{{"/bin/sh", "-c", command, batch_program(), batch.input()}, Batch::keys()};
  EXPECT_EQ(run.wait(), 2);
  EXPECT_THAT(lines_of(run.err()), ElementsAre(HasSubstr("write a smaller -c, or --mode async")));
}
#endif

TEST(batch_tool_flags, output_that_cannot_be_printed_is_2) {
  Batch batch{3};
  for (const std::string flag : {"--help", "--version", "--dry-run"}) {
    Process run{{"/bin/sh",
                 "-c",
                 "exec \"$0\" -i \"$1\" \"$2\" >/dev/full",
                 batch_program(),
                 batch.input(),
                 flag}};
    EXPECT_EQ(run.wait(), 2);
    EXPECT_THAT(run.err(), HasSubstr("cannot write to standard output"));
  }
}

TEST(batch_tool_flags, what_it_prints_goes_into_no_file_of_its_own) {
  Simulator simulator;
  for (const std::string closed : {"0<&- 2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"}) {
    Batch batch{3};
    const std::string command = "exec \"$0\" -i \"$1\" -m \"$2\" " + closed;
    Process run{{"/bin/sh", "-c", command, batch_program(), batch.input(), simulator.openai()},
                Batch::keys()};
    EXPECT_EQ(run.wait(), 0);
    EXPECT_EQ(lines_in(batch.output()), 3U) << contents(batch.output());
  }
}

TEST(batch_tool_flags, dry_run_makes_no_request_and_writes_no_file) {
  Simulator simulator;
  Batch batch{25};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--dry-run"}), 0) << batch.err();
  EXPECT_THAT(batch.out(), MatchesRegex("25 prompts, about [0-9]+ tokens, 0 malformed lines\n"));
  EXPECT_EQ(batch.err(), "");
  EXPECT_EQ(simulator.count("requests"), 0);
  EXPECT_EQ(simulator.connections(), 0);
  EXPECT_EQ(contents(batch.output()), "(missing)");
}

TEST(batch_tool_flags, dry_run_names_the_malformed_lines) {
  Batch batch{"{\"prompt\":\"good\"}\nnot good\n"};
  EXPECT_EQ(batch.run({"--dry-run"}), 1);
  EXPECT_THAT(batch.out(), StartsWith("1 prompts, "));
  EXPECT_THAT(lines_of(batch.err()), ElementsAre(HasSubstr("line 2 of")));
}

TEST(batch_tool_flags, progress_json_is_an_object_on_every_line) {
  Simulator simulator{{"--faults", "500=0.1"}};
  Batch batch{50};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--progress", "json"}), 0) << batch.err();
  const std::vector<std::string> lines = lines_of(batch.err());
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) EXPECT_TRUE(llm::parse(line)) << line;
  const Json last = llm::parse(lines.back()).value_or(Json{});
  EXPECT_EQ(last["answered"].as_integer(), 50);
  EXPECT_EQ(last["total"].as_integer(), 50);
  EXPECT_EQ(last["failed"].as_integer(), 0);
  EXPECT_EQ(last["in_flight"].as_integer(), 0);
  EXPECT_EQ(last["retried"].as_integer(), simulator.replies("500"));
  EXPECT_EQ(last["seconds_left"].as_integer(), 0);
}

TEST(batch_tool_flags, progress_plain_has_no_control_characters_and_sums_up) {
  Simulator simulator;
  Batch batch{50};
  for (const Arguments& progress : {Arguments{}, Arguments{"--progress=plain"}}) {
    std::filesystem::remove(batch.output());
    EXPECT_EQ(batch.run(Arguments{"-m", simulator.openai()} + progress), 0);
    EXPECT_THAT(batch.err(), Not(AnyOf(HasSubstr("\r"), HasSubstr("\033"))));
    EXPECT_THAT(batch.err(), HasSubstr("50 of 50 (100%), "));
    EXPECT_THAT(batch.err(), HasSubstr("\n50 answered, 0 retried, 0 fell back, 0 refused in "));
    EXPECT_THAT(batch.err(), HasSubstr("\nlatency p50 "));
    EXPECT_THAT(batch.err(), HasSubstr("\n50 requests over "));
    EXPECT_THAT(batch.err(), HasSubstr("\nanswers: " + batch.output() + "\n"));
    EXPECT_EQ(batch.out(), "");
  }
}

TEST(batch_tool_flags, progress_none_says_nothing) {
  Simulator simulator;
  Batch batch{50};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--progress", "none"}), 0);
  EXPECT_EQ(batch.err(), "");
  EXPECT_EQ(batch.out(), "");
}

TEST(batch_tool_flags, a_key_on_the_command_line_is_refused) {
  Batch batch{1};
  for (const std::string flag : {"--key", "--api-key"}) {
    EXPECT_EQ(batch.run({"-m", "openai:x", flag, "sk-secret"}), 2);
    EXPECT_THAT(batch.err(), HasSubstr("OPENAI_API_KEY"));
    EXPECT_THAT(batch.err(), Not(HasSubstr("sk-secret")));
  }
  EXPECT_EQ(batch.run({"-m", "openai:x@http://user:sk-secret@127.0.0.1:1/v1"}), 2);
  EXPECT_THAT(batch.err(), Not(HasSubstr("sk-secret")));
}

TEST(batch_tool_flags, keys_reach_the_provider_and_no_file_and_no_message) {
  Simulator simulator{{"--key", "sk-open-4711", "--faults", "500=0.3,429=0.2"}};
  Batch batch{30};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--max-attempts", "2"}), 1) << batch.err();
  EXPECT_EQ(simulator.replies("401"), 0);
  EXPECT_GT(lines_in(batch.errors()), 0U);
  // The provider's own words about a wrong key go into the errors file.
  Batch refused{30};
  EXPECT_EQ(refused.run({"-m", simulator.claude()}), 3);
  for (const Batch* each : {&batch, &refused}) {
    const std::string text = contents(each->output()) + contents(each->errors()) + each->err();
    EXPECT_THAT(text, Not(HasSubstr("sk-")));
    EXPECT_THAT(text, Not(HasSubstr("4711")));
  }
}

TEST(batch_tool_flags, base_url_is_for_every_model_that_names_none) {
  Simulator simulator;
  Batch batch{5};
  EXPECT_EQ(batch.run({"-m", "groq:sim-small", "--base-url", simulator.url() + "/openai/v1"}), 0)
      << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(5));
}

TEST(batch_tool_flags, the_environment_says_where_a_provider_is) {
  Simulator simulator;
  Batch batch{5};
  EXPECT_EQ(batch.run({"-m", "openai:sim-small"},
                      Batch::keys() + Arguments{"OPENAI_BASE_URL=" + simulator.url() + "/v1"}),
            0)
      << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(5));
}

TEST(batch_tool_flags, rpm_keeps_within_what_the_provider_allows) {
  for (const std::string mode : {"threads", "async"}) {
    // The provider lets 600 through at once and ten a second after that. All but fifteen of them
    // are used up first; a run that did not keep to its own limit would then be refused at once.
    Simulator simulator{{"--rpm", "600"}};
    Batch hasty{585};
    ASSERT_EQ(hasty.run({"-m", simulator.openai()}), 0) << hasty.err();
    Batch batch{40};
    EXPECT_EQ(batch.run({"-m", simulator.openai(), "--mode", mode, "--rpm", "600"}), 0);
    EXPECT_EQ(batch.answers(), Batch::expected(40));
    EXPECT_EQ(simulator.replies("429"), 0);
  }
}

TEST(batch_tool_flags, help_and_version_go_to_standard_output) {
  Batch batch{1};
  EXPECT_EQ(batch.run({"--help"}), 0);
  EXPECT_THAT(batch.out(), HasSubstr("Exit codes:"));
  EXPECT_EQ(batch.run({"--version"}), 0);
  EXPECT_THAT(batch.out(), MatchesRegex("penstock-batch [0-9.]+\n"));
  EXPECT_EQ(batch.err(), "");
}

}  // namespace
}  // namespace support
