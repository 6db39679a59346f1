// SPDX-License-Identifier: MIT
#pragma once

#include <version>

// libc++ has no std::stop_token before its version 20 unless asked for.
#if defined(__cpp_lib_jthread)

#include <stop_token>
#include <utility>

#include <penstock/core/stop.hpp>

namespace penstock {

/// A source that stops when a `std::stop_token` does: for the edge, where a thread of the standard
/// or somebody's framework hands one over. *Safe from any thread.* The callbacks run in the thread
/// that stops the standard token. Allocates nothing itself.
class StdStopSource : public StopSource {
 public:
  explicit StdStopSource(std::stop_token token) noexcept
      : callback_(std::move(token), Forward{this}) {}

 private:
  struct Forward {
    StopSource* source;
    void operator()() const noexcept { source->request_stop(); }
  };
  std::stop_callback<Forward> callback_;
};

}  // namespace penstock

#endif
