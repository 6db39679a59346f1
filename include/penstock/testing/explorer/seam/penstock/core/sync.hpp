// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include <penstock/core/time.hpp>
#include <penstock/testing/explorer/hooks.hpp>

/// The seam under the explorer: the same words as the plain `penstock/core/sync.hpp`, with the
/// explorer behind them. A program gets these by naming this directory before `include` on its
/// include path; no header of the library knows.
namespace penstock::sync {

template <class T>
requires(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t)) class atomic {
 public:
  using value_type = T;
  static constexpr bool is_always_lock_free = true;

  atomic() noexcept : atomic(T{}) {}
  atomic(T value) noexcept : word_(bits(value)) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  [[nodiscard]] T load(std::memory_order order = std::memory_order_seq_cst) const noexcept {
    return value(word_.load(order));
  }
  void store(T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
    word_.store(bits(desired), order);
  }
  T exchange(T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
    return modify([](T, T given) noexcept { return given; }, desired, order);
  }
  bool compare_exchange_weak(T& expected,
                             T desired,
                             std::memory_order success,
                             std::memory_order failure) noexcept {
    return compare(expected, desired, success, failure, Strength::weak);
  }
  bool compare_exchange_weak(T& expected,
                             T desired,
                             std::memory_order order = std::memory_order_seq_cst) noexcept {
    return compare(expected, desired, order, on_failure(order), Strength::weak);
  }
  bool compare_exchange_strong(T& expected,
                               T desired,
                               std::memory_order success,
                               std::memory_order failure) noexcept {
    return compare(expected, desired, success, failure, Strength::strong);
  }
  bool compare_exchange_strong(T& expected,
                               T desired,
                               std::memory_order order = std::memory_order_seq_cst) noexcept {
    return compare(expected, desired, order, on_failure(order), Strength::strong);
  }

  T fetch_add(T by, std::memory_order order = std::memory_order_seq_cst) noexcept requires
      std::integral<T> {
    return modify([](T a, T b) noexcept { return static_cast<T>(a + b); }, by, order);
  }
  T fetch_sub(T by, std::memory_order order = std::memory_order_seq_cst) noexcept requires
      std::integral<T> {
    return modify([](T a, T b) noexcept { return static_cast<T>(a - b); }, by, order);
  }
  T fetch_and(T with, std::memory_order order = std::memory_order_seq_cst) noexcept requires
      std::integral<T> {
    return modify([](T a, T b) noexcept { return static_cast<T>(a & b); }, with, order);
  }
  T fetch_or(T with, std::memory_order order = std::memory_order_seq_cst) noexcept requires
      std::integral<T> {
    return modify([](T a, T b) noexcept { return static_cast<T>(a | b); }, with, order);
  }
  T fetch_xor(T with, std::memory_order order = std::memory_order_seq_cst) noexcept requires
      std::integral<T> {
    return modify([](T a, T b) noexcept { return static_cast<T>(a ^ b); }, with, order);
  }

  operator T() const noexcept { return load(); }
  T operator=(T desired) noexcept {
    store(desired);
    return desired;
  }
  T operator++() noexcept requires std::integral<T> { return static_cast<T>(fetch_add(1) + 1); }
  T operator++(int) noexcept requires std::integral<T> { return fetch_add(1); }
  T operator--() noexcept requires std::integral<T> { return static_cast<T>(fetch_sub(1) - 1); }
  T operator--(int) noexcept requires std::integral<T> { return fetch_sub(1); }
  T operator+=(T by) noexcept requires std::integral<T> {
    return static_cast<T>(fetch_add(by) + by);
  }
  T operator-=(T by) noexcept requires std::integral<T> {
    return static_cast<T>(fetch_sub(by) - by);
  }

 private:
  using Strength = testing::explorer::AtomicWord::Strength;
  friend bool sleep_on(const atomic<std::uint32_t>&, std::uint32_t, Time) noexcept;
  friend void wake_on(const atomic<std::uint32_t>*) noexcept;

  static std::uint64_t bits(T value) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);  // padding included, as in the real one
    return word;
  }
  static T value(std::uint64_t word) noexcept {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &word, sizeof bytes);
    return std::bit_cast<T>(bytes);
  }
  static constexpr std::memory_order on_failure(std::memory_order order) noexcept {
    if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
    if (order == std::memory_order_release) return std::memory_order_relaxed;
    return order;
  }
  template <class Operation>
  T modify(Operation, T operand, std::memory_order order) noexcept {
    constexpr auto change = [](std::uint64_t old, std::uint64_t with) noexcept {
      return bits(Operation{}(value(old), value(with)));
    };
    return value(word_.modify(change, bits(operand), order));
  }
  bool compare(T& expected,
               T desired,
               std::memory_order success,
               std::memory_order failure,
               Strength strength) noexcept {
    std::uint64_t seen = bits(expected);
    if (word_.compare_exchange(seen, bits(desired), success, failure, strength)) return true;
    expected = value(seen);
    return false;
  }

  testing::explorer::AtomicWord word_;
};

inline bool sleep_on(const atomic<std::uint32_t>& word,
                     std::uint32_t expected,
                     Time until) noexcept {
  return word.word_.sleep(atomic<std::uint32_t>::bits(expected), until);
}
inline void wake_on(const atomic<std::uint32_t>* word) noexcept {
  testing::explorer::AtomicWord::wake(&word->word_);
}

using mutex = testing::explorer::Mutex;

class condition_variable {
 public:
  void notify_one() noexcept { condition_.notify_one(); }
  void notify_all() noexcept { condition_.notify_all(); }
  void wait(std::unique_lock<mutex>& lock) noexcept {
    static_cast<void>(condition_.wait(*lock.mutex(), never));
  }
  template <class Predicate>
  void wait(std::unique_lock<mutex>& lock, Predicate holds) {
    while (!holds()) wait(lock);
  }
  std::cv_status wait_until(std::unique_lock<mutex>& lock, Time until) noexcept {
    return condition_.wait(*lock.mutex(), until) ? std::cv_status::no_timeout
                                                 : std::cv_status::timeout;
  }
  template <class Predicate>
  bool wait_until(std::unique_lock<mutex>& lock, Time until, Predicate holds) {
    while (!holds()) {
      if (wait_until(lock, until) == std::cv_status::timeout) return holds();
    }
    return true;
  }

 private:
  testing::explorer::Condition condition_;
};

/// The number of a controlled thread; 0 is no thread.
struct thread_id {
  std::uint32_t number = 0;
  friend auto operator<=>(thread_id, thread_id) noexcept = default;
};

class thread {
 public:
  using id = thread_id;

  thread() noexcept = default;
  template <class Function, class... Arguments>
  requires(!std::same_as<std::remove_cvref_t<Function>, thread>)  //
      explicit thread(Function&& function, Arguments&&... arguments) {
    using Call = std::tuple<std::decay_t<Function>, std::decay_t<Arguments>...>;
    auto* const call =
        new Call(std::forward<Function>(function), std::forward<Arguments>(arguments)...);
    id_.number = testing::explorer::hook::start_thread(
        [](void* given) {
          auto* const mine = static_cast<Call*>(given);
          std::apply(
              [](auto&& work, auto&&... with) {
                std::invoke(std::forward<decltype(work)>(work),
                            std::forward<decltype(with)>(with)...);
              },
              std::move(*mine));
          delete mine;
        },
        call);
  }
  thread(thread&& other) noexcept : id_(std::exchange(other.id_, {})) {}
  thread& operator=(thread&& other) noexcept {
    if (joinable()) testing::explorer::hook::unjoined(id_.number);
    id_ = std::exchange(other.id_, {});
    return *this;
  }
  ~thread() {
    if (joinable()) testing::explorer::hook::unjoined(id_.number);
  }

  [[nodiscard]] bool joinable() const noexcept { return id_ != thread_id{}; }
  [[nodiscard]] thread_id get_id() const noexcept { return id_; }
  void join() noexcept { testing::explorer::hook::join(std::exchange(id_, {}).number); }

 private:
  thread_id id_;
};

[[nodiscard]] inline thread_id this_thread_id() noexcept {
  return {testing::explorer::hook::this_thread()};
}
[[nodiscard]] inline unsigned hardware_threads() noexcept {
  return 2;
}
[[nodiscard]] inline Time now() noexcept {
  return testing::explorer::hook::now();
}

template <class Object>
[[nodiscard]] Object& per_thread() noexcept {
  static constexpr char key = 0;
  return *static_cast<Object*>(testing::explorer::hook::per_thread(
      &key,
      sizeof(Object),
      [](void* memory) { ::new (memory) Object(); },
      [](void* object) noexcept { static_cast<Object*>(object)->~Object(); }));
}

inline constexpr bool keeps_freed_frames = false;

}  // namespace penstock::sync
