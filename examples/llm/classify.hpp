// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <llm/protocol.hpp>
#include <penstock/http/header_values.hpp>

namespace llm {

/// The words of a provider's error, whatever shape they came in.
struct ErrorWords {
  std::string type;
  std::string code;  ///< a number (some local servers) is spelled out
  std::string message;
  std::string request_id;
};

/// Reads {"error":{type,code,message}}, {"error":"text"}, and the flat shapes {type,code,message}
/// and {"detail":"text"}.
[[nodiscard]] inline ErrorWords error_words(const Json& body) {
  const Json& nested = body["error"];
  const Json& error = nested.is_object() ? nested : body;
  ErrorWords words{.type = std::string{error["type"].text()},
                   .code = std::string{error["code"].text()},
                   .message = std::string{error["message"].text()},
                   .request_id = std::string{body["request_id"].text()}};
  if (const auto number = error["code"].as_integer()) words.code = std::to_string(*number);
  if (words.message.empty()) words.message = nested.text();
  if (words.message.empty()) words.message = body["detail"].text();
  return words;
}

/// What the other side asked for in `x-should-retry`.
enum class RetryAdvice : std::uint8_t { none, retry, stop };

/// The kind of an error, from its words first and its status second: an empty account and a request
/// that can never fit are both sent as 429. `status` is 0 for an error inside a stream.
[[nodiscard]] inline ErrorKind error_kind(int status,
                                          const ErrorWords& words,
                                          RetryAdvice advice = RetryAdvice::none) {
  const auto named = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::any_of(
        names, [&](std::string_view name) { return words.code == name || words.type == name; });
  };
  std::string text = words.message;
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  const auto says = [&](std::initializer_list<std::string_view> phrases) {
    return std::ranges::any_of(
        phrases, [&](std::string_view phrase) { return text.find(phrase) != std::string::npos; });
  };

  if (status == 402 ||
      named({"insufficient_quota",
             "credit_balance_exhausted",
             "billing_error",
             "billing_hard_limit_reached",
             "blocked_api_access",
             "enforced_spend_limit_reached"}) ||
      says({"credit balance is too low",
            "insufficient balance",
            "exceeded your current quota",
            "spend limit",
            "enforced_spend_limit_reached"})) {
    return ErrorKind::quota;
  }
  if (status == 413 || text.starts_with("request too large") ||
      named({"context_length_exceeded",
             "max_tokens_per_request",
             "request_too_large",
             "string_above_max_length",
             "exceed_context_size_error"}) ||
      says({"prompt is too long", "maximum context length"})) {
    return ErrorKind::too_large;
  }
  if (status == 401 || named({"invalid_api_key",
                              "authentication_error",
                              "permission_error",
                              "organization_restricted",
                              "unsupported_country_region_territory"})) {
    return ErrorKind::credential;
  }
  // A model one may not use is sent as 403 too: that model is out of reach, the key is not wrong.
  if (status == 404 || named({"model_not_found",
                              "model_decommissioned",
                              "model_terms_required",
                              "not_found_error",
                              "NotFoundError"})) {
    return ErrorKind::not_found;
  }
  if (named({"content_filter", "content_policy_violation"})) return ErrorKind::permanent;
  if (status == 403) return ErrorKind::credential;
  if (status == 429 || named({"rate_limit_error", "rate_limit_exceeded", "slow_down"})) {
    return ErrorKind::rate_limited;
  }
  if (status == 503 || status == 529 || status == 498 ||
      named({"overloaded_error", "unavailable_error", "capacity_exceeded"})) {
    return ErrorKind::unavailable;
  }

  if (advice == RetryAdvice::retry) return ErrorKind::transient;
  if (advice == RetryAdvice::stop) return ErrorKind::permanent;
  if (status == 0) {
    return named({"invalid_request_error",
                  "invalid_prompt",
                  "BadRequestError",
                  "not_supported_error"})
               ? ErrorKind::permanent
               : ErrorKind::transient;
  }
  const bool passing = status == 408 || status == 409 || status == 425 ||
                       (status >= 500 && status != 501 && status != 505);
  return passing ? ErrorKind::transient : ErrorKind::permanent;
}

/// The duration inside "Please try again in 9m38.016s." or "Please retry after 33 seconds.": the
/// bare duration, or "" where the message states none.
[[nodiscard]] inline std::string_view stated_wait(std::string_view message) noexcept {
  for (const std::string_view phrase : {"try again in ", "retry after "}) {
    const auto at = message.find(phrase);
    if (at == std::string_view::npos) continue;
    std::string_view rest = message.substr(at + phrase.size());
    rest = rest.substr(0, rest.find(' '));
    while (rest.ends_with('.') || rest.ends_with(',')) rest.remove_suffix(1);
    if (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') return rest;
  }
  return {};
}

/// Whether waiting can help an error of this kind at all.
[[nodiscard]] constexpr bool wait_helps(ErrorKind kind) noexcept {
  return kind == ErrorKind::rate_limited || kind == ErrorKind::unavailable ||
         kind == ErrorKind::transient;
}

/// An error found inside a successful reply or a stream. A numeric code (local servers) stands in
/// for the status, which was 200.
[[nodiscard]] inline Error classify_body(const Json& body) {
  ErrorWords words = error_words(body);
  int status = 0;
  const Json& code = body["error"]["code"];
  if (const auto number = code.as_integer(); number && *number >= 400 && *number <= 599) {
    status = static_cast<int>(*number);
  }
  Error error{error_kind(status, words)};
  error.set_status(status);
  if (wait_helps(error.kind())) {
    if (const auto wait = http::parse_go_duration(stated_wait(words.message)))
      error.set_retry_after(*wait);
  }
  error.add_message(words.message.empty() ? "the provider reported an error without a message"
                                          : std::move(words.message));
  return error;
}

/// What a reply that is no success means. The message is the provider's own, or of a body that is
/// not JSON (a proxy's HTML) its first 512 bytes; the request id is added for the log.
[[nodiscard]] inline Error classify_reply(const http::Response& response) {
  constexpr std::size_t kept_bytes = 512;
  ErrorWords words;
  if (const auto body = parse(response.body)) words = error_words(*body);

  RetryAdvice advice = RetryAdvice::none;
  if (const auto asked = response.headers.find("x-should-retry")) {
    if (*asked == "true") advice = RetryAdvice::retry;
    if (*asked == "false") advice = RetryAdvice::stop;
  }
  Error error{error_kind(response.status, words, advice)};
  error.set_status(response.status);
  if (wait_helps(error.kind())) {
    auto wait = http::parse_retry_after(response.headers);
    if (!wait) wait = http::parse_go_duration(stated_wait(words.message));
    if (wait) error.set_retry_after(*wait);
  }

  std::string message = std::move(words.message);
  if (const auto elsewhere = response.headers.find("location");
      elsewhere && response.status >= 300 && response.status <= 399) {
    message = "redirected to \"" + std::string{utf8_prefix(*elsewhere, kept_bytes)} +
              "\", which is not followed; write the base url that leads there";
  }
  if (message.empty()) message = utf8_prefix(response.body, kept_bytes);
  if (message.empty()) message = "a reply without a body";
  for (const std::string_view name : {"x-request-id", "request-id", "x-ds-trace-id"}) {
    if (words.request_id.empty()) words.request_id = response.headers.find(name).value_or("");
  }
  if (!words.request_id.empty()) message += " (request " + words.request_id + ")";
  error.add_message(std::move(message));
  return error;
}

/// A successful reply whose body is no JSON: cut or garbled on its way, so `transient`.
[[nodiscard]] inline Error damaged_reply(const http::Response& response, const Error& why) {
  Error error{ErrorKind::transient, "the reply is damaged: " + std::string{why.message()}};
  error.set_status(response.status);
  return error;
}

[[nodiscard]] inline Error damaged_event(const Error& why) {
  return Error{ErrorKind::transient, "a stream event is damaged: " + std::string{why.message()}};
}

}  // namespace llm
