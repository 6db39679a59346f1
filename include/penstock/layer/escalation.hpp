// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include <penstock/core/call.hpp>
#include <penstock/core/layer.hpp>
#include <penstock/core/service.hpp>
#include <penstock/layer/fallback.hpp>
#include <penstock/policy/escalation.hpp>

namespace penstock {

/// Something told of the error that stopped everything. Must not throw.
template <class N>
concept StopNotifier = std::move_constructible<N> && std::is_nothrow_invocable_v<N&, const Error&>;

/// Refuses calls after an emergency stop, and stops everything at the first severe error.
template <StopNotifier Notifier, class Inner>
class EscalationService {
 public:
  static constexpr bool keeps_time = true;

  EscalationService(Escalation& escalation, Notifier notify, Inner inner)
      : escalation_(&escalation),
        notify_(std::move(notify)),
        inner_(std::move(inner)) {}

  template <class Request>
  requires BlockingService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const Result<std::uint32_t> turn = escalation_->admit();
    if (!turn) return turn.error();
    auto result = inner_(request, call);
    look_at(result, *turn);
    return result;
  }

  template <class Request>
  requires AsyncService<Inner, const Request&> reply_t<Inner, const Request&>
  operator()(const Request& request, Call& call) {
    const Result<std::uint32_t> turn = escalation_->admit();
    if (!turn) co_return turn.error();
    auto result = co_await inner_(request, call);
    keep_time<Inner>(call);
    look_at(result, *turn);
    co_return result;
  }

  [[nodiscard]] std::string describe() const {
    return escalation_->describe() + " > " + inner_.describe();
  }

 private:
  template <class R>
  void look_at(const R& result, std::uint32_t turn) noexcept {
    if (result || escalation_->step(result.error().kind()) != Escalation::Step::stop) return;
    if (escalation_->stop(result.error().kind(), turn)) notify_(result.error());
  }

  Escalation* escalation_;
  Notifier notify_;
  Inner inner_;
};

/// With or without a backup: `void` for none.
template <StopNotifier Notifier, class Plan>
class EscalationLayer {
 public:
  static constexpr LayerKind kind = LayerKind::escalation;
  EscalationLayer(Escalation& escalation, Notifier notify, Plan plan)
      : escalation_(&escalation),
        notify_(std::move(notify)),
        backup_(FallbackPolicy{{.on = escalation.options().backup}}, std::move(plan)) {}
  [[nodiscard]] const void* shared() const noexcept { return escalation_; }
  [[nodiscard]] std::string describe() const {
    return escalation_->describe() + " > " + backup_.describe();
  }
  template <class Inner>
  [[nodiscard]] auto wrap(Inner inner) && {
    return EscalationService<Notifier, FallbackService<Plan, Inner>>{
        *escalation_, std::move(notify_), std::move(backup_).wrap(std::move(inner))};
  }

 private:
  Escalation* escalation_;
  Notifier notify_;
  FallbackLayer<Plan> backup_;
};
template <StopNotifier Notifier>
class EscalationLayer<Notifier, void> {
 public:
  static constexpr LayerKind kind = LayerKind::escalation;
  EscalationLayer(Escalation& escalation, Notifier notify)
      : escalation_(&escalation),
        notify_(std::move(notify)) {}
  [[nodiscard]] const void* shared() const noexcept { return escalation_; }
  [[nodiscard]] std::string describe() const { return escalation_->describe(); }
  template <class Inner>
  [[nodiscard]] EscalationService<Notifier, Inner> wrap(Inner inner) && {
    return {*escalation_, std::move(notify_), std::move(inner)};
  }

 private:
  Escalation* escalation_;
  Notifier notify_;
};

/// The emergency stop, and the way to a backup: outside `retry`, which deals with what is
/// transient. A severe error stops every stack that shares `escalation`: calls that come later are
/// refused with `closed`, without being made, until `reset`; those under way go on. `notify(error)`
/// is told once per stop, in the thread of the call that met it, outside every lock.
///
/// Errors that are the backup's go to `plan`, which is as `fallback`'s. *Safe from any thread* as
/// far as the plan and the notifier are. The escalation must outlive the stack's calls.
template <StopNotifier Notifier>
[[nodiscard]] EscalationLayer<Notifier, void> escalation(Escalation& escalation, Notifier notify) {
  return {escalation, std::move(notify)};
}
template <StopNotifier Notifier, class Plan>
[[nodiscard]] EscalationLayer<Notifier, std::decay_t<Plan>> escalation(Escalation& escalation,
                                                                       Notifier notify,
                                                                       Plan&& plan) {
  return {escalation, std::move(notify), std::forward<Plan>(plan)};
}
template <class... Rest>
void escalation(const Escalation&&, Rest&&...) = delete;  // name it: it is shared

}  // namespace penstock
