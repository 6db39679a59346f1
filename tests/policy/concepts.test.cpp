// SPDX-License-Identifier: MIT
// For each concept of `policy/` whose own test does not say so: a type that models it, and for each
// requirement one that breaks that alone.
#include <string>

#include <penstock/policy/limit_window.hpp>

namespace penstock {
namespace {

// LimitRule.
struct GoodRule {
  LimitRange limits{};
  [[nodiscard]] LimitState initial() const noexcept { return {}; }
  [[nodiscard]] LimitState step(LimitState state, Time, LimitSample) const noexcept {
    return state;
  }
  [[nodiscard]] const LimitRange& range() const noexcept { return limits; }
  [[nodiscard]] std::string describe() const { return "good"; }
};
struct InitialMayThrow : GoodRule {
  [[nodiscard]] LimitState initial() const { return {}; }
};
struct BeginsWithANumber : GoodRule {
  [[nodiscard]] double initial() const noexcept { return 1; }
};
struct StepMayThrow : GoodRule {
  [[nodiscard]] LimitState step(LimitState state, Time, LimitSample) const { return state; }
};
struct ChangesInPlace : GoodRule {
  void step(LimitState&, Time, LimitSample) const noexcept {}
};
struct RemembersBesideTheState : GoodRule {
  [[nodiscard]] LimitState step(LimitState state, Time, LimitSample) noexcept { return state; }
};
struct RangeMayThrow : GoodRule {
  [[nodiscard]] const LimitRange& range() const { return limits; }
};
struct GivesACopyOfItsRange : GoodRule {
  [[nodiscard]] LimitRange range() const noexcept { return limits; }
};
struct WithoutDescription : GoodRule {
  void describe() const = delete;
};
static_assert(LimitRule<GoodRule>);
static_assert(!LimitRule<InitialMayThrow>);
static_assert(!LimitRule<BeginsWithANumber>);
static_assert(!LimitRule<StepMayThrow>);
static_assert(!LimitRule<ChangesInPlace>);
static_assert(!LimitRule<RemembersBesideTheState>);
static_assert(!LimitRule<RangeMayThrow>);
static_assert(!LimitRule<GivesACopyOfItsRange>);
static_assert(!LimitRule<WithoutDescription>);

}  // namespace
}  // namespace penstock
