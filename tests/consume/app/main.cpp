// SPDX-License-Identifier: MIT
#include <chrono>
#include <cstdio>
#include <string>

#include <penstock/http/async_transport.hpp>
#include <penstock/penstock.hpp>

using namespace std::chrono_literals;

int main() {
  penstock::TokenBucket bucket{{.rate = 100, .per = 1s}};
  penstock::CircuitBreaker breaker{{}};
  int calls = 0;
  auto flaky = [&](const std::string& text) -> penstock::Result<std::size_t> {
    if (++calls == 1) return penstock::ErrorKind::rate_limited;
    return text.size();
  };
  penstock::RetryPolicy::Options options{};
  options.rules[penstock::ErrorKind::rate_limited] = {3, penstock::Backoff::fixed(1ms)};
  auto ask = penstock::stack(penstock::deadline(10s),
                             penstock::retry(penstock::RetryPolicy{options}),
                             penstock::circuit_breaker(breaker),
                             penstock::rate_limit(bucket),
                             penstock::attempt_timeout(1s)) |
             flaky;
  const auto result = ask(std::string{"seven c"});
  std::puts(penstock::describe(ask).c_str());
  return result && *result == 7 && calls == 2 ? 0 : 1;
}
