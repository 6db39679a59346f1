// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/passage.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>

namespace penstock {

/// Something told of every reply that passes: the call as it stands after it, and the error or
/// null. Must not throw; runs in the caller's thread, outside every lock.
template <class O>
concept Observer =
    std::move_constructible<O> && std::is_nothrow_invocable_v<O&, const Call&, const Error*>;

/// Tells an observer of every reply and changes nothing.
template <Observer Watcher, class Inner>
class ObserveService {
 public:
  static constexpr bool keeps_time = true;

  ObserveService(Watcher watcher, Inner inner)
      : watcher_(std::move(watcher)),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    auto result = inner_(request, call);
    tell(call, result);
    return result;
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    return go_through<const Request&, Call&>(*this, request, call);
  }

  // One of those who share a coroutine (`core/passage.hpp`).
  static constexpr bool retries = false;
  using Within = Next<passes_once<Inner>, Inner>;
  struct Passage {
    bool entered = false;
    [[no_unique_address]] typename Within::Passage inner{};
    [[nodiscard]] bool passed() const noexcept { return inner.passed(); }
  };
  [[gnu::always_inline]] Result<Time> enter(Passage& passage, Call& call) noexcept {
    passage.entered = true;
    return Within::enter(inner_, passage.inner, call);
  }
  template <class Request>
  auto proceed(Passage& passage, const Request& request, Call& call, Time when) {
    return Within::proceed(inner_, passage.inner, request, call, when);
  }
  template <class R>
  [[gnu::always_inline]] void settle(Passage& passage, const R& result, const Call& call) noexcept {
    Within::settle(inner_, passage.inner, result, call);
    tell(call, result);
  }
  template <class R>
  void drop(Passage& passage, const R& result, const Call& call) noexcept {
    Within::drop(inner_, passage.inner, result, call);
    if (passage.entered) tell(call, result);
  }
  [[nodiscard]] auto& behind() noexcept { return Within::behind(inner_); }
  static constexpr bool has_line = Within::has_line;
  [[nodiscard]] Result<void> block_in_line(Passage& passage, Call& call) noexcept {
    return inner_.block_in_line(passage.inner, call);
  }
  [[nodiscard]] auto stand_in_line(Passage& passage, Call& call) {
    return inner_.stand_in_line(passage.inner, call);
  }

  [[nodiscard]] std::string describe() const { return "observe > " + inner_.describe(); }

 private:
  template <class R>
  void tell(const Call& call, const R& result) noexcept {
    watcher_(call, result ? nullptr : &result.error());
  }

  Watcher watcher_;
  Inner inner_;
};

template <Observer Watcher>
class ObserveLayer {
 public:
  static constexpr LayerKind kind = LayerKind::other;
  explicit ObserveLayer(Watcher watcher) : watcher_(std::move(watcher)) {}
  [[nodiscard]] const void* shared() const noexcept { return nullptr; }
  [[nodiscard]] std::string describe() const { return "observe"; }
  template <class Inner>
  [[nodiscard]] ObserveService<Watcher, Inner> wrap(Inner inner) && {
    return {std::move(watcher_), std::move(inner)};
  }

 private:
  Watcher watcher_;
};

/// `watcher(call, error)` after every reply at this place of the stack, `error` null for success.
/// Outside `retry` it sees calls, inside it attempts. *Safe from any thread* as far as the watcher
/// is.
template <Observer Watcher>
[[nodiscard]] ObserveLayer<Watcher> observe(Watcher watcher) {
  return ObserveLayer<Watcher>{std::move(watcher)};
}

}  // namespace penstock
