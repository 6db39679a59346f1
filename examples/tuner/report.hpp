// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <chrono>
#include <cstdio>
#include <string>

#include <penstock/policy/text.hpp>

#include <tuner/model.hpp>
#include <tuner/search.hpp>

namespace tuner {

[[nodiscard]] inline std::string table_head() {
  return "batch  age     concurrency  retries  backoff   answered  median      p99         "
         "requests/item\n";
}
[[nodiscard]] inline std::string table_row(const Settings& settings, const Measured& measured) {
  const auto milliseconds = [](Duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  std::array<char, 160> row{};
  std::snprintf(row.data(),
                row.size(),
                "%5zu  %-6s  %11u  %7u  %-8s  %7.2f%%  %8.1f ms %8.1f ms  %13.3f\n",
                settings.batch,
                to_text(settings.age).c_str(),
                settings.concurrency,
                settings.retries,
                to_text(settings.backoff).c_str(),
                measured.answered_share() * 100,
                milliseconds(measured.median),
                milliseconds(measured.p99),
                measured.requests_per_item());
  return row.data();
}

/// The settings as a header that compiles as it stands.
[[nodiscard]] inline std::string as_code(const Settings& settings) {
  const auto milliseconds = [](Duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  };
  const std::string retries = std::to_string(settings.retries);
  return "#include <chrono>\n"
         "#include <penstock/policy/release.hpp>\n"
         "#include <penstock/policy/retry_policy.hpp>\n"
         "\n"
         "namespace tuned {\n"
         "using namespace std::chrono_literals;\n"
         "\n"
         "// BatchQueue<Item, Reply> queue{executor, handler,\n"
         "//                               {.release = tuned::release, .max_running = "
         "tuned::max_running}};\n"
         "inline constexpr penstock::SizeWeightAge release{{.max_items = " +
         std::to_string(settings.batch) + ", .max_age = " + milliseconds(settings.age) +
         "ms}};\n"
         "inline constexpr unsigned max_running = " +
         std::to_string(settings.concurrency) +
         ";\n"
         "\n"
         "// In the handler: stack(retry(tuned::retries), …) | transport.\n"
         "inline constexpr penstock::RetryPolicy retries = [] {\n"
         "  using penstock::ErrorKind;\n"
         "  penstock::RetryPolicy::Options options{.max_attempts = " +
         retries +
         " + 1};\n"
         "  for (const ErrorKind kind : {ErrorKind::transient, ErrorKind::timeout,\n"
         "                               ErrorKind::unavailable, ErrorKind::rate_limited})\n"
         "    options.rules[kind] = {" +
         retries + ", penstock::Backoff::exponential(" + milliseconds(settings.backoff) +
         "ms, 60s), penstock::Jitter::spread};\n"
         "  return penstock::RetryPolicy{options};\n"
         "}();\n"
         "}  // namespace tuned\n";
}

/// The whole answer.
[[nodiscard]] inline std::string report(Search& search, const Settings& found) {
  constexpr std::size_t rows = 10;
  std::string text =
      "The best of " + std::to_string(search.tried()) + " settings:\n\n" + table_head();
  for (const auto& [settings, measured] : search.best(rows)) text += table_row(settings, measured);
  const Measured& best = search.try_out(found);
  text += "\nwithout batching or concurrency:\n";
  const Settings alone{.batch = 1, .age = {}, .concurrency = 1};
  text += table_row(alone, search.try_out(alone));
  if (best.answered_share() < 0.99)
    text +=
        "\nNo setting keeps up with this traffic: the backend is too slow, or its limit too low.\n";
  return text + "\nUse:\n\n" + as_code(found);
}

}  // namespace tuner
