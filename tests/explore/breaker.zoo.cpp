// SPDX-License-Identifier: MIT
// Circuit breakers that are nearly right.
#include <cstdint>

#include <penstock/core/sync.hpp>

#include <explore/scenario.hpp>

namespace explore {
namespace {

namespace sync = penstock::sync;

enum class State : std::uint8_t { closed, open, half_open };
struct Word {
  State state;
  std::uint8_t generation;
};

namespace stale_result_moves_a_newer_state {
template <bool right>
void run() {
  sync::atomic<Word> word{Word{State::half_open, 2}};
  const std::uint8_t admitted_in = 0;  // closed, two steps ago
  sync::thread late{[&] {
    Word seen = word.load();
    if (right && seen.generation != admitted_in) return;
    if (seen.state != State::open) {
      const Word next{State::open, static_cast<std::uint8_t>(seen.generation + 1)};
      word.compare_exchange_strong(seen, next);
    }
  }};
  Word half_open{State::half_open, 2};
  word.compare_exchange_strong(half_open, Word{State::closed, 3});
  late.join();
  check(word.load().state == State::closed, "a late failure opened it");
}
const Bug bug{"stale_result_moves_a_newer_state", run<false>, run<true>};
}  // namespace stale_result_moves_a_newer_state

namespace half_open_admits_one_too_many {
template <bool right>
void run() {
  sync::atomic<int> probes{0};
  const auto admit = [&] {
    if (right) {
      int none = 0;
      return probes.compare_exchange_strong(none, 1);
    }
    if (probes.load() >= 1) return false;
    probes.store(probes.load() + 1);
    return true;
  };
  bool first = false;
  sync::thread other{[&] { first = admit(); }};
  const bool second = admit();
  other.join();
  check(!(first && second), "half open, and two probes instead of one");
}
const Bug bug{"half_open_admits_one_too_many", run<false>, run<true>};
}  // namespace half_open_admits_one_too_many

namespace half_opened_twice {
// Whoever finds it due moves it on, and lets the probes begin anew.
template <bool right>
void run() {
  sync::atomic<State> state{State::open};
  sync::atomic<int> probes{0};
  sync::atomic<int> admitted{0};
  const auto admit = [&] {
    State seen = state.load();
    if (seen == State::open) {
      if (right) {
        state.compare_exchange_strong(seen, State::half_open);
      } else {
        probes.store(0);
        state.store(State::half_open);
      }
    }
    if (probes.fetch_add(1) == 0) ++admitted;
  };
  sync::thread other{admit};
  admit();
  other.join();
  check(admitted.load() == 1, "two threads half opened it, each with a probe");
}
const Bug bug{"half_opened_twice", run<false>, run<true>};
}  // namespace half_opened_twice

namespace probe_dropped_without_a_word {
template <bool right>
void run() {
  sync::atomic<int> free{1};
  const auto probe = [&](bool finishes) {
    int one = 1;
    if (!free.compare_exchange_strong(one, 0)) return false;
    if (finishes || right) free.store(1);
    return true;
  };
  sync::thread cancelled{[&] { static_cast<void>(probe(false)); }};
  static_cast<void>(probe(true));
  cancelled.join();
  check(free.load() == 1, "half open for ever");
}
const Bug bug{"probe_dropped_without_a_word", run<false>, run<true>};
}  // namespace probe_dropped_without_a_word

namespace place_freed_before_it_opens {
// A failed probe gives its place back first, and one more gets in.
template <bool right>
void run() {
  sync::atomic<State> state{State::half_open};
  sync::atomic<int> free{0};
  sync::atomic<int> probes{1};
  sync::thread failing{[&] {
    if (right) {
      state.store(State::open);
    } else {
      free.store(1);
      state.store(State::open);
    }
  }};
  int one = 1;
  if (state.load() == State::half_open && free.compare_exchange_strong(one, 0)) ++probes;
  failing.join();
  check(probes.load() == 1, "one probe more after the one that failed");
}
const Bug bug{"place_freed_before_it_opens", run<false>, run<true>};
}  // namespace place_freed_before_it_opens

namespace opened_by_each_failure {
template <bool right>
void run() {
  sync::atomic<Word> word{Word{State::closed, 0}};
  const auto fail = [&] {
    Word seen = word.load();
    if (right) {
      if (seen.generation != 0) return;
      word.compare_exchange_strong(seen, Word{State::open, 1});
    } else if (seen.state == State::closed) {
      seen = word.load();
      word.store(Word{State::open, static_cast<std::uint8_t>(seen.generation + 1)});
    }
  };
  sync::thread other{fail};
  fail();
  other.join();
  check(word.load().generation == 1, "failures of one moment opened it twice");
}
const Bug bug{"opened_by_each_failure", run<false>, run<true>};
}  // namespace opened_by_each_failure

}  // namespace
}  // namespace explore
