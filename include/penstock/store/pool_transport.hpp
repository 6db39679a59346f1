// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/service.hpp>

namespace penstock {

/// Opens the connections of a pool and checks them. `connect(key, call)` gives a
/// `Result<Connection>`, or something to `co_await` for one; `usable(connection)` says without
/// blocking whether an idle connection may still be used. A connection's destructor closes it.
template <class T>
concept PoolTransport = std::movable<T> && std::totally_ordered<typename T::Key> &&
    std::movable<typename T::Connection> && requires(T& transport,
                                                     const typename T::Key& key,
                                                     typename T::Connection& connection,
                                                     Call& call) {
  requires std::same_as<
      typename ResultOf<std::remove_cvref_t<decltype(transport.connect(key, call))>>::type,
      Result<typename T::Connection>>;
  { transport.usable(connection) }
  noexcept->std::same_as<bool>;
};

/// Its `connect` blocks and gives a `Result`.
template <class Transport>
concept ConnectsBlocking =
    is_result<std::remove_cvref_t<decltype(std::declval<Transport&>().connect(
        std::declval<const typename Transport::Key&>(), std::declval<Call&>()))>>;

}  // namespace penstock
