// SPDX-License-Identifier: MIT
// For each concept of `core/` whose own test does not say so: a type that models it, and for each
// requirement one that breaks that alone.
#include <memory>
#include <string>
#include <utility>

#include <penstock/core/layer.hpp>
#include <penstock/core/leaf.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/task.hpp>

namespace penstock {
namespace {

// BlockingReply, AsyncReplyTo.
struct NoReply {};
static_assert(BlockingReply<Result<int>> && BlockingReply<Result<void>>);
static_assert(!BlockingReply<int>);
static_assert(!BlockingReply<Task<Result<int>>>);
static_assert(AsyncReplyTo<Task<Result<int>>>);
static_assert(!AsyncReplyTo<Task<int>>);
static_assert(!AsyncReplyTo<Result<int>>);
static_assert(!AsyncReplyTo<NoReply>);

// BlockingService, AsyncService, Service.
struct Blocking {
  Result<int> operator()(int, Call&) { return 1; }
};
struct Async {
  Task<Result<int>> operator()(int, Call&) { co_return 1; }
};
struct WithoutCall {
  Result<int> operator()(int) { return 1; }
};
struct WithoutRequest {
  Result<int> operator()(Call&) { return 1; }
};
struct GivesNoResult {
  int operator()(int, Call&) { return 1; }
};
struct TaskOfNoResult {
  Task<int> operator()(int, Call&) { co_return 1; }
};
static_assert(BlockingService<Blocking, int> && Service<Blocking, int>);
static_assert(!BlockingService<Async, int>);
static_assert(!BlockingService<WithoutCall, int>);
static_assert(!BlockingService<WithoutRequest, int>);
static_assert(!BlockingService<GivesNoResult, int>);
static_assert(!BlockingService<Blocking, std::string>);
static_assert(AsyncService<Async, int> && Service<Async, int>);
static_assert(!AsyncService<Blocking, int>);
static_assert(!AsyncService<TaskOfNoResult, int>);
static_assert(!AsyncService<Async, std::string>);
static_assert(!Service<WithoutCall, int>);
static_assert(!Service<GivesNoResult, int>);
static_assert(!Service<TaskOfNoResult, int>);

// LeafFor: as a service, and the call is optional.
static_assert(LeafFor<Blocking, int> && LeafFor<Async, int> && LeafFor<WithoutCall, int>);
static_assert(!LeafFor<WithoutCall, std::string>);
static_assert(!LeafFor<GivesNoResult, int>);
static_assert(!LeafFor<TaskOfNoResult, int>);

// Layer.
struct GoodLayer {
  static constexpr LayerKind kind = LayerKind::other;
  [[nodiscard]] const void* shared() const noexcept { return nullptr; }
  [[nodiscard]] std::string describe() const { return "good"; }
};
struct UnmovableLayer : GoodLayer {
  UnmovableLayer(UnmovableLayer&&) = delete;
};
struct WithoutKind : GoodLayer {
  void kind() const;
};
struct WithoutIdentity : GoodLayer {
  void shared() const = delete;
};
struct SharesByPointer : GoodLayer {
  [[nodiscard]] std::shared_ptr<void> shared() const { return nullptr; }
};
struct WithoutDescription : GoodLayer {
  void describe() const = delete;
};
struct DescribesWhenChanging : GoodLayer {
  [[nodiscard]] std::string describe() { return "changed"; }
};
static_assert(Layer<GoodLayer>);
static_assert(!Layer<UnmovableLayer>);
static_assert(!Layer<WithoutKind>);
static_assert(!Layer<WithoutIdentity>);
static_assert(!Layer<SharesByPointer>);
static_assert(!Layer<WithoutDescription>);
static_assert(!Layer<DescribesWhenChanging>);

}  // namespace
}  // namespace penstock
