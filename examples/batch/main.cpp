// SPDX-License-Identifier: MIT
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <batch/help.hpp>
#include <batch/options.hpp>
#include <batch/run.hpp>
#include <cli/standard_streams.hpp>

int main(int argc, char** argv) {
  cli::hold_standard_streams();
  // A closed pipe and a full quota are errors to report, not reasons to vanish.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const auto options = batch::parse_options(std::vector<std::string_view>(argv + 1, argv + argc));
    if (!options)
      return batch::complain(batch::Exit::unusable, std::string{options.error().message()});
    switch (options->action) {
      case batch::Action::help:
        std::fputs(batch::help_text.data(), stdout);
        return batch::finish_printing(batch::Exit::answered);
      case batch::Action::version:
        std::fputs(batch::version_text.data(), stdout);
        return batch::finish_printing(batch::Exit::answered);
      case batch::Action::dry_run:
        return batch::dry_run(*options);
      case batch::Action::run:
        return batch::run(*options);
    }
  } catch (const std::system_error& failure) {
    return batch::complain(batch::Exit::unusable,
                           "cannot start its threads: " + failure.code().message() +
                               "; write a smaller -c, or --mode async");
  } catch (const std::exception& failure) {
    return batch::complain(batch::Exit::unusable, failure.what());
  }
  return 0;
}
