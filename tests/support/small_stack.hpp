// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <cstddef>

#include <pthread.h>

namespace penstock::support {

/// Runs `function` to its end in a thread with a stack of 256 KiB.
template <class Function>
void on_a_small_stack(Function function) {
  constexpr std::size_t stack_bytes = 256 * 1024;
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, stack_bytes), 0);
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread,
                &attributes,
                [](void* work) -> void* {
                  (*static_cast<Function*>(work))();
                  return nullptr;
                },
                &function),
            0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

}  // namespace penstock::support
