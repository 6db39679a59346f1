// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <llm/chat.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/http/message.hpp>

namespace llm {

namespace http = penstock::http;
using penstock::Duration;

struct Endpoint;

/// Turns the server-sent events of one streamed answer into text and, at the end, a whole reply.
/// *Not synchronized.* The first failure stays: every later call returns it again.
class StreamDecoder {
 public:
  StreamDecoder() = default;
  StreamDecoder(const StreamDecoder&) = delete;
  StreamDecoder& operator=(const StreamDecoder&) = delete;
  virtual ~StreamDecoder() = default;

  /// Takes one event; returns the text it added, often none. The view lives until the next call.
  [[nodiscard]] virtual Result<std::string_view> feed(std::string_view event,
                                                      std::string_view data) = 0;
  /// Whether the protocol's end marker has come; what follows it is ignored.
  [[nodiscard]] virtual bool done() const noexcept = 0;
  /// The reply; `transient` when the stream ended before its end marker.
  [[nodiscard]] virtual Result<ChatReply> finish() = 0;
};

/// The header that carries the key.
enum class Authorization : std::uint8_t { bearer, x_api_key };

/// Whether an endpoint works without a key.
enum class KeyRule : std::uint8_t { required, optional };

/// What a provider is: a row of data and the functions of the protocol it speaks. All functions are
/// pure and safe from any thread.
struct Provider {
  std::string_view name;
  std::string_view alias;  ///< a second name, or ""
  std::string_view
      default_base_url;  ///< as the official client takes it; "" where one must be given
  std::string_view base_url_variable;  ///< environment variable that replaces it
  std::string_view key_variable;       ///< environment variable of the key
  KeyRule key_rule;
  Authorization authorization;
  std::string_view max_tokens_member;  ///< how a chat body spells the limit of output tokens

  Duration timeout;              ///< for one attempt
  std::uint32_t max_batch;       ///< requests handed over at once
  std::uint32_t max_concurrent;  ///< requests in flight
  Duration latency_target;

  http::Request (*encode)(const Endpoint&, const ChatRequest&);
  /// A request that costs nothing and tells whether the endpoint answers and takes the key.
  http::Request (*encode_models)(const Endpoint&);
  /// A whole reply, or what its status and body say went wrong.
  Result<ChatReply> (*decode)(const http::Response&);
  /// What a reply that is no success means for the next attempt.
  Error (*classify)(const http::Response&);
  std::unique_ptr<StreamDecoder> (*open_stream)();
};

/// A provider at an address, with a key.
struct Endpoint {
  const Provider* provider = nullptr;
  http::Origin origin;
  std::string base_path;  ///< "/v1", "/openai/v1", ""; a query ("?api-version=1") stays behind
  std::string key;
};

/// Puts an endpoint together. `key` may have white space around it, as values from files do.
/// Refuses a key that is missing, unless `rule` lets it, or could not stand in a header.
[[nodiscard]] inline Result<Endpoint> make_endpoint(const Provider& provider,
                                                    http::Origin origin,
                                                    std::string_view base_path,
                                                    std::string_view key,
                                                    KeyRule rule) {
  constexpr std::string_view blanks = " \t\r\n";
  const auto first = key.find_first_not_of(blanks);
  key = first == std::string_view::npos
            ? std::string_view{}
            : key.substr(first, key.find_last_not_of(blanks) - first + 1);
  if (key.empty() && rule == KeyRule::required) {
    return Error{
        ErrorKind::credential,
        std::string{provider.name} + " needs a key; set " + std::string{provider.key_variable}};
  }
  if (std::ranges::any_of(key, [](char c) { return c <= ' ' || c > '~'; })) {
    return Error{ErrorKind::credential,
                 "the key for " + std::string{provider.name} +
                     " holds characters that cannot stand in a header; check " +
                     std::string{provider.key_variable}};
  }
  return Endpoint{&provider, std::move(origin), std::string{base_path}, std::string{key}};
}

[[nodiscard]] inline Result<Endpoint> make_endpoint(const Provider& provider,
                                                    http::Origin origin,
                                                    std::string_view base_path,
                                                    std::string_view key) {
  return make_endpoint(provider, std::move(origin), base_path, key, provider.key_rule);
}

/// What every protocol sends: method, address, content type and key.
[[nodiscard]] inline http::Request begin_request(const Endpoint& endpoint,
                                                 std::string_view method,
                                                 std::string_view path) {
  http::Request request;
  request.method = method;
  request.origin = endpoint.origin;
  const std::string_view base = endpoint.base_path;
  const std::size_t query = std::min(base.find('?'), base.size());
  std::string_view parent = base.substr(0, query);
  while (parent.ends_with('/')) parent.remove_suffix(1);
  request.target.assign(parent).append(path).append(base.substr(query));
  request.headers.add("accept", "application/json");
  if (!endpoint.key.empty()) {
    if (endpoint.provider->authorization == Authorization::bearer) {
      request.headers.add("authorization", "Bearer " + endpoint.key);
    } else {
      request.headers.add("x-api-key", endpoint.key);
    }
  }
  return request;
}

/// Sets a JSON body and says whether the answer may be streamed.
inline void set_body(http::Request& request, const Json& body, Delivery delivery) {
  request.headers.add("content-type", "application/json");
  if (delivery == Delivery::stream) request.headers.set("accept", "text/event-stream");
  write(request.body, body);
}

}  // namespace llm
