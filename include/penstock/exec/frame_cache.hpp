// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <new>

#include <penstock/core/sync.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define PENSTOCK_PLAIN_FRAMES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PENSTOCK_PLAIN_FRAMES 1
#endif
#endif

namespace penstock {

/// Keeps the memory of finished coroutine frames for the next ones of a similar size, per
/// thread and without a lock: in steady state a coroutine call allocates nothing.
///
/// A frame freed on another thread joins that thread's lists. At most `depth` blocks of each
/// size are kept; larger frames, and all of them under an address sanitizer or the explorer
/// (which could otherwise not see a use after free), go to the heap.
class FrameCache {
 public:
  static constexpr std::size_t granule = 64;
  static constexpr std::size_t classes = 64;  // frames of up to 4 KiB
  static constexpr std::size_t depth = 128;

  /// Null when there is no memory.
  [[nodiscard]] static void* allocate(std::size_t size) noexcept {
    if constexpr (keeps) {
      const std::size_t index = class_of(size);
      if (index < classes && state() != State::gone) {
        List& list = here().lists[index];
        if (Block* const block = list.first; block != nullptr) {
          list.first = block->next;
          --list.count;
          return block;
        }
        size = (index + 1) * granule;
      }
    }
    return ::operator new(size, std::nothrow);
  }

  static void release(void* memory, std::size_t size) noexcept {
    if constexpr (keeps) {
      const std::size_t index = class_of(size);
      if (index < classes && state() != State::gone) {
        List& list = here().lists[index];
        if (list.count < depth) {
          list.first = ::new (memory) Block{list.first};
          ++list.count;
          return;
        }
      }
    }
    ::operator delete(memory);
  }

 private:
#ifdef PENSTOCK_PLAIN_FRAMES
  static constexpr bool keeps = false;
#else
  static constexpr bool keeps = sync::keeps_freed_frames;
#endif

  struct Block {
    Block* next;
  };
  struct List {
    Block* first = nullptr;
    std::size_t count = 0;
  };
  enum class State : unsigned char { fresh, gone };
  struct Lists {
    std::array<List, classes> lists{};
    Lists() noexcept = default;
    Lists(const Lists&) = delete;
    Lists& operator=(const Lists&) = delete;
    ~Lists() {
      state() = State::gone;
      for (const List& list : lists) {
        for (Block* block = list.first; block != nullptr;) {
          Block* const next = block->next;
          ::operator delete(block);
          block = next;
        }
      }
    }
  };

  static constexpr std::size_t class_of(std::size_t size) noexcept {
    return (size - 1) / granule;
  }
  // Trivially destructible, so it can still be read while the thread's other objects go.
  static State& state() noexcept {
    return sync::per_thread<State>();
  }
  static Lists& here() noexcept {
    return sync::per_thread<Lists>();
  }
};

}  // namespace penstock

#undef PENSTOCK_PLAIN_FRAMES
