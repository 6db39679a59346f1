// SPDX-License-Identifier: MIT
// Permits inside a stack: what a layer holds when its call is cut short.
#include <chrono>

#include <penstock/core/stack.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/layer/circuit_breaker.hpp>
#include <penstock/layer/rate_limit.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

using namespace std::chrono_literals;
using penstock::Call;
using penstock::CircuitBreaker;
using penstock::Cost;
using penstock::ErrorKind;
using penstock::Inline;
using penstock::Outcome;
using penstock::Result;
using penstock::StopSource;
using penstock::StopToken;
using penstock::Task;
using penstock::Time;
using penstock::TokenBucket;
namespace sync = penstock::sync;

void a_cancelled_wait_gives_its_tokens_back() {
  TokenBucket bucket{{.rate = 1, .burst = 1}};
  const auto leaf = [](int, Call&) -> Result<int> { return 1; };
  auto ask = penstock::stack(penstock::rate_limit(bucket)) | leaf;
  const Time start = sync::now();
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  check(bucket.try_take(start).granted, "a full bucket refused");
  const Result<int> result = ask(1, {.stop = source.token()});
  stopper.join();
  const double left = bucket.available_approx(start + 1s);
  check(left == (result ? 0 : 1), "a token was lost or made");
}

void a_probe_that_is_cancelled_frees_its_place() {
  CircuitBreaker breaker{{.minimum_calls = 1, .open_for = 1ms, .probes = 1}};
  Inline executor;
  const Time later = executor.now();
  {
    auto permit = breaker.admit(later - 1s);
    permit->settle(Outcome::unavailable, later - 1s);
  }
  StopSource source;
  sync::thread stopper{[&] { source.request_stop(); }};
  const auto leaf = [](int, Call& call) -> Task<Result<int>> {
    const bool came = co_await wait_until(call.where(), call.now + 1s, call.stop);
    if (!came) co_return ErrorKind::cancelled;
    co_return 1;
  };
  auto ask = penstock::stack(penstock::circuit_breaker(breaker)) | leaf;
  const Call call{.stop = source.token(), .executor = &executor};
  const Result<int> result = sync_wait(executor, ask(1, call));
  stopper.join();
  const auto state = breaker.state(later);
  check(state == (result ? CircuitBreaker::State::closed : CircuitBreaker::State::half_open),
        "a cancelled probe decided, or a good one did not");
  check(breaker.admit(later).has_value(), "a place was lost");
}

const Scenario scenarios[] = {
    {"gate/a_cancelled_wait_gives_its_tokens_back", a_cancelled_wait_gives_its_tokens_back},
    {"gate/a_probe_that_is_cancelled_frees_its_place", a_probe_that_is_cancelled_frees_its_place},
};

}  // namespace
}  // namespace explore
