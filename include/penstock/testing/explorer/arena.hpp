// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <sys/mman.h>

#include <penstock/testing/explorer/clock.hpp>

namespace penstock::testing::explorer {

/// The memory of one execution: a heap that never hands out a byte twice and poisons what is
/// freed, and the stacks of the controlled threads. At the same address in every run of a
/// program, so that what depends on an address repeats too.
class Arena {
 public:
  static constexpr std::size_t heap_size = std::size_t{16} << 20;
  static constexpr std::size_t stack_size = std::size_t{256} << 10;
  static constexpr std::size_t guard_size = std::size_t{4} << 10;
  static constexpr std::size_t size = heap_size + max_threads * stack_size;

  Arena() noexcept {
    constexpr std::uintptr_t usual = 0x1000'0000'0000;
    void* memory = ::mmap(reinterpret_cast<void*>(usual),  // NOLINT(performance-no-int-to-ptr)
                          size,
                          PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                          -1,
                          0);
    if (memory == MAP_FAILED) {
      std::fputs("penstock: the explorer has no memory\n", stderr);
      std::abort();
    }
    base_ = static_cast<std::byte*>(memory);
    for (unsigned thread = 0; thread < max_threads; ++thread)
      ::mprotect(stack(thread) - guard_size, guard_size, PROT_NONE);
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { ::munmap(base_, size); }

  void reset() noexcept {
    used_ = 0;
    live_ = 0;
    blocks_.clear();
  }

  [[nodiscard]] bool contains(const volatile void* pointer) const noexcept {
    return offset_of(pointer) < size;
  }
  [[nodiscard]] std::size_t offset_of(const volatile void* pointer) const noexcept {
    return reinterpret_cast<std::uintptr_t>(pointer) - reinterpret_cast<std::uintptr_t>(base_);
  }
  /// Above its guard page.
  [[nodiscard]] std::byte* stack(unsigned thread) const noexcept {
    return base_ + heap_size + thread * stack_size + guard_size;
  }
  [[nodiscard]] static constexpr std::size_t usable_stack() noexcept {
    return stack_size - guard_size;
  }

  /// Null when it is full.
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment, const void* by) {
    const std::size_t start = (used_ + sizeof(Header) + alignment - 1) & ~(alignment - 1);
    if (start + bytes + 8 > heap_size) return nullptr;
    used_ = (start + bytes + 7) & ~std::size_t{7};
    ++live_;
    auto* const memory = base_ + start;
    const Header header{static_cast<std::uint32_t>(blocks_.size()), magic};
    std::memcpy(memory - sizeof header, &header, sizeof header);
    std::memset(memory, fresh, bytes);
    blocks_.push_back(
        {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(bytes), false, by});
    return memory;
  }

  struct Freed {
    const char* fault;  // or null
    std::size_t bytes;
  };
  [[nodiscard]] Freed free(void* pointer) noexcept {
    Header header;
    std::memcpy(&header, static_cast<std::byte*>(pointer) - sizeof header, sizeof header);
    if (header.mark != magic || header.index >= blocks_.size() ||
        blocks_[header.index].offset != offset_of(pointer))
      return {"frees what was never allocated", 0};
    Block& block = blocks_[header.index];
    if (block.freed) return {"frees for the second time", block.bytes};
    block.freed = true;
    --live_;
    std::memset(pointer, poison, block.bytes);
    return {nullptr, block.bytes};
  }

  [[nodiscard]] std::size_t live() const noexcept { return live_; }
  /// Where the first block that nobody freed was allocated.
  [[nodiscard]] const void* leaked_by() const noexcept {
    for (const Block& block : blocks_) {
      if (!block.freed) return block.by;
    }
    return nullptr;
  }
  /// Where the first block that was written to after it was freed was allocated, or null.
  [[nodiscard]] const void* spoilt_by() const noexcept {
    for (const Block& block : blocks_) {
      if (!block.freed) continue;
      const auto* const bytes = reinterpret_cast<const unsigned char*>(base_ + block.offset);
      for (std::size_t index = 0; index < block.bytes; ++index) {
        if (bytes[index] != poison) return block.by;
      }
    }
    return nullptr;
  }

 private:
  static constexpr std::uint32_t magic = 0x50454E53;
  static constexpr int fresh = 0xCD;
  static constexpr int poison = 0xDD;
  struct Header {
    std::uint32_t index;
    std::uint32_t mark;
  };
  struct Block {
    std::uint32_t offset;
    std::uint32_t bytes;
    bool freed;
    const void* by;
  };

  std::byte* base_;
  std::size_t used_ = 0;
  std::size_t live_ = 0;
  SystemVector<Block> blocks_;
};

}  // namespace penstock::testing::explorer
