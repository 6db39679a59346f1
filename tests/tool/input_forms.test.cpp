// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view every_form =
    R"({"prompt":"one"}
{"question":"two","answer":"the secret"}
"three"
{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"four"}]}
{"custom_id":"mine-5","method":"POST","url":"/v1/chat/completions","body":{"model":"other","messages":[{"role":"user","content":"five"}]}}
{"custom_id":"mine-6","prompt":"six"}

{"custom_id":"mine-8","method":"POST","url":"/v1/messages","body":{"model":"other","max_tokens":9,"system":"be brief","messages":[{"role":"user","content":"eight"}]}}
{"prompt":"n\u0069ne, \"quoted\", na\u00efve \ud83d\ude00\n"}
)";

const std::map<std::string, std::string> every_answer{
    {"line-1", "echo: one"},
    {"line-2", "echo: two"},
    {"line-3", "echo: three"},
    {"line-4", "echo: four"},
    {"mine-5", "echo: five"},
    {"mine-6", "echo: six"},
    {"mine-8", "echo: eight"},
    {"line-9", "echo: nine, \"quoted\", na\u00efve \U0001F600\n"},
};

TEST(batch_tool_input, every_form_of_a_line_is_asked_and_known_by_its_id) {
  Simulator simulator;
  for (const std::string& model : {simulator.openai(), simulator.claude()}) {
    Batch batch{every_form};
    EXPECT_EQ(batch.run({"-m", model}), 0) << batch.err();
    EXPECT_EQ(batch.answers(), every_answer);
    for (const Json& line : Batch::lines(batch.output())) {
      EXPECT_EQ(line["response"]["status_code"].as_integer(), 200);
      EXPECT_TRUE(line["error"].is_null());
      EXPECT_EQ(line["response"]["body"]["model"].text(), "sim-small");
    }
  }
}

TEST(batch_tool_input, only_the_question_is_sent_of_a_question_with_its_answer) {
  const Port port;
  port.listen();
  Batch batch{"{\"question\":\"two\",\"answer\":\"the secret\"}\n"};
  Process run{batch.command({"-m", port.openai()}), Batch::keys()};
  const std::string sent =
      port.answer("HTTP/1.1 400 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  EXPECT_THAT(sent, HasSubstr("two"));
  EXPECT_THAT(sent, Not(HasSubstr("secret")));
  EXPECT_EQ(run.wait(), 1);
}

TEST(batch_tool_input, comes_from_standard_input_too) {
  Simulator simulator;
  Batch batch{0};
  Process run{{batch_program(), "-i", "-", "-o", batch.output(), "-m", simulator.openai()},
              Batch::keys(),
              every_form};
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_EQ(batch.answers(), every_answer);
}

TEST(batch_tool_input, that_is_empty_is_answered_already) {
  Batch batch{0};
  EXPECT_EQ(batch.run({"-m", "openai:sim-small@http://127.0.0.1:1/v1"}), 0) << batch.err();
  EXPECT_EQ(contents(batch.output()), "");
}

TEST(batch_tool_input, whose_last_line_lacks_its_line_feed_is_asked_whole) {
  Simulator simulator;
  Batch batch{"{\"prompt\":\"one\"}\r\n{\"prompt\":\"two\"}"};
  EXPECT_EQ(batch.run({"-m", simulator.openai()}), 0) << batch.err();
  const std::map<std::string, std::string> both{{"line-1", "echo: one"}, {"line-2", "echo: two"}};
  EXPECT_EQ(batch.answers(), both);
}

}  // namespace
}  // namespace support
