// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <thread>
#include <vector>

#include <penstock/exec/frame_cache.hpp>

namespace penstock {
namespace {

constexpr std::size_t size = 700;
constexpr std::size_t many = 10 * FrameCache::magazine;

std::vector<void*> take(std::size_t count) {
  std::vector<void*> blocks(count);
  for (void*& block : blocks) block = FrameCache::allocate(size);
  return blocks;
}
void give(const std::vector<void*>& blocks) {
  for (void* const block : blocks) FrameCache::release(block, size);
}
// A sanitized build recycles nothing, on purpose.
bool recycles() {
  const std::vector<void*> first = take(1);
  give(first);
  const std::vector<void*> second = take(1);
  give(second);
  return first == second;
}
std::size_t known(const std::vector<void*>& blocks, const std::vector<void*>& before) {
  const std::set<void*> old{before.begin(), before.end()};
  std::size_t count = 0;
  for (void* const block : blocks) count += old.count(block);
  return count;
}

TEST(frame_cache, gives_different_blocks_until_they_come_back) {
  const std::vector<void*> blocks = take(many);
  EXPECT_EQ((std::set<void*>{blocks.begin(), blocks.end()}).size(), many);
  give(blocks);
}

TEST(frame_cache, recycles_however_many_were_in_use_at_once) {
  if (!recycles()) return;
  const std::vector<void*> first = take(many);
  give(first);
  const std::vector<void*> second = take(many);
  EXPECT_EQ(known(second, first), many);
  give(second);
}

TEST(frame_cache, recycles_what_another_thread_gave_back) {
  if (!recycles()) return;
  FrameCache::trim();
  std::vector<void*> first;
  std::thread{[&] { first = take(many); }}.join();
  give(first);
  std::vector<void*> second;
  std::thread{[&] {
    second = take(many);
    give(second);
  }}.join();
  // All but the two magazines that stay with the thread that gave them back.
  EXPECT_GE(known(second, first), many - 2 * FrameCache::magazine);
}

TEST(frame_cache, trims_on_demand_and_goes_on) {
  give(take(many));
  FrameCache::trim();
  const std::vector<void*> blocks = take(many);
  EXPECT_EQ((std::set<void*>{blocks.begin(), blocks.end()}).size(), many);
  give(blocks);
}

}  // namespace
}  // namespace penstock
