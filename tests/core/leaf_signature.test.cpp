// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include <penstock/core/leaf_signature.hpp>

namespace penstock {
namespace {

using Text = const char (&)[5];
struct Base {};
struct Derived : Base {};

static_assert(refers_to_a_conversion<int (*)(const std::string&), Text>);
static_assert(refers_to_a_conversion<int (&)(std::string&&) noexcept, Text>);
static_assert(refers_to_a_conversion<std::function<int(const std::string&)>, Text>);
static_assert(!refers_to_a_conversion<int (*)(const std::string&), const std::string&>);
static_assert(!refers_to_a_conversion<int (*)(const Base&), const Derived&>);

TEST(leaf_signature, a_parameter_by_value_keeps_what_it_was_converted_to) {
  EXPECT_FALSE((refers_to_a_conversion<int (*)(std::string), Text>));
  EXPECT_FALSE((refers_to_a_conversion<int (*)(std::string_view), const std::string&>));
}

TEST(leaf_signature, looks_at_the_call_operator_of_an_object) {
  const auto constant = [](const std::string&) { return 0; };
  auto changing = [](const std::string&) mutable noexcept { return 0; };
  EXPECT_TRUE((refers_to_a_conversion<decltype(constant), Text>));
  EXPECT_TRUE((refers_to_a_conversion<decltype(changing), Text>));
}

TEST(leaf_signature, lets_a_template_take_what_it_is_given) {
  const auto any = [](const auto&) { return 0; };
  EXPECT_FALSE((refers_to_a_conversion<decltype(any), Text>));
}

}  // namespace
}  // namespace penstock
