// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/passage.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>
#include <penstock/core/time.hpp>
#include <penstock/policy/text.hpp>

namespace penstock {

/// Narrows `call.deadline` to `limit` from now, and is otherwise not there: no coroutine, no
/// waiting. Whoever waits inside ends with `deadline` when nothing was sent, with `timeout` when
/// something was.
template <class Inner>
class TimeLimitService {
 public:
  static constexpr bool keeps_time = Inner::keeps_time;

  TimeLimitService(Inner inner, Duration limit, const char* name)
      : inner_(std::move(inner)),
        limit_(limit),
        name_(name) {}

  template <class Request>
  requires Service<Inner, const Request&>
  [[gnu::always_inline]] reply_t<Inner, const Request&> operator()(const Request& request,
                                                                   Call& call) {
    narrow(call);
    return inner_(request, call);
  }

  // One of those who share a coroutine (`core/passage.hpp`). To narrow again after a wait changes
  // nothing.
  static constexpr bool retries = shares_coroutine<Inner> && !passes_once<Inner>;
  using Within = Next<shares_coroutine<Inner>, Inner>;
  using Passage = typename Within::Passage;
  [[gnu::always_inline]] Result<Time> enter(Passage& passage, Call& call) noexcept {
    narrow(call);
    return Within::enter(inner_, passage, call);
  }
  template <class Request>
  auto proceed(Passage& passage, const Request& request, Call& call, Time when) {
    return Within::proceed(inner_, passage, request, call, when);
  }
  template <class R>
  [[gnu::always_inline]] void settle(Passage& passage, const R& result, const Call& call) noexcept {
    Within::settle(inner_, passage, result, call);
  }
  template <class R>
  void drop(Passage& passage, const R& result, const Call& call) noexcept {
    Within::drop(inner_, passage, result, call);
  }
  [[nodiscard]] auto& behind() noexcept { return Within::behind(inner_); }
  static constexpr bool has_line = Within::has_line;
  [[nodiscard]] Result<void> block_in_line(Passage& passage, Call& call) noexcept {
    return inner_.block_in_line(passage, call);
  }
  [[nodiscard]] auto stand_in_line(Passage& passage, Call& call) {
    return inner_.stand_in_line(passage, call);
  }
  template <class R>
  [[nodiscard]] bool wants_again(Passage& passage, Call& call, const R& result) noexcept {
    return inner_.wants_again(passage, call, result);
  }
  template <class Request, class R>
  auto again(Passage& passage, const Request& request, Call& call, const R& result) {
    return inner_.again(passage, request, call, result);
  }

  [[nodiscard]] std::string describe() const {
    return name_ + ("(" + to_text(limit_)) + ") > " + inner_.describe();
  }

 private:
  void narrow(Call& call) const noexcept {
    call.deadline = std::min(call.deadline, saturating_add(call.now, limit_));
  }

  Inner inner_;
  Duration limit_;
  const char* name_;
};

/// A limit on time, of the kind that its place in the stack gives it.
template <LayerKind place>
class TimeLimit {
 public:
  static constexpr LayerKind kind = place;
  static constexpr const char* name = place == LayerKind::deadline ? "deadline" : "attempt_timeout";

  /// Throws std::invalid_argument for a limit that leaves no time at all.
  explicit TimeLimit(Duration limit) : limit_(limit) {
    if (limit <= Duration::zero())
      throw std::invalid_argument{std::string{"penstock: "} + name +
                                  " needs a positive time; write " + name + "(20s)"};
  }
  [[nodiscard]] const void* shared() const noexcept { return nullptr; }
  [[nodiscard]] std::string describe() const { return name + ("(" + to_text(limit_)) + ")"; }
  template <class Inner>
  [[nodiscard]] TimeLimitService<Inner> wrap(Inner inner) && {
    return {std::move(inner), limit_, name};
  }

 private:
  Duration limit_;
};
static_assert(Layer<TimeLimit<LayerKind::deadline>>);

/// The whole call, waits and retries included, ends within `limit` of its start.
[[nodiscard]] inline TimeLimit<LayerKind::deadline> deadline(Duration limit) {
  return TimeLimit<LayerKind::deadline>{limit};
}

}  // namespace penstock
