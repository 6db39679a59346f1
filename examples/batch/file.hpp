// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <penstock/core/result.hpp>

namespace batch {

using penstock::Error;
using penstock::ErrorKind;
using penstock::Result;

/// `cannot open "x": No such file or directory`. `number` is an errno.
[[nodiscard]] inline Error file_error(std::string_view verb, std::string_view path, int number) {
  return Error{ErrorKind::permanent,
               std::string{"cannot "}.append(verb).append(" \"").append(path).append("\": ").append(
                   std::generic_category().message(number))};
}

/// Owns an open file. *Not synchronized.*
class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int get() const noexcept { return descriptor_; }

  /// -1, with errno set, where it fails.
  [[nodiscard]] static Descriptor open(const std::string& path, int flags) noexcept {
    for (;;) {
      const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
      if (descriptor >= 0 || errno != EINTR) return Descriptor{descriptor};
    }
  }

 private:
  int descriptor_ = -1;
};

/// One line of a file, without its line feed. `text` lives until the next line is read.
struct Line {
  enum class End : std::uint8_t {
    line_feed,
    end_of_file,  ///< the last line, and it has no line feed
  };
  std::string_view text;     ///< empty where `too_long`
  std::size_t number = 0;    ///< 1 for the first
  std::uint64_t offset = 0;  ///< of its first byte
  End end = End::line_feed;
  bool too_long = false;

  [[nodiscard]] bool blank() const noexcept {
    return !too_long && text.find_first_not_of(" \t\r") == text.npos;
  }
};

/// Reads a file line by line, in memory for the longest one. *Not synchronized.*
///
/// Only a line feed ends a line: U+2028 and its like are legal inside JSON strings.
class LineReader {
 public:
  /// The descriptors stay the caller's. A line above `longest` bytes is skipped and reported. Who
  /// waits for more of the file sees its end once `stop` is readable; -1: nothing stops it.
  LineReader(int descriptor, std::size_t longest, int stop = -1) noexcept
      : descriptor_(descriptor),
        stop_(stop),
        longest_(longest) {}

  /// Nothing at the end, and where reading fails: `failure` is then the errno, otherwise 0.
  [[nodiscard]] std::optional<Line> next(int& failure) {
    failure = 0;
    Line line{.text = {}, .number = number_ + 1, .offset = offset_};
    std::size_t searched = 0;  // bytes of the line known to hold no line feed
    for (;;) {
      const std::size_t found = buffer_.find('\n', begin_ + searched);
      if (found != buffer_.npos) return take(line, found - begin_, 1);
      searched = buffer_.size() - begin_;
      if (searched > longest_) {
        line.too_long = true;
        drop(searched);
        searched = 0;
      }
      const auto got = fill();
      if (got < 0) {
        failure = errno;
        return std::nullopt;
      }
      if (got == 0) {
        if (searched == 0 && !line.too_long) return std::nullopt;
        line.end = Line::End::end_of_file;
        return take(line, searched, 0);
      }
    }
  }

 private:
  static constexpr std::size_t chunk = 64 * 1024;

  void drop(std::size_t size) noexcept {
    begin_ += size;
    offset_ += size;
  }

  Line take(Line line, std::size_t size, std::size_t line_feed) {
    line.too_long = line.too_long || size > longest_;
    if (!line.too_long) line.text = std::string_view{buffer_}.substr(begin_, size);
    drop(size + line_feed);
    ++number_;
    return line;
  }

  ssize_t fill() {
    std::array<::pollfd, 2> polled{{{descriptor_, POLLIN, 0}, {stop_, POLLIN, 0}}};
    while (::poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
    }
    if (polled[1].revents != 0) return 0;
    buffer_.erase(0, std::exchange(begin_, 0));
    const std::size_t filled = buffer_.size();
    buffer_.resize(filled + chunk);
    ssize_t got = 0;
    do {
      got = ::read(descriptor_, buffer_.data() + filled, chunk);
    } while (got < 0 && errno == EINTR);
    buffer_.resize(filled + static_cast<std::size_t>(got < 0 ? 0 : got));
    return got;
  }

  int descriptor_;
  int stop_;
  std::size_t longest_;
  std::string buffer_;
  std::size_t begin_ = 0;  // in buffer_, of the next line
  std::uint64_t offset_ = 0;
  std::size_t number_ = 0;
};

}  // namespace batch
