// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// One sentence on standard error, from the program, and nothing on standard output.
void expect_one_sentence(const Batch& batch, std::string_view part) {
  EXPECT_THAT(lines_of(batch.err()),
              ElementsAre(AllOf(StartsWith("penstock-batch: "), HasSubstr(std::string{part}))));
  EXPECT_THAT(batch.err(), EndsWith("\n"));
  EXPECT_EQ(batch.out(), "");
}

const Arguments somewhere{"-m", "openai:sim-small@http://127.0.0.1:1/v1"};

// --- 2: nothing can be done ----------------------------------------------------------------------

TEST(batch_tool_exit, an_input_that_is_missing_is_2) {
  Batch batch{0};
  EXPECT_EQ(batch.run(somewhere + Arguments{"-i", batch.file("nowhere.jsonl")}), 2);
  expect_one_sentence(batch, "nowhere.jsonl\": No such file or directory");
}

TEST(batch_tool_exit, an_input_that_is_a_directory_is_2) {
  Batch batch{0};
  EXPECT_EQ(batch.run(somewhere + Arguments{"-i", batch.file("")}), 2);
  expect_one_sentence(batch, "Is a directory");
}

TEST(batch_tool_exit, an_output_that_is_a_directory_is_2) {
  Batch batch{3};
  EXPECT_EQ(batch.run(somewhere + Arguments{"-o", batch.file("")}), 2);
  expect_one_sentence(batch, "Is a directory");
}

TEST(batch_tool_exit, an_output_in_a_missing_directory_is_2) {
  Batch batch{3};
  EXPECT_EQ(batch.run(somewhere + Arguments{"-o", batch.file("nowhere/answers.jsonl")}), 2);
  expect_one_sentence(batch, "nowhere/answers.jsonl\": No such file or directory");
}

TEST(batch_tool_exit, an_output_that_is_no_file_is_2) {
  Batch batch{3};
  EXPECT_EQ(batch.run(somewhere + Arguments{"-o", "/dev/null"}), 2);
  expect_one_sentence(batch, "/dev/null");
}

TEST(batch_tool_exit, an_output_that_holds_something_else_is_2_and_left_as_it_was) {
  Batch batch{3};
  const std::string notes = batch.directory().write("notes.txt", "buy milk\n");
  EXPECT_EQ(batch.run(somewhere + Arguments{"-o", notes}), 2);
  expect_one_sentence(batch, "line 1 of");
  EXPECT_EQ(contents(notes), "buy milk\n");
}

TEST(batch_tool_exit, an_output_that_is_the_input_is_2) {
  Batch batch{3};
  const std::string before = contents(batch.input());
  EXPECT_EQ(batch.run(somewhere + Arguments{"-o", batch.input()}), 2);
  expect_one_sentence(batch, "input and output are both");
  EXPECT_EQ(contents(batch.input()), before);
}

TEST(batch_tool_exit, an_input_that_this_run_would_write_is_2_and_left_as_it_was) {
  Batch batch{3};
  EXPECT_EQ(batch.run(somewhere + Arguments{"--max-attempts", "1"}), 1);
  const std::string failures = contents(batch.errors());
  Process again{Arguments{batch_program(), "-i", batch.errors(), "-o", batch.output()} + somewhere,
                Batch::keys()};
  EXPECT_EQ(again.wait(), 2) << again.err();
  EXPECT_THAT(again.err(), HasSubstr("is a file this run writes"));
  EXPECT_EQ(contents(batch.errors()), failures);
}

TEST(batch_tool_exit, more_at_once_than_files_may_be_open_is_2_and_says_how_many) {
  Batch batch{3};
  const std::string command =
      "ulimit -n 64; exec \"$0\" -i \"$1\" -m openai:x@http://127.0.0.1:1 -c 60";
  Process run{{"/bin/sh", "-c", command, batch_program(), batch.input()}, Batch::keys()};
  EXPECT_EQ(run.wait(), 2);
  EXPECT_THAT(lines_of(run.err()), ElementsAre(HasSubstr("or write -c 48")));
}

TEST(batch_tool_exit, a_provider_nobody_knows_is_2) {
  Batch batch{3};
  EXPECT_EQ(batch.run({"-m", "oracle:delphi"}), 2);
  expect_one_sentence(batch, "there is no provider \"oracle\"; known providers: openai");
  EXPECT_EQ(contents(batch.output()), "(missing)");
}

TEST(batch_tool_exit, a_flag_nobody_knows_is_2) {
  Batch batch{3};
  EXPECT_EQ(batch.run(somewhere + Arguments{"--concurency", "4"}), 2);
  expect_one_sentence(batch, "did you mean --concurrency?");
}

TEST(batch_tool_exit, a_missing_model_is_2) {
  Batch batch{3};
  EXPECT_EQ(batch.run({}), 2);
  expect_one_sentence(batch, "-m provider:model");
}

TEST(batch_tool_exit, a_provider_that_no_transport_reaches_is_2_before_any_prompt_is_given_up) {
  Batch batch{3};
  EXPECT_EQ(batch.run({"-m", "openai:gpt-4.1-nano@https://127.0.0.1:1/v1"}), 2);
  expect_one_sentence(batch, "https://127.0.0.1:1 needs TLS");
  EXPECT_EQ(contents(batch.errors()), "(missing)");
}

TEST(batch_tool_exit, a_second_run_on_the_same_output_is_2_and_the_first_goes_on) {
  Batch batch{60};
  Simulator simulator{{"--latency", "5ms"}};
  const Arguments flags{"-m", simulator.openai(), "-c", "2"};
  Process first{batch.command(flags), Batch::keys()};
  ASSERT_TRUE(eventually([&] { return lines_in(batch.output()) > 0; }));
  first.signal(SIGSTOP);
  EXPECT_EQ(batch.run(flags), 2);
  expect_one_sentence(batch, "another run is writing");
  first.signal(SIGCONT);
  EXPECT_EQ(first.wait(), 0) << first.err();
  EXPECT_EQ(batch.answers(), Batch::expected(60));
  EXPECT_EQ(simulator.count("requests"), 60);
}

TEST(batch_tool_exit, a_disk_that_is_full_is_2_and_tears_no_line) {
  for (const std::string mode : {"inline", "threads", "async"}) {
    Batch batch{100};
    Simulator simulator;
    const Arguments command = batch.command({"-m", simulator.openai(), "--mode", mode, "-c", "4"});
    // Eight blocks of 512 or 1024 bytes, whichever shell it is.
    Process limited{Arguments{"/bin/sh", "-c", "ulimit -f 8; exec \"$0\" \"$@\""} + command,
                    Batch::keys()};
    EXPECT_EQ(limited.wait(), 2) << limited.err();
    EXPECT_THAT(limited.err(), HasSubstr("cannot write \"" + batch.output() + "\""));
    EXPECT_THAT(contents(batch.output()), EndsWith("\n"));
    EXPECT_GT(lines_in(batch.output()), 0U);

    EXPECT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
    EXPECT_EQ(batch.answers(), Batch::expected(100));
    EXPECT_EQ(lines_in(batch.output()), 100U);
  }
}

TEST(batch_tool_exit, an_answer_that_could_not_be_kept_after_an_interrupt_is_2) {
  const Port port;
  port.listen();
  Batch batch{1};
  Process run{Arguments{"/bin/sh", "-c", "ulimit -f 8; exec \"$0\" \"$@\""} +
                  batch.command({"-m", port.openai(), "--progress", "none"}),
              Batch::keys()};
  const Port::Asked asked = port.take();
  run.signal(SIGINT);
  ASSERT_TRUE(eventually([&] { return run.err().find("in flight") != std::string::npos; }));
  const std::string body = R"({"choices":[{"message":{"content":")" + std::string(20'000, 'x') +
                           R"("},"finish_reason":"stop"}]})";
  asked.reply("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" +
              body);
  EXPECT_EQ(run.wait(), 2) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("cannot write \"" + batch.output() + "\""));
  EXPECT_EQ(contents(batch.output()), "");
}

// --- 1: some prompts have no answer
// ---------------------------------------------------------------

TEST(batch_tool_exit, malformed_lines_are_1_and_each_is_named) {
  Batch batch{
      "{\"prompt\":\"first\"}\n"
      "no JSON at all\n"
      "\n"
      "{\"prompt\":\"\"}\n"
      "{\"text\":\"what is this\"}\n"
      "{\"prompt\":\"last\"}\n"};
  Simulator simulator;
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--progress", "none"}), 1);
  EXPECT_THAT(lines_of(batch.err()),
              ElementsAre(HasSubstr("line 2 of " + batch.input() + ": invalid JSON"),
                          HasSubstr("line 4 of " + batch.input() + ": \"prompt\" is empty"),
                          HasSubstr("line 5 of " + batch.input() + ": the object has none of")));
  const std::map<std::string, std::string> good{{"line-1", "echo: first"},
                                                {"line-6", "echo: last"}};
  EXPECT_EQ(batch.answers(), good);
}

TEST(batch_tool_exit, a_server_that_is_down_is_1_and_its_prompts_are_asked_by_the_next_run) {
  const Port port;
  for (const std::string mode : {"inline", "threads", "async"}) {
    Batch batch{3};
    EXPECT_EQ(batch.run({"-m", port.openai(), "--mode", mode, "--max-attempts", "2"}), 1);
    EXPECT_THAT(batch.err(),
                HasSubstr("0 answered, 3 failed, 3 retried, 0 fell back, 0 refused in"));
    EXPECT_EQ(lines_in(batch.output()), 0U);
    const std::vector<Json> errors = Batch::lines(batch.errors());
    EXPECT_EQ(errors.size(), 3U);
    for (const Json& line : errors) {
      EXPECT_EQ(line["error"]["code"].text(), "unavailable");
      EXPECT_TRUE(line["response"].is_null());
    }

    Simulator simulator;
    EXPECT_EQ(batch.run({"-m", simulator.openai(), "--mode", mode}), 0) << batch.err();
    EXPECT_EQ(batch.answers(), Batch::expected(3));
    // The errors file may list a prompt that was answered since, until the next run.
    EXPECT_EQ(batch.run({"-m", simulator.openai(), "--mode", mode}), 0) << batch.err();
    EXPECT_EQ(contents(batch.errors()), "(missing)");
    EXPECT_EQ(simulator.count("requests"), 3);
  }
}

TEST(batch_tool_exit, gives_up_early_when_nobody_answers_for_any_prompt) {
  const Port port;
  Batch batch{1000};
  EXPECT_EQ(batch.run({"-m", port.openai(), "--max-attempts", "1", "-c", "4"}), 1);
  EXPECT_THAT(batch.err(), HasSubstr("gave up"));
  EXPECT_LT(lines_in(batch.errors()), 50U);
}

TEST(batch_tool_exit, gives_up_early_when_a_limit_lets_nothing_through_before_the_deadline) {
  Simulator simulator{{"--faults", "429=1", "--retry-after", "10m"}};
  Batch batch{1000};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "-c", "4", "--deadline", "5s"}), 1);
  EXPECT_THAT(batch.err(), HasSubstr("gave up, prompt after prompt failed alike: rate_limited"));
  EXPECT_LT(simulator.count("requests"), 50);
}

// --- 3: the key or the money ---------------------------------------------------------------------

TEST(batch_tool_exit, a_wrong_key_is_3_after_no_more_requests_than_are_in_flight) {
  for (const std::string mode : {"inline", "threads", "async"}) {
    for (const bool openai : {true, false}) {
      Simulator simulator;
      Batch batch{100};
      const std::string model = openai ? simulator.openai() : simulator.claude();
      EXPECT_EQ(batch.run({"-m", model, "--mode", mode, "-c", "5", "--progress", "none"},
                          {"OPENAI_API_KEY=wrong-key", "ANTHROPIC_API_KEY=wrong-key"}),
                3);
      expect_one_sentence(batch, "stopped: credential");
      EXPECT_LE(simulator.count("requests"), mode == "inline" ? 1 : 5);
      EXPECT_GE(simulator.count("requests"), 1);
      EXPECT_THAT(batch.answers(), IsEmpty());
    }
  }
}

TEST(batch_tool_exit, a_prompt_that_no_model_was_left_for_did_not_fail) {
  // Threads may take a prompt between the refusal of the key and the end of the run.
  for (int round = 0; round < 20; ++round) {
    Simulator simulator;
    Batch batch{100};
    EXPECT_EQ(batch.run({"-m", simulator.openai(), "--mode", "threads", "--progress", "none"},
                        {"OPENAI_API_KEY=wrong-key"}),
              3);
    expect_one_sentence(batch, "stopped: credential (401): Incorrect API key");
    EXPECT_EQ(static_cast<std::int64_t>(lines_in(batch.errors())), simulator.count("requests"));
  }
}

TEST(batch_tool_exit, a_wrong_key_is_3_within_a_limit_too) {
  Simulator simulator;
  Batch batch{100};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--limit", "2", "--progress", "none"},
                      {"OPENAI_API_KEY=wrong-key"}),
            3);
  expect_one_sentence(batch, "stopped: credential (401)");
}

TEST(batch_tool_exit, a_wrong_key_of_one_provider_leaves_the_work_to_the_other) {
  Simulator simulator;
  Batch batch{50};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "-m", simulator.claude(), "-c", "4"},
                      {"OPENAI_API_KEY=wrong-key", "ANTHROPIC_API_KEY=right"}),
            0)
      << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(50));
  EXPECT_LE(simulator.replies("401"), 4);
}

TEST(batch_tool_exit, a_missing_key_is_3_and_names_the_variable) {
  Batch batch{3};
  EXPECT_EQ(batch.run({"-m", "openai:gpt-4.1-nano"}, {}), 3);
  expect_one_sentence(batch, "set OPENAI_API_KEY");
}

TEST(batch_tool_exit, a_quota_that_is_used_up_is_3) {
  const Port port;
  port.listen();
  Batch batch{20};
  Process run{batch.command({"-m", port.openai(), "-c", "1", "--progress", "none"}), Batch::keys()};
  EXPECT_THAT(
      port.answer(
          "HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-length: 72\r\n\r\n"
          R"({"error":{"code":"insufficient_quota","type":"insufficient_quota"    }})"
          "\n"),
      HasSubstr("POST /v1/chat/completions"));
  EXPECT_EQ(run.wait(), 3) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("stopped: quota"));
  EXPECT_EQ(lines_in(batch.errors()), 1U);
}

}  // namespace
}  // namespace support
