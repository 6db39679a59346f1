// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/json.hpp>

namespace {

using llm::Json;
using llm::parse;
using ::testing::HasSubstr;
using namespace std::string_view_literals;

Json parsed(std::string_view text) {
  auto result = parse(text);
  EXPECT_TRUE(result) << text << ": " << to_string(result.error());
  return result ? *result : Json{};
}

std::string rewritten(std::string_view text) {
  return to_string(parsed(text));
}

TEST(json, accepts_what_the_grammar_allows) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"null", "null"},
      {" \t\r\n true \n", "true"},
      {"false", "false"},
      {"0", "0"},
      {"-0", "-0.0"},
      {"-1", "-1"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"9223372036854775808", "9223372036854775808"},
      {"18446744073709551615", "18446744073709551615"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"1e400", "1e400"},
      {"1e-400", "1e-400"},
      {"1.5", "1.5"},
      {"1.0", "1.0"},
      {"1E3", "1000.0"},
      {"1e+2", "100.0"},
      {"0.1", "0.1"},
      {"1e-7", "1e-07"},
      {"5e-324", "5e-324"},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"\"\"", "\"\""},
      {R"("a\"\\\/\b\f\n\r\tz")", R"("a\"\\/\b\f\n\r\tz")"},
      {R"("\u0041\u00e9\u20AC")", "\"A\u00e9\u20ac\""},
      {R"("\ud83d\ude00")", "\"\U0001F600\""},
      {R"("\u0000\u001f")", R"("\u0000\u001f")"},
      {"\"\x7f\"", "\"\x7f\""},
      {"\"\u2028\u2029\"", R"("\u2028\u2029")"},
      {"\"\xF4\x8F\xBF\xBF\"", "\"\xF4\x8F\xBF\xBF\""},
      {"[]", "[]"},
      {"[ ]", "[]"},
      {"[1 , [2], {}]", "[1,[2],{}]"},
      {"{}", "{}"},
      {R"({ "b" : 1 , "a" : [ null ] })", R"({"b":1,"a":[null]})"},
      {R"({"":0})", R"({"":0})"},
      {R"({"a":1,"b":2,"a":3})", R"({"b":2,"a":3})"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(rewritten(text), expected) << text;
}

TEST(json, refuses_what_the_grammar_does_not_allow) {
  const std::string_view cases[] = {
      "",
      " ",
      "nul",
      "True",
      "nulll",
      "01",
      "-",
      "-01",
      "+1",
      ".5",
      "1.",
      "1.e3",
      "1e",
      "1e+",
      "0x1",
      "NaN",
      "Infinity",
      "-Infinity",
      "1 2",
      "[",
      "]",
      "[1",
      "[1,",
      "[1,]",
      "[,1]",
      "[1 2]",
      "{",
      "}",
      "{\"a\"}",
      "{\"a\":}",
      "{\"a\":1,}",
      "{a:1}",
      "{'a':1}",
      "{\"a\":1 \"b\":2}",
      "{\"a\" 1}",
      "{1:2}",
      "\"",
      "\"a",
      "'a'",
      "\"\\x\"",
      "\"\\\"",
      "\"\\u12\"",
      "\"\\u12g4\"",
      "\"\\u+123\"",
      "\"\\u 123\"",
      "\"\n\"",
      "\"\t\"",
      "\"\0\""sv,
      "// c\n1",
      "[1]//",
      "\xEF\xBB\xBF"
      "1",
      "\f1",
      "1\0"sv,
      "[\"\x01\"]",
  };
  for (const auto text : cases) EXPECT_FALSE(parse(text)) << text;
}

TEST(json, refuses_bytes_that_are_not_utf8) {
  const std::string_view cases[] = {
      "\x80",
      "\xBF",
      "\xC0\x80",
      "\xC1\xBF",
      "\xC2",
      "\xC2\x41",
      "\xE0\x80\x80",
      "\xE0\x9F\xBF",
      "\xE2\x82",
      "\xED\xA0\x80",
      "\xED\xBF\xBF",
      "\xF0\x80\x80\x80",
      "\xF0\x8F\xBF\xBF",
      "\xF0\x9F\x98",
      "\xF4\x90\x80\x80",
      "\xF5\x80\x80\x80",
      "\xFE",
      "\xFF",
  };
  for (const auto bytes : cases) {
    EXPECT_FALSE(parse("\"" + std::string{bytes} + "\"")) << testing::PrintToString(bytes);
    EXPECT_FALSE(parse(std::string{bytes}));
  }
}

TEST(json, refuses_surrogates_that_are_not_a_pair) {
  const std::string_view bad[] = {
      R"("\ud83d")",
      R"("\ude00")",
      R"("\ud83dx")",
      R"("\ud83d\n")",
      R"("\ud83d\ud83d")",
      R"("\ude00\ud83d")",
      R"("\ud83d\u0041")",
      R"("\ud83d\ude0")",
  };
  for (const auto text : bad) EXPECT_FALSE(parse(text)) << text;
  // Every place where a pair may be cut.
  const std::string_view pair = R"("\ud83d\ude00")";
  for (std::size_t length = 0; length < pair.size(); ++length) {
    EXPECT_FALSE(parse(pair.substr(0, length)));
    EXPECT_EQ(parse(std::string{pair.substr(0, length)} + "\"").has_value(),
              length == 1 || length == pair.size() - 1)
        << length;
  }
}

TEST(json, says_where_and_why_it_refuses) {
  const auto result = parse("{\n  \"a\": 1,\n  \"b\" 2\n}");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), penstock::ErrorKind::permanent);
  EXPECT_EQ(result.error().message(),
            "invalid JSON at line 3, column 7 (offset 18): expected ':' after a member name");
  EXPECT_THAT(std::string{parse("[1,").error().message()}, HasSubstr("the text ends"));
}

TEST(json, refuses_nesting_that_could_exhaust_the_stack) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse(nested(128)));
  EXPECT_FALSE(parse(nested(129)));
  EXPECT_FALSE(parse(std::string(1'000'000, '[')));
  std::string objects;
  for (int depth = 0; depth < 200'000; ++depth) objects += "{\"a\":";
  EXPECT_FALSE(parse(objects));
}

TEST(json, reads_an_object_of_very_many_members) {
  std::string text = "{";
  for (int index = 0; index < 100'000; ++index) {
    if (index != 0) text += ',';
    text += "\"k" + std::to_string(index % 50'000) + "\":" + std::to_string(index);
  }
  const Json value = parsed(text + "}");
  EXPECT_EQ(value.size(), 50'000u);
  EXPECT_EQ(value["k0"].as_integer(), 50'000);
}

TEST(json, reads_absent_members_as_null_without_throwing) {
  const Json value = parsed(R"({"a":{"b":["x",2,2.5,true]}})");
  EXPECT_EQ(value["a"]["b"][0].as_string(), "x");
  EXPECT_EQ(value["a"]["b"][1].as_integer(), 2);
  EXPECT_EQ(value["a"]["b"][1].as_double(), 2.0);
  EXPECT_EQ(value["a"]["b"][2].as_integer(), std::nullopt);
  EXPECT_EQ(value["a"]["b"][3].as_bool(), true);
  EXPECT_TRUE(value["x"]["y"][7]["z"].is_null());
  EXPECT_EQ(value["x"].as_string(), std::nullopt);
  EXPECT_EQ(value["x"].text(), "");
  EXPECT_FALSE(value.contains("x"));
  EXPECT_EQ(value["a"]["b"].size(), 4u);
  EXPECT_TRUE(value["a"].items().empty());
}

TEST(json, reads_whole_doubles_as_integers_only_when_they_fit) {
  EXPECT_EQ(parsed("1e3").as_integer(), 1000);
  EXPECT_EQ(parsed("9.3e18").as_integer(), std::nullopt);
  EXPECT_EQ(parsed("-9223372036854775808.0").as_integer(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parsed("18446744073709551615").as_integer(), std::nullopt);
  EXPECT_EQ(parsed("18446744073709551615").as_double(), 18446744073709551615.0);
  EXPECT_EQ(parsed("1e400").as_double(), std::nullopt);
}

TEST(json, builds_values_in_place) {
  Json value = Json::object({{"model", "x"},
                             {"n", 1},
                             {"on", true},
                             {"t", 0.5},
                             {"big", std::numeric_limits<std::uint64_t>::max()},
                             {"list", Json::array({1, "two", nullptr})},
                             {"none", {}}});
  EXPECT_EQ(to_string(value),
            R"({"model":"x","n":1,"on":true,"t":0.5,"big":18446744073709551615,)"
            R"("list":[1,"two",null],"none":null})");
  value.set("n", 2).set("new", Json::array());
  EXPECT_TRUE(value.remove("on"));
  EXPECT_FALSE(value.remove("on"));
  EXPECT_EQ(value["n"].as_integer(), 2);
  EXPECT_EQ(to_string(Json{}.push(1).push("a")), R"([1,"a"])");
  EXPECT_EQ(to_string(Json::object({{"a", "b"}})), R"({"a":"b"})");
  EXPECT_EQ(to_string(Json::array({Json::array({1})})), "[[1]]");
}

TEST(json, writes_only_valid_json) {
  EXPECT_EQ(to_string(Json{std::numeric_limits<double>::quiet_NaN()}), "null");
  EXPECT_EQ(to_string(Json{std::numeric_limits<double>::infinity()}), "null");
  EXPECT_EQ(to_string(Json{-0.0}), "-0.0");
  EXPECT_EQ(to_string(Json{"a\xFF\xC3z\xE2\x82"}), "\"a\uFFFD\uFFFDz\uFFFD\uFFFD\"");
}

TEST(utf8, cuts_only_between_code_points) {
  EXPECT_EQ(llm::utf8_prefix("abc", 5), "abc");
  EXPECT_EQ(llm::utf8_prefix("a\u20acb", 1), "a");
  EXPECT_EQ(llm::utf8_prefix("a\u20acb", 2), "a");
  EXPECT_EQ(llm::utf8_prefix("a\u20acb", 3), "a");
  EXPECT_EQ(llm::utf8_prefix("a\u20acb", 4), "a\u20ac");
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Json value(int depth) {
    switch (pick(depth > 0 ? 8 : 6)) {
      case 0:
        return nullptr;
      case 1:
        return pick(2) == 0;
      case 2:
        return static_cast<std::int64_t>(random_());
      case 3:
        return static_cast<std::int64_t>(pick(100)) - 50;
      case 4: {
        const double real = std::bit_cast<double>(random_());
        return std::isfinite(real) ? Json{real} : Json{0.5};
      }
      case 5:
        return text();
      case 6: {
        Json array = Json::array();
        for (auto left = pick(5); left > 0; --left) array.push(value(depth - 1));
        return array;
      }
      default: {
        Json object = Json::object();
        for (auto left = pick(5); left > 0; --left) object.set(text(), value(depth - 1));
        return object;
      }
    }
  }

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

 private:
  std::string text() {
    std::string out;
    for (auto left = pick(12); left > 0; --left) {
      constexpr char32_t tops[] = {0x20, 0x80, 0x800, 0x10000, 0x110000};
      auto point = static_cast<char32_t>(random_() % tops[pick(5)]);
      if (point >= 0xD800 && point <= 0xDFFF) point = U'\u20AC';
      llm::append_utf8(out, point);
    }
    return out;
  }

  std::mt19937_64 random_;
};

TEST(json, reads_back_everything_it_writes) {
  Generator generate{20240817};
  for (int round = 0; round < 3000; ++round) {
    const Json value = generate.value(5);
    const std::string text = to_string(value);
    const auto back = parse(text);
    ASSERT_TRUE(back) << text;
    ASSERT_EQ(*back, value) << text;
    ASSERT_EQ(to_string(*back), text);
  }
}

TEST(json, survives_any_mutation_and_accepts_only_what_it_can_write_back) {
  Generator generate{7};
  std::vector<std::string> seeds{
      R"({"id":"chatcmpl-1","choices":[{"index":0,"message":{"content":"\ud83d\ude00 é"}}],"n":-1.5e-3})",
      R"([true,false,null,[],{},"\\\"\/\b",0,-0,1e9])"};
  for (int more = 0; more < 20; ++more) seeds.push_back(to_string(generate.value(4)));
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[generate.pick(seeds.size())];
    for (auto left = 1 + generate.pick(4); left > 0 && !text.empty(); --left) {
      const auto at = generate.pick(text.size());
      constexpr std::string_view alphabet = "\"\\{}[],:.eE+-0179tfnu \n\x80\xC3\xED\xF0";
      switch (generate.pick(4)) {
        case 0:
          text.erase(at, 1 + generate.pick(3));
          break;
        case 1:
          text.insert(at, 1, alphabet[generate.pick(alphabet.size())]);
          break;
        case 2:
          text[at] = static_cast<char>(generate.pick(256));
          break;
        default:
          text.resize(at);
          break;
      }
    }
    // An exact-size heap block, so that a read past the end is seen by the sanitizer.
    const std::vector<char> exact(text.begin(), text.end());
    const auto result = parse({exact.data(), exact.size()});
    if (!result) continue;
    ++accepted;
    const auto back = parse(to_string(*result));
    ASSERT_TRUE(back) << text;
    ASSERT_EQ(*back, *result) << text;
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
