// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/result.hpp>
#include <penstock/core/sync.hpp>
#include <penstock/exec/wait_step.hpp>
#include <penstock/exec/waiter.hpp>

namespace penstock {

/// One result that somebody else brings: a callback API as an awaitable.
///
///     OneShot<Reply> done;
///     client.get(url, done.setter());              // called with a Result<Reply>, from anywhere
///     Result<Reply> reply = co_await done.wait(call);
///
/// The first setter decides, later ones are ignored. When the last setter has gone without a
/// result, `wait` gives `closed`: a callback that is dropped is an answer too. The receiver may
/// leave first, after a stop or a deadline; a late result then goes nowhere. One shared block
/// is allocated at construction, nothing after. The setters are *safe from any thread*, the
/// receiver *one thread at a time*, with one `wait` at a time.
template <class T>
class OneShot {
  struct State {
    sync::mutex mutex;
    // Guarded by mutex.
    std::optional<Result<T>> result;
    bool decided = false;
    std::size_t setters = 0;
    WaitList waiters;

    bool set(Result<T>&& given) noexcept {
      Waiter* waiter = nullptr;
      {
        const std::lock_guard lock{mutex};
        if (decided) return false;
        decided = true;
        result.emplace(std::move(given));
        waiter = waiters.pop();
      }
      if (waiter != nullptr) waiter->wake();
      return true;
    }
    void count_setter() noexcept {
      const std::lock_guard lock{mutex};
      ++setters;
    }
    void drop_setter() noexcept {
      const bool last = [this] {
        const std::lock_guard lock{mutex};
        return --setters == 0;
      }();
      if (last) set(ErrorKind::closed);
    }
  };

  struct Take {
    State* state;
    bool enter(Waiter& waiter) noexcept {
      const std::lock_guard lock{state->mutex};
      if (state->decided) return false;
      state->waiters.push(waiter);
      return true;
    }
    bool withdraw(Waiter& waiter) noexcept {
      const std::lock_guard lock{state->mutex};
      return state->waiters.remove(waiter);
    }
    Result<T> finish(WaitEnd end) noexcept {
      if (end != WaitEnd::granted) return refusal_of(end);
      const std::lock_guard lock{state->mutex};
      if (!state->result) return ErrorKind::closed;
      Result<T> taken = *std::move(state->result);
      state->result.reset();
      return taken;
    }
  };

 public:
  static_assert(std::is_void_v<T> || std::is_nothrow_move_constructible_v<T>,
                "penstock: the value of a OneShot must move without throwing; bring a "
                "std::unique_ptr to it instead");

  /// The bringer's side: copy it, or hand it over as the callback itself.
  class Setter {
   public:
    Setter(const Setter& other) noexcept : Setter(other.state_) {}
    Setter(Setter&& other) noexcept = default;
    Setter& operator=(Setter other) noexcept {
      std::swap(state_, other.state_);
      return *this;
    }
    ~Setter() {
      if (state_) state_->drop_setter();
    }
    /// False: somebody was first. The receiver is resumed on its executor, not here.
    bool set(Result<T> result) const noexcept { return state_->set(std::move(result)); }
    void operator()(Result<T> result) const noexcept { set(std::move(result)); }

   private:
    friend class OneShot;
    explicit Setter(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {
      if (state_) state_->count_setter();
    }
    std::shared_ptr<State> state_;
  };

  /// Throws std::bad_alloc.
  OneShot() : state_(std::make_shared<State>()) {}
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;

  [[nodiscard]] Setter setter() const noexcept { return Setter{state_}; }

  using Wait = Awaiting<Take>;
  /// `Result<T> result = co_await done.wait(call)`: takes the result, once; `closed` from then on.
  /// The caller resumes on `call.where()`, without suspending when it is there. Ends with
  /// `deadline` at the call's deadline, `cancelled` on its stop, and may then be awaited again.
  [[nodiscard]] Wait wait(const Call& call = {}) noexcept { return Wait{call, state_.get()}; }
  /// The same, blocking.
  [[nodiscard]] Result<T> wait_and_take(Call call = {}) noexcept {
    return block_on<Take>(call, state_.get());
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace penstock
