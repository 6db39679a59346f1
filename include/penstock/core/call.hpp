// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <penstock/core/executor.hpp>
#include <penstock/core/priority.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/stop.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

/// W3C trace context, carried untouched. In words and not in bytes, for the reason that
/// `CopiedByMember` gives.
struct TraceContext {
  std::uint64_t trace_id_high = 0;  ///< the first 8 bytes of the trace id, most significant first
  std::uint64_t trace_id_low = 0;   ///< the last 8 bytes
  std::uint64_t span_id = 0;
};

/// Makes what holds it be copied member by member. As one block, words that were only just
/// written would be read back in wider pieces, which processors do not forward from their store
/// buffers: copying a fresh `Call` so costs more than all decisions of a stack together.
struct CopiedByMember {
  CopiedByMember() = default;
  constexpr CopiedByMember(const CopiedByMember&) noexcept {}
  constexpr CopiedByMember& operator=(const CopiedByMember&) noexcept { return *this; }
};

/// Travels with each request through the layers. *One thread at a time.*
///
/// A layer may change it for the layers inside. Whoever calls inside more than once (retry,
/// hedge) hands each attempt a copy of its own and takes only `now` back.
struct Call {
  Time deadline = never;
  StopToken stop{};
  /// Where to wait. Null means `Executor::current()` at the moment the stack is entered.
  Executor* executor = nullptr;
  /// The latest clock reading of this call: one when an attempt starts, one when it has ended,
  /// shared by every layer.
  Time now{};
  std::uint32_t attempt = 1;
  std::uint32_t weight = 1;
  std::uint64_t key = 0;
  Priority priority = Priority::normal;
  TraceContext trace{};
  [[no_unique_address]] CopiedByMember copied{};

  [[nodiscard]] Executor& where() const noexcept {
    return executor != nullptr ? *executor : Executor::current();
  }
  /// Time left until the deadline, never negative, as of `now`.
  [[nodiscard]] Duration left() const noexcept { return elapsed_between(now, deadline); }
};

/// Why a wait inside `call` ended early, or success when it may go on at `now`.
[[nodiscard]] inline Result<void> may_go_on(const Call& call) noexcept {
  if (call.stop.stop_requested()) return ErrorKind::cancelled;
  if (call.now >= call.deadline) return ErrorKind::deadline;
  return {};
}

/// Where a call enters its stack: it takes its executor and its first clock reading, and may be
/// over already.
[[nodiscard]] inline Result<void> begin(Call& call) noexcept {
  if (call.executor == nullptr) call.executor = &Executor::current();
  call.now = call.executor->now();
  return may_go_on(call);
}

/// How a wait ended: by its time, or early by the stop token; and when that was.
struct Waited {
  bool came;
  Time now;
};

/// Blocks on `executor` until `when` or until `stop`. Takes values and stands alone, so that a
/// call which never waits can live in registers.
[[nodiscard, gnu::noinline]] inline Waited block_until(Executor& executor,
                                                       StopToken stop,
                                                       Time when) noexcept {
  Parker stopped;
  const auto unpark = [&stopped]() noexcept { stopped.unpark(); };
  const StopCallback callback{stop, unpark};
  const bool was_stopped = executor.wait(stopped, when);
  return {!was_stopped, executor.now()};
}

/// Blocks until `when` (true) or until the call is stopped (false). Refreshes `call.now`.
[[nodiscard]] inline bool block_until(Call& call, Time when) noexcept {
  const Waited waited = block_until(call.where(), call.stop, when);
  call.now = waited.now;
  return waited.came;
}

}  // namespace penstock
