// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include <penstock/core/stripe.hpp>

namespace {

using penstock::stripe_hint;
using penstock::StripeNumber;

TEST(stripe_hint, stays_the_same_in_one_thread) {
  const auto first = stripe_hint();
  EXPECT_LT(first, StripeNumber::most);
  EXPECT_EQ(stripe_hint(), first);
}

TEST(stripe_number, the_smallest_free_one_is_given_and_comes_back) {
  static_cast<void>(stripe_hint());
  auto first = std::make_unique<StripeNumber>();
  const StripeNumber second;
  EXPECT_LT(first->value(), second.value());
  const auto freed = first->value();
  first.reset();
  EXPECT_EQ(StripeNumber{}.value(), freed);
  EXPECT_EQ(StripeNumber{}.value(), freed);
}

TEST(stripe_number, later_ones_than_the_64th_share_the_last) {
  std::vector<std::unique_ptr<StripeNumber>> all(70);
  for (auto& number : all) number = std::make_unique<StripeNumber>();
  EXPECT_EQ(all.back()->value(), 63U);
  all.pop_back();  // one that holds nothing frees nothing
  EXPECT_EQ(StripeNumber{}.value(), 63U);
  const auto freed = all.front()->value();
  all.front().reset();
  EXPECT_EQ(StripeNumber{}.value(), freed);
}

}  // namespace
