// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/service.hpp>

namespace penstock {

/// What a layer is for: the word by which `stack` checks orders.
enum class LayerKind : std::uint8_t {
  deadline,
  cache,
  coalesce,
  fallback,
  escalation,
  load_shed,
  retry,
  hedge,
  throttle,
  circuit_breaker,
  rate_limit,
  concurrency_limit,
  balance,
  attempt_timeout,
  chaos,
  other,
};

/// One step of a stack: `wrap(inner)` gives the service that stands around `inner`.
///
/// `shared()` is the address of the state the layer shares with other callers, null for none:
/// the same state twice in one stack would be asked twice for one call. `describe()` is one
/// flat piece of text with every setting. A layer's service has `describe()` as well, and where
/// it is a coroutine around an `AsyncService` a constant `keeps_time`.
template <class L>
concept Layer = std::move_constructible<L> && requires(const L& layer) {
  { L::kind } -> std::convertible_to<LayerKind>;
  { layer.shared() } -> std::same_as<const void*>;
  { layer.describe() } -> std::same_as<std::string>;
};

/// Refreshes `call.now` after an asynchronous inner service that does not do it itself, so that
/// the clock is read once however many layers stand around the leaf.
template <class Inner>
void keep_time(Call& call) noexcept {
  if constexpr (!Inner::keeps_time) call.now = call.where().now();
}

}  // namespace penstock
