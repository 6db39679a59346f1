// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <utility>

#include <penstock/core/sync.hpp>

namespace penstock {

class StopSource;

/// Tells whether its source has been asked to stop. A default token never stops. *Safe from any
/// thread.* Valid while the source lives.
class StopToken {
 public:
  constexpr StopToken() noexcept = default;
  [[nodiscard]] bool stop_possible() const noexcept { return source_ != nullptr; }
  [[nodiscard]] inline bool stop_requested() const noexcept;
  friend bool operator==(StopToken, StopToken) noexcept = default;

 private:
  friend class StopSource;
  friend class StopNode;
  constexpr explicit StopToken(StopSource* source) noexcept : source_(source) {}
  StopSource* source_ = nullptr;
};

/// The callback side of a stop, without the function: an intrusive node that its owner hooks into
/// a source. `StopCallback` is the form to use; this one is smaller, for what is kept once for each
/// call in flight. *One thread at a time.*
class StopNode {
 public:
  StopNode(const StopNode&) = delete;
  StopNode& operator=(const StopNode&) = delete;

 protected:
  using Fire = void (*)(StopNode&) noexcept;
  StopNode(Fire action, StopToken token) noexcept : fire_(action), source_(token.source_) {}
  ~StopNode() = default;

  [[nodiscard]] bool stop_requested() const noexcept { return StopToken{source_}.stop_requested(); }
  /// From now on a stop runs the action once, in the thread that requests it; here and now if it
  /// was requested already.
  inline void hook() noexcept;
  /// Once after `hook`: the action is not running any more and will not run.
  inline void unhook() noexcept;

 private:
  friend class StopSource;
  Fire fire_;
  StopSource* source_;  // null: nothing will stop it any more
  StopNode* previous_ = nullptr;
  StopNode* next_ = this;  // itself: not in the source's list
};

/// Owns the wish to stop. *Safe from any thread.* Allocates nothing: it must outlive its tokens
/// and callbacks, which structured code gives for free.
///
/// Protocol: `stopped_` goes once from false to true, under `mutex_`, by the first
/// `request_stop`, which then runs every linked callback in turn, each without the lock held.
/// A callback that is being run is named by `running_`; removing it from another thread waits
/// until it has returned, so a callback never runs after its owner's destructor.
class StopSource {
 public:
  StopSource() noexcept = default;
  StopSource(const StopSource&) = delete;
  StopSource& operator=(const StopSource&) = delete;

  [[nodiscard]] StopToken token() noexcept { return StopToken{this}; }
  // Acquire: whoever sees the stop also sees what was written before it was requested.
  [[nodiscard]] bool stop_requested() const noexcept {
    return stopped_.load(std::memory_order_acquire);
  }

  /// True for the call that stopped it. Callbacks run in the calling thread before it returns.
  bool request_stop() noexcept {
    std::unique_lock lock{mutex_};
    if (stopped_.load(std::memory_order_relaxed)) return false;
    stopped_.store(true, std::memory_order_release);
    runner_ = sync::this_thread_id();
    while (first_ != nullptr) {
      StopNode& node = *first_;
      unlink(node);
      running_ = &node;
      lock.unlock();
      node.fire_(node);  // may destroy the node
      lock.lock();
      running_ = nullptr;
      finished_.notify_all();
    }
    return true;
  }

 private:
  friend class StopNode;

  // False: already stopped, the caller runs the callback itself.
  bool add(StopNode& node) noexcept {
    const std::lock_guard lock{mutex_};
    if (stopped_.load(std::memory_order_relaxed)) return false;
    node.previous_ = nullptr;
    node.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &node;
    first_ = &node;
    return true;
  }

  void remove(StopNode& node) noexcept {
    std::unique_lock lock{mutex_};
    if (node.next_ != &node) {
      unlink(node);
    } else if (runner_ != sync::this_thread_id()) {
      finished_.wait(lock, [&] { return running_ != &node; });
    }
  }

  void unlink(StopNode& node) noexcept {
    (node.previous_ != nullptr ? node.previous_->next_ : first_) = node.next_;
    if (node.next_ != nullptr) node.next_->previous_ = node.previous_;
    node.next_ = &node;
  }

  sync::atomic<bool> stopped_{false};
  mutable sync::mutex mutex_;
  sync::condition_variable finished_;
  StopNode* first_ = nullptr;    // guarded by mutex_
  StopNode* running_ = nullptr;  // guarded by mutex_
  sync::thread_id runner_{};     // guarded by mutex_
};

inline bool StopToken::stop_requested() const noexcept {
  return source_ != nullptr && source_->stop_requested();
}

inline void StopNode::hook() noexcept {
  if (source_ == nullptr || source_->add(*this)) return;
  source_ = nullptr;
  fire_(*this);
}
inline void StopNode::unhook() noexcept {
  if (source_ != nullptr) std::exchange(source_, nullptr)->remove(*this);
}

/// Calls `function` once when the token's source stops: in the thread that requests it, or at
/// once, here, if it has stopped already. After the destructor it is not running and will not
/// run (the destructor waits for a call in another thread). Costs one uncontended lock to add
/// and one to remove; nothing for a token that cannot stop.
template <class Function>
class StopCallback : private StopNode {
  static_assert(std::is_nothrow_invocable_v<Function&>,
                "penstock: a stop callback must not throw; declare the callable noexcept");

 public:
  StopCallback(StopToken token, Function function) noexcept
      : StopNode([](StopNode& node) noexcept { static_cast<StopCallback&>(node).function_(); },
                 token),
        function_(std::move(function)) {
    hook();
  }
  ~StopCallback() { unhook(); }

 private:
  Function function_;
};

/// A source that also stops when its parent does, or when a `std::stop_token` at the edge does.
class LinkedStopSource : public StopSource {
 public:
  explicit LinkedStopSource(StopToken parent) noexcept : callback_(parent, Forward{this}) {}

 private:
  struct Forward {
    StopSource* source;
    void operator()() const noexcept { source->request_stop(); }
  };
  StopCallback<Forward> callback_;
};

}  // namespace penstock
