// SPDX-License-Identifier: MIT
// The main of every benchmark: counts allocations and reports ratios.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <thread>

#include "allocation_counter.hpp"
#include "ratio_reporter.hpp"

namespace {

void* counted(std::size_t size, std::size_t alignment) noexcept {
  ++penstock::bench::allocations_here;
  penstock::bench::allocations_everywhere.fetch_add(1, std::memory_order_relaxed);
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
void* counted_or_throw(std::size_t size, std::size_t alignment) {
  if (void* const memory = counted(size, alignment)) return memory;
  throw std::bad_alloc{};
}

}  // namespace

// The array forms of the standard library call these.
void* operator new(std::size_t size) {
  return counted_or_throw(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

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
