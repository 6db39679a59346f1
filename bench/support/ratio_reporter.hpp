// SPDX-License-Identifier: MIT
#pragma once

#include <benchmark/benchmark.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::bench {

/// Names the baseline of a benchmark: another one of the same file, registered before it.
inline void compare_with(benchmark::State& state, const std::string& baseline) {
  state.SetLabel("vs " + baseline);
}

/// How many clock readings one iteration contains; reported, so that they can be taken off.
inline void count_clock_reads(benchmark::State& state, int reads) {
  state.counters["clock_reads"] = benchmark::Counter(reads, benchmark::Counter::kAvgThreads);
}

/// Adds to each time, mean and median its `ratio` to the baseline it names, measured in the same
/// run with the same arguments and threads; and `beyond_clock_ns`, its time less
/// its clock readings, where `bare_clock_read` was measured too. Ratios above 1 are losses.
/// Times of benchmarks on the real clock are compared as such, the others as processor time. With
/// more threads than one, `per_thread_rate` is what each gets done in a time, as a share of what
/// one thread alone did in the same run: 1 where they do not disturb each other at all.
class RatioReporter : public benchmark::BenchmarkReporter {
 public:
  explicit RatioReporter(std::unique_ptr<benchmark::BenchmarkReporter> inner)
      : inner_(std::move(inner)) {}

  bool ReportContext(const Context& context) override {
    inner_->SetOutputStream(&GetOutputStream());
    inner_->SetErrorStream(&GetErrorStream());
    return inner_->ReportContext(context);
  }
  void ReportRuns(const std::vector<Run>& report) override {
    std::vector<Run> runs = report;
    for (Run& run : runs) {
      // The relative deviation of a counter that is always 0 is no number, and no JSON.
      for (auto& [name, counter] : run.counters)
        if (std::isnan(counter.value)) counter.value = 0;
      const bool level = run.aggregate_name.empty() || run.aggregate_name == "mean" ||
                         run.aggregate_name == "median";
      if (run.error_occurred || !level) continue;
      const double time = time_of(run);
      times_[key(run, run.run_name.function_name)] = time;
      if (const double baseline = find(run, run.report_label); baseline > 0)
        run.counters["ratio"] = time / baseline;
      if (const double alone = find_alone(run); alone > 0)
        run.counters["per_thread_rate"] = alone / (time * static_cast<double>(run.threads));
      const auto reads = run.counters.find("clock_reads");
      const double one_read = find(run, "vs bare_clock_read");
      if (reads == run.counters.end() || one_read <= 0) continue;
      const double beyond = time - reads->second.value * one_read;
      run.counters["beyond_clock_ns"] = beyond;
    }
    inner_->ReportRuns(runs);
  }
  void Finalize() override { inner_->Finalize(); }

 private:
  static double time_of(const Run& run) {
    return run.run_name.time_type.empty() ? run.GetAdjustedCPUTime() : run.GetAdjustedRealTime();
  }
  static std::string key(const Run& run, const std::string& function) {
    auto name = run.run_name;
    name.function_name = function;
    return name.str() + " " + run.aggregate_name;
  }
  [[nodiscard]] double find_alone(const Run& run) const {
    if (run.threads < 2) return 0;
    Run alone = run;
    alone.run_name.threads = "threads:1";
    const auto found = times_.find(key(alone, run.run_name.function_name));
    return found == times_.end() ? 0 : found->second;
  }
  [[nodiscard]] double find(const Run& run, std::string_view label) const {
    constexpr std::string_view mark = "vs ";
    if (!label.starts_with(mark)) return 0;
    const auto found = times_.find(key(run, std::string{label.substr(mark.size())}));
    return found == times_.end() ? 0 : found->second;
  }

  std::unique_ptr<benchmark::BenchmarkReporter> inner_;
  std::map<std::string, double> times_;
};

}  // namespace penstock::bench
