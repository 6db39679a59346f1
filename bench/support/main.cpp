// SPDX-License-Identifier: MIT
// The main of every benchmark: counts allocations and reports ratios.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <thread>

#include "../../tests/support/replaced_new.hpp"
#include "ratio_reporter.hpp"

int main(int count, char** arguments) {
  using penstock::bench::RatioReporter;
  // Until a process has its second thread, glibc's mutexes and libstdc++'s shared pointers leave
  // out their atomic instructions. Whoever needs a mutex has threads.
  std::thread{[] {}}.join();
  // A file reporter is refused where no file was asked for.
  const bool to_file = std::any_of(arguments, arguments + count, [](std::string_view argument) {
    return argument.starts_with("--benchmark_out=");
  });
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  RatioReporter display{
      std::unique_ptr<benchmark::BenchmarkReporter>{benchmark::CreateDefaultDisplayReporter()}};
  RatioReporter file{std::make_unique<benchmark::JSONReporter>()};
  benchmark::RunSpecifiedBenchmarks(&display, to_file ? &file : nullptr);
  benchmark::Shutdown();
  return 0;
}
