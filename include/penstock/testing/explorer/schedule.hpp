// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <penstock/core/random.hpp>
#include <penstock/testing/explorer/clock.hpp>

namespace penstock::testing::explorer {

/// Who could take the next step: the thread that took the last one first if it can go on, the
/// passing of time to the next deadline last if somebody waits for one.
struct Candidates {
  static constexpr unsigned clock = max_threads;
  std::array<unsigned, max_threads + 1> who{};
  unsigned count = 0;
  bool current_first = false;
  bool clock_last = false;
  void add(unsigned candidate) noexcept { who[count++] = candidate; }
};

/// Decides whatever the language and the system leave open. Each answer is an index; 0 is what a
/// single processor without preemption would do.
class Schedule {
 public:
  Schedule() = default;
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;
  virtual ~Schedule() = default;

  /// Who goes on.
  [[nodiscard]] virtual unsigned thread(const Candidates& candidates) noexcept = 0;
  /// Which of `count` stores a load sees; 0 is the newest.
  [[nodiscard]] virtual unsigned store(unsigned count) noexcept = 0;
  /// Which of `count` sleepers `notify_one` wakes; 0 is the one that has slept longest.
  [[nodiscard]] virtual unsigned sleeper(unsigned count) noexcept = 0;
  /// Whether a weak compare-exchange fails for nothing.
  [[nodiscard]] virtual bool fails() noexcept = 0;
  /// Whether one of `count` sleepers, by its index, wakes for nothing now; `count`: none.
  [[nodiscard]] virtual unsigned spurious(unsigned count) noexcept = 0;
  /// True: nothing new comes of going on from `state`.
  [[nodiscard]] virtual bool explored(std::uint64_t, const Candidates&) noexcept { return false; }
};

/// Uniform choices, with weights that are drawn from the seed as well: some seeds switch threads
/// at every step, others let one run for long.
class RandomSchedule final : public Schedule {
 public:
  explicit RandomSchedule(std::uint64_t seed) noexcept : random_(mix_bits(seed)) {
    constexpr std::array<std::uint32_t, 4> switches{64, 32, 12, 4};
    constexpr std::array<std::uint32_t, 3> times{0, 2, 16};
    constexpr std::array<std::uint32_t, 3> stales{4, 16, 32};
    switch_ = switches[below(4)];
    time_ = times[below(3)];
    stale_ = stales[below(3)];
  }

  unsigned thread(const Candidates& candidates) noexcept override {
    unsigned count = candidates.count;
    if (candidates.clock_last) {
      if (count == 1 || chance(time_)) return count - 1;
      --count;
    }
    if (candidates.current_first && !chance(switch_)) return 0;
    return below(count);
  }
  unsigned store(unsigned count) noexcept override { return chance(stale_) ? below(count) : 0; }
  unsigned sleeper(unsigned count) noexcept override { return below(count); }
  bool fails() noexcept override { return chance(2); }
  unsigned spurious(unsigned count) noexcept override { return chance(1) ? below(count) : count; }

 private:
  // Of 64.
  bool chance(std::uint32_t weight) noexcept { return (random_() & 63U) < weight; }
  unsigned below(unsigned count) noexcept {
    return count <= 1 ? 0 : static_cast<unsigned>((random_() >> 32) * count >> 32);
  }

  Random random_;
  std::uint32_t switch_;
  std::uint32_t time_;
  std::uint32_t stale_;
};

/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte 2010): the
/// highest of random priorities runs, and at two random steps of about `length` falls behind all.
class PrioritySchedule final : public Schedule {
 public:
  PrioritySchedule(std::uint64_t seed, std::uint32_t length) noexcept : random_(mix_bits(~seed)) {
    for (std::uint64_t& priority : priority_) priority = (random_() >> 1) | std::uint64_t{1} << 62;
    for (std::uint32_t& step : change_at_) step = 1 + below(std::max(length, 1U));
    stale_ = below(2) == 0 ? 4 : 24;
  }

  unsigned thread(const Candidates& candidates) noexcept override {
    ++step_;
    // Priorities are not fair: whoever spins for another would do so for ever.
    if (step_ > unfair_steps) return below(candidates.count);
    if (std::find(change_at_.begin(), change_at_.end(), step_) != change_at_.end())
      priority_[candidates.who[highest(candidates)]] = lowest_--;
    return highest(candidates);
  }
  unsigned store(unsigned count) noexcept override {
    return (random_() & 63U) < stale_ ? below(count) : 0;
  }
  unsigned sleeper(unsigned count) noexcept override { return below(count); }
  bool fails() noexcept override { return (random_() & 63U) == 0; }
  unsigned spurious(unsigned count) noexcept override { return count; }

 private:
  static constexpr std::uint32_t unfair_steps = 2000;

  [[nodiscard]] unsigned highest(const Candidates& candidates) const noexcept {
    unsigned best = 0;
    for (unsigned index = 1; index < candidates.count; ++index) {
      if (priority_[candidates.who[index]] > priority_[candidates.who[best]]) best = index;
    }
    return best;
  }
  unsigned below(unsigned count) noexcept {
    return count <= 1 ? 0 : static_cast<unsigned>((random_() >> 32) * count >> 32);
  }

  Random random_;
  std::array<std::uint64_t, max_threads + 1> priority_{};
  std::array<std::uint32_t, 2> change_at_{};
  std::uint64_t lowest_ = max_threads + 2;
  std::uint32_t step_ = 0;
  std::uint32_t stale_;
};

/// The choices of one execution that were not 0, by their position.
struct Deviation {
  std::uint32_t position;
  std::uint32_t choice;
};
using Path = SystemVector<Deviation>;

/// Follows a path; without one, the schedule of a single processor that never preempts.
class FollowSchedule final : public Schedule {
 public:
  FollowSchedule() = default;
  explicit FollowSchedule(Path path) : path_(std::move(path)) {}

  unsigned thread(const Candidates& candidates) noexcept override {
    ++threads_chosen_;
    return next(candidates.count);
  }
  unsigned store(unsigned count) noexcept override { return next(count); }
  unsigned sleeper(unsigned count) noexcept override { return next(count); }
  bool fails() noexcept override { return next(2) != 0; }
  unsigned spurious(unsigned count) noexcept override { return count; }

  [[nodiscard]] std::uint32_t threads_chosen() const noexcept { return threads_chosen_; }

 private:
  unsigned next(unsigned count) noexcept {
    unsigned choice = 0;
    if (at_ < path_.size() && path_[at_].position == position_) choice = path_[at_++].choice;
    ++position_;
    return std::min(choice, count - 1);
  }

  Path path_;
  std::size_t at_ = 0;
  std::uint32_t position_ = 0;
  std::uint32_t threads_chosen_ = 0;
};

/// What depth-first search may do in one execution besides letting each thread run until it
/// blocks.
struct Bounds {
  unsigned preemptions = 2;  ///< switches away from a thread that could go on, or time that
                             ///< passes while one could
  unsigned memory = 1;       ///< loads that see an older store, weak exchanges that fail
};

/// Depth first through every schedule within the bounds, one execution after another. Of
/// schedules that order all conflicting steps alike one is enough, so a state that was reached by
/// another order of independent steps, with as many preemptions left, is not explored again
/// (happens-before caching: Musuvathi, Qadeer 2007).
class DepthFirstSchedule final : public Schedule {
 public:
  explicit DepthFirstSchedule(Bounds bounds) : bounds_(bounds), seen_(std::size_t{1} << 12) {}

  /// Before each execution. False: there is none left.
  [[nodiscard]] bool next() {
    if (started_) {
      while (!choices_.empty() && choices_.back().chosen + 1 == choices_.back().count)
        choices_.pop_back();
      if (choices_.empty()) return false;
      ++choices_.back().chosen;
    }
    started_ = true;
    at_ = 0;
    position_ = 0;
    preemptions_ = bounds_.preemptions;
    memory_ = bounds_.memory;
    return true;
  }
  /// Of the present execution.
  [[nodiscard]] Path path() const {
    Path path;
    for (std::size_t index = 0; index < at_; ++index) {
      if (choices_[index].chosen != 0)
        path.push_back({choices_[index].position, choices_[index].chosen});
    }
    return path;
  }
  [[nodiscard]] std::size_t states() const noexcept { return states_; }

  bool explored(std::uint64_t state, const Candidates& candidates) noexcept override {
    if (at_ < choices_.size() || allowed(candidates) == 1) return false;
    const std::uint64_t who = candidates.current_first ? candidates.who[0] + 1 : 0;
    return !remember(chain(chain(state, who), memory_), preemptions_);
  }
  unsigned thread(const Candidates& candidates) noexcept override {
    const unsigned choice = decide(allowed(candidates));
    if (choice != 0 && candidates.current_first) --preemptions_;
    return choice;
  }
  unsigned store(unsigned count) noexcept override {
    const unsigned choice = decide(memory_ == 0 ? 1 : count);
    if (choice != 0) --memory_;
    return choice;
  }
  unsigned sleeper(unsigned count) noexcept override { return decide(count); }
  bool fails() noexcept override {
    const unsigned choice = decide(memory_ == 0 ? 1 : 2);
    if (choice != 0) --memory_;
    return choice != 0;
  }
  unsigned spurious(unsigned count) noexcept override { return count; }

 private:
  struct Choice {
    std::uint32_t position;
    std::uint32_t chosen;
    std::uint32_t count;
  };
  struct Seen {
    std::uint64_t state = 0;
    std::uint32_t preemptions = 0;
  };

  [[nodiscard]] unsigned allowed(const Candidates& candidates) const noexcept {
    return candidates.current_first && preemptions_ == 0 ? 1 : candidates.count;
  }
  unsigned decide(unsigned count) noexcept {
    const std::uint32_t position = position_++;
    if (count == 1) return 0;
    if (at_ == choices_.size()) choices_.push_back({position, 0, count});
    return choices_[at_++].chosen;
  }

  // False: known, with as many preemptions left.
  bool remember(std::uint64_t state, std::uint32_t preemptions) noexcept {
    if (states_ * 2 >= seen_.size()) grow();
    Seen& seen = find(seen_, state);
    if (seen.state == 0) {
      ++states_;
    } else if (seen.preemptions >= preemptions) {
      return false;
    }
    seen = {state, preemptions};
    return true;
  }
  static Seen& find(SystemVector<Seen>& in, std::uint64_t state) noexcept {
    std::size_t place = state & (in.size() - 1);
    while (in[place].state != 0 && in[place].state != state) place = (place + 1) & (in.size() - 1);
    return in[place];
  }
  void grow() {
    SystemVector<Seen> larger(seen_.size() * 2);
    for (const Seen& seen : seen_) {
      if (seen.state != 0) find(larger, seen.state) = seen;
    }
    seen_ = std::move(larger);
  }

  const Bounds bounds_;
  bool started_ = false;
  SystemVector<Choice> choices_;
  std::size_t at_ = 0;
  std::uint32_t position_ = 0;
  unsigned preemptions_ = 0;
  unsigned memory_ = 0;
  SystemVector<Seen> seen_;  // open addressing; a state of 0 is a free place
  std::size_t states_ = 0;
};

}  // namespace penstock::testing::explorer
