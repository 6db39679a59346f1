// SPDX-License-Identifier: MIT
// Recipe: a layer. It stands in a stack like the ones that are shipped, over blocking leaves and
// over coroutines; only the few lines that wait exist in both forms.
#include <penstock/penstock.hpp>
#include <penstock/testing/manual_executor.hpp>

#include <cstdio>
#include <string>
#include <utility>

using penstock::Call;
using penstock::Result;
using penstock::Task;

namespace {

/// Counts the replies that took longer than a limit.
template <class Inner>
class CountSlowService {
 public:
  static constexpr bool keeps_time = true;  // `call.now` is fresh after the coroutine form
  CountSlowService(Inner inner, penstock::Duration limit, int& count)
      : inner_(std::move(inner)),
        limit_(limit),
        count_(&count) {}

  template <class Request>
  requires penstock::BlockingService<Inner, const Request&> penstock::reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const penstock::Time started = call.now;
    auto result = inner_(request, call);
    judge(started, call.now);
    return result;
  }
  template <class Request>
  requires penstock::AsyncService<Inner, const Request&> penstock::reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const penstock::Time started = call.now;
    auto result = co_await inner_(request, call);
    penstock::keep_time<Inner>(call);
    judge(started, call.now);
    co_return result;
  }
  [[nodiscard]] std::string describe() const { return "count_slow > " + inner_.describe(); }

 private:
  void judge(penstock::Time started, penstock::Time ended) noexcept {
    if (ended - started > limit_) ++*count_;
  }
  Inner inner_;
  penstock::Duration limit_;
  int* count_;
};

class CountSlow {
 public:
  static constexpr penstock::LayerKind kind = penstock::LayerKind::other;
  CountSlow(penstock::Duration limit, int& count) : limit_(limit), count_(&count) {}
  [[nodiscard]] const void* shared() const noexcept { return count_; }
  [[nodiscard]] std::string describe() const { return "count_slow"; }
  template <class Inner>
  [[nodiscard]] CountSlowService<Inner> wrap(Inner inner) && {
    return {std::move(inner), limit_, *count_};
  }

 private:
  penstock::Duration limit_;
  int* count_;
};
static_assert(penstock::Layer<CountSlow>);

}  // namespace

int main() {
  using namespace std::chrono_literals;
  int slow = 0;
  penstock::testing::ManualExecutor executor;  // simulated time: nothing here sleeps
  const auto leaf = [&executor](int number) -> Result<int> {
    executor.advance(number * 1s);
    return number;
  };
  auto ask = penstock::stack(penstock::deadline(60s), CountSlow{2s, slow}) | leaf;
  int sum = 0;
  for (const int number : {1, 2, 3, 4}) sum += ask(number, Call{.executor = &executor}).value_or(0);
  std::printf("%s\n%d slow replies\n", describe(ask).c_str(), slow);
  return slow == 2 && sum == 10 ? 0 : 1;
}
