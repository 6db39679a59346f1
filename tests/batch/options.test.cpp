// SPDX-License-Identifier: MIT
#include <batch/options.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batch {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Result<Options> parsed(std::initializer_list<std::string_view> arguments) {
  return parse_options(std::vector<std::string_view>{arguments});
}

/// The arguments, after those that a run cannot do without.
Result<Options> parsed_after_basics(std::initializer_list<std::string_view> arguments) {
  std::vector<std::string_view> all{"-i", "in.jsonl", "-m", "openai:gpt-4.1-nano"};
  all.insert(all.end(), arguments);
  return parse_options(all);
}

// A model's specification in comparable words.
struct Spec {
  explicit Spec(const llm::ModelSpec& spec)
      : Spec(std::string{spec.provider->name}, spec.model, spec.base_url) {}
  Spec(std::string provider_name, std::string model_name, std::string url)
      : provider(std::move(provider_name)),
        model(std::move(model_name)),
        base_url(std::move(url)) {}
  std::string provider;
  std::string model;
  std::string base_url;
  friend bool operator==(const Spec&, const Spec&) = default;
};

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
  EXPECT_EQ(options->max_attempts, 8U);
  EXPECT_EQ(options->deadline, 5min);
  EXPECT_EQ(options->progress, ProgressStyle::bar);
  EXPECT_FALSE(options->requests_per_minute);
  EXPECT_FALSE(options->tokens_per_minute);
  EXPECT_FALSE(options->limit);
  ASSERT_EQ(options->models.size(), 1U);
  EXPECT_EQ(Spec{options->models[0]}, (Spec{"openai", "gpt-4.1-nano", ""}));
}

TEST(batch_options, every_flag_has_its_effect_in_every_spelling) {
  const auto options = parsed({"--input=in.jsonl",
                               "--output",
                               "out.jsonl",
                               "-mopenai:gpt-4.1-nano",
                               "--model=compatible:llama3.2:1b@http://localhost:11434/v1",
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
  EXPECT_EQ(Spec{options->models[1]},
            (Spec{"compatible", "llama3.2:1b", "http://localhost:11434/v1"}));
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
       "-m \"gpt-4.1-nano\": write provider:model, for example openai:gpt-4.1-nano; known "
       "providers: openai, groq, claude, deepseek, compatible"},
      {{"-o", "-"},
       "answers go to a file, so that a second run can resume; write -o answers.jsonl"},
      {{"-o", "in.jsonl"}, "input and output are both \"in.jsonl\"; write another file after -o"},
  };
  for (const Case& each : cases) {
    std::vector<std::string_view> all{"-i", "in.jsonl", "-m", "openai:gpt-4.1-nano"};
    all.insert(all.end(), each.arguments.begin(), each.arguments.end());
    EXPECT_EQ(sentence(parse_options(all)), each.sentence);
  }
}

TEST(batch_options, a_wrong_model_is_refused_with_the_text_it_came_as) {
  for (const std::string_view model :
       {"openai:", ":gpt", "xyzzy:gpt", "openai:gpt@localhost:8080", "openai:@http://localhost"}) {
    EXPECT_THAT(sentence(parsed_after_basics({"-m", model})),
                HasSubstr("-m \"" + std::string{model} + "\": "));
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

TEST(batch_options, the_default_output_stands_beside_the_input) {
  EXPECT_EQ(sibling_path("a/b.jsonl", "out"), "a/b.out.jsonl");
  EXPECT_EQ(sibling_path("a/b.txt", "out"), "a/b.txt.out.jsonl");
  EXPECT_EQ(sibling_path("a.jsonl/b", "out"), "a.jsonl/b.out.jsonl");
  EXPECT_EQ(sibling_path(".jsonl", "out"), ".jsonl.out.jsonl");
  EXPECT_EQ(sibling_path("a/.jsonl", "out"), "a/.jsonl.out.jsonl");
}

TEST(batch_options, help_names_every_flag_and_fits_a_narrow_terminal) {
  Options options;
  for (const auto& flag : command_line::flags(options)) {
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
