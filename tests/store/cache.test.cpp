// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <penstock/store/cache.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Time now{1h};
struct Length {
  std::uint64_t operator()(const std::string& text) const { return text.size(); }
};

TEST(cache, finds_what_was_put_and_nothing_else) {
  Cache<std::string, int> cache;
  EXPECT_EQ(cache.find("a"), nullptr);
  cache.put("a", 1, now);
  ASSERT_NE(cache.find("a"), nullptr);
  EXPECT_EQ(*cache.find("a")->result, 1);
  EXPECT_EQ(cache.find("a")->stored, now);
  EXPECT_EQ(cache.find("b"), nullptr);
}

TEST(cache, replaces_an_older_result_and_not_a_newer_one) {
  Cache<std::string, int> cache;
  cache.put("a", 1, now);
  cache.put("a", 2, now + 1s);
  EXPECT_EQ(*cache.find("a")->result, 2);
  cache.put("a", 3, now);
  EXPECT_EQ(*cache.find("a")->result, 2) << "a late reply";
  EXPECT_EQ(cache.size_approx(), 1U);
}

TEST(cache, drops_the_entry_used_longest_ago) {
  Cache<int, int> cache{{.max_entries = 3}};
  for (int key = 0; key < 3; ++key) cache.put(key, key, now);
  EXPECT_NE(cache.find(0), nullptr);
  cache.put(3, 3, now);
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_NE(cache.find(0), nullptr);
  EXPECT_NE(cache.find(2), nullptr);
  EXPECT_EQ(cache.size_approx(), 3U);
}

TEST(cache, is_bounded_by_weight) {
  Cache<int, std::string, Length> cache{{.max_entries = 100, .max_weight = 10}};
  cache.put(1, std::string(4, 'x'), now);
  cache.put(2, std::string(4, 'x'), now);
  EXPECT_EQ(cache.weight_approx(), 8U);
  cache.put(3, std::string(6, 'x'), now);
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_NE(cache.find(2), nullptr);
  EXPECT_EQ(cache.weight_approx(), 10U);
  cache.put(2, std::string(1, 'x'), now + 1s);
  EXPECT_EQ(cache.weight_approx(), 7U);
}

TEST(cache, keeps_nothing_too_heavy_and_drops_what_it_would_have_replaced) {
  Cache<int, std::string, Length> cache{{.max_entries = 100, .max_weight = 10}};
  cache.put(1, std::string(4, 'x'), now);
  cache.put(1, std::string(11, 'x'), now + 1s);
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_EQ(cache.weight_approx(), 0U);
}

TEST(cache, stays_within_its_bounds_over_all_shards) {
  Cache<int, int> cache{{.max_entries = 64, .max_weight = 64, .shards = 8}};
  for (int key = 0; key < 1000; ++key) cache.put(key, key, now);
  EXPECT_LE(cache.size_approx(), 64U);
  EXPECT_GE(cache.size_approx(), 56U) << "no shard is left empty";
  EXPECT_EQ(cache.weight_approx(), cache.size_approx());
}

TEST(cache, forgets_on_demand) {
  Cache<int, int> cache;
  cache.put(1, 1, now);
  cache.put(2, 2, now);
  EXPECT_TRUE(cache.erase(1));
  EXPECT_FALSE(cache.erase(1));
  EXPECT_EQ(cache.size_approx(), 1U);
  cache.clear();
  EXPECT_EQ(cache.find(2), nullptr);
  EXPECT_EQ(cache.weight_approx(), 0U);
  cache.put(2, 5, now);
  EXPECT_EQ(*cache.find(2)->result, 5);
}

TEST(cache, a_reader_keeps_what_was_dropped_meanwhile) {
  Cache<int, std::string> cache{{.max_entries = 1}};
  cache.put(1, std::string{"first"}, now);
  const auto entry = cache.find(1);
  cache.put(2, std::string{"second"}, now);
  EXPECT_EQ(*entry->result, "first");
}

// A reply whose copy and destructor go back to the cache: with a lock held they would deadlock.
struct Reentrant {
  std::function<void()> touch;
  explicit Reentrant(std::function<void()> function) : touch(std::move(function)) {}
  Reentrant(const Reentrant& other) : touch(other.touch) { touch(); }
  Reentrant(Reentrant&&) noexcept = default;
  Reentrant& operator=(const Reentrant&) = default;
  ~Reentrant() {
    if (touch) touch();
  }
};

TEST(cache, copies_and_destroys_replies_outside_its_locks) {
  Cache<int, Reentrant> cache{{.max_entries = 2}};
  int touched = 0;
  const Reentrant reply{[&] {
    ++touched;
    static_cast<void>(cache.size_approx());
  }};
  for (int key = 0; key < 4; ++key) cache.put(key, reply, now);
  cache.put(3, reply, now + 1s);
  EXPECT_TRUE(cache.erase(3));
  cache.clear();
  EXPECT_EQ(cache.size_approx(), 0U);
  EXPECT_GT(touched, 0);
}

TEST(cache, refuses_bounds_without_room) {
  EXPECT_THROW((Cache<int, int>{{.max_entries = 0}}), std::invalid_argument);
  EXPECT_THROW((Cache<int, int>{{.max_weight = 0}}), std::invalid_argument);
  EXPECT_THROW((Cache<int, int>{{.shards = 3}}), std::invalid_argument);
  EXPECT_THROW((Cache<int, int>{{.max_entries = 4, .shards = 8}}), std::invalid_argument);
}

TEST(cache, describes_its_bounds) {
  EXPECT_EQ((Cache<int, int>{{.max_entries = 10}}.describe()), "10 entries");
  EXPECT_EQ((Cache<int, int>{{.max_weight = 1'000'000}}.describe()),
            "1024 entries of weight 1000000 in 16 shards");
}

}  // namespace
}  // namespace penstock
