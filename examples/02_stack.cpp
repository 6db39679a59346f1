// SPDX-License-Identifier: MIT
// Policies around a function of yours that is slow, metered and unreliable.
#include <penstock/penstock.hpp>

#include <cstdio>
#include <string>

using namespace std::chrono_literals;
penstock::Result<std::string> ask_model(const std::string& prompt);  // yours

int main() {
  penstock::CircuitBreaker breaker{{}};
  penstock::TokenBucket bucket{{.rate = 500, .per = 60s}};

  auto ask = penstock::stack(penstock::deadline(60s),
                             penstock::retry(),
                             penstock::circuit_breaker(breaker),
                             penstock::rate_limit(bucket),
                             penstock::attempt_timeout(20s)) |
             ask_model;

  const penstock::Result<std::string> answer = ask(std::string{"What is a penstock?"});
  std::puts(answer ? answer->c_str() : to_string(answer.error()).c_str());
  std::puts(describe(ask).c_str());
  return answer ? 0 : 1;
}

// Here it fails at first: the stack waits, about a second, and asks again.
penstock::Result<std::string> ask_model(const std::string&) {
  static int calls = 0;
  if (++calls == 1) return penstock::ErrorKind::unavailable;
  return std::string{"A gated pipe that brings water to a turbine."};
}
