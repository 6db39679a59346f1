// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/core/atomic.hpp>
#include <penstock/core/time.hpp>

namespace penstock {

/// What went wrong, in the words that decisions are made in.
enum class ErrorKind : std::uint8_t {
  // The other side, or the way to it, failed.
  transient,     ///< may pass if asked again: 500, 502, reset or cut connection
  unavailable,   ///< nobody serves there now: connection refused, 503, 529
  rate_limited,  ///< asked too often: 429
  timeout,       ///< no whole answer in the time allowed
  permanent,     ///< the request itself is at fault: 400, 422
  not_found,     ///< the target does not exist: 404, an unknown model
  too_large,     ///< must be split or shrunk; never worth sending again as it is
  credential,    ///< the key is wrong or not allowed: 401, 403
  quota,         ///< out of money or of an allowance that no wait restores soon
  exception,     ///< user code threw; `Error::exception()` holds it
  // We refused; nothing was sent.
  deadline,          ///< no time left to start
  cancelled,         ///< the caller's stop token fired
  circuit_open,      ///< a circuit breaker is open
  limited,           ///< a rate limiter has nothing to give in time
  overloaded,        ///< a queue or a concurrency limit is full
  budget_exhausted,  ///< the retry budget is spent
  closed,            ///< the store or executor is shutting down
};

[[nodiscard]] constexpr std::string_view to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::transient:
      return "transient";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::rate_limited:
      return "rate_limited";
    case ErrorKind::timeout:
      return "timeout";
    case ErrorKind::permanent:
      return "permanent";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::too_large:
      return "too_large";
    case ErrorKind::credential:
      return "credential";
    case ErrorKind::quota:
      return "quota";
    case ErrorKind::exception:
      return "exception";
    case ErrorKind::deadline:
      return "deadline";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::circuit_open:
      return "circuit_open";
    case ErrorKind::limited:
      return "limited";
    case ErrorKind::overloaded:
      return "overloaded";
    case ErrorKind::budget_exhausted:
      return "budget_exhausted";
    case ErrorKind::closed:
      return "closed";
  }
  return "unknown";
}

/// One attempt that failed, as kept on the final error of a retried call.
struct AttemptRecord {
  std::uint32_t number = 0;  ///< 1 for the first
  ErrorKind kind{};
  std::int16_t status = 0;
  Time started{};
  Duration elapsed{};
};

/// Why a call did not succeed.
///
/// A bare error (kind, status, retry_after) costs no allocation and never throws. A message, an
/// exception or a history is kept in one shared block that is allocated when first added; a
/// copy shares the block. *Not synchronized.* (Copies may be used from different threads.)
class [[nodiscard]] Error {
 public:
  constexpr explicit Error(ErrorKind kind) noexcept : kind_(kind) {}
  Error(ErrorKind kind, std::string message) : kind_(kind) { add_message(std::move(message)); }

  constexpr Error(const Error& other) noexcept
      : kind_(other.kind_),
        status_(other.status_),
        retry_after_(other.retry_after_),
        detail_(other.detail_) {
    if (detail_ != nullptr) share();
  }
  constexpr Error(Error&& other) noexcept
      : kind_(other.kind_),
        status_(other.status_),
        retry_after_(other.retry_after_),
        detail_(std::exchange(other.detail_, nullptr)) {}
  constexpr Error& operator=(Error other) noexcept {
    kind_ = other.kind_;
    status_ = other.status_;
    retry_after_ = other.retry_after_;
    std::swap(detail_, other.detail_);
    return *this;
  }
  constexpr ~Error() {
    if (detail_ != nullptr) drop();
  }

  /// Wraps what user code threw. Never throws: without memory the exception itself is kept out.
  [[nodiscard]] static Error from_exception(std::exception_ptr thrown) noexcept {
    Error error{ErrorKind::exception};
    try {
      Detail& detail = error.own();
      detail.exception = thrown;
      std::rethrow_exception(std::move(thrown));
    } catch (const std::exception& caught) {
      try {
        error.add_message(caught.what());
      } catch (...) {
        return error;
      }
    } catch (...) {
      return error;
    }
    return error;
  }

  [[nodiscard]] constexpr ErrorKind kind() const noexcept { return kind_; }
  /// The protocol's status (HTTP: 429), or 0 where there was none.
  [[nodiscard]] constexpr int status() const noexcept { return status_; }
  /// How long to wait before asking again makes sense, where the refuser said so.
  [[nodiscard]] constexpr std::optional<Duration> retry_after() const noexcept {
    if (retry_after_ < Duration::zero()) return std::nullopt;
    return retry_after_;
  }
  /// The same as a plain number, `otherwise` where nobody said.
  [[nodiscard]] constexpr Duration retry_after_or(Duration otherwise) const noexcept {
    return retry_after_ < Duration::zero() ? otherwise : retry_after_;
  }
  [[nodiscard]] std::string_view message() const noexcept {
    return detail_ ? std::string_view{detail_->message} : std::string_view{};
  }
  [[nodiscard]] std::exception_ptr exception() const noexcept {
    return detail_ ? detail_->exception : nullptr;
  }
  /// The failed attempts behind this error, oldest first; the last one is this error itself.
  [[nodiscard]] std::span<const AttemptRecord> history() const noexcept {
    return detail_ ? std::span<const AttemptRecord>{detail_->history}
                   : std::span<const AttemptRecord>{};
  }

  constexpr Error& set_status(int status) noexcept {
    status_ = static_cast<std::int16_t>(status);
    return *this;
  }
  constexpr Error& set_retry_after(Duration wait) noexcept {
    retry_after_ = wait < Duration::zero() ? Duration::zero() : wait;
    return *this;
  }
  Error& add_message(std::string message) {
    own().message = std::move(message);
    return *this;
  }
  Error& add_history(std::vector<AttemptRecord> history) {
    own().history = std::move(history);
    return *this;
  }

 private:
  struct Detail {
    std::string message;
    std::exception_ptr exception;
    std::vector<AttemptRecord> history;
    // The errors that refer to this block. A copy adds one, relaxed: whoever copies an error
    // keeps it alive. acq_rel when one goes: the last one deletes after all others have read.
    sync::atomic<std::uint32_t> owners{1};
  };

  [[gnu::noinline]] void share() noexcept {
    detail_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  [[gnu::noinline]] void drop() noexcept {
    if (detail_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete detail_;
    detail_ = nullptr;
  }
  // Copy on write: a block that another Error shares is never changed.
  Detail& own() {
    if (detail_ == nullptr) {
      detail_ = new Detail;
    } else if (detail_->owners.load(std::memory_order_acquire) != 1) {
      auto* const copy = new Detail{detail_->message, detail_->exception, detail_->history};
      drop();
      detail_ = copy;
    }
    return *detail_;
  }

  ErrorKind kind_;
  std::int16_t status_ = 0;
  Duration retry_after_{-1};  // negative: not known
  Detail* detail_ = nullptr;
};

/// "rate_limited (429): slow down", for logs and messages.
[[nodiscard]] inline std::string to_string(const Error& error) {
  std::string text{to_string(error.kind())};
  if (error.status() != 0) text += " (" + std::to_string(error.status()) + ")";
  if (!error.message().empty()) text.append(": ").append(error.message());
  return text;
}

}  // namespace penstock
