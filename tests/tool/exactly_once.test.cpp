// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

constexpr std::string_view faults = "429=0.05,500=0.03,503=0.01,cut=0.02,overload=0.01";

// --- the modes and the protocols ---------------------------------------------------------------

class every_mode : public testing::TestWithParam<std::string> {
 protected:
  /// One prompt at a time takes longer for the same number.
  [[nodiscard]] static std::size_t size(std::size_t many) {
    return GetParam() == "inline" ? many / 4 : many;
  }
};
INSTANTIATE_TEST_SUITE_P(batch_tool,
                         every_mode,
                         testing::Values("inline", "threads", "async"),
                         [](const auto& mode) { return mode.param; });

class every_mode_and_protocol
    : public testing::TestWithParam<std::tuple<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(batch_tool,
                         every_mode_and_protocol,
                         testing::Combine(testing::Values("inline", "threads", "async"),
                                          testing::Values("openai", "claude")),
                         [](const auto& both) {
                           return std::get<0>(both.param) + "_" + std::get<1>(both.param);
                         });

TEST_P(every_mode_and_protocol, answers_every_prompt_once_through_a_faulty_provider) {
  const auto& [mode, protocol] = GetParam();
  const std::size_t prompts = mode == "inline" ? 60 : 300;
  const std::int64_t concurrency = mode == "inline" ? 1 : 16;
  Simulator simulator{{"--faults", std::string{faults}, "--latency", "1ms-3ms"}};
  Batch batch{prompts};
  const std::string model = protocol == "openai" ? simulator.openai() : simulator.claude();
  EXPECT_EQ(batch.run({"-m", model, "--mode", mode, "-c", "16"}), 0) << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(prompts));
  EXPECT_EQ(lines_in(batch.output()), prompts);
  EXPECT_EQ(contents(batch.errors()), "(missing)");
  EXPECT_EQ(simulator.count("prompts_answered"), static_cast<std::int64_t>(prompts));
  EXPECT_EQ(simulator.count("prompts_answered_more_than_once"), 0);
  EXPECT_GT(simulator.count("requests"), static_cast<std::int64_t>(prompts)) << "no fault came";
  EXPECT_LE(simulator.connections(), concurrency + simulator.count("connections_cut"));
}

TEST_P(every_mode, keeps_its_connections_when_none_is_cut) {
  Simulator simulator;
  Batch batch{size(300)};
  EXPECT_EQ(batch.run({"-m", simulator.openai(), "--mode", GetParam(), "-c", "4"}), 0);
  EXPECT_LE(simulator.connections(), GetParam() == "inline" ? 1 : 4);
  EXPECT_EQ(simulator.count("requests"), static_cast<std::int64_t>(size(300)));
}

// --- a kill -------------------------------------------------------------------------------------

TEST_P(every_mode, asks_nothing_again_that_was_on_the_disk_when_it_was_killed) {
  const std::size_t prompts = size(300);
  Batch batch{prompts};
  const auto command = [&](const Simulator& simulator) {
    return Arguments{"-m", simulator.openai(), "--mode", GetParam(), "-c", "8"};
  };
  {
    const Simulator simulator{{"--latency", "5ms"}};
    Process first{batch.command(command(simulator)), Batch::keys()};
    EXPECT_TRUE(eventually([&] { return lines_in(batch.output()) >= prompts / 5; }));
    first.signal(SIGKILL);
    ASSERT_EQ(first.wait(), 128 + SIGKILL) << first.err();
  }
  const std::size_t kept = lines_in(batch.output());
  EXPECT_LT(kept, prompts);
  Simulator simulator;
  EXPECT_EQ(batch.run(command(simulator)), 0) << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(prompts));
  EXPECT_EQ(lines_in(batch.output()), prompts);
  EXPECT_EQ(simulator.count("prompts_answered"), static_cast<std::int64_t>(prompts - kept));
  EXPECT_EQ(simulator.count("requests"), static_cast<std::int64_t>(prompts - kept));
  EXPECT_THAT(batch.err(), testing::HasSubstr(std::to_string(kept) + " answered before"));
}

TEST(batch_tool, survives_one_kill_after_the_other) {
  constexpr std::size_t prompts = 200;
  Batch batch{prompts};
  Simulator simulator{{"--latency", "2ms"}};
  std::size_t kept = 0;
  for (int kill = 0; kill < 5; ++kill) {
    Process run{batch.command({"-m", simulator.openai(), "-c", "4"}), Batch::keys()};
    EXPECT_TRUE(eventually([&] { return lines_in(batch.output()) > kept || !run.running(); }));
    run.signal(SIGKILL);
    run.wait();
    kept = lines_in(batch.output());
  }
  EXPECT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(prompts));
  EXPECT_EQ(lines_in(batch.output()), prompts);
  // What was under way at a kill, at most -c prompts each, may have been answered to nobody.
  EXPECT_LE(simulator.count("requests"), static_cast<std::int64_t>(prompts + 5 * 4));
}

TEST(batch_tool, heals_a_last_line_that_was_cut_in_its_middle) {
  Batch batch{20};
  Simulator simulator;
  ASSERT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  const std::string whole = contents(batch.output());
  const auto last = whole.rfind('\n', whole.size() - 2) + 1;
  std::filesystem::resize_file(batch.output(), last + (whole.size() - last) / 2);

  EXPECT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(20));
  EXPECT_EQ(lines_in(batch.output()), 20U);
  EXPECT_THAT(batch.err(), testing::HasSubstr("was torn"));
  EXPECT_EQ(simulator.count("requests"), 21) << "only the torn prompt is asked again";
}

TEST(batch_tool, heals_half_a_line_that_was_appended) {
  Batch batch{20};
  Simulator simulator;
  ASSERT_EQ(batch.run({"-m", simulator.openai(), "--limit", "10"}), 0) << batch.err();
  const std::string half = R"({"id":"batch_req_11","custom_id":"line-11","response":{"stat)";
  batch.directory().write("prompts.out.jsonl", contents(batch.output()) + half);

  EXPECT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(20));
  EXPECT_EQ(lines_in(batch.output()), 20U);
  EXPECT_EQ(simulator.count("requests"), 20);
}

TEST(batch_tool, changes_nothing_when_everything_is_answered) {
  Batch batch{20};
  Simulator simulator;
  ASSERT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  const std::string before = contents(batch.output());
  EXPECT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  EXPECT_EQ(contents(batch.output()), before);
  EXPECT_EQ(simulator.count("requests"), 20);
}

// --- a provider that goes and comes back --------------------------------------------------------

TEST(batch_tool, goes_on_when_the_provider_was_restarted) {
  constexpr std::size_t prompts = 200;
  Batch batch{prompts};
  std::optional<Simulator> simulator{std::in_place, Arguments{"--latency", "5ms"}};
  Process run{batch.command({"-m", simulator->openai(), "-c", "4"}), Batch::keys()};
  EXPECT_TRUE(eventually([&] { return lines_in(batch.output()) >= 20; }));
  const std::uint16_t port = simulator->port();
  simulator.reset();
  simulator.emplace(Arguments{}, port);
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_EQ(batch.answers(), Batch::expected(prompts));
  EXPECT_EQ(lines_in(batch.output()), prompts);
}

}  // namespace
}  // namespace support
