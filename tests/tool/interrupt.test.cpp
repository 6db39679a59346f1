// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::HasSubstr;

class batch_tool_interrupted : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(every_mode,
                         batch_tool_interrupted,
                         testing::Values("inline", "threads", "async"),
                         [](const auto& mode) { return mode.param; });

TEST_P(batch_tool_interrupted, drains_and_the_same_command_finishes) {
  const std::size_t prompts = GetParam() == "inline" ? 80 : 300;
  for (const int signal : {SIGINT, SIGTERM}) {
    Batch batch{prompts};
    Simulator simulator{{"--latency", "5ms"}};
    const Arguments flags{"-m", simulator.openai(), "--mode", GetParam(), "-c", "8"};
    Process first{batch.command(flags), Batch::keys()};
    ASSERT_TRUE(eventually([&] { return lines_in(batch.output()) >= prompts / 8; }));
    first.signal(signal);
    EXPECT_EQ(first.wait(), 130) << first.err();
    EXPECT_THAT(first.err(), HasSubstr("in flight; once more to leave them"));
    EXPECT_THAT(first.err(), HasSubstr("the same command again goes on where this one stopped"));
    const std::size_t kept = lines_in(batch.output());
    EXPECT_LT(kept, prompts);
    EXPECT_EQ(simulator.count("requests"), static_cast<std::int64_t>(kept))
        << "what was asked is kept";

    EXPECT_EQ(batch.run(flags), 0) << batch.err();
    EXPECT_EQ(batch.answers(), Batch::expected(prompts));
    EXPECT_EQ(lines_in(batch.output()), prompts);
    EXPECT_EQ(simulator.count("requests"), static_cast<std::int64_t>(prompts));
  }
}

TEST_P(batch_tool_interrupted, twice_leaves_what_is_in_flight_and_calls_it_no_failure) {
  Batch batch{40};
  Simulator simulator{{"--latency", "10m"}};
  const std::int64_t in_flight = GetParam() == "inline" ? 1 : 4;
  Process run{batch.command({"-m", simulator.openai(), "--mode", GetParam(), "-c", "4"}),
              Batch::keys()};
  ASSERT_TRUE(eventually([&] { return simulator.count("requests") == in_flight; }));
  run.signal(SIGINT);
  ASSERT_TRUE(
      eventually([&] { return run.err().find("once more to leave them") != std::string::npos; }));
  EXPECT_TRUE(run.running());
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 130) << run.err();
  EXPECT_EQ(contents(batch.output()), "");
  EXPECT_EQ(contents(batch.errors()), "(missing)");
  EXPECT_EQ(simulator.count("requests"), in_flight);
}

TEST_P(batch_tool_interrupted, twice_while_it_waits_for_its_next_attempt) {
  Batch batch{40};
  Simulator simulator{{"--faults", "429=1", "--retry-after", "4m"}};
  Process run{batch.command({"-m", simulator.openai(), "--mode", GetParam(), "-c", "4"}),
              Batch::keys()};
  const std::int64_t in_flight = GetParam() == "inline" ? 1 : 4;
  ASSERT_TRUE(eventually([&] { return simulator.replies("429") == in_flight; }));
  run.signal(SIGINT);
  ASSERT_TRUE(
      eventually([&] { return run.err().find("once more to leave them") != std::string::npos; }));
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 130) << run.err();
  EXPECT_EQ(contents(batch.errors()), "(missing)");
}

TEST_P(batch_tool_interrupted, while_its_input_has_no_next_line_yet) {
  Simulator simulator;
  Batch batch{0};
  const std::string pipe = batch.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const batch::Descriptor writer = batch::Descriptor::open(pipe, O_RDWR);
  Process run{{batch_program(),
               "-i",
               pipe,
               "-o",
               batch.output(),
               "-m",
               simulator.openai(),
               "--mode",
               GetParam()},
              Batch::keys()};
  const std::string line = Batch::prompts(1);
  ASSERT_EQ(::write(writer.get(), line.data(), line.size()), static_cast<::ssize_t>(line.size()));
  EXPECT_TRUE(eventually([&] { return lines_in(batch.output()) == 1; }))
      << "its answer must not wait for the next line";
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 130) << run.err();
  EXPECT_EQ(batch.answers(), Batch::expected(1));
}

TEST(batch_tool, is_still_interrupted_after_a_signal_that_means_nothing_to_it) {
  Simulator simulator{{"--latency", "10m"}};
  Batch batch{4};
  Process run{batch.command({"-m", simulator.openai()}), Batch::keys()};
  ASSERT_TRUE(eventually([&] { return simulator.count("requests") == 4; }));
  run.signal(SIGUSR1);
  run.signal(SIGINT);
  ASSERT_TRUE(
      eventually([&] { return run.err().find("once more to leave them") != std::string::npos; }));
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 130) << run.err();
}

}  // namespace
}  // namespace support
