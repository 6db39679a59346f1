// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>

#include <penstock/core/service.hpp>
#include <penstock/http/message.hpp>

namespace penstock::http {

/// The pluggable interface: `transport(request, call)` sends one request and gives the whole
/// reply, as `Result<Response>` (blocking) or as something to `co_await` for one.
///
/// A reply of any status is a success here: what a status means is the provider's to say. Errors
/// are `unavailable` (nobody answers there), `transient` (the connection broke), `timeout` (the
/// call's deadline passed), `cancelled`, `permanent` (the request cannot be sent as it is).
template <class T>
concept Transport =
    Service<T, const Request&> && std::same_as<result_t<T, const Request&>, Result<Response>>;

}  // namespace penstock::http
