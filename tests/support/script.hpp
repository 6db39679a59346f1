// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <list>
#include <utility>

#include <penstock/core/executor.hpp>
#include <penstock/core/time.hpp>

namespace penstock::testing {

/// Things that happen at set times of an executor while a test waits. Must outlive them.
class Script {
 public:
  explicit Script(Executor& executor) : executor_(executor) {}
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  ~Script() {
    for (Action& action : actions_) executor_.disarm(action);
  }

  void after(Duration delay, std::function<void()> happens) {
    Action& added = actions_.emplace_back(std::move(happens));
    added.when = executor_.now() + delay;
    executor_.arm(added);
  }

 private:
  struct Action final : Timer {
    explicit Action(std::function<void()> what)
        : Timer([](Timer& timer) noexcept { static_cast<Action&>(timer).run(); }),
          run(std::move(what)) {}
    std::function<void()> run;
  };
  Executor& executor_;
  std::list<Action> actions_;
};

}  // namespace penstock::testing
