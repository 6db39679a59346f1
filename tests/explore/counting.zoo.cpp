// SPDX-License-Identifier: MIT
// Numbers that several threads change.
#include <mutex>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

namespace sync = penstock::sync;

namespace lost_update {
template <bool right>
void run() {
  sync::atomic<int> count{0};
  const auto add = [&] {
    if (right) {
      ++count;
    } else {
      count.store(count.load() + 1);
    }
  };
  sync::thread other{add};
  add();
  other.join();
  check(count.load() == 2, "an update was lost");
}
const Bug bug{"lost_update", run<false>, run<true>};
}  // namespace lost_update

namespace check_then_act {
template <bool right>
void run() {
  sync::atomic<int> in_use{0};
  const auto acquire = [&] {
    if (!right) {
      if (in_use.load() == 1) return false;
      ++in_use;
      return true;
    }
    int seen = in_use.load();
    do {
      if (seen == 1) return false;
    } while (!in_use.compare_exchange_weak(seen, seen + 1));
    return true;
  };
  sync::thread other{[&] { static_cast<void>(acquire()); }};
  static_cast<void>(acquire());
  other.join();
  check(in_use.load() <= 1, "more permits than there are");
}
const Bug bug{"check_then_act", run<false>, run<true>};
}  // namespace check_then_act

namespace token_bucket_in_two_variables {
// Refills one token at each instant from `filled` to `now`.
template <bool right>
void run() {
  struct State {
    int tokens;
    int filled;
  };
  sync::atomic<State> both{State{0, 0}};
  sync::atomic<int> tokens{0};
  sync::atomic<int> filled{0};
  const auto take = [&](int now) {
    if (right) {
      State seen = both.load();
      State next{};
      do {
        next = {seen.tokens + now - seen.filled, now};
        if (next.tokens == 0) return 0;
        --next.tokens;
      } while (!both.compare_exchange_weak(seen, next));
      return 1;
    }
    const int since = filled.load();
    if (now > since) {
      tokens.fetch_add(now - since);
      filled.store(now);
    }
    int seen = tokens.load();
    do {
      if (seen == 0) return 0;
    } while (!tokens.compare_exchange_weak(seen, seen - 1));
    return 1;
  };
  int first = 0;
  sync::thread other{[&] { first = take(1); }};
  const int second = take(1);
  other.join();
  check(first + second <= 1, "one token was filled in twice");
}
const Bug bug{"token_bucket_in_two_variables", run<false>, run<true>};
}  // namespace token_bucket_in_two_variables

namespace budget_loads_then_adds {
template <bool right>
void run() {
  constexpr int most = 2;
  sync::atomic<int> tokens{1};
  const auto deposit = [&] {
    if (right) {
      int seen = tokens.load();
      while (seen < most && !tokens.compare_exchange_weak(seen, seen + 1)) {
      }
    } else if (tokens.load() < most) {
      tokens.fetch_add(1);
    }
  };
  sync::thread other{deposit};
  deposit();
  other.join();
  check(tokens.load() <= most, "the budget holds more than its most");
}
const Bug bug{"budget_loads_then_adds", run<false>, run<true>};
}  // namespace budget_loads_then_adds

namespace reset_overwrites_credit {
template <bool right>
void run() {
  sync::atomic<int> credit{1};
  int taken = 0;
  sync::thread taker{[&] {
    if (right) {
      taken = credit.exchange(0);
    } else {
      taken = credit.load();
      credit.store(0);
    }
  }};
  credit.fetch_add(1);
  taker.join();
  check(taken + credit.load() == 2, "a credit was overwritten");
}
const Bug bug{"reset_overwrites_credit", run<false>, run<true>};
}  // namespace reset_overwrites_credit

namespace adds_before_it_looks {
template <bool right>
void run() {
  sync::atomic<int> in_use{0};
  const auto acquire = [&] {
    if (!right) {
      if (in_use.fetch_add(1) < 1) return true;
      in_use.fetch_sub(1);
      return false;
    }
    int seen = 0;
    return in_use.compare_exchange_strong(seen, 1);
  };
  bool held = false;
  sync::thread other{[&] { held = acquire(); }};
  const bool first = acquire();
  if (first) in_use.fetch_sub(1);
  const bool second = acquire();
  other.join();
  check(held || (first && second), "a free permit was refused");
}
const Bug bug{"adds_before_it_looks", run<false>, run<true>};
}  // namespace adds_before_it_looks

namespace subtracts_before_it_looks {
template <bool right>
void run() {
  sync::atomic<int> tokens{0};
  sync::thread spender{[&] {
    if (right) {
      int seen = tokens.load();
      while (seen > 0 && !tokens.compare_exchange_weak(seen, seen - 1)) {
      }
    } else if (tokens.fetch_sub(1) <= 0) {
      tokens.fetch_add(1);
    }
  }};
  check(tokens.load() >= 0, "a budget below nothing was seen");
  spender.join();
}
const Bug bug{"subtracts_before_it_looks", run<false>, run<true>};
}  // namespace subtracts_before_it_looks

namespace rate_of_two_counters {
template <bool right>
void run() {
  sync::atomic<unsigned> total{0};
  sync::atomic<unsigned> failures{0};
  sync::atomic<unsigned> both{0};  // total << 16 | failures
  sync::thread recorder{[&] {
    if (right) {
      both.fetch_add(1U << 16 | 1U);
    } else {
      failures.fetch_add(1);
      total.fetch_add(1);
    }
  }};
  unsigned all = total.load();
  unsigned failed = failures.load();
  if (right) {
    const unsigned word = both.load();
    all = word >> 16;
    failed = word & 0xFFFF;
  }
  check(failed <= all, "more failures than calls");
  recorder.join();
}
const Bug bug{"rate_of_two_counters", run<false>, run<true>};
}  // namespace rate_of_two_counters

namespace size_read_without_the_lock {
template <bool right>
void run() {
  sync::mutex mutex;
  int size = 0;
  sync::thread writer{[&] {
    const std::lock_guard lock{mutex};
    ++size;
  }};
  int seen = 0;
  if (right) {
    const std::lock_guard lock{mutex};
    seen = size;
  } else {
    seen = size;
  }
  check(seen <= 1, "a size that never was");
  writer.join();
}
const Bug bug{"size_read_without_the_lock", run<false>, run<true>};
}  // namespace size_read_without_the_lock

namespace two_locks_for_one_datum {
template <bool right>
void run() {
  sync::mutex readers;
  sync::mutex writers;
  Var<int> value{0};
  sync::thread writer{[&] {
    const std::lock_guard lock{writers};
    value.set(1);
  }};
  {
    const std::lock_guard lock{right ? writers : readers};
    check(value.get() <= 1, "a value that never was");
  }
  writer.join();
}
const Bug bug{"two_locks_for_one_datum", run<false>, run<true>};
}  // namespace two_locks_for_one_datum

namespace capacity_looked_at_outside_the_lock {
template <bool right>
void run() {
  sync::mutex mutex;
  sync::atomic<int> size{0};
  const auto push = [&] {
    if (!right && size.load() == 1) return;
    const std::lock_guard lock{mutex};
    if (right && size.load() == 1) return;
    ++size;
  };
  sync::thread other{push};
  push();
  other.join();
  check(size.load() <= 1, "the queue holds more than its capacity");
}
const Bug bug{"capacity_looked_at_outside_the_lock", run<false>, run<true>};
}  // namespace capacity_looked_at_outside_the_lock

namespace the_last_to_fail_tells_before_the_winner {
// Who wins, or fails as the last, decides; it tells without the lock, and the first word counts.
template <bool right>
void run() {
  sync::mutex mutex;
  int left = 2;
  bool decided = false;
  sync::atomic<int> told{0};
  const auto ended = [&](bool won) {
    {
      const std::lock_guard lock{mutex};
      --left;
      if ((right && decided) || (!won && left != 0)) return;
      decided = true;
    }
    int nothing = 0;
    told.compare_exchange_strong(nothing, won ? 1 : 2);
  };
  sync::thread other{[&] { ended(true); }};
  ended(false);
  other.join();
  check(told.load() == 1, "one has won, and a failure was told");
}
const Bug bug{"the_last_to_fail_tells_before_the_winner", run<false>, run<true>};
}  // namespace the_last_to_fail_tells_before_the_winner

}  // namespace
}  // namespace explore
