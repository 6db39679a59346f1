// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>

#include <penstock/core/sync.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define PENSTOCK_PLAIN_FRAMES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PENSTOCK_PLAIN_FRAMES 1
#endif
#endif

namespace penstock {

/// Keeps the memory of finished coroutine frames for the next ones of a similar size: in steady
/// state a coroutine call allocates nothing, on whatever threads it starts and ends.
///
/// Each thread has two magazines of blocks for each size, and takes from them and gives to them
/// without a lock. Full ones go to a depot that all threads share, and come back from there, so
/// that the lock is taken once for many blocks, and none of them gets stuck on a thread that only
/// ends what another starts (Bonwick and Adams, Magazines and Vmem, USENIX 2001). The depot
/// keeps at most `kept_bytes`; what is more goes back to the heap, as do larger frames, and all of
/// them under an address sanitizer or the explorer, which could otherwise not see a use after free.
class FrameCache {
 public:
  // Sizes are eight more than a multiple of sixteen: what a block of a common heap holds beside its
  // own header.
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t smallest = 24;
  static constexpr std::size_t classes = 256;  // frames of up to 4 KiB
  static constexpr std::size_t magazine = 64;
  static constexpr std::size_t kept_bytes = std::size_t{128} << 20;

  // Neither is ever inlined: a coroutine may go on in another thread, and clang keeps the address
  // of what is per thread from before the wait.

  /// Null when there is no memory.
  [[nodiscard, gnu::noinline]] static void* allocate(std::size_t size) noexcept {
    if constexpr (keeps) {
      const std::size_t index = class_of(size);
      if (index < classes) {
        if (state() != State::gone) {
          Rack& rack = here().racks[index];
          if (rack.loaded.count == 0) reload(rack, index);
          if (rack.loaded.count != 0) return rack.loaded.pop();
        }
        size = bytes_of(index);  // in any case: another thread may keep it for the next
      }
    }
    return ::operator new(size, std::nothrow);
  }

  [[gnu::noinline]] static void release(void* memory, std::size_t size) noexcept {
    if constexpr (keeps) {
      const std::size_t index = class_of(size);
      if (index < classes && state() != State::gone) {
        Rack& rack = here().racks[index];
        if (rack.loaded.count == magazine) unload(rack, index);
        rack.loaded.push(memory);
        return;
      }
    }
    free(memory);
  }

  /// Gives what the depot keeps back to the heap, after a peak, say. *Safe from any thread.*
  static void trim() noexcept {
    for (std::size_t index = 0; index < classes; ++index) {
      for (Stack full = depot().take(index); full.count != 0; full = depot().take(index))
        full.free_all();
    }
  }

 private:
#ifdef PENSTOCK_PLAIN_FRAMES
  static constexpr bool keeps = false;
#else
  static constexpr bool keeps = sync::keeps_freed_frames;
#endif

// g++ 12 sees a class's own `operator new` called and this one's inside inlined, or the reverse,
// and takes them for two allocators.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif
  static void free(void* memory) noexcept {
    ::operator delete(memory);
  }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

  struct Block {
    Block* next;
    Block* next_magazine;  // of the first in a magazine that is in the depot
  };
  struct Stack {
    Block* first = nullptr;
    std::size_t count = 0;

    void push(void* memory) noexcept {
      first = ::new (memory) Block{first, nullptr};
      ++count;
    }
    [[nodiscard]] void* pop() noexcept {
      --count;
      return std::exchange(first, first->next);
    }
    void free_all() noexcept {
      while (count != 0) free(pop());
    }
  };
  struct Rack {
    Stack loaded;
    Stack spare;  // full or empty
  };

  // Full magazines. `filled_` is how many of a size there are: written under the lock, and read
  // without it only to save taking it in vain.
  class Depot {
   public:
    [[nodiscard]] Stack take(std::size_t index) noexcept {
      Shelf& shelf = shelves_[index];
      if (shelf.filled.load(std::memory_order_relaxed) == 0) return {};
      const std::lock_guard lock{mutex_};
      if (shelf.first == nullptr) return {};
      Stack full{shelf.first, magazine};
      shelf.first = shelf.first->next_magazine;
      shelf.filled.fetch_sub(1, std::memory_order_relaxed);
      bytes_ -= magazine * bytes_of(index);
      return full;
    }
    // False: it is full itself.
    [[nodiscard]] bool give(const Stack& full, std::size_t index) noexcept {
      const std::size_t size = magazine * bytes_of(index);
      const std::lock_guard lock{mutex_};
      if (bytes_ + size > kept_bytes) return false;
      Shelf& shelf = shelves_[index];
      full.first->next_magazine = std::exchange(shelf.first, full.first);
      shelf.filled.fetch_add(1, std::memory_order_relaxed);
      bytes_ += size;
      return true;
    }

   private:
    struct Shelf {
      Block* first = nullptr;
      sync::atomic<std::size_t> filled{0};
    };
    sync::mutex mutex_;
    std::array<Shelf, classes> shelves_;
    std::size_t bytes_ = 0;
  };

  enum class State : unsigned char { fresh, gone };
  struct Racks {
    std::array<Rack, classes> racks{};
    Racks() noexcept = default;
    Racks(const Racks&) = delete;
    Racks& operator=(const Racks&) = delete;
    ~Racks() {
      state() = State::gone;
      for (Rack& rack : racks) {
        rack.loaded.free_all();
        rack.spare.free_all();
      }
    }
  };

  static constexpr std::size_t class_of(std::size_t size) noexcept {
    return size <= smallest ? 0 : (size - smallest + granule - 1) / granule;
  }
  static constexpr std::size_t bytes_of(std::size_t index) noexcept {
    return index * granule + smallest;
  }
  // Trivially destructible, so it can still be read while the thread's other objects go.
  static State& state() noexcept {
    return sync::per_thread<State>();
  }
  static Racks& here() noexcept {
    return sync::per_thread<Racks>();
  }
  // Never destroyed: threads may end after everything else has.
  static Depot& depot() noexcept {
    union Forever {
      Forever() noexcept : depot() {}
      ~Forever() {}
      Depot depot;
    };
    static Forever forever;
    return forever.depot;
  }

  [[gnu::noinline]] static void reload(Rack& rack, std::size_t index) noexcept {
    if (rack.spare.count != 0) {
      std::swap(rack.loaded, rack.spare);
    } else {
      rack.loaded = depot().take(index);
    }
  }
  [[gnu::noinline]] static void unload(Rack& rack, std::size_t index) noexcept {
    if (rack.spare.count != 0 && !depot().give(rack.spare, index)) rack.spare.free_all();
    rack.spare = std::exchange(rack.loaded, Stack{});
  }
};

}  // namespace penstock

#undef PENSTOCK_PLAIN_FRAMES
