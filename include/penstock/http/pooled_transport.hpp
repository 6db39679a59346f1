// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/http/exchange.hpp>
#include <penstock/http/message.hpp>
#include <penstock/http/transport.hpp>
#include <penstock/store/connection_pool.hpp>

namespace penstock::http {

/// HTTP/1.1 over pooled connections: a `Transport`, blocking or asynchronous as its connector is.
/// *Safe from any thread* where the connector is; it must outlive its calls.
///
/// A connection goes back to the pool only after a whole reply that says itself where it ends,
/// with nothing left over; after a timeout, a cancel or any error it is closed. A request is
/// sent again by itself only when a reused connection turned out to be closed before a byte of
/// the reply, and the method allows it; every other failure is the caller's to retry.
template <PoolTransport Connector>
class PooledTransport {
 public:
  using Pool = ConnectionPool<Connector>;

  explicit PooledTransport(Connector connector, typename Pool::Options options = {})
      : pool_(std::move(connector), options) {}

  Result<Response> operator()(const Request& request,
                              Call& call) requires ConnectsBlocking<Connector> {
    for (;;) {
      Result<Exchange> exchange = Exchange::prepare(request);
      if (!exchange) return std::move(exchange).error();
      auto lease = pool_.acquire(request.origin, call);
      if (!lease) return std::move(lease).error();
      const Result<void> ran = (*lease)->run(*exchange, call);
      if (!ran && goes_again(request, *exchange, *lease, ran.error())) continue;
      return finish(ran, *exchange, *lease);
    }
  }

  Task<Result<Response>> operator()(const Request& request,
                                    Call& call) requires(!ConnectsBlocking<Connector>) {
    for (;;) {
      Result<Exchange> exchange = Exchange::prepare(request);
      if (!exchange) co_return std::move(exchange).error();
      auto lease = co_await pool_.acquire(request.origin, call);
      if (!lease) co_return std::move(lease).error();
      const Result<void> ran = co_await (*lease)->run(*exchange, call);
      if (!ran && goes_again(request, *exchange, *lease, ran.error())) continue;
      co_return finish(ran, *exchange, *lease);
    }
  }

  [[nodiscard]] Pool& pool() noexcept { return pool_; }
  [[nodiscard]] std::string describe() const { return "http(" + pool_.describe() + ")"; }

 private:
  static bool goes_again(const Request& request,
                         const Exchange& exchange,
                         const typename Pool::Lease& lease,
                         const Error& error) noexcept {
    return error.kind() == ErrorKind::transient && lease.reused() && !exchange.answered() &&
           may_send_again(request);
  }
  static Result<Response> finish(const Result<void>& ran,
                                 Exchange& exchange,
                                 typename Pool::Lease& lease) {
    if (!ran) return ran.error();
    if (exchange.reusable()) lease.give_back();
    return exchange.take();
  }

  Pool pool_;
};

}  // namespace penstock::http
