// SPDX-License-Identifier: MIT
// For each concept of `store/` whose own test does not say so: a type that models it, and for each
// requirement one that breaks that alone.
#include <array>
#include <compare>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <span>
#include <string>
#include <vector>

#include <penstock/store/batch_handler.hpp>
#include <penstock/store/in_flight.hpp>

namespace penstock {
namespace {

struct WithoutHash {
  bool operator==(const WithoutHash&) const = default;
};
struct WithoutComparison {};
struct HashedToText {
  bool operator==(const HashedToText&) const = default;
};

}  // namespace
}  // namespace penstock

template <>
struct std::hash<penstock::WithoutComparison> {
  std::size_t operator()(const penstock::WithoutComparison&) const noexcept { return 0; }
};
template <>
struct std::hash<penstock::HashedToText> {
  std::string operator()(const penstock::HashedToText&) const { return {}; }
};

namespace penstock {
namespace {

// StoreKey.
static_assert(StoreKey<int> && StoreKey<std::string>);
static_assert(!StoreKey<WithoutHash>);
static_assert(!StoreKey<WithoutComparison>);
static_assert(!StoreKey<HashedToText>);

// BatchReplies.
static_assert(BatchReplies<std::vector<Result<int>>, int> && BatchReplies<std::vector<int>, int>);
static_assert(BatchReplies<std::array<int, 2>, int> && BatchReplies<std::span<int>, int>);
static_assert(!BatchReplies<int, int>);
static_assert(!BatchReplies<std::list<int>, int>);  // no random access
struct WithoutSize {
  int* begin() { return nullptr; }
  std::unreachable_sentinel_t end() { return {}; }
};
static_assert(!BatchReplies<WithoutSize, int>);
static_assert(!BatchReplies<std::vector<std::string>, int>);

// BatchHandler: with or without a call; replies, a result of them, or a task of either.
template <class Answer>
struct Handler {
  Answer operator()(std::span<int>, Call&);
};
struct HandlerWithoutCall {
  std::vector<int> operator()(std::span<int>);
};
struct HandlerOfOne {
  std::vector<int> operator()(int, Call&);
};
static_assert(BatchHandler<Handler<std::vector<int>>, int, int>);
static_assert(BatchHandler<HandlerWithoutCall, int, int>);
static_assert(BatchHandler<Handler<Result<std::vector<int>>>, int, int>);
static_assert(BatchHandler<Handler<Task<Result<std::vector<int>>>>, int, int>);
static_assert(BatchHandler<Handler<void>, int, void> &&
              BatchHandler<Handler<Task<Result<void>>>, int, void>);
static_assert(!BatchHandler<HandlerOfOne, int, int>);
static_assert(!BatchHandler<Handler<std::vector<int>>, std::string, int>);
static_assert(!BatchHandler<Handler<std::vector<std::string>>, int, int>);
static_assert(!BatchHandler<Handler<int>, int, int>);
static_assert(!BatchHandler<Handler<void>, int, int>);
static_assert(!BatchHandler<Handler<std::vector<int>>, int, void>);

}  // namespace
}  // namespace penstock
