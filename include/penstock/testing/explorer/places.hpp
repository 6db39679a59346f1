// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <link.h>
#include <unistd.h>

namespace penstock::testing::explorer {

/// Names places in this program's code by file, line and function, as far as `addr2line` and
/// debug information are there; otherwise by their address.
class Places {
 public:
  void want(const void* place) {
    if (place != nullptr) names_.try_emplace(place);
  }
  /// Looks up all that were wanted, in one call of addr2line.
  void find() {
    if (names_.empty()) return;
    std::string command = "addr2line -aCfip -e /proc/" + std::to_string(::getpid()) + "/exe";
    std::vector<std::string*> in_order;
    for (auto& [place, name] : names_) {
      // A return address is that of the next instruction.
      const auto address = reinterpret_cast<std::uintptr_t>(place) - load_address() - 1;
      std::array<char, 24> text{};
      std::snprintf(text.data(), text.size(), "0x%zx", static_cast<std::size_t>(address));
      command.append(" ").append(text.data());
      name = text.data();
      in_order.push_back(&name);
    }
    command += " 2>/dev/null";
    std::FILE* const output = ::popen(command.c_str(), "r");
    if (output == nullptr) return;
    std::array<char, 8192> line{};
    std::size_t next = 0;
    bool named = true;
    while (std::fgets(line.data(), static_cast<int>(line.size()), output) != nullptr) {
      std::string_view text{line.data()};
      while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
      if (text.starts_with("0x")) {
        if (next++ == in_order.size()) break;
        named = false;
        text.remove_prefix(std::min(text.size(), text.find(": ") + 2));
      } else if (const auto inlined = text.find("(inlined by) "); inlined != text.npos) {
        text.remove_prefix(inlined + 13);
      }
      if (named || next == 0) continue;
      if (const std::string name = short_name(text); !name.empty()) {
        *in_order[next - 1] = name;
        named = true;
      }
    }
    ::pclose(output);
  }
  [[nodiscard]] std::string operator[](const void* place) const {
    const auto found = names_.find(place);
    return found == names_.end() ? std::string{} : found->second;
  }

 private:
  // "file:line function", or nothing for a place inside the words and the standard library.
  static std::string short_name(std::string_view text) {
    const auto at = text.rfind(" at ");
    if (at == text.npos || text.find("??") == 0) return {};
    std::string_view file = text.substr(at + 4);
    file = file.substr(0, file.find(" ("));
    if (file.find("/testing/explorer") != file.npos || file.starts_with("/usr/")) return {};
    for (const std::string_view root : {"/include/penstock/", "/tests/"}) {
      if (const auto found = file.rfind(root); found != file.npos) {
        file.remove_prefix(found + root.size());
        break;
      }
    }
    return std::string{file}.append("  ").append(plain(text.substr(0, at)));
  }

  // A function's name without return type, arguments and template arguments.
  static std::string plain(std::string_view function) {
    std::string name;
    int depth = 0;
    for (std::size_t at = 0; at < function.size(); ++at) {
      const std::string_view rest = function.substr(at);
      if (depth == 0 && rest.starts_with("(anonymous namespace)::")) {
        at += std::string_view{"(anonymous namespace)::"}.size() - 1;
      } else if (depth == 0 && rest.starts_with("operator()")) {
        name += "operator()";
        at += std::string_view{"operator()"}.size() - 1;
      } else if (function[at] == '<' || function[at] == '{') {
        ++depth;
      } else if (function[at] == '>' || function[at] == '}') {
        --depth;
      } else if (depth == 0 && function[at] == '(') {
        break;
      } else if (depth == 0 && function[at] == ' ') {
        name.clear();
      } else if (depth == 0) {
        name += function[at];
      }
    }
    if (const auto inside = name.find("penstock::"); inside == 0) name.erase(0, 10);
    return name;
  }

  static std::uintptr_t load_address() {
    std::uintptr_t address = 0;
    ::dl_iterate_phdr(
        [](::dl_phdr_info* info, std::size_t, void* to) {
          *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
          return 1;  // the first is the program
        },
        &address);
    return address;
  }

  std::map<const void*, std::string> names_;
};

}  // namespace penstock::testing::explorer
