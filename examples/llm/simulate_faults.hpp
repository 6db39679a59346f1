// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <llm/protocol.hpp>

/// What a simulated provider says, as pure functions: bytes a client cannot tell from the real
/// ones.
namespace llm::simulate {

enum class Protocol : std::uint8_t { openai, anthropic };

/// What differs from one reply to the next.
struct Stamp {
  std::uint64_t number = 1;  ///< makes ids unique
  std::int64_t created = 0;  ///< wall clock, Unix seconds
};

/// A token bucket's state as the rate-limit headers show it.
struct Allowance {
  double limit = 0;
  double remaining = 0;
  Duration window = std::chrono::minutes{1};
};

struct Limits {
  Allowance requests;
  Allowance tokens;
};

enum class Dimension : std::uint8_t { requests, tokens };

[[nodiscard]] inline Duration refill_time(const Allowance& allowance, double missing) noexcept {
  if (missing <= 0 || allowance.limit <= 0) return Duration::zero();
  const double ticks =
      std::ceil(missing * static_cast<double>(allowance.window.count()) / allowance.limit);
  return ticks < 9e18 ? Duration{static_cast<std::int64_t>(ticks)} : Duration::max();
}

/// Until the bucket is full again: what the reset headers say, and more than a client must wait.
[[nodiscard]] inline Duration time_to_full(const Allowance& allowance) noexcept {
  return refill_time(allowance, allowance.limit - allowance.remaining);
}

/// Until `cost` is there to be taken.
[[nodiscard]] inline Duration time_until(const Allowance& allowance, double cost) noexcept {
  return refill_time(allowance, cost - allowance.remaining);
}

/// "12ms", "1.05s", "6m0s", "0s", cut to whole milliseconds as OpenAI does.
[[nodiscard]] inline std::string go_duration(Duration duration) {
  using namespace std::chrono;
  const auto total = std::max<std::int64_t>(0, duration_cast<milliseconds>(duration).count());
  if (total == 0) return "0s";
  if (total < 1000) return std::to_string(total) + "ms";
  std::string out;
  if (total >= 3'600'000) out += std::to_string(total / 3'600'000) + "h";
  if (total >= 60'000) out += std::to_string(total / 60'000 % 60) + "m";
  out += std::to_string(total / 1000 % 60);
  if (const auto rest = total % 1000; rest != 0) {
    std::string fraction = std::to_string(1000 + rest).substr(1);
    while (fraction.back() == '0') fraction.pop_back();
    out += "." + fraction;
  }
  return out + "s";
}

/// "2025-08-21T12:41:00Z" (RFC 3339).
[[nodiscard]] inline std::string rfc3339(std::int64_t unix_seconds) {
  using namespace std::chrono;
  const sys_seconds when{seconds{unix_seconds}};
  const auto midnight = floor<days>(when);
  const year_month_day date{midnight};
  const hh_mm_ss time{when - midnight};
  const auto padded = [](auto number, std::size_t width) {
    const std::string digits = std::to_string(number);
    return std::string(width > digits.size() ? width - digits.size() : 0, '0') + digits;
  };
  return padded(static_cast<int>(date.year()), 4) + "-" +
         padded(static_cast<unsigned>(date.month()), 2) + "-" +
         padded(static_cast<unsigned>(date.day()), 2) + "T" + padded(time.hours().count(), 2) +
         ":" + padded(time.minutes().count(), 2) + ":" + padded(time.seconds().count(), 2) + "Z";
}

/// The rate-limit headers in the provider's dialect: relative times at OpenAI, instants at
/// Anthropic.
inline void add_limit_headers(http::Headers& headers,
                              Protocol protocol,
                              const Limits& limits,
                              const Stamp& stamp) {
  const auto whole = [](double value) {
    return std::to_string(static_cast<std::int64_t>(std::max(0.0, std::floor(value))));
  };
  const auto add = [&](const std::string& name, const Allowance& allowance) {
    const Duration reset = time_to_full(allowance);
    if (protocol == Protocol::openai) {
      headers.add("x-ratelimit-limit-" + name, whole(allowance.limit));
      headers.add("x-ratelimit-remaining-" + name, whole(allowance.remaining));
      headers.add("x-ratelimit-reset-" + name, go_duration(reset));
    } else {
      const auto seconds = std::chrono::ceil<std::chrono::seconds>(reset).count();
      headers.add("anthropic-ratelimit-" + name + "-limit", whole(allowance.limit));
      headers.add("anthropic-ratelimit-" + name + "-remaining", whole(allowance.remaining));
      headers.add("anthropic-ratelimit-" + name + "-reset", rfc3339(stamp.created + seconds));
    }
  };
  add("requests", limits.requests);
  add("tokens", limits.tokens);
  if (protocol == Protocol::anthropic) add("input-tokens", limits.tokens);
}

enum class Fault : std::uint8_t {
  bad_request,   ///< 400
  bad_key,       ///< 401
  not_found,     ///< 404: no such model
  too_large,     ///< OpenAI 429 "Request too large", Anthropic 413
  quota,         ///< OpenAI 429 insufficient_quota, Anthropic 400 "credit balance is too low"
  rate_limited,  ///< 429; `refuse_rate` words it fully
  internal,      ///< 500
  unavailable,   ///< 503
  overloaded,    ///< Anthropic 529; OpenAI has no such status and sends 503
};

/// Members of the error object a request itself is blamed for.
struct Blame {
  std::string message{};  ///< "" for the provider's usual words
  std::string param{};    ///< OpenAI's `param`; "" for null
  std::string code{};     ///< OpenAI's `code`; "" for the usual one
};

struct FaultRow {
  int status;
  std::string_view type;
  std::string_view code;  ///< OpenAI only; "" for null
  std::string_view message;
};

[[nodiscard]] constexpr FaultRow fault_row(Protocol protocol, Fault fault) noexcept {
  if (protocol == Protocol::openai) {
    switch (fault) {
      case Fault::bad_request:
        return {400, "invalid_request_error", "", "Invalid request."};
      case Fault::bad_key:
        return {401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."};
      case Fault::not_found:
        return {404, "invalid_request_error", "model_not_found", "The model does not exist."};
      case Fault::too_large:
        return {429, "tokens", "rate_limit_exceeded", "Request too large for this model."};
      case Fault::quota:
        return {429,
                "insufficient_quota",
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details."};
      case Fault::rate_limited:
        return {429, "requests", "rate_limit_exceeded", "Rate limit reached."};
      case Fault::internal:
        return {500, "server_error", "", "The server had an error while processing the request."};
      case Fault::unavailable:
      case Fault::overloaded:
        return {503, "server_error", "", "The engine is currently overloaded."};
    }
  }
  switch (fault) {
    case Fault::bad_request:
      return {400, "invalid_request_error", "", "Invalid request"};
    case Fault::bad_key:
      return {401, "authentication_error", "", "invalid x-api-key"};
    case Fault::not_found:
      return {404, "not_found_error", "", "model: not found"};
    case Fault::too_large:
      return {413, "request_too_large", "", "Request exceeds the maximum size"};
    case Fault::quota:
      return {
          400, "invalid_request_error", "", "Your credit balance is too low to access the API."};
    case Fault::rate_limited:
      return {429, "rate_limit_error", "", "This request would exceed your rate limit."};
    case Fault::internal:
      return {500, "api_error", "", "Internal server error"};
    case Fault::unavailable:
      return {503, "api_error", "", "Service unavailable"};
    case Fault::overloaded:
      return {529, "overloaded_error", "", "Overloaded"};
  }
  return {500, "api_error", "", "Internal server error"};
}

[[nodiscard]] inline std::string request_id(const Stamp& stamp) {
  return "req_sim" + std::to_string(stamp.number);
}

/// The members of an error, all that official clients read.
[[nodiscard]] inline Json fault_body(Protocol protocol,
                                     Fault fault,
                                     const Stamp& stamp,
                                     const Blame& blame = {}) {
  const FaultRow row = fault_row(protocol, fault);
  const std::string message = blame.message.empty() ? std::string{row.message} : blame.message;
  if (protocol == Protocol::anthropic) {
    return Json::object({{"type", "error"},
                         {"error", Json::object({{"type", row.type}, {"message", message}})},
                         {"request_id", request_id(stamp)}});
  }
  const std::string code = blame.code.empty() ? std::string{row.code} : blame.code;
  return Json::object({{"error",
                        Json::object({{"message", message},
                                      {"type", row.type},
                                      {"param", blame.param.empty() ? Json{} : blame.param},
                                      {"code", code.empty() ? Json{} : code}})}});
}

/// A JSON reply with the provider's own headers.
[[nodiscard]] inline http::Response reply_with(Protocol protocol,
                                               int status,
                                               const Json& body,
                                               const Stamp& stamp) {
  http::Response response;
  response.status = status;
  response.headers.add("content-type", "application/json");
  if (protocol == Protocol::openai) {
    response.headers.add("x-request-id", request_id(stamp));
    response.headers.add("openai-version", "2020-10-01");
  } else {
    response.headers.add("request-id", request_id(stamp));
  }
  write(response.body, body);
  return response;
}

[[nodiscard]] inline http::Response refuse(Protocol protocol,
                                           Fault fault,
                                           const Stamp& stamp,
                                           const Blame& blame = {}) {
  return reply_with(protocol,
                    fault_row(protocol, fault).status,
                    fault_body(protocol, fault, stamp, blame),
                    stamp);
}

/// A 429 for `requested` of one dimension, with the wait after which it would be let in, in whole
/// seconds and never too short.
[[nodiscard]] inline http::Response refuse_rate(Protocol protocol,
                                                const Stamp& stamp,
                                                std::string_view model,
                                                Dimension dimension,
                                                const Limits& limits,
                                                double requested) {
  using namespace std::chrono;
  const bool tokens = dimension == Dimension::tokens;
  const Allowance& allowance = tokens ? limits.tokens : limits.requests;
  const Duration wait = ceil<milliseconds>(time_until(allowance, requested));
  const auto whole = [](double value) { return std::to_string(std::llround(value)); };
  const bool daily = allowance.window >= hours{24};
  const std::string unit = std::string{tokens ? "tokens" : "requests"};
  Json body = fault_body(protocol, Fault::rate_limited, stamp);
  Json error = body["error"];
  if (protocol == Protocol::openai) {
    error.set("type", unit);
    error.set("message",
              "Rate limit reached for " + std::string{model} +
                  " in organization org-simulated on " + unit +
                  (daily ? " per day (" : " per min (") + (tokens ? "T" : "R") +
                  (daily ? "PD" : "PM") + "): Limit " + whole(allowance.limit) + ", Used " +
                  whole(allowance.limit - allowance.remaining) + ", Requested " + whole(requested) +
                  ". Please try again in " + go_duration(wait) + ".");
  } else {
    error.set("message",
              "This request would exceed your organization's rate limit of " +
                  whole(allowance.limit) + (tokens ? " input tokens" : " requests") +
                  (daily ? " per day" : " per minute"));
  }
  body.set("error", std::move(error));
  http::Response response =
      reply_with(protocol, fault_row(protocol, Fault::rate_limited).status, body, stamp);
  response.headers.add("retry-after", std::to_string(ceil<seconds>(wait).count()));
  if (protocol == Protocol::openai) {
    response.headers.add("retry-after-ms",
                         std::to_string(duration_cast<milliseconds>(wait).count()));
  }
  add_limit_headers(response.headers, protocol, limits, stamp);
  return response;
}

}  // namespace llm::simulate
