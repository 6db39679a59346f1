// SPDX-License-Identifier: MIT
#include <batch/input.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "temporary_directory.hpp"

namespace batch {
namespace {

using testing::ElementsAre;

/// "user:hi" for each message, or the error's sentence.
std::string outline(const Result<Prompt>& prompt) {
  if (!prompt) return std::string{prompt.error().message()};
  std::string text = prompt->custom_id;
  for (const llm::Message& message : prompt->request.messages)
    text += " " + message.role + ":" + message.content;
  return text;
}

std::string outline(std::string_view line) {
  return outline(read_prompt(line, 17));
}

/// Every prompt and every error of a file.
std::vector<std::string> outlines(const std::string& path) {
  auto reader = InputReader::open(path);
  if (!reader) return {std::string{reader.error().message()}};
  std::vector<std::string> all;
  while (const auto prompt = reader->next()) all.push_back(outline(*prompt));
  return all;
}

TEST(batch_input, every_form_of_a_line_becomes_a_chat_request) {
  const std::vector<std::pair<std::string_view, std::string_view>> forms{
      {R"("hi")", "line-17 user:hi"},
      {R"({"prompt":"hi"})", "line-17 user:hi"},
      {R"({"prompt":"hi","custom_id":"a"})", "a user:hi"},
      {R"({"question":"1+1?"})", "line-17 user:1+1?"},
      {R"({"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]})",
       "line-17 system:be brief user:hi"},
      {R"({"model":"m","messages":[{"role":"user","content":"hi"}],"custom_id":"b"})", "b user:hi"},
      {R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions",)"
       R"("body":{"model":"m","messages":[{"role":"user","content":"hi"}]}})",
       "c user:hi"},
      {R"({"custom_id":"c","body":{"messages":[{"role":"user","content":"hi"}]}})", "c user:hi"},
      {R"({"custom_id":"d","method":"POST","url":"/v1/messages","body":{"model":"m",)"
       R"("max_tokens":9,"system":"be brief","messages":[{"role":"user","content":"hi"}]}})",
       "d system:be brief user:hi"},
      {R"({"custom_id":"e","url":"/v1/messages","body":{"max_tokens":9,)"
       R"("system":[{"type":"text","text":"be "},{"type":"text","text":"brief"}],)"
       R"("messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}})",
       "e system:be brief user:hi"},
      {"\t \"hi\"\r", "line-17 user:hi"},
      {"\"\\u00e9\u2028\"", "line-17 user:\u00e9\u2028"},
  };
  for (const auto& [line, expected] : forms) EXPECT_EQ(outline(line), expected) << line;
}

TEST(batch_input, an_answer_beside_a_question_is_never_sent) {
  const auto prompt = read_prompt(R"({"question":"1+1?","answer":"2","system":"secret"})", 1);
  ASSERT_TRUE(prompt);
  ASSERT_EQ(prompt->request.messages.size(), 1U);
  EXPECT_EQ(prompt->request.messages[0].content, "1+1?");
  EXPECT_TRUE(prompt->request.messages[0].extra.is_null());
  EXPECT_TRUE(prompt->request.extra.is_null());
}

TEST(batch_input, the_settings_of_a_body_are_kept_and_the_answer_is_wanted_whole) {
  const auto prompt = read_prompt(
      R"({"custom_id":"c","url":"/v1/chat/completions","body":{"model":"m","temperature":0.5,)"
      R"("max_tokens":9,"seed":7,"stream":true,"stream_options":{"include_usage":true},)"
      R"("messages":[{"role":"user","content":"hi"}]}})",
      1);
  ASSERT_TRUE(prompt);
  EXPECT_EQ(prompt->request.model, "m");
  EXPECT_EQ(prompt->request.temperature, 0.5);
  EXPECT_EQ(prompt->request.max_tokens, 9);
  EXPECT_EQ(llm::to_string(prompt->request.extra), R"({"seed":7})");
  EXPECT_EQ(prompt->request.delivery, llm::Delivery::whole);
}

TEST(batch_input, a_body_may_leave_the_model_to_the_command_line) {
  const auto prompt = read_prompt(R"({"messages":[{"role":"user","content":"hi"}]})", 1);
  ASSERT_TRUE(prompt);
  EXPECT_EQ(prompt->request.model, "");
}

TEST(batch_input, stop_sequences_of_a_messages_body_become_stop) {
  const auto prompt =
      read_prompt(R"({"url":"/v1/messages","body":{"max_tokens":9,"stop_sequences":["END"],)"
                  R"("messages":[{"role":"user","content":"hi"}]}})",
                  1);
  ASSERT_TRUE(prompt);
  EXPECT_EQ(llm::to_string(prompt->request.extra), R"({"stop":["END"]})");
}

TEST(batch_input, a_line_that_is_no_prompt_is_answered_by_one_sentence) {
  const std::vector<std::pair<std::string_view, std::string_view>> lines{
      {"5", "a line must be a JSON object or string"},
      {"null", "a line must be a JSON object or string"},
      {"[]", "a line must be a JSON object or string"},
      {"\"\"", "the prompt is empty"},
      {"{}", "the object has none of \"prompt\", \"question\", \"messages\" and \"body\""},
      {R"({"answer":"2"})",
       "the object has none of \"prompt\", \"question\", \"messages\" and \"body\""},
      {R"({"prompt":5})", "\"prompt\" must be a string"},
      {R"({"prompt":null,"question":"x"})", "\"prompt\" must be a string"},
      {R"({"question":""})", "\"question\" is empty"},
      {R"({"prompt":"x","custom_id":5})", "\"custom_id\" must be a string, not empty"},
      {R"({"prompt":"x","custom_id":""})", "\"custom_id\" must be a string, not empty"},
      {R"({"messages":[]})", "a chat body needs \"messages\", an array of at least one message"},
      {R"({"custom_id":"c","method":"GET","url":"/v1/chat/completions","body":{}})",
       "the method of a batch line must be \"POST\""},
      {R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions"})",
       "the body of a batch line must be an object"},
      {R"({"custom_id":"c","url":"/v1/embeddings","body":{"input":"x"}})",
       "the url of a batch line must be /v1/chat/completions or /v1/messages, not "
       "\"/v1/embeddings\""},
      {R"({"url":7,"body":{"messages":[{"role":"user","content":"hi"}]}})",
       "the url of a batch line must be /v1/chat/completions or /v1/messages, not 7"},
      {R"({"url":"/v1/messages","body":{"tools":[],"messages":[{"role":"user","content":"x"}]}})",
       "a /v1/messages body with \"tools\" is not understood; write it as a "
       "/v1/chat/completions body"},
      {R"({"url":"/v1/messages","body":{"messages":[{"role":"user","content":)"
       R"([{"type":"image","source":{}}]}]}})",
       "a /v1/messages body is understood with text only; write it as a /v1/chat/completions "
       "body"},
      {R"({"url":"/v1/messages","body":{"system":7,"messages":[{"role":"user","content":"x"}]}})",
       "\"system\" must be a string or blocks of text"},
      {R"({"url":"/v1/messages","body":{"system":"x","messages":[]}})",
       "a chat body needs \"messages\", an array of at least one message"},
  };
  for (const auto& [line, expected] : lines) EXPECT_EQ(outline(line), expected) << line;
}

TEST(batch_input, broken_json_is_placed_by_its_column) {
  EXPECT_THAT(outline(R"({"prompt":"x",})"), testing::StartsWith("invalid JSON at column 15"));
  EXPECT_THAT(outline("\"\xff\""), testing::StartsWith("invalid JSON at column 2"));
  EXPECT_THAT(outline(R"("a" "b")"), testing::StartsWith("invalid JSON at column 5"));
}

TEST(batch_input, blank_lines_a_byte_order_mark_and_line_endings_do_not_matter) {
  const TemporaryDirectory directory;
  const std::string path =
      directory.write("in.jsonl", "\xEF\xBB\xBF\"one\"\r\n\n  \t\r\n\"four\"\n\"five\"");
  EXPECT_THAT(outlines(path),
              ElementsAre("line-1 user:one", "line-4 user:four", "line-5 user:five"));
  EXPECT_EQ(*count_lines(path), 3U);
}

TEST(batch_input, a_file_without_prompts_has_none) {
  const TemporaryDirectory directory;
  EXPECT_THAT(outlines(directory.write("empty", "")), ElementsAre());
  EXPECT_THAT(outlines(directory.write("mark", "\xEF\xBB\xBF\n")), ElementsAre());
  EXPECT_EQ(*count_lines(directory.file("empty")), 0U);
}

TEST(batch_input, a_bad_line_is_named_and_the_good_ones_still_come) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("in.jsonl", "\"a\"\n{}\n\"c\"\n");
  EXPECT_THAT(outlines(path),
              ElementsAre("line-1 user:a",
                          "line 2 of " + path +
                              ": the object has none of \"prompt\", \"question\", \"messages\" "
                              "and \"body\"",
                          "line-3 user:c"));
}

TEST(batch_input, two_lines_with_one_identity_are_refused_naming_both) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("in.jsonl",
                                           R"({"custom_id":"a","prompt":"1"})"
                                           "\n"
                                           R"({"custom_id":"line-4","prompt":"2"})"
                                           "\n"
                                           R"({"custom_id":"a","prompt":"3"})"
                                           "\n"
                                           "\"4\"\n"
                                           "\"5\"\n"
                                           R"({"custom_id":"line-5","prompt":"6"})"
                                           "\n"
                                           R"({"custom_id":"line-05","prompt":"7"})"
                                           "\n"
                                           R"({"custom_id":"line-8","prompt":"8"})"
                                           "\n");
  const std::string where = " of " + path + ": its custom_id ";
  EXPECT_THAT(outlines(path),
              ElementsAre("a user:1",
                          "line-4 user:2",
                          "line 3" + where + "\"a\" is already that of line 1",
                          "line 4" + where + "\"line-4\" is already that of line 2",
                          "line-5 user:5",
                          "line 6" + where + "\"line-5\" is already that of line 5",
                          "line-05 user:7",
                          "line-8 user:8"));
}

TEST(batch_input, a_malformed_line_takes_no_identity) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("in.jsonl",
                                           R"({"custom_id":"a","prompt":5})"
                                           "\n"
                                           R"({"custom_id":"a","prompt":"2"})"
                                           "\n");
  EXPECT_EQ(outlines(path)[1], "a user:2");
}

TEST(batch_input, a_line_up_to_the_limit_is_read_and_a_longer_one_is_passed_over) {
  const TemporaryDirectory directory;
  const std::string fits(longest_input_line - 2, 'x');
  const std::string path = directory.write(
      "in.jsonl", "\"" + fits + "\"\n\"" + fits + "y\"\n\"three\"\n\"" + fits + "yyyy\"");
  const auto all = outlines(path);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0], "line-1 user:" + fits);
  EXPECT_EQ(all[1], "line 2 of " + path + ": it is longer than 16 MiB");
  EXPECT_EQ(all[2], "line-3 user:three");
  EXPECT_EQ(all[3], "line 4 of " + path + ": it is longer than 16 MiB");
}

TEST(batch_input, what_cannot_be_read_is_said) {
  const TemporaryDirectory directory;
  EXPECT_THAT(outlines(directory.file("none.jsonl")),
              ElementsAre("cannot read \"" + directory.file("none.jsonl") +
                          "\": No such file or directory"));
  EXPECT_THAT(outlines(directory.file("")),
              ElementsAre("cannot read \"" + directory.file("") + "\": Is a directory"));
}

TEST(batch_input, a_dash_is_standard_input) {
  const TemporaryDirectory directory;
  const Descriptor file = Descriptor::open(directory.write("in", "\"a\"\n5\n"), O_RDONLY);
  const Descriptor saved{::dup(STDIN_FILENO)};
  ASSERT_EQ(::dup2(file.get(), STDIN_FILENO), STDIN_FILENO);
  const auto all = outlines("-");
  ::dup2(saved.get(), STDIN_FILENO);
  EXPECT_THAT(all,
              ElementsAre("line-1 user:a",
                          "line 2 of standard input: a line must be a JSON object or string"));
  EXPECT_EQ(*count_lines("-"), 0U) << "counting would use it up";
}

TEST(batch_line_reader, offsets_and_numbers_count_every_byte_whatever_the_length) {
  const TemporaryDirectory directory;
  std::string bytes;
  std::vector<std::uint64_t> offsets;
  for (std::size_t length = 0; length < 700; ++length) {
    offsets.push_back(bytes.size());
    bytes.append(length, 'a').push_back('\n');
  }
  const Descriptor file = Descriptor::open(directory.write("lines", bytes), O_RDONLY);
  LineReader reader{file.get(), 600};
  int failure = 0;
  for (std::size_t length = 0; length < 700; ++length) {
    const auto line = reader.next(failure);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->number, length + 1);
    EXPECT_EQ(line->offset, offsets[length]);
    EXPECT_EQ(line->too_long, length > 600);
    EXPECT_EQ(line->text.size(), length > 600 ? 0 : length);
    EXPECT_EQ(line->end, Line::End::line_feed);
  }
  EXPECT_FALSE(reader.next(failure));
  EXPECT_EQ(failure, 0);
}

TEST(batch_line_reader, a_failing_read_is_told_from_the_end) {
  const TemporaryDirectory directory;
  const Descriptor file = Descriptor::open(directory.file(""), O_RDONLY | O_DIRECTORY);
  LineReader reader{file.get(), 600};
  int failure = 0;
  EXPECT_FALSE(reader.next(failure));
  EXPECT_EQ(failure, EISDIR);
}

}  // namespace
}  // namespace batch
