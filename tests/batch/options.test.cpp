// SPDX-License-Identifier: MIT
#include <batch/options.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace batch {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::array<std::string_view, 3> providers{"openai", "anthropic", "ollama"};

Result<Options> parsed(std::initializer_list<std::string_view> arguments) {
  return parse_options(std::vector<std::string_view>{arguments}, providers);
}

/// The arguments, after those that a run cannot do without.
Result<Options> parsed_after_basics(std::initializer_list<std::string_view> arguments) {
  std::vector<std::string_view> all{"-i", "in.jsonl", "-m", "openai:gpt-4.1-nano"};
  all.insert(all.end(), arguments);
  return parse_options(all, providers);
}

std::string sentence(const Result<Options>& result) {
  return result ? "accepted" : std::string{result.error().message()};
}

TEST(batch_options, two_flags_are_enough) {
  const auto options = parsed({"-i", "data/in.jsonl", "-m", "openai:gpt-4.1-nano"});
  ASSERT_TRUE(options) << sentence(options);
  EXPECT_EQ(options->action, Action::run);
  EXPECT_EQ(options->input, "data/in.jsonl");
  EXPECT_EQ(options->output, "data/in.out.jsonl");
  EXPECT_EQ(options->concurrency, 16U);
  EXPECT_EQ(options->mode, Mode::async);
  EXPECT_EQ(options->max_attempts, 5U);
  EXPECT_EQ(options->deadline, 5min);
  EXPECT_EQ(options->progress, ProgressStyle::bar);
  EXPECT_FALSE(options->requests_per_minute);
  EXPECT_FALSE(options->tokens_per_minute);
  EXPECT_FALSE(options->limit);
  ASSERT_EQ(options->models.size(), 1U);
  EXPECT_EQ(options->models[0], (ModelChoice{"openai", "gpt-4.1-nano", ""}));
}

TEST(batch_options, every_flag_has_its_effect_in_every_spelling) {
  const auto options = parsed({"--input=in.jsonl",
                               "--output",
                               "out.jsonl",
                               "-mopenai:gpt-4.1-nano",
                               "--model=ollama:llama3.2:1b@http://localhost:11434/v1",
                               "--base-url=https://proxy.example/v1?a=b",
                               "-c",
                               "8",
                               "--mode",
                               "threads",
                               "--rpm=500",
                               "--tpm",
                               "200000",
                               "--max-attempts=2",
                               "--deadline",
                               "90s",
                               "--limit=10",
                               "--progress",
                               "json"});
  ASSERT_TRUE(options) << sentence(options);
  EXPECT_EQ(options->input, "in.jsonl");
  EXPECT_EQ(options->output, "out.jsonl");
  EXPECT_EQ(options->concurrency, 8U);
  EXPECT_EQ(options->mode, Mode::threads);
  EXPECT_EQ(options->requests_per_minute, 500U);
  EXPECT_EQ(options->tokens_per_minute, 200'000U);
  EXPECT_EQ(options->max_attempts, 2U);
  EXPECT_EQ(options->deadline, 90s);
  EXPECT_EQ(options->limit, 10U);
  EXPECT_EQ(options->progress, ProgressStyle::json);
  EXPECT_EQ(options->base_url, "https://proxy.example/v1?a=b");
  ASSERT_EQ(options->models.size(), 2U);
  EXPECT_EQ(options->models[1],
            (ModelChoice{"ollama", "llama3.2:1b", "http://localhost:11434/v1"}));
}

TEST(batch_options, a_wrong_command_line_is_answered_by_one_sentence) {
  struct Case {
    std::vector<std::string_view> arguments;
    std::string_view sentence;
  };
  const std::vector<Case> cases{
      {{"--concurency", "8"}, "there is no flag --concurency; did you mean --concurrency?"},
      {{"--outptu=x"}, "there is no flag --outptu; did you mean --output?"},
      {{"--frobnicate"}, "there is no flag --frobnicate; --help lists them"},
      {{"-x"}, "there is no flag -x; --help lists them"},
      {{"-x8"}, "there is no flag -x8; --help lists them"},
      {{"--api-key", "sk-1"},
       "there is no flag --api-key; keys are read from the environment, such as OPENAI_API_KEY, "
       "because other users can see a command line"},
      {{"extra.jsonl"},
       "nothing is expected at \"extra.jsonl\"; the prompts are given as -i prompts.jsonl"},
      {{"-"}, "nothing is expected at \"-\"; the prompts are given as -i prompts.jsonl"},
      {{"-o"}, "-o needs a value; write -o answers.jsonl"},
      {{"-o", "--rpm", "5"}, "-o needs a value; write -o answers.jsonl"},
      {{"-o", "--rpm=5"}, "-o needs a value; write -o answers.jsonl"},
      {{"--output="}, "--output needs a value; write --output answers.jsonl"},
      {{"--dry-run=yes"}, "--dry-run takes no value, not \"yes\""},
      {{"-c", "0"}, "--concurrency takes a whole number from 1 to 10000, not \"0\""},
      {{"-c", "10001"}, "--concurrency takes a whole number from 1 to 10000, not \"10001\""},
      {{"-c", "-5"}, "--concurrency takes a whole number from 1 to 10000, not \"-5\""},
      {{"-c", "8x"}, "--concurrency takes a whole number from 1 to 10000, not \"8x\""},
      {{"-c", "99999999999999999999"},
       "--concurrency takes a whole number from 1 to 10000, not \"99999999999999999999\""},
      {{"--rpm", "0"}, "--rpm takes a whole number from 1 to 1000000000, not \"0\""},
      {{"--rpm", "1.5"}, "--rpm takes a whole number from 1 to 1000000000, not \"1.5\""},
      {{"--tpm", "none"}, "--tpm takes a whole number from 1 to 1000000000000, not \"none\""},
      {{"--limit", "0"}, "--limit takes a whole number from 1 to 1000000000000, not \"0\""},
      {{"--max-attempts", "101"}, "--max-attempts takes a whole number from 1 to 100, not \"101\""},
      {{"--mode", "fast"}, "--mode is inline, threads or async, not \"fast\""},
      {{"--progress", "loud"}, "--progress is none, plain, bar or json, not \"loud\""},
      {{"--deadline", "60"},
       "--deadline takes a time such as 500ms, 60s, 5m or 2h, at most 8760h, not \"60\""},
      {{"--deadline", "0s"},
       "--deadline takes a time such as 500ms, 60s, 5m or 2h, at most 8760h, not \"0s\""},
      {{"--deadline", "8761h"},
       "--deadline takes a time such as 500ms, 60s, 5m or 2h, at most 8760h, not \"8761h\""},
      {{"--deadline", "99999999999999999999h"},
       "--deadline takes a time such as 500ms, 60s, 5m or 2h, at most 8760h, not "
       "\"99999999999999999999h\""},
      {{"--deadline", "s"},
       "--deadline takes a time such as 500ms, 60s, 5m or 2h, at most 8760h, not \"s\""},
      {{"--base-url", "localhost:8080"},
       "--base-url takes a URL that starts with http:// or https://, not \"localhost:8080\""},
      {{"--base-url", "http:///v1"},
       "--base-url takes a URL that starts with http:// or https://, not \"http:///v1\""},
      {{"-m", "gpt-4.1-nano"},
       "-m takes provider:model[@base-url], such as openai:gpt-4.1-nano, not \"gpt-4.1-nano\""},
      {{"-m", "openai:"},
       "-m takes provider:model[@base-url], such as openai:gpt-4.1-nano, not \"openai:\""},
      {{"-m", ":gpt"},
       "-m takes provider:model[@base-url], such as openai:gpt-4.1-nano, not \":gpt\""},
      {{"-m", "opnai:gpt"}, "there is no provider \"opnai\"; did you mean openai?"},
      {{"-m", "xyzzy:gpt"},
       "there is no provider \"xyzzy\"; write one of openai, anthropic or ollama"},
      {{"-m", "openai:gpt@localhost:8080"},
       "-m takes provider:model@base-url with a URL that starts with http:// or https://, not "
       "\"openai:gpt@localhost:8080\""},
      {{"-m", "openai:@http://localhost"},
       "-m takes provider:model@base-url with a URL that starts with http:// or https://, not "
       "\"openai:@http://localhost\""},
      {{"-m", "openai:gpt@https://"},
       "-m takes provider:model@base-url with a URL that starts with http:// or https://, not "
       "\"openai:gpt@https://\""},
      {{"-o", "-"},
       "answers go to a file, so that a second run can resume; write -o answers.jsonl"},
      {{"-o", "in.jsonl"}, "input and output are both \"in.jsonl\"; write another file after -o"},
  };
  for (const Case& each : cases) {
    std::vector<std::string_view> all{"-i", "in.jsonl", "-m", "openai:gpt-4.1-nano"};
    all.insert(all.end(), each.arguments.begin(), each.arguments.end());
    EXPECT_EQ(sentence(parse_options(all, providers)), each.sentence);
  }
}

TEST(batch_options, what_is_missing_is_named_with_what_to_write) {
  EXPECT_EQ(sentence(parsed({})),
            "the prompts are missing; write -i prompts.jsonl, or -i - for standard input");
  EXPECT_EQ(sentence(parsed({"-i", "in.jsonl"})),
            "the model is missing; write -m provider:model, such as -m openai:gpt-4.1-nano");
  EXPECT_EQ(sentence(parsed({"-i", "-", "-m", "openai:x"})),
            "with -i - there is no file name to derive the output from; write -o answers.jsonl");
}

TEST(batch_options, standard_input_needs_an_output) {
  const auto options = parsed({"-i", "-", "-o", "out.jsonl", "-m", "openai:x"});
  ASSERT_TRUE(options) << sentence(options);
  EXPECT_EQ(options->input, "-");
}

TEST(batch_options, a_dry_run_needs_neither_model_nor_output) {
  const auto options = parsed({"-i", "-", "--dry-run"});
  ASSERT_TRUE(options) << sentence(options);
  EXPECT_EQ(options->action, Action::dry_run);
}

TEST(batch_options, help_and_version_need_nothing_else) {
  EXPECT_EQ(parsed({"--help"})->action, Action::help);
  EXPECT_EQ(parsed({"-i", "in.jsonl", "-h", "--nonsense"})->action, Action::help);
  EXPECT_EQ(parsed({"--version"})->action, Action::version);
}

TEST(batch_options, the_last_of_two_equal_flags_wins_but_models_add_up) {
  const auto options = parsed_after_basics({"-c", "2", "-c", "3", "-m", "anthropic:claude"});
  ASSERT_TRUE(options) << sentence(options);
  EXPECT_EQ(options->concurrency, 3U);
  EXPECT_EQ(options->models.size(), 2U);
}

TEST(batch_options, durations_have_four_units) {
  for (const auto& [text, time] : std::initializer_list<std::pair<std::string_view, Duration>>{
           {"500ms", 500ms}, {"60s", 60s}, {"5m", 5min}, {"2h", 2h}, {"8760h", 8760h}}) {
    const auto options = parsed_after_basics({"--deadline", text});
    ASSERT_TRUE(options) << sentence(options);
    EXPECT_EQ(options->deadline, time) << text;
  }
}

TEST(batch_options, an_at_sign_may_belong_to_the_name_of_a_model) {
  const auto options = parsed_after_basics(
      {"-m", "openai:@cf/meta/llama-3.1-8b", "-m", "anthropic:claude@20250514"});
  ASSERT_TRUE(options) << sentence(options);
  EXPECT_EQ(options->models[1].model, "@cf/meta/llama-3.1-8b");
  EXPECT_EQ(options->models[2].model, "claude@20250514");
}

TEST(batch_options, any_provider_passes_where_none_is_listed) {
  const std::vector<std::string_view> arguments{"-i", "in.jsonl", "-m", "xyzzy:gpt"};
  EXPECT_TRUE(parse_options(arguments));
}

TEST(batch_options, the_default_output_stands_beside_the_input) {
  EXPECT_EQ(sibling_path("a/b.jsonl", "out"), "a/b.out.jsonl");
  EXPECT_EQ(sibling_path("a/b.txt", "out"), "a/b.txt.out.jsonl");
  EXPECT_EQ(sibling_path("a.jsonl/b", "out"), "a.jsonl/b.out.jsonl");
  EXPECT_EQ(sibling_path(".jsonl", "out"), ".jsonl.out.jsonl");
  EXPECT_EQ(sibling_path("a/.jsonl", "out"), "a/.jsonl.out.jsonl");
}

TEST(batch_options, help_names_every_flag_and_fits_a_narrow_terminal) {
  for (const auto& flag : command_line::flags) {
    EXPECT_THAT(std::string{help_text}, HasSubstr(std::string{flag.name}));
    if (!flag.short_name.empty()) {
      EXPECT_THAT(std::string{help_text},
                  HasSubstr(std::string{flag.short_name} + ", " + std::string{flag.name}));
    }
  }
  for (std::size_t begin = 0; begin < help_text.size();) {
    const std::size_t end = help_text.find('\n', begin);
    ASSERT_NE(end, help_text.npos) << "the last line is ended";
    EXPECT_LE(end - begin, 80U) << help_text.substr(begin, end - begin);
    begin = end + 1;
  }
}

}  // namespace
}  // namespace batch
