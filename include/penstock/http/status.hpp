// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <penstock/core/error.hpp>
#include <penstock/core/time.hpp>
#include <penstock/http/header_values.hpp>
#include <penstock/http/message.hpp>

namespace penstock::http {

[[nodiscard]] constexpr bool is_success(int status) noexcept {
  return status >= 200 && status < 300;
}

/// What a status that is not 2xx means for whoever might ask again. A default: a provider that
/// says more in the body, such as a 429 for an exhausted quota, maps its replies itself. A status
/// beyond 599 counts as 500 (RFC 9110 §15).
[[nodiscard]] constexpr ErrorKind error_kind_of(int status) noexcept {
  switch (status) {
    case 401:
    case 403:
      return ErrorKind::credential;
    case 402:
      return ErrorKind::quota;
    case 404:
    case 410:
      return ErrorKind::not_found;
    case 408:
    case 504:
      return ErrorKind::timeout;
    case 409:
    case 425:
      return ErrorKind::transient;
    case 413:
      return ErrorKind::too_large;
    case 429:
      return ErrorKind::rate_limited;
    case 503:
    case 529:
      return ErrorKind::unavailable;
    case 501:
    case 505:
      return ErrorKind::permanent;
    default:
      return status >= 500 ? ErrorKind::transient : ErrorKind::permanent;
  }
}

/// The error that a reply with a status other than 2xx stands for: kind, status, how long it asks
/// to wait, and for the log the first 512 bytes of its body, or its reason where it has no body.
[[nodiscard]] inline Error error_of(const Response& response) {
  constexpr std::size_t excerpt_size = 512;
  std::string_view excerpt = response.body.empty() ? response.reason : response.body;
  if (excerpt.size() > excerpt_size) {
    std::size_t end = excerpt_size;
    // Not within a UTF-8 sequence, whose later bytes are 10xxxxxx.
    while (end > excerpt_size - 3 && (static_cast<unsigned char>(excerpt[end]) & 0xC0u) == 0x80u)
      --end;
    excerpt = excerpt.substr(0, end);
  }
  Error error{error_kind_of(response.status)};
  error.set_status(response.status);
  if (const std::optional<Duration> wait = parse_retry_after(response.headers))
    error.set_retry_after(*wait);
  if (!excerpt.empty()) error.add_message(std::string{excerpt});
  return error;
}

}  // namespace penstock::http
