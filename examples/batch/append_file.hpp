// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/result.hpp>

#include <batch/file.hpp>
#include <batch/output_line.hpp>
#include <llm/json.hpp>

namespace batch {

inline constexpr std::size_t longest_output_line = 256 * 1024 * 1024;

/// A file of whole lines that grows at its end. *One thread at a time.*
///
/// A write that fails or stops halfway is cut back to the last whole line, so the file is never
/// torn by this program; one torn by a kill or a power cut is healed by `read`.
class AppendFile {
 public:
  /// Creates the file where there is none. Only a regular file can be read again and cut.
  [[nodiscard]] static Result<AppendFile> open(std::string path) {
    Descriptor file = Descriptor::open(path, O_RDWR | O_CREAT | O_APPEND);
    if (file.get() < 0) return file_error("write", path, errno);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return file_error("write", path, errno);
    if (!S_ISREG(status.st_mode)) {
      return Error{ErrorKind::permanent,
                   "cannot write \"" + path + "\": it is no regular file, which resuming needs"};
    }
    return AppendFile{std::move(path), std::move(file), static_cast<std::uint64_t>(status.st_size)};
  }

  /// Refuses where another process holds the lock. It is let go with the file, also by a kill.
  [[nodiscard]] Result<void> lock() const {
    while (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) {
        return Error{
            ErrorKind::unavailable,
            "another run is writing \"" + path_ + "\"; wait for it or name another file after -o"};
      }
      if (errno != EINTR) return file_error("lock", path_, errno);
    }
    return {};
  }

  /// Calls `on_line(line, json)` for each line, after which the file ends with a whole one.
  ///
  /// A tail that is no whole line is cut off; a last line that lacks only its line feed is given
  /// it. A line within the file that is not of our form is an error that names it, and so is a
  /// torn tail of a file that holds nothing of ours: a file given by mistake is left as it was.
  template <class OnLine>
  [[nodiscard]] Result<void> read(OnLine on_line) {
    if (::lseek(file_.get(), 0, SEEK_SET) < 0) return file_error("read", path_, errno);
    LineReader reader{file_.get(), longest_output_line};
    std::optional<Torn> torn;
    bool ours = false;
    bool unended = false;
    int failure = 0;
    while (const auto line = reader.next(failure)) {
      if (torn) return foreign(torn->number);
      if (line->blank()) continue;
      const auto json = llm::parse(line->text);
      if (!json) {
        torn = Torn{line->number, line->offset, starts_as_ours(line->text)};
        continue;
      }
      if (!is_ours(*json)) return foreign(line->number);
      ours = true;
      unended = line->end == Line::End::end_of_file;
      on_line(*line, *json);
    }
    if (failure != 0) return file_error("read", path_, failure);
    if (torn) {
      if (!ours && !torn->starts_as_ours) return foreign(torn->number);
      bytes_cut_ += std::exchange(size_, torn->offset) - torn->offset;
      return cut_back();
    }
    if (!unended) return {};
    return write("\n");
  }

  /// All lines in one go; none holds a line feed. Where it fails, the lines that did get whole
  /// into the file stay.
  [[nodiscard]] Result<void> append(std::span<const std::string> lines) {
    buffer_.clear();
    for (const std::string& line : lines) buffer_.append(line).push_back('\n');
    return write(buffer_);
  }

  /// On the disk when it returns, the file's name included.
  [[nodiscard]] Result<void> sync() const {
    if (::fdatasync(file_.get()) != 0) return file_error("write", path_, errno);
    const auto slash = path_.rfind('/');
    const std::string parent = slash == path_.npos ? "." : path_.substr(0, slash + 1);
    const Descriptor directory = Descriptor::open(parent, O_RDONLY | O_DIRECTORY);
    // Some file systems cannot sync a directory; the data itself is safe by then.
    if (directory.get() >= 0) static_cast<void>(::fsync(directory.get()));
    return {};
  }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t bytes_cut() const noexcept { return bytes_cut_; }

  /// Takes the place of the file at `path`, atomically.
  [[nodiscard]] Result<void> move_to(std::string path) {
    if (::rename(path_.c_str(), path.c_str()) != 0) return file_error("write", path, errno);
    path_ = std::move(path);
    return {};
  }

 private:
  struct Torn {
    std::size_t number;
    std::uint64_t offset;
    bool starts_as_ours;
  };

  AppendFile(std::string path, Descriptor file, std::uint64_t size)
      : path_(std::move(path)),
        file_(std::move(file)),
        size_(size) {}

  [[nodiscard]] static bool is_ours(const llm::Json& line) {
    return !line["custom_id"].text().empty() && line.contains("response") && line.contains("error");
  }
  // A power cut can leave zeros where a line was to be.
  [[nodiscard]] static bool starts_as_ours(std::string_view tail) {
    const std::size_t compared = std::min(tail.size(), output::line_start.size());
    return tail.starts_with('\0') ||
           tail.substr(0, compared) == output::line_start.substr(0, compared);
  }
  [[nodiscard]] Error foreign(std::size_t line) const {
    return Error{ErrorKind::permanent,
                 "line " + std::to_string(line) + " of \"" + path_ +
                     "\" is no answer; repair it or name another file after -o"};
  }

  Result<void> cut_back() {
    while (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
      if (errno != EINTR) return file_error("cut back", path_, errno);
    }
    torn_ = false;
    return {};
  }

  Result<void> write(std::string_view bytes) {
    if (torn_) {
      if (auto cut = cut_back(); !cut) return cut;
    }
    std::size_t written = 0;
    while (written < bytes.size()) {
      const auto got = ::write(file_.get(), bytes.data() + written, bytes.size() - written);
      if (got > 0) {
        written += static_cast<std::size_t>(got);
      } else if (got == 0 || errno != EINTR) {
        const int number = got == 0 ? ENOSPC : errno;
        const auto whole = bytes.substr(0, written).rfind('\n') + 1;  // npos + 1 is 0
        size_ += whole;
        torn_ = true;
        // Should the cut fail too, it is made good before the next write or by the next run.
        static_cast<void>(cut_back());
        return file_error("write", path_, number);
      }
    }
    size_ += written;
    return {};
  }

  std::string path_;
  Descriptor file_;
  std::uint64_t size_;  // of the whole lines
  std::uint64_t bytes_cut_ = 0;
  bool torn_ = false;  // bytes of a failed write may stand behind size_
  std::string buffer_;
};

}  // namespace batch
