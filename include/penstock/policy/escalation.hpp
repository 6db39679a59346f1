// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include <penstock/core/atomic.hpp>
#include <penstock/core/error_set.hpp>
#include <penstock/core/result.hpp>

namespace penstock {

/// What an error calls for beyond another try, and the emergency stop. *Safe from any thread.*
///
/// Transient errors are a `retry`'s, inside. What no retry helps goes to a backup. A severe error
/// means that every further call would do harm or be in vain (a wrong key, no money): it stops all
/// calls at once, until somebody resets it.
class Escalation {
 public:
  enum class Step : std::uint8_t { pass, backup, stop };
  struct Options {
    ErrorSet backup{ErrorKind::permanent, ErrorKind::not_found, ErrorKind::unavailable};
    ErrorSet severe{ErrorKind::credential, ErrorKind::quota};
  };

  Escalation() : Escalation(Options{}) {}
  explicit Escalation(Options settings) : options_(settings) {
    const ErrorSet own{ErrorKind::cancelled, ErrorKind::deadline, ErrorKind::closed};
    if (settings.severe.empty() || settings.severe.overlaps(own) || settings.backup.overlaps(own) ||
        settings.severe.overlaps(settings.backup)) {
      throw std::invalid_argument(
          "penstock: Escalation needs severe errors that are not also the backup's, and neither "
          "cancelled, deadline nor closed among them; write .severe = {ErrorKind::credential}");
    }
  }
  Escalation(const Escalation&) = delete;
  Escalation& operator=(const Escalation&) = delete;

  [[nodiscard]] Step step(ErrorKind kind) const noexcept {
    if (options_.severe.contains(kind)) return Step::stop;
    return options_.backup.contains(kind) ? Step::backup : Step::pass;
  }

  /// The turn in which a call starts; refused with `closed` after an emergency stop.
  [[nodiscard]] Result<std::uint32_t> admit() const noexcept {
    const Latch latch = unpack(word_.load(std::memory_order_relaxed));
    if (latch.stopped_by) return ErrorKind::closed;
    return latch.turn;
  }

  /// A call of `turn` met a severe error: true for the one that stops everything. One from before
  /// the latest reset stops nothing.
  [[nodiscard]] bool stop(ErrorKind kind, std::uint32_t turn) noexcept {
    std::uint64_t seen = pack({turn, std::nullopt});
    return word_.compare_exchange_strong(seen, pack({turn, kind}), std::memory_order_relaxed);
  }

  /// Stops by hand, for this reason; true when it ran before.
  bool stop(ErrorKind kind) noexcept {
    const Latch latch = unpack(word_.load(std::memory_order_relaxed));
    return !latch.stopped_by && stop(kind, latch.turn);
  }
  /// Lets calls pass again: a new turn.
  void reset() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (unpack(seen).stopped_by &&
           !word_.compare_exchange_weak(
               seen, pack({unpack(seen).turn + 1, std::nullopt}), std::memory_order_relaxed)) {
    }
  }
  /// What stopped it; nothing while calls pass.
  [[nodiscard]] std::optional<ErrorKind> stopped_by() const noexcept {
    return unpack(word_.load(std::memory_order_relaxed)).stopped_by;
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] std::string describe() const {
    return "escalation(stops on " + to_string(options_.severe) + ")";
  }

 private:
  struct Latch {
    std::uint32_t turn;
    std::optional<ErrorKind> stopped_by;
  };
  static constexpr std::uint64_t pack(Latch latch) noexcept {
    const std::uint64_t kind =
        latch.stopped_by ? static_cast<std::uint64_t>(*latch.stopped_by) + 1 : 0;
    return std::uint64_t{latch.turn} << 32 | kind;
  }
  static constexpr Latch unpack(std::uint64_t word) noexcept {
    const auto turn = static_cast<std::uint32_t>(word >> 32);
    const auto kind = static_cast<std::uint32_t>(word);
    if (kind == 0) return {turn, std::nullopt};
    return {turn, static_cast<ErrorKind>(kind - 1)};
  }

  const Options options_;
  // The turn in the upper half; below, 0 while calls pass, else one more than the kind that
  // stopped them. `stop` goes from 0 to a kind, `reset` to 0 in the next turn. Relaxed: it guards
  // no other memory, and a call that sees it late counts as one that was under way.
  sync::atomic<std::uint64_t> word_{0};
};

}  // namespace penstock
