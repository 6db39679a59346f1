// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#if !defined(__cpp_lib_to_chars)
#include <locale>
#include <sstream>
#endif

namespace llm {

struct JsonMember;

/// The double a JSON number spells; nullopt where no finite double is near it. Never depends on
/// the locale.
[[nodiscard]] inline std::optional<double> to_double(std::string_view spelling) {
  double value = 0;
#if defined(__cpp_lib_to_chars)
  const char* const end = spelling.data() + spelling.size();
  const auto [stopped, failure] = std::from_chars(spelling.data(), end, value);
  if (failure != std::errc{} || stopped != end) return std::nullopt;
#else
  std::istringstream stream{std::string{spelling}};
  stream.imbue(std::locale::classic());
  if (!(stream >> value) || !stream.eof()) return std::nullopt;
#endif
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

/// One JSON value (RFC 8259). *Not synchronized.*
///
/// Reading never throws and never fails: a member, an item or a kind that is not there reads as
/// null, nullopt or empty, so a reply may be taken apart without testing each step. Objects keep
/// the order of their members; finding one is linear in their number.
class Json {
 public:
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;

  Json() noexcept;
  Json(std::nullptr_t) noexcept;
  Json(std::same_as<bool> auto value) noexcept : value_(value) {}
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool> && !std::same_as<Integer, char>) Json(Integer value)
      : Json(std::in_range<std::int64_t>(value) ? integer(static_cast<std::int64_t>(value))
                                                : number_as_written(std::to_string(value))) {}
  Json(std::floating_point auto value) noexcept : Json(real(static_cast<double>(value))) {}
  Json(std::string value) noexcept;
  Json(std::string_view value);
  Json(const char* value);
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();

  /// `Json::array({1, "two", nullptr})`; `Json::array()` is the empty one.
  [[nodiscard]] static Json array(Array items);
  [[nodiscard]] static Json array();
  /// `Json::object({{"model", "x"}, {"n", 1}})`. Names are taken to be different.
  [[nodiscard]] static Json object(Object members);
  [[nodiscard]] static Json object();
  /// A number that neither int64 nor double can hold, kept digit for digit. `spelling` must follow
  /// the grammar of RFC 8259 §6.
  [[nodiscard]] static Json number_as_written(std::string spelling);

  [[nodiscard]] Kind kind() const noexcept;
  [[nodiscard]] bool is_null() const noexcept { return kind() == Kind::null; }
  [[nodiscard]] bool is_string() const noexcept { return kind() == Kind::string; }
  [[nodiscard]] bool is_array() const noexcept { return kind() == Kind::array; }
  [[nodiscard]] bool is_object() const noexcept { return kind() == Kind::object; }
  [[nodiscard]] bool is_number() const noexcept {
    return kind() == Kind::integer || kind() == Kind::number;
  }

  [[nodiscard]] std::optional<bool> as_bool() const noexcept;
  /// An integer, or a double without a fraction (1e3) that fits.
  [[nodiscard]] std::optional<std::int64_t> as_integer() const noexcept;
  [[nodiscard]] std::optional<double> as_double() const;
  /// The view lives as long as this value is neither changed nor destroyed.
  [[nodiscard]] std::optional<std::string_view> as_string() const noexcept;
  /// The string, or "" for anything else.
  [[nodiscard]] std::string_view text() const noexcept { return as_string().value_or(""); }
  /// How a number was written, where that had to be kept; "" otherwise.
  [[nodiscard]] std::string_view spelling() const noexcept;

  [[nodiscard]] std::span<const Json> items() const noexcept;
  [[nodiscard]] std::span<const JsonMember> members() const noexcept;
  /// Items of an array, members of an object, 0 for anything else.
  [[nodiscard]] std::size_t size() const noexcept { return items().size() + members().size(); }
  [[nodiscard]] bool contains(std::string_view name) const noexcept;
  [[nodiscard]] const Json& operator[](std::string_view name) const noexcept;
  [[nodiscard]] const Json& operator[](std::size_t index) const noexcept;

  /// Replaces the member in its place or appends it. Anything but an object becomes one first.
  Json& set(std::string_view name, Json value);
  /// Appends to the string member `name`, which begins empty where it was no string.
  Json& append_text(std::string_view name, std::string_view text);
  /// Takes the member out; false when there was none.
  bool remove(std::string_view name);
  /// Anything but an array becomes one first.
  Json& push(Json item);

  /// Same kinds, same values, members in the same order. 1 and 1.0 differ.
  friend bool operator==(const Json& a, const Json& b);

 private:
  struct Literal {
    std::string spelling;
    bool operator==(const Literal&) const = default;
  };

  [[nodiscard]] static const Json& null() noexcept;
  [[nodiscard]] static Json integer(std::int64_t value) noexcept;
  [[nodiscard]] static Json real(double value) noexcept;
  [[nodiscard]] Json& place(std::string_view name);

  std::variant<std::monostate, bool, std::int64_t, double, Literal, std::string, Array, Object>
      value_;
};

struct JsonMember {
  std::string name;
  Json value;
  friend bool operator==(const JsonMember&, const JsonMember&) = default;
};

// Defined where JsonMember is complete: the variant's members need it whole.
inline Json::Json() noexcept = default;
inline Json::Json(std::nullptr_t) noexcept {}
inline Json::Json(std::string value) noexcept : value_(std::move(value)) {}
inline Json::Json(std::string_view value) : value_(std::string{value}) {}
inline Json::Json(const char* value) : value_(std::string{value}) {}
inline Json::Json(const Json& other) = default;
inline Json::Json(Json&& other) noexcept = default;
inline Json& Json::operator=(const Json& other) = default;
inline Json& Json::operator=(Json&& other) noexcept = default;
inline Json::~Json() = default;

inline const Json& Json::null() noexcept {
  static const Json value;
  return value;
}

inline bool operator==(const Json& a, const Json& b) {
  return a.value_ == b.value_;
}

inline Json Json::array(Array items) {
  Json made;
  made.value_ = std::move(items);
  return made;
}
inline Json Json::array() {
  return array(Array{});
}

inline Json Json::object(Object members) {
  Json made;
  made.value_ = std::move(members);
  return made;
}
inline Json Json::object() {
  return object(Object{});
}

inline Json Json::integer(std::int64_t value) noexcept {
  Json made;
  made.value_ = value;
  return made;
}

inline Json Json::real(double value) noexcept {
  Json made;
  made.value_ = value;
  return made;
}

inline Json Json::number_as_written(std::string spelling) {
  Json made;
  made.value_ = Literal{std::move(spelling)};
  return made;
}

inline Json::Kind Json::kind() const noexcept {
  constexpr Kind by_index[] = {Kind::null,
                               Kind::boolean,
                               Kind::integer,
                               Kind::number,
                               Kind::number,
                               Kind::string,
                               Kind::array,
                               Kind::object};
  return by_index[value_.index()];
}

inline std::optional<bool> Json::as_bool() const noexcept {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  return std::nullopt;
}

inline std::optional<std::int64_t> Json::as_integer() const noexcept {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return *value;
  if (const auto* value = std::get_if<double>(&value_)) {
    constexpr double limit = 9223372036854775808.0;  // 2^63, exact as a double
    if (*value >= -limit && *value < limit && std::trunc(*value) == *value) {
      return static_cast<std::int64_t>(*value);
    }
  }
  return std::nullopt;
}

inline std::optional<double> Json::as_double() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<Literal>(&value_)) return to_double(value->spelling);
  return std::nullopt;
}

inline std::optional<std::string_view> Json::as_string() const noexcept {
  if (const auto* value = std::get_if<std::string>(&value_)) return std::string_view{*value};
  return std::nullopt;
}

inline std::string_view Json::spelling() const noexcept {
  if (const auto* value = std::get_if<Literal>(&value_)) return value->spelling;
  return {};
}

inline std::span<const Json> Json::items() const noexcept {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  return {};
}

inline std::span<const JsonMember> Json::members() const noexcept {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  return {};
}

inline bool Json::contains(std::string_view name) const noexcept {
  return std::ranges::any_of(members(), [&](const JsonMember& each) { return each.name == name; });
}

inline const Json& Json::operator[](std::string_view name) const noexcept {
  for (const JsonMember& each : members())
    if (each.name == name) return each.value;
  return null();
}

inline const Json& Json::operator[](std::size_t index) const noexcept {
  const auto all = items();
  return index < all.size() ? all[index] : null();
}

inline Json& Json::place(std::string_view name) {
  if (!is_object()) value_ = Object{};
  auto& all = *std::get_if<Object>(&value_);
  const auto found = std::ranges::find(all, name, &JsonMember::name);
  if (found != all.end()) return found->value;
  return all.emplace_back(JsonMember{std::string{name}, {}}).value;
}

inline Json& Json::set(std::string_view name, Json value) {
  place(name) = std::move(value);
  return *this;
}

inline Json& Json::append_text(std::string_view name, std::string_view text) {
  Json& member = place(name);
  if (!member.is_string()) member = "";
  std::get_if<std::string>(&member.value_)->append(text);
  return *this;
}

inline bool Json::remove(std::string_view name) {
  auto* const all = std::get_if<Object>(&value_);
  return all != nullptr &&
         std::erase_if(*all, [&](const JsonMember& each) { return each.name == name; }) != 0;
}

inline Json& Json::push(Json item) {
  if (!is_array()) value_ = Array{};
  std::get_if<Array>(&value_)->push_back(std::move(item));
  return *this;
}

}  // namespace llm
