// SPDX-License-Identifier: MIT
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

namespace batch {

/// A directory of its own for one test, removed with all in it. *Not synchronized.*
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"no temporary directory"};
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

  /// Creates or replaces the file; returns its path.
  std::string write(std::string_view name, std::string_view bytes) const {
    std::ofstream stream{file(name), std::ios::binary | std::ios::trunc};
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    if (!stream) throw std::runtime_error{"cannot write " + file(name)};
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

/// Every byte of the file; "(missing)" where there is none.
[[nodiscard]] inline std::string contents(const std::string& path) {
  std::ifstream stream{path, std::ios::binary};
  if (!stream) return "(missing)";
  return {std::istreambuf_iterator<char>{stream}, {}};
}

}  // namespace batch
