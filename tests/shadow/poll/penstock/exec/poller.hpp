// SPDX-License-Identifier: MIT
// Found before the library's own: the event loop of a system without epoll.
#pragma once

#include <penstock/exec/poll_poller.hpp>

namespace penstock {

using Poller = PollPoller;

}  // namespace penstock
