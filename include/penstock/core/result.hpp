// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <concepts>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include <penstock/core/error.hpp>

namespace penstock {

/// Thrown by `Result::value()` when there is none.
class BadResult : public std::exception {
 public:
  explicit BadResult(Error error) : error_(std::move(error)), text_(to_string(error_)) {}
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
  [[nodiscard]] const Error& error() const noexcept { return error_; }

 private:
  Error error_;
  std::string text_;
};

template <class T>
class Result;

template <class>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

// g++ 12 follows a union's moves without its tag and then warns about the side not there.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

/// A value, or the `Error` that stands for it. *Not synchronized.*
///
/// The same type in every language mode (`std::expected` is C++23). Reading the side that is
/// not there is a precondition violation for `*`, `->` and `error()`, a `BadResult` for
/// `value()`.
template <class T>
class [[nodiscard("a Result says whether the call succeeded; test it")]] Result {
  static_assert(std::is_object_v<T> && !std::same_as<T, Error> && !is_result<T>,
                "penstock: Result<T> holds a plain object type; for no value write Result<void>");

 public:
  using value_type = T;

  template <class U = T>
  requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Result> &&
           !std::same_as<std::remove_cvref_t<U>, Error> &&
           !std::same_as<std::remove_cvref_t<U>, std::in_place_t>)
      // NOLINTNEXTLINE(bugprone-forwarding-reference-overload)
      explicit(!std::convertible_to<U, T>)
          Result(U && value) noexcept(std::is_nothrow_constructible_v<T, U>)
      : value_(std::forward<U>(value)),
        has_value_(true) {}
  template <class... Arguments>
  explicit Result(std::in_place_t, Arguments && ... arguments)
      : value_(std::forward<Arguments>(arguments)...),
        has_value_(true) {}
  Result(Error error) noexcept : error_(std::move(error)), has_value_(false) {}
  Result(ErrorKind kind) noexcept : Result(Error{kind}) {}

  Result(const Result& other) noexcept(
      std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T>
      : has_value_(other.has_value_) {
    if (has_value_) {
      ::new (place()) T(other.value_);
    } else {
      ::new (place()) Error(other.error_);
    }
  }
  Result(Result && other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : has_value_(other.has_value_) {
    if (has_value_) {
      ::new (place()) T(std::move(other.value_));
    } else {
      ::new (place()) Error(std::move(other.error_));
    }
  }
  Result& operator=(const Result& other) requires std::copy_constructible<T> {
    if (this != &other) *this = Result{other};
    return *this;
  }
  Result& operator=(Result&& other) noexcept {
    static_assert(std::is_nothrow_move_constructible_v<T>,
                  "penstock: assigning a Result<T> needs a T whose move does not throw");
    if (this != &other) {
      this->~Result();
      ::new (static_cast<void*>(this)) Result(std::move(other));
    }
    return *this;
  }
  ~Result() {
    if (has_value_) {
      value_.~T();
    } else {
      error_.~Error();
    }
  }

  [[nodiscard]] bool has_value() const noexcept {
    return has_value_;
  }
  explicit operator bool() const noexcept {
    return has_value_;
  }

  T& operator*()& noexcept {
    return assert(has_value_), value_;
  }
  const T& operator*() const& noexcept {
    return assert(has_value_), value_;
  }
  T&& operator*()&& noexcept {
    return assert(has_value_), std::move(value_);
  }
  T* operator->() noexcept {
    return assert(has_value_), __builtin_addressof(value_);
  }
  const T* operator->() const noexcept {
    return assert(has_value_), __builtin_addressof(value_);
  }

  T& value()& {
    return require(), value_;
  }
  const T& value() const& {
    return require(), value_;
  }
  T&& value()&& {
    return require(), std::move(value_);
  }

  Error& error()& noexcept {
    return assert(!has_value_), error_;
  }
  const Error& error() const& noexcept {
    return assert(!has_value_), error_;
  }
  Error&& error()&& noexcept {
    return assert(!has_value_), std::move(error_);
  }

  template <class U>
  [[nodiscard]] T value_or(U && fallback) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(fallback));
  }
  template <class U>
  [[nodiscard]] T value_or(U && fallback)&& {
    return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(fallback));
  }

  /// `function(value)`, which returns a Result; an error passes through.
  template <class Function>
  [[nodiscard]] auto and_then(Function && function)&&->std::invoke_result_t<Function, T&&> {
    if (!has_value_) return std::move(error_);
    return std::forward<Function>(function)(std::move(value_));
  }
  /// `function(value)` as the new value; an error passes through.
  template <class Function>
  [[nodiscard]] auto transform(
      Function && function)&&->Result<std::remove_cvref_t<std::invoke_result_t<Function, T&&>>> {
    if (!has_value_) return std::move(error_);
    return std::forward<Function>(function)(std::move(value_));
  }

 private:
  void require() const {
    if (!has_value_) throw BadResult{error_};
  }
  // Both sides begin here. Without <memory>, which would be most of what this header costs.
  void* place() noexcept {
    return &error_;
  }

  union {
    T value_;
    Error error_;
  };
  bool has_value_;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Success without a value, or an `Error`. *Not synchronized.*
template <>
class [[nodiscard("a Result says whether the call succeeded; test it")]] Result<void> {
 public:
  using value_type = void;

  Result() noexcept = default;
  Result(Error error) noexcept : error_(std::move(error)), has_value_(false) {}
  Result(ErrorKind kind) noexcept : Result(Error{kind}) {}

  [[nodiscard]] bool has_value() const noexcept {
    return has_value_;
  }
  explicit operator bool() const noexcept {
    return has_value_;
  }
  void value() const {
    if (!has_value_) throw BadResult{error_};
  }
  Error& error()& noexcept {
    return assert(!has_value_), error_;
  }
  const Error& error() const& noexcept {
    return assert(!has_value_), error_;
  }
  Error&& error()&& noexcept {
    return assert(!has_value_), std::move(error_);
  }

 private:
  Error error_{ErrorKind::permanent};
  bool has_value_ = true;
};

}  // namespace penstock
