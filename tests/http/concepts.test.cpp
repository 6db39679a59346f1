// SPDX-License-Identifier: MIT
// For each concept of `http/` whose own test does not say so: a type that models it, and for each
// requirement one that breaks that alone.
#include <string>

#include <penstock/exec/task.hpp>
#include <penstock/http/transport.hpp>

namespace penstock::http {
namespace {

// Transport.
struct Blocking {
  Result<Response> operator()(const Request&, Call&);
};
struct Async {
  Task<Result<Response>> operator()(const Request&, Call&);
};
struct WithoutCall {
  Result<Response> operator()(const Request&);
};
struct ChangesTheRequest {
  Result<Response> operator()(Request&, Call&);
};
struct GivesTheBodyOnly {
  Result<std::string> operator()(const Request&, Call&);
};
struct CannotFail {
  Response operator()(const Request&, Call&);
};
static_assert(Transport<Blocking> && Transport<Async>);
static_assert(!Transport<WithoutCall>);
static_assert(!Transport<ChangesTheRequest>);
static_assert(!Transport<GivesTheBodyOnly>);
static_assert(!Transport<CannotFail>);

}  // namespace
}  // namespace penstock::http
