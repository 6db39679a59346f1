// SPDX-License-Identifier: MIT
#pragma once

#include <penstock/exec/poll_poller.hpp>
#include <penstock/exec/watch.hpp>
#if defined(__linux__)
#include <penstock/exec/epoll_poller.hpp>
#endif

namespace penstock {

/// The poller of this system.
#if defined(__linux__)
using Poller = EpollPoller;
#else
using Poller = PollPoller;
#endif

static_assert(LoopPoller<Poller>);

}  // namespace penstock
