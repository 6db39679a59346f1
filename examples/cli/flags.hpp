// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>

#include <cli/command_line.hpp>

namespace cli {

/// What a flag does with its value; the name is for the sentence that refuses one.
using Apply = std::function<Result<void>(std::string_view name, std::string_view value)>;

/// One flag of a program. Programs list theirs beside the options that they fill.
struct Flag {
  enum class Then : std::uint8_t { go_on, stop };
  std::string_view name;        ///< "--input"
  std::string_view short_name;  ///< "-i", or empty
  std::string_view example;     ///< a value to show who forgot it; empty: the flag takes none
  Apply apply;
  Then then = Then::go_on;  ///< stop: nothing else needs to be right after it
};

/// An option that may be absent is present once its flag is given.
[[nodiscard]] inline Apply takes_number(auto& target, std::uint64_t least, std::uint64_t most) {
  return [&target, least, most](std::string_view name, std::string_view value) -> Result<void> {
    const auto number = whole_number<std::uint64_t>(name, value, least, most);
    if (!number) return number.error();
    using Target = std::remove_reference_t<decltype(target)>;
    if constexpr (std::is_integral_v<Target>) {
      target = static_cast<Target>(*number);
    } else {
      target = static_cast<typename Target::value_type>(*number);
    }
    return {};
  };
}

[[nodiscard]] inline Apply takes_time(Duration& target) {
  return [&target](std::string_view name, std::string_view value) -> Result<void> {
    const Result<Duration> time = duration(name, value);
    if (!time) return time.error();
    target = *time;
    return {};
  };
}

[[nodiscard]] inline Apply takes_text(std::string& target) {
  return [&target](std::string_view, std::string_view value) -> Result<void> {
    target = value;
    return {};
  };
}

/// One of a few words, each with what it stands for.
template <class Value>
[[nodiscard]] Apply takes_word(Value& target,
                               std::vector<std::pair<std::string_view, Value>> meanings) {
  return [&target, meanings = std::move(meanings)](std::string_view name,
                                                   std::string_view value) -> Result<void> {
    std::vector<std::string_view> words;
    for (const auto& [word, meaning] : meanings) {
      if (word == value) {
        target = meaning;
        return {};
      }
      words.push_back(word);
    }
    return usage(std::string{name} + " is " + one_of(words) + ", not " + quoted(value));
  };
}

/// A number from 0 to 1, or nothing.
[[nodiscard]] inline std::optional<double> share(std::string_view text) {
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!(value >= 0 && value <= 1)) return std::nullopt;
  return value;
}

[[nodiscard]] inline Apply takes_share(double& target) {
  return [&target](std::string_view name, std::string_view value) -> Result<void> {
    const std::optional<double> parsed = share(value);
    if (!parsed) {
      return usage(std::string{name} + " takes a share from 0 to 1, such as 0.01, not " +
                   quoted(value));
    }
    target = *parsed;
    return {};
  };
}

/// For a flag without a value.
template <class Value>
[[nodiscard]] Apply means(Value& target, Value meaning) {
  return [&target, meaning](std::string_view, std::string_view) -> Result<void> {
    target = meaning;
    return {};
  };
}

/// `--help` and `-h`, after which nothing else counts.
template <class Action>
[[nodiscard]] Flag help_flag(Action& action) {
  return {"--help", "-h", "", means(action, Action::help), Flag::Then::stop};
}

[[nodiscard]] inline const Flag* find_flag(std::span<const Flag> flags, std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::ranges::find_if(
      flags, [&](const Flag& flag) { return flag.name == name || flag.short_name == name; });
  return found == flags.end() ? nullptr : &*found;
}

[[nodiscard]] inline std::string_view before_equals(std::string_view argument) {
  return argument.substr(0, argument.find('='));
}

/// How an argument that is no flag is refused.
[[nodiscard]] inline Error unknown_flag(std::span<const Flag> flags, std::string_view argument) {
  const std::string_view name = before_equals(argument);
  std::vector<std::string_view> names;
  std::ranges::transform(flags, std::back_inserter(names), &Flag::name);
  const std::string_view meant = closest(name, names);
  return usage("there is no flag " + std::string{name} +
               (meant.empty() ? std::string{"; --help lists them"}
                              : "; did you mean " + std::string{meant} + "?"));
}

/// Applies the arguments after the program's name in turn: `--name value`, `--name=value`,
/// `-n value`, `-nvalue`. An error is one sentence for the user, without a final stop.
[[nodiscard]] inline Result<void> apply_flags(std::span<const Flag> flags,
                                              std::span<const std::string_view> arguments,
                                              Error (*refuse)(std::span<const Flag>,
                                                              std::string_view) = unknown_flag) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    std::string_view name = before_equals(argument);
    std::optional<std::string_view> value;
    if (name.size() != argument.size()) {
      value = argument.substr(name.size() + 1);
    } else if (argument.size() > 2 && argument[0] == '-' && argument[1] != '-') {
      name = argument.substr(0, 2);
      value = argument.substr(2);
    }
    const Flag* const flag = find_flag(flags, name);
    if (flag == nullptr) return refuse(flags, argument);
    if (flag->example.empty() && value)
      return usage(std::string{flag->name} + " takes no value, not " + quoted(*value));
    if (!flag->example.empty()) {
      // A flag is not the value of the one before it: that one has been forgotten.
      if (!value && i + 1 < arguments.size() &&
          find_flag(flags, before_equals(arguments[i + 1])) == nullptr)
        value = arguments[++i];
      if (!value || value->empty())
        return usage(std::string{name}
                         .append(" needs a value; write ")
                         .append(name)
                         .append(" ")
                         .append(flag->example));
    }
    if (auto applied = flag->apply(flag->name, value.value_or("")); !applied)
      return std::move(applied).error();
    if (flag->then == Flag::Then::stop) return {};
  }
  return {};
}

}  // namespace cli
