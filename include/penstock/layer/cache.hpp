// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/exec/pool_scope.hpp>
#include <penstock/exec/scope.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/policy/cache.hpp>
#include <penstock/store/cache.hpp>

namespace penstock {

/// One call's view of a cache, and its decisions: the blocking and the coroutine form differ only
/// in how they call inside. *Not synchronized.*
template <class Kept>
class CachedCall {
  using Entry = typename Kept::Entry;
  using R = std::remove_const_t<decltype(Entry::result)>;
  using Freshness = CachePolicy::Freshness;

 public:
  template <class Key>
  CachedCall(Kept& kept, const CachePolicy& policy, const Key& key, Time now)
      : policy_(policy),
        entry_(kept.find(key)) {
    if (!entry_) return;
    freshness_ = policy.freshness(
        entry_->result ? CachePolicy::Kept::reply : CachePolicy::Kept::error, entry_->stored, now);
    if (freshness_ == Freshness::stale)
      refreshes_ = !entry_->refreshing.exchange(true, std::memory_order_relaxed);
  }
  CachedCall(CachedCall&& other) noexcept
      : policy_(other.policy_),
        entry_(std::move(other.entry_)),
        freshness_(other.freshness_),
        refreshes_(std::exchange(other.refreshes_, false)) {}
  CachedCall& operator=(CachedCall&&) = delete;
  ~CachedCall() {
    if (refreshes_) entry_->refreshing.store(false, std::memory_order_relaxed);
  }

  /// The kept result is the answer: it is fresh, or stale while another asks anew.
  [[nodiscard]] bool hits() const noexcept {
    return freshness_ == Freshness::fresh || (freshness_ == Freshness::stale && !refreshes_);
  }
  /// This call is the one that asks anew while a stale reply is good for everybody.
  [[nodiscard]] bool refreshes() const noexcept { return refreshes_; }
  [[nodiscard]] R kept() const { return entry_->result; }

  /// After the call inside: keeps what is to be kept, and gives what the caller gets.
  template <class Key>
  [[nodiscard]] R settle(Kept& kept, const Key& key, R result, Time now) const {
    if (result || policy_.keeps(result.error().kind())) {
      keep(kept, key, result, now);
    } else if (entry_ && entry_->result &&
               policy_.covers(result.error().kind(), entry_->stored, now)) {
      return entry_->result;
    }
    return result;
  }

 private:
  // What cannot be kept, for want of memory say, is answered all the same.
  template <class Key>
  static void keep(Kept& kept, const Key& key, const R& result, Time now) noexcept {
    try {
      kept.put(key, result, now);
    } catch (...) {
      return;
    }
  }

  const CachePolicy& policy_;
  std::shared_ptr<Entry> entry_;
  Freshness freshness_ = Freshness::gone;
  bool refreshes_ = false;
};

/// Who asks anew for a stale reply: the first caller that sees it, or a task of a scope.
struct RefreshByCaller {};

/// Answers from a cache, and fills it.
template <class Kept, class KeyFunction, class Refresh, class Inner>
class CacheService {
  using R = std::remove_const_t<decltype(Kept::Entry::result)>;
  static constexpr bool in_scope = !std::same_as<Refresh, RefreshByCaller>;

 public:
  static constexpr bool keeps_time = true;

  CacheService(Kept& kept, KeyFunction key, CachePolicy policy, Refresh* refresh, Inner inner)
      : kept_(&kept),
        key_(std::move(key)),
        policy_(policy),
        refresh_(refresh),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    constexpr bool fits = check<Request>();
    constexpr bool threads = !in_scope || std::derived_from<Refresh, PoolScope>;
    static_assert(threads,
                  "penstock: a cache over a blocking leaf needs a thread to revalidate in: write "
                  "PoolScope scope{pool}; cache(kept, key, policy, scope), or leave the scope out");
    if constexpr (fits && threads) {
      try {
        decltype(auto) key = std::invoke(key_, request);
        CachedCall<Kept> cached{*kept_, policy_, key, call.now};
        if (cached.hits()) return cached.kept();
        if (const auto stale = hand_to_scope(request, call, cached)) return *stale;
        R result = inner_(request, call);
        return cached.settle(*kept_, key, std::move(result), call.now);
      } catch (...) {
        return Error::from_exception(std::current_exception());
      }
    }
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    constexpr bool fits = check<Request>();
    if constexpr (fits) {
      decltype(auto) key = std::invoke(key_, request);
      CachedCall<Kept> cached{*kept_, policy_, key, call.now};
      if (cached.hits()) co_return cached.kept();
      if (const auto stale = hand_to_scope(request, call, cached)) co_return *stale;
      R result = co_await inner_(request, call);
      keep_time<Inner>(call);
      co_return cached.settle(*kept_, key, std::move(result), call.now);
    }
  }

  [[nodiscard]] std::string describe() const {
    return "cache(" + policy_.describe() + ", " + kept_->describe() + ") > " + inner_.describe();
  }

 private:
  template <class Request>
  static constexpr bool check() noexcept {
    constexpr bool replies = std::same_as<result_t<Inner, const Request&>, R>;
    static_assert(replies,
                  "penstock: cache keeps another reply than the leaf gives: write "
                  "Cache<Key, Reply> with the leaf's Reply");
    constexpr bool keys = requires(KeyFunction & key, const Request& request, Kept& kept) {
      kept.find(std::invoke(key, request));
    };
    static_assert(keys,
                  "penstock: cache needs the key of a request: write cache(kept, key) with "
                  "key(request) returning the Key of its Cache<Key, Reply>");
    constexpr bool copies = !in_scope || std::copy_constructible<Request>;
    static_assert(copies,
                  "penstock: a cache that revalidates in a scope needs a request that can be "
                  "copied: leave the scope out, and the first caller revalidates");
    return replies && keys && copies;
  }

  template <class Request>
  std::optional<R> hand_to_scope(const Request& request,
                                 const Call& call,
                                 CachedCall<Kept>& cached) {
    if constexpr (in_scope) {
      if (!cached.refreshes()) return std::nullopt;
      std::optional<R> stale{cached.kept()};
      Call own = call;
      own.stop = StopToken{};  // the caller's source may go before the task does
      own.executor = &refresh_->executor();
      try {
        refresh_->spawn(revalidate(*this, request, own, std::move(cached)));
      } catch (...) {
        return stale;  // the next caller that sees it tries again
      }
      return stale;
    } else {
      return std::nullopt;
    }
  }
  template <class Request>
  static Task<void> revalidate(CacheService& self,
                               Request request,
                               Call call,
                               CachedCall<Kept> cached) {
    // Nobody waits for what goes wrong here: the next caller that sees the reply stale tries again.
    try {
      decltype(auto) key = std::invoke(self.key_, std::as_const(request));
      if constexpr (BlockingService<Inner, const Request&>) {
        R result = self.inner_(std::as_const(request), call);
        static_cast<void>(cached.settle(*self.kept_, key, std::move(result), call.now));
      } else {
        R result = co_await self.inner_(std::as_const(request), call);
        keep_time<Inner>(call);
        static_cast<void>(cached.settle(*self.kept_, key, std::move(result), call.now));
      }
    } catch (...) {
      co_return;
    }
    co_return;
  }

  Kept* kept_;
  KeyFunction key_;
  CachePolicy policy_;
  Refresh* refresh_;  // null for RefreshByCaller
  Inner inner_;
};

template <class Kept, class KeyFunction, class Refresh>
class CacheLayer {
 public:
  static constexpr LayerKind kind = LayerKind::cache;
  CacheLayer(Kept& kept, KeyFunction key, CachePolicy policy, Refresh* refresh)
      : kept_(&kept),
        key_(std::move(key)),
        policy_(policy),
        refresh_(refresh) {}
  [[nodiscard]] const void* shared() const noexcept { return kept_; }
  [[nodiscard]] std::string describe() const {
    return "cache(" + policy_.describe() + ", " + kept_->describe() + ")";
  }
  template <class Inner>
  [[nodiscard]] CacheService<Kept, KeyFunction, Refresh, Inner> wrap(Inner inner) && {
    return {*kept_, std::move(key_), policy_, refresh_, std::move(inner)};
  }

 private:
  Kept* kept_;
  KeyFunction key_;
  CachePolicy policy_;
  Refresh* refresh_;
};
static_assert(Layer<CacheLayer<Cache<int, int>, std::identity, RefreshByCaller>>);

/// Answers from `kept` what is fresh there, and keeps the replies that come. Outside `retry` and
/// `circuit_breaker`; put `coalesce` inside it, so that a reply that has gone is asked for once.
///
/// A stale reply that is good while somebody asks anew goes to all callers but the first, which
/// asks and waits; with a `scope` it goes to that one too, and a task of the scope asks, with a
/// copy of the request and the caller's deadline. Join the scope before the stack and `kept` go.
/// Errors are kept only as `negative` says; `cancelled` and `deadline` never are.
///
/// `key(request)` is called once per call, outside every lock; without it the request is the
/// key. It must tell apart whatever makes replies differ, the caller's identity too. *Safe from
/// any thread.* A hit costs one lock and a copy of the reply, allocates nothing of its own, and
/// reads no clock.
template <class Key, class Reply, class Weigh, class KeyFunction = std::identity>
[[nodiscard]] CacheLayer<Cache<Key, Reply, Weigh>, KeyFunction, RefreshByCaller> cache(
    Cache<Key, Reply, Weigh>& kept, KeyFunction key = {}, CachePolicy policy = {}) {
  return {kept, std::move(key), policy, nullptr};
}
template <class Key, class Reply, class Weigh, class KeyFunction, std::derived_from<Scope> S>
[[nodiscard]] CacheLayer<Cache<Key, Reply, Weigh>, KeyFunction, S> cache(
    Cache<Key, Reply, Weigh>& kept, KeyFunction key, CachePolicy policy, S& scope) {
  return {kept, std::move(key), policy, &scope};
}
template <class Key, class Reply, class Weigh, class... Rest>
void cache(const Cache<Key, Reply, Weigh>&&, Rest&&...) = delete;  // name it: it is shared

}  // namespace penstock
