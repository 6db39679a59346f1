// SPDX-License-Identifier: MIT
#include <batch/journal.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "temporary_directory.hpp"

namespace batch {
namespace {

std::string answer(std::size_t line, std::string_view custom_id) {
  return answer_line({.line = line,
                      .custom_id = custom_id,
                      .body = llm::Json::object({{"model", "m"}, {"text", "h\u00e9\n"}})});
}

std::string failure(std::size_t line, std::string_view custom_id, std::string message = "no") {
  const Error error{ErrorKind::permanent, std::move(message)};
  return error_line({.line = line, .custom_id = custom_id, .error = error});
}

std::string lines(std::initializer_list<std::string> all) {
  std::string text;
  for (const std::string& line : all) text.append(line).push_back('\n');
  return text;
}

std::string sentence(const Result<Journal>& journal) {
  return journal ? "opened" : std::string{journal.error().message()};
}

Result<void> append(Journal& journal, std::initializer_list<std::string> all) {
  return journal.append({all.begin(), all.size()});
}

Result<void> append_errors(Journal& journal, std::initializer_list<std::string> all) {
  return journal.append_errors({all.begin(), all.size()});
}

/// While it lives, writing beyond `bytes` into any file fails with EFBIG, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    previous_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    ::signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_{};
  void (*previous_handler_)(int) = nullptr;
};

TEST(batch_output_line, an_answer_has_the_form_of_a_batch_output_file) {
  EXPECT_EQ(answer_line({.line = 7,
                         .custom_id = "a\"b",
                         .body = llm::Json::object({{"id", "chatcmpl-1"}, {"model", "gpt"}}),
                         .request_id = "req_1",
                         .model = "other"}),
            R"({"id":"batch_req_7","custom_id":"a\"b","response":{"status_code":200,)"
            R"("request_id":"req_1","body":{"id":"chatcmpl-1","model":"gpt"}},"error":null})");
}

TEST(batch_output_line, the_model_is_named_where_the_reply_does_not) {
  EXPECT_EQ(answer_line({.line = 7,
                         .custom_id = "a",
                         .body = llm::Json::object({{"id", "x"}}),
                         .model = "llama"}),
            R"({"id":"batch_req_7","custom_id":"a","response":{"status_code":200,)"
            R"("request_id":null,"body":{"id":"x","model":"llama"}},"error":null})");
}

TEST(batch_output_line, a_failure_without_an_answer_has_no_response) {
  EXPECT_EQ(failure(3, "a", "the caller gave up"),
            R"({"id":"batch_req_3","custom_id":"a","response":null,)"
            R"("error":{"code":"permanent","message":"the caller gave up"}})");
}

TEST(batch_output_line, a_failure_that_the_provider_answered_keeps_its_status) {
  Error error{ErrorKind::rate_limited, "slow down"};
  error.set_status(429);
  EXPECT_EQ(
      error_line({.line = 3, .custom_id = "a", .error = error, .request_id = "req_9"}),
      R"({"id":"batch_req_3","custom_id":"a","response":{"status_code":429,)"
      R"("request_id":"req_9","body":{"error":{"message":"slow down","code":"rate_limited"}}},)"
      R"("error":{"code":"rate_limited","message":"slow down"}})");
}

TEST(batch_output_line, a_failure_without_words_is_told_by_its_kind_and_status) {
  Error error{ErrorKind::unavailable};
  error.set_status(503);
  EXPECT_THAT(error_line({.line = 3, .custom_id = "a", .error = error}),
              testing::EndsWith("\"error\":{\"code\":\"unavailable\",\"message\":\"unavailable "
                                "(503)\"}}"));
}

TEST(batch_journal, what_one_run_appends_the_next_one_knows) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    EXPECT_EQ(journal->answered_count(), 0U);
    ASSERT_TRUE(append(*journal, {answer(1, "a"), answer(2, "b")}));
    ASSERT_TRUE(append(*journal, {answer(3, "c")}));
    ASSERT_TRUE(journal->finish(Coverage::whole));
  }
  EXPECT_EQ(contents(path), lines({answer(1, "a"), answer(2, "b"), answer(3, "c")}));
  const auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_EQ(journal->answered_count(), 3U);
  EXPECT_TRUE(journal->answered("a"));
  EXPECT_TRUE(journal->answered("c"));
  EXPECT_FALSE(journal->answered("d"));
  EXPECT_EQ(journal->bytes_cut(), 0U);
}

TEST(batch_journal, only_a_response_of_200_without_an_error_counts_as_answered) {
  const TemporaryDirectory directory;
  const std::string path = directory.write(
      "out.jsonl",
      lines(
          {R"({"id":"1","custom_id":"ok","response":{"status_code":200,"body":{}},"error":null})",
           R"({"id":"2","custom_id":"500","response":{"status_code":500,"body":{}},"error":null})",
           R"({"id":"3","custom_id":"no","response":null,"error":{"code":"x","message":"y"}})",
           "",
           R"({"id":"4","custom_id":"bad","response":{"status_code":200},"error":{"code":"x"}})"}));
  const auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_EQ(journal->answered_count(), 1U);
  EXPECT_TRUE(journal->answered("ok"));
}

TEST(batch_journal, heals_a_last_line_torn_at_any_byte) {
  const TemporaryDirectory directory;
  const std::string before = lines({answer(1, "a"), answer(2, "b")});
  const std::string last = answer(3, "c");
  for (const std::string& whole : {before, std::string{}}) {
    for (std::size_t size = 0; size < last.size(); ++size) {
      const std::string path = directory.write("out.jsonl", whole + last.substr(0, size));
      auto journal = Journal::open(path);
      ASSERT_TRUE(journal) << size << ": " << sentence(journal);
      EXPECT_EQ(journal->bytes_cut(), size);
      EXPECT_EQ(journal->answered_count(), whole.empty() ? 0U : 2U);
      EXPECT_FALSE(journal->answered("c"));
      EXPECT_EQ(contents(path), whole);
      ASSERT_TRUE(append(*journal, {answer(4, "d")}));
      EXPECT_EQ(contents(path), whole + lines({answer(4, "d")}));
    }
  }
}

TEST(batch_journal, an_answer_that_lacks_only_its_line_feed_is_kept) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("out.jsonl", answer(1, "a"));
  auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_TRUE(journal->answered("a"));
  EXPECT_EQ(journal->bytes_cut(), 0U);
  ASSERT_TRUE(append(*journal, {answer(2, "b")}));
  EXPECT_EQ(contents(path), lines({answer(1, "a"), answer(2, "b")}));
}

TEST(batch_journal, heals_what_a_power_cut_leaves) {
  const TemporaryDirectory directory;
  const std::string whole = lines({answer(1, "a")});
  for (const std::string& tail : {std::string(5000, '\0'),
                                  answer(2, "b").substr(0, 40) + std::string(80, '\0'),
                                  answer(2, "b").substr(0, 40) + "\n"}) {
    const std::string path = directory.write("out.jsonl", whole + tail);
    const auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    EXPECT_EQ(journal->bytes_cut(), tail.size());
    EXPECT_EQ(contents(path), whole);
  }
  const std::string path = directory.write("zeros.jsonl", std::string(100, '\0'));
  EXPECT_EQ(Journal::open(path)->bytes_cut(), 100U);
}

TEST(batch_journal, a_broken_line_within_the_file_is_named_and_nothing_is_changed) {
  const TemporaryDirectory directory;
  const std::string bytes = lines({answer(1, "a"), answer(2, "b").substr(0, 30), answer(3, "c")});
  const std::string path = directory.write("out.jsonl", bytes);
  EXPECT_EQ(sentence(Journal::open(path)),
            "line 2 of \"" + path + "\" is no answer; repair it or name another file after -o");
  EXPECT_EQ(contents(path), bytes);
}

TEST(batch_journal, a_file_of_something_else_is_refused_and_left_as_it_was) {
  const TemporaryDirectory directory;
  for (const std::string_view bytes :
       {std::string_view{"{\"custom_id\":\"a\",\"url\":\"/v1/chat/completions\",\"body\":{}}\n"},
        std::string_view{"{\"prompt\":\"hi\"}"},
        std::string_view{"{\"prompt\":\"h"},
        std::string_view{"Dear diary"},
        std::string_view{"{\"id\":\"batch_req_1\"}\n"},
        std::string_view{"\"hi\"\n\"there"}}) {
    const std::string path = directory.write("mine", bytes);
    EXPECT_EQ(sentence(Journal::open(path)),
              "line 1 of \"" + path + "\" is no answer; repair it or name another file after -o");
    EXPECT_EQ(contents(path), bytes);
  }
}

TEST(batch_journal, a_second_run_on_the_same_output_is_refused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  {
    const auto first = Journal::open(path);
    ASSERT_TRUE(first) << sentence(first);
    const auto second = Journal::open(path);
    EXPECT_EQ(sentence(second),
              "another run is writing \"" + path + "\"; wait for it or name another file after -o");
    EXPECT_EQ(second.error().kind(), ErrorKind::unavailable);
  }
  EXPECT_TRUE(Journal::open(path));
}

TEST(batch_journal, a_killed_run_leaves_its_answers_and_no_lock) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto journal = Journal::open(path);
    if (!journal || !append(*journal, {answer(1, "a")}) ||
        !append_errors(*journal, {failure(2, "b")})) {
      ::_exit(1);
    }
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_TRUE(journal->answered("a"));
  EXPECT_EQ(contents(journal->errors_path()), lines({failure(2, "b")}));
}

TEST(batch_journal, an_output_that_cannot_be_written_is_said_in_one_sentence) {
  const TemporaryDirectory directory;
  const std::string missing = directory.file("none/out.jsonl");
  EXPECT_EQ(sentence(Journal::open(missing)),
            "cannot write \"" + missing + "\": No such file or directory");
  EXPECT_EQ(sentence(Journal::open(directory.file(""))),
            "cannot write \"" + directory.file("") + "\": Is a directory");
  EXPECT_EQ(sentence(Journal::open("/dev/full")),
            "cannot write \"/dev/full\": it is no regular file, which resuming needs");
  const std::string beneath = directory.write("file", "") + "/out.jsonl";
  EXPECT_EQ(sentence(Journal::open(beneath)), "cannot write \"" + beneath + "\": Not a directory");
}

TEST(batch_journal, a_disk_that_fills_up_at_any_byte_never_tears_a_line) {
  const TemporaryDirectory directory;
  const std::string first = lines({answer(1, "a")});
  const std::string both = lines({answer(1, "a"), answer(2, "b")});
  const std::string rest = lines({answer(3, "c")});
  for (std::size_t room = first.size(); room < both.size() + rest.size(); ++room) {
    const std::string path = directory.write("out.jsonl", first);
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    std::optional<Result<void>> appended;
    {
      const FileSizeLimit limit{room};
      appended = append(*journal, {answer(2, "b"), answer(3, "c")});
    }
    ASSERT_FALSE(*appended);
    EXPECT_EQ(appended->error().message(), "cannot write \"" + path + "\": File too large");
    EXPECT_EQ(contents(path), room < both.size() ? first : both);
    ASSERT_TRUE(append(*journal, {answer(4, "d")}));
    EXPECT_EQ(contents(path), (room < both.size() ? first : both) + lines({answer(4, "d")}));
  }
}

TEST(batch_journal, without_a_failure_there_is_no_errors_file) {
  const TemporaryDirectory directory;
  auto journal = Journal::open(directory.file("out.jsonl"));
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_EQ(journal->errors_path(), directory.file("out.errors.jsonl"));
  ASSERT_TRUE(append_errors(*journal, {}));
  ASSERT_TRUE(journal->finish(Coverage::whole));
  EXPECT_EQ(contents(journal->errors_path()), "(missing)");
}

TEST(batch_journal, a_failed_prompt_is_listed_and_not_answered) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    ASSERT_TRUE(append_errors(*journal, {failure(1, "a"), failure(2, "b")}));
    ASSERT_TRUE(journal->finish(Coverage::whole));
    EXPECT_EQ(contents(journal->errors_path()), lines({failure(1, "a"), failure(2, "b")}));
  }
  const auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_FALSE(journal->answered("a"));
  EXPECT_EQ(contents(journal->errors_path()), lines({failure(1, "a"), failure(2, "b")}));
}

TEST(batch_journal, a_run_over_the_whole_input_leaves_only_its_own_failures) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  const std::string errors =
      directory.write("out.errors.jsonl", lines({failure(1, "a"), failure(2, "b")}));
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    ASSERT_TRUE(append(*journal, {answer(1, "a")}));
    ASSERT_TRUE(append_errors(*journal, {failure(2, "b", "again")}));
    EXPECT_EQ(contents(errors), lines({failure(1, "a"), failure(2, "b"), failure(2, "b", "again")}))
        << "while the run goes on nothing is lost";
    ASSERT_TRUE(journal->finish(Coverage::whole));
    EXPECT_EQ(contents(errors), lines({failure(2, "b", "again")}));
  }
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    ASSERT_TRUE(append(*journal, {answer(2, "b")}));
    ASSERT_TRUE(journal->finish(Coverage::whole));
  }
  EXPECT_EQ(contents(errors), "(missing)");
}

TEST(batch_journal, an_interrupted_run_keeps_the_failures_it_did_not_come_to) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  const std::string errors = directory.write(
      "out.errors.jsonl", lines({failure(1, "a"), failure(2, "b"), failure(3, "c")}));
  {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << sentence(journal);
    ASSERT_TRUE(append(*journal, {answer(1, "a")}));
    ASSERT_TRUE(append_errors(*journal, {failure(2, "b", "again")}));
    ASSERT_TRUE(journal->finish(Coverage::part));
  }
  const auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_EQ(contents(errors), lines({failure(3, "c"), failure(2, "b", "again")}));
}

TEST(batch_journal, a_rewrite_that_was_killed_is_done_again) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("out.jsonl", lines({answer(1, "a")}));
  directory.write("out.errors.jsonl.tmp", failure(9, "z").substr(0, 20));
  const std::string errors =
      directory.write("out.errors.jsonl", lines({failure(1, "a"), failure(2, "b")}));
  auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << sentence(journal);
  EXPECT_EQ(contents(errors), lines({failure(2, "b")}));
  EXPECT_EQ(contents(errors + ".tmp"), "(missing)");
  ASSERT_TRUE(append_errors(*journal, {failure(3, "c")}));
  EXPECT_EQ(contents(errors), lines({failure(2, "b"), failure(3, "c")}));
}

TEST(batch_journal, a_torn_errors_file_is_healed_and_one_of_something_else_refused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out.jsonl");
  const std::string errors =
      directory.write("out.errors.jsonl", lines({failure(1, "a")}) + failure(2, "b").substr(0, 25));
  ASSERT_TRUE(Journal::open(path));
  EXPECT_EQ(contents(errors), lines({failure(1, "a")}));
  directory.write("out.errors.jsonl", "my notes\n");
  EXPECT_EQ(sentence(Journal::open(path)),
            "line 1 of \"" + errors + "\" is no answer; repair it or name another file after -o");
  EXPECT_EQ(contents(errors), "my notes\n");
}

TEST(batch_journal, an_empty_errors_file_is_removed) {
  const TemporaryDirectory directory;
  const std::string errors = directory.write("out.errors.jsonl", "");
  ASSERT_TRUE(Journal::open(directory.file("out.jsonl")));
  EXPECT_EQ(contents(errors), "(missing)");
}

TEST(batch_journal, an_errors_file_that_cannot_be_written_is_said_at_the_start) {
  const TemporaryDirectory directory;
  const std::string errors = directory.file("out.errors.jsonl");
  std::filesystem::create_directory(errors);
  EXPECT_EQ(sentence(Journal::open(directory.file("out.jsonl"))),
            "cannot write \"" + errors + "\": Is a directory");
}

TEST(batch_journal, syncing_works_on_a_path_without_a_directory) {
  const TemporaryDirectory directory;
  const auto previous = std::filesystem::current_path();
  std::filesystem::current_path(directory.file(""));
  {
    auto journal = Journal::open("out.jsonl");
    ASSERT_TRUE(journal) << sentence(journal);
    ASSERT_TRUE(append(*journal, {answer(1, "a")}));
    EXPECT_TRUE(journal->sync());
  }
  std::filesystem::current_path(previous);
}

}  // namespace
}  // namespace batch
