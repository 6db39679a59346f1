// SPDX-License-Identifier: MIT
// The executors that the conformance suites run on. To add one: a line in its list.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/inline.hpp>
#include <penstock/exec/poll_poller.hpp>
#include <penstock/exec/simulation.hpp>
#include <penstock/exec/thread_pool.hpp>
#include <penstock/testing/manual_executor.hpp>

namespace penstock::conformance {

template <std::size_t size>
struct Name {
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is to become a template argument
  constexpr Name(const char (&text)[size]) { std::copy_n(text, size, letters.begin()); }
  std::array<char, size> letters{};
};

template <class E, Name name>
struct Named {
  using Executor = E;
  static constexpr std::string_view text{name.letters.data(), name.letters.size() - 1};
};
struct Names {
  template <class Entry>
  static std::string GetName(int) {
    return std::string{Entry::text};
  }
};

template <class... Entries>
struct List {
  using Types = ::testing::Types<Entries...>;
};
template <class... First, class... Second>
List<First..., Second...> operator+(List<First...>, List<Second...>);

/// They wait in real time, so that other threads can end their waits.
using InRealTime = List<Named<Inline, "inline">,
                        Named<ThreadPool, "thread_pool">,
                        Named<EventLoop, "event_loop">,
                        Named<BasicEventLoop<PollPoller>, "event_loop_poll">>;

/// Time is theirs; whatever they wait for must happen on them.
using InSimulatedTime =
    List<Named<Simulation, "simulation">, Named<testing::ManualExecutor, "manual_executor">>;

using RealExecutors = InRealTime::Types;
using EveryExecutor = decltype(InRealTime{} + InSimulatedTime{})::Types;

}  // namespace penstock::conformance
