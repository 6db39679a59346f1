// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/stack.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/testing/manual_executor.hpp>

// The same layer test over a blocking and over a coroutine leaf.
namespace penstock::testing {

template <class Answer>
struct BlockingLeaf {
  Duration time;
  Answer answer;

  template <class Request>
  std::invoke_result_t<Answer&, const Request&, Call&> operator()(const Request& request,
                                                                  Call& call) {
    const Time until = saturating_add(call.now, time);
    if (time > Duration::zero() && !block_until(call, std::min(until, call.deadline)))
      return ErrorKind::cancelled;
    if (until > call.deadline) return ErrorKind::timeout;
    return answer(request, call);
  }
};
template <class Answer>
struct CoroutineLeaf {
  Duration time;
  Answer answer;

  template <class Request>
  Task<std::invoke_result_t<Answer&, const Request&, Call&>> operator()(const Request& request,
                                                                        Call& call) {
    const Time until = saturating_add(call.now, time);
    const bool came = co_await wait_until(call.where(), std::min(until, call.deadline), call.stop);
    call.now = call.where().now();
    if (!came) co_return ErrorKind::cancelled;
    if (until > call.deadline) co_return ErrorKind::timeout;
    co_return answer(request, call);
  }
};

struct Blocking {
  /// A leaf that takes `time`, or less when it is stopped or has no more, and then answers
  /// `answer(request, call)`.
  template <class Answer>
  static auto leaf(Duration time, Answer answer) {
    return BlockingLeaf<Answer>{time, std::move(answer)};
  }
  template <class Ask, class Request>
  static auto run(ManualExecutor& executor, Ask& ask, const Request& request, Call call = {}) {
    call.executor = &executor;
    return ask(request, call);
  }
};

struct Coroutine {
  template <class Answer>
  static auto leaf(Duration time, Answer answer) {
    return CoroutineLeaf<Answer>{time, std::move(answer)};
  }
  template <class Ask, class Request>
  static auto run(ManualExecutor& executor, Ask& ask, const Request& request, Call call = {}) {
    call.executor = &executor;
    return sync_wait(executor, ask(request, call));
  }
};

using Modes = ::testing::Types<Blocking, Coroutine>;
struct ModeNames {
  template <class Mode>
  static std::string GetName(int) {
    return std::is_same_v<Mode, Blocking> ? "blocking" : "coroutine";
  }
};

/// Stops a source at an instant of simulated time.
class StopAt final : public Timer {
 public:
  StopAt(ManualExecutor& executor, StopSource& source, Time at)
      : Timer([](Timer& timer) noexcept { static_cast<StopAt&>(timer).source_.request_stop(); }),
        executor_(executor),
        source_(source) {
    when = at;
    executor_.arm(*this);
  }
  ~StopAt() { executor_.disarm(*this); }

 private:
  ManualExecutor& executor_;
  StopSource& source_;
};

}  // namespace penstock::testing
