// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
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
    auto result = co_await inner_(request, call);
    keep_time<Inner>(call);
    tell(call, result);
    co_return result;
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
