// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::HasSubstr;

class batch_tool_fallback : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(every_mode,
                         batch_tool_fallback,
                         testing::Values("inline", "threads", "async"),
                         [](const auto& mode) { return mode.param; });

TEST_P(batch_tool_fallback, a_server_that_is_down_leaves_everything_to_the_next_model) {
  const std::size_t prompts = GetParam() == "inline" ? 30 : 200;
  const Port port;
  Simulator simulator;
  Batch batch{prompts};
  EXPECT_EQ(batch.run({"-m",
                       port.openai(),
                       "-m",
                       simulator.claude(),
                       "--mode",
                       GetParam(),
                       "--max-attempts",
                       "1"}),
            0)
      << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(prompts));
  EXPECT_THAT(batch.err(), HasSubstr(std::to_string(prompts) + " fell back, 0 refused in"));
  EXPECT_EQ(simulator.count("requests"), static_cast<std::int64_t>(prompts));
}

TEST(batch_tool, a_prompt_that_falls_back_twice_is_counted_once) {
  const Port one;
  const Port two;
  Simulator simulator;
  Batch batch{4};
  EXPECT_EQ(batch.run({"-m",
                       one.openai(),
                       "-m",
                       two.openai(),
                       "-m",
                       simulator.openai(),
                       "--max-attempts",
                       "1"}),
            0)
      << batch.err();
  EXPECT_EQ(batch.answers(), Batch::expected(4));
  EXPECT_THAT(batch.err(), HasSubstr("4 answered, 0 retried, 4 fell back, 0 refused in"));
}

TEST_P(batch_tool_fallback, a_request_that_is_refused_as_wrong_never_falls_back) {
  const Port port;
  port.listen();
  Simulator simulator;
  Batch batch{1};
  Process run{batch.command({"-m", port.openai(), "-m", simulator.openai(), "--mode", GetParam()}),
              Batch::keys()};
  const std::string asked = port.answer(
      "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
      "content-length: 72\r\n\r\n"
      R"({"error":{"type":"invalid_request_error","message":"no such thing"}}    )");
  EXPECT_THAT(asked, HasSubstr("POST /v1/chat/completions HTTP/1.1"));
  EXPECT_EQ(run.wait(), 1) << run.err();
  EXPECT_EQ(simulator.count("requests"), 0);
  EXPECT_EQ(lines_in(batch.output()), 0U);
  const std::vector<Json> errors = Batch::lines(batch.errors());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]["custom_id"].text(), "line-1");
  EXPECT_EQ(errors[0]["response"]["status_code"].as_integer(), 400);
  EXPECT_EQ(errors[0]["error"]["code"].text(), "permanent");
  EXPECT_THAT(errors[0]["error"]["message"].text(), HasSubstr("no such thing"));
}

TEST(batch_tool, a_model_the_provider_does_not_have_falls_back) {
  const Port port;
  port.listen();
  Simulator simulator;
  Batch batch{1};
  Process run{batch.command({"-m", port.openai(), "-m", simulator.openai()}), Batch::keys()};
  const std::string asked = port.answer(
      "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\nconnection: close\r\n"
      "content-length: 37\r\n\r\n"
      R"({"error":{"code":"model_not_found"}} )");
  EXPECT_THAT(asked, HasSubstr("\"model\":\"scripted\""));
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_EQ(batch.answers(), Batch::expected(1));
  EXPECT_THAT(run.err(), HasSubstr("1 fell back"));
}

}  // namespace
}  // namespace support
