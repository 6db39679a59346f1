// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <tuner/options.hpp>
#include <tuner/report.hpp>
#include <tuner/search.hpp>

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  const auto options = tuner::parse_options(arguments);
  if (!options) {
    std::fprintf(stderr, "penstock-tune: %s\n", std::string{options.error().message()}.c_str());
    return 2;
  }
  if (options->action == tuner::Options::Action::help) {
    std::fputs(tuner::help_text.data(), stdout);
    return 0;
  }
  tuner::Search search{*options};
  const tuner::Settings found = search.run();
  std::fputs(tuner::report(search, found).c_str(), stdout);
  return 0;
}
