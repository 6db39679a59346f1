// SPDX-License-Identifier: MIT
// The loop of Linux where the system refuses it the newest call.
#if defined(__linux__)

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <penstock/core/executor.hpp>
#include <penstock/exec/epoll_poller.hpp>
#include <penstock/exec/event_loop.hpp>

namespace penstock {
namespace {

using namespace std::chrono_literals;

// From now on epoll_pwait2 fails in this thread, where the system lets us do that.
void refuse_the_newest_call(unsigned error) {
  std::array<::sock_filter, 4> program{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},  // the number of the call comes first
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_epoll_pwait2},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const ::sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
    static_cast<void>(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

struct Seen final : Watch {
  Seen() noexcept
      : Watch([](Watch& watch, bool readable, bool) noexcept {
          static_cast<Seen&>(watch).reads += readable ? 1 : 0;
        }) {}
  int reads = 0;
};

class epoll_poller : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(exec,
                         epoll_poller,
                         ::testing::Values(ENOSYS, EPERM),
                         [](const auto& error) {
                           // The kernel before 5.11, and a container that knows no newer one.
                           return error.param == ENOSYS ? "unknown" : "forbidden";
                         });

TEST_P(epoll_poller, waits_by_the_older_call_where_the_newest_is) {
  int reads = 0;
  // The filter goes with its thread.
  std::thread{[&] {
    refuse_the_newest_call(static_cast<unsigned>(GetParam()));
    BasicEventLoop<EpollPoller> loop;
    const int descriptor = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    Seen seen;
    ASSERT_TRUE(loop.watch(descriptor, seen));
    Parker nobody;
    EXPECT_FALSE(loop.wait(nobody, loop.now() + 2ms));
    loop.unwatch(descriptor, seen);
    ::close(descriptor);
    reads = seen.reads;
  }}.join();
  EXPECT_EQ(reads, 1);
}

}  // namespace
}  // namespace penstock

#endif
