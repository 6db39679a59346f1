// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <penstock/core/result.hpp>

#include <batch/append_file.hpp>
#include <batch/file.hpp>
#include <batch/options.hpp>
#include <llm/json.hpp>

namespace batch {

/// How much of the input a run went through.
enum class Coverage : std::uint8_t {
  part,   ///< it was interrupted, stopped or limited
  whole,  ///< every prompt was answered, by it or before, or given up by it
};

/// The output of a batch and the errors file beside it: what is answered and what failed, kept
/// through kills and power cuts. *One thread at a time.*
///
/// The identity of a prompt is its custom_id and nothing else: a prompt that was changed under an
/// answered custom_id counts as answered. Only a response of status 200 without an error does.
///
/// The errors file is added to while the run goes on. When the next run opens it, lines of prompts
/// that are answered by then leave, and of several about one prompt the last stays; when a run
/// went through the whole input, only its own lines stay. Both go through a temporary file and a
/// rename, so a kill at any moment leaves a list of everything that failed; it may then also list
/// prompts answered since, until the next run.
class Journal {
 public:
  /// Locks the output against a second run, heals it, and learns what is answered. An error is
  /// one sentence for the user. Memory: every answered custom_id.
  [[nodiscard]] static Result<Journal> open(const std::string& path) {
    auto output = AppendFile::open(path);
    if (!output) return std::move(output).error();
    if (auto locked = output->lock(); !locked) return std::move(locked).error();
    Journal journal{*std::move(output)};
    auto read = journal.output_.read([&](const Line&, const llm::Json& line) {
      if (line["response"]["status_code"].as_integer() == 200 && line["error"].is_null()) {
        journal.answered_.emplace(line["custom_id"].text());
      }
    });
    if (!read) return std::move(read).error();
    if (auto opened = journal.open_errors(); !opened) return std::move(opened).error();
    return journal;
  }

  [[nodiscard]] bool answered(std::string_view custom_id) const {
    return answered_.contains(custom_id);
  }
  /// Different custom_ids that earlier runs answered.
  [[nodiscard]] std::size_t answered_count() const noexcept { return answered_.size(); }
  /// Bytes of a torn last line that opening cut off the output; worth telling the user.
  [[nodiscard]] std::uint64_t bytes_cut() const noexcept { return output_.bytes_cut(); }
  [[nodiscard]] const std::string& path() const noexcept { return output_.path(); }
  [[nodiscard]] const std::string& errors_path() const noexcept { return errors_path_; }

  /// Lines of `answer_line`. They survive a kill of this process once this returns, and a power
  /// cut after `sync`. Where it fails (a full disk) those that fit stay, and none is torn.
  [[nodiscard]] Result<void> append(std::span<const std::string> lines) {
    return output_.append(lines);
  }

  /// Lines of `error_line`. The errors file is created by the first.
  [[nodiscard]] Result<void> append_errors(std::span<const std::string> lines) {
    if (lines.empty()) return {};
    if (!errors_) {
      auto created = AppendFile::open(errors_path_);
      if (!created) return std::move(created).error();
      errors_.emplace(*std::move(created));
    }
    return errors_->append(lines);
  }

  /// On the disk when it returns.
  [[nodiscard]] Result<void> sync() {
    if (auto synced = output_.sync(); !synced) return synced;
    return errors_ ? errors_->sync() : Result<void>{};
  }

  /// Ends the run: everything on the disk, and the errors file says what it should (see above).
  /// One that would be empty is removed.
  [[nodiscard]] Result<void> finish(Coverage coverage) {
    if (coverage == Coverage::whole && errors_ && errors_of_earlier_runs_ != 0) {
      auto kept = rewrite_errors([&](const Line& line, const llm::Json&) {
        return line.offset >= errors_of_earlier_runs_;
      });
      if (!kept) return kept;
      errors_of_earlier_runs_ = 0;
    }
    return sync();
  }

 private:
  // Lets a set of strings be asked with a view.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  explicit Journal(AppendFile output)
      : output_(std::move(output)),
        errors_path_(sibling_path(output_.path(), "errors")) {}

  Result<void> open_errors() {
    struct stat status {};
    if (::stat(errors_path_.c_str(), &status) != 0) {
      return errno == ENOENT ? Result<void>{} : file_error("read", errors_path_, errno);
    }
    auto opened = AppendFile::open(errors_path_);
    if (!opened) return std::move(opened).error();
    errors_.emplace(*std::move(opened));

    std::unordered_map<std::string, std::size_t> last;  // line of each prompt still to be asked
    std::size_t lines = 0;
    auto read = errors_->read([&](const Line& line, const llm::Json& json) {
      ++lines;
      const std::string_view custom_id = json["custom_id"].text();
      if (!answered(custom_id)) last.insert_or_assign(std::string{custom_id}, line.number);
    });
    if (!read) return read;
    if (last.size() != lines || lines == 0) {
      auto kept = rewrite_errors([&](const Line& line, const llm::Json& json) {
        const auto found = last.find(std::string{json["custom_id"].text()});
        return found != last.end() && found->second == line.number;
      });
      if (!kept) return kept;
    }
    errors_of_earlier_runs_ = errors_ ? errors_->size() : 0;
    return {};
  }

  /// Leaves the lines of the errors file for which `keep(line, json)` holds.
  template <class Keep>
  Result<void> rewrite_errors(Keep keep) {
    const std::string temporary = errors_path_ + ".tmp";
    if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
      return file_error("write", temporary, errno);
    }
    auto fresh = AppendFile::open(temporary);
    if (!fresh) return std::move(fresh).error();
    Result<void> copied;
    auto read = errors_->read([&](const Line& line, const llm::Json& json) {
      if (!copied || !keep(line, json)) return;
      const std::string text{line.text};
      copied = fresh->append({&text, 1});
    });
    if (!read) return read;
    if (!copied) return copied;
    if (fresh->size() == 0) {
      ::unlink(temporary.c_str());
      if (::unlink(errors_path_.c_str()) != 0) return file_error("remove", errors_path_, errno);
      errors_.reset();
      return {};
    }
    if (auto synced = fresh->sync(); !synced) return synced;
    if (auto moved = fresh->move_to(errors_path_); !moved) return moved;
    *errors_ = *std::move(fresh);
    return {};
  }

  AppendFile output_;
  std::string errors_path_;
  std::optional<AppendFile> errors_;
  std::uint64_t errors_of_earlier_runs_ = 0;  // their bytes, at the start of the errors file
  std::unordered_set<std::string, Hash, std::equal_to<>> answered_;
};

}  // namespace batch
